"""Clips of one's own: names and table, whatever they hold, and the whole way to a prediction."""

import csv
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from media_maker import write_pointer

import avemotion
from avemotion.cli import main
from avemotion.config import PreprocessSettings, TrainingSettings
from avemotion.data.corpora.folder import VIDEO_SUFFIXES, read_corpus
from avemotion.data.store import FeatureStore
from avemotion.data.types import COLUMNS_BESIDE_LABELS, UNKNOWN_ACTOR, Corpus, Split
from avemotion.errors import UsageError
from avemotion.media.kinds import SOUND_SUFFIXES
from avemotion.models.ar5 import AR5Settings
from avemotion.models.checkpoint import load_checkpoint

MEDIA = VIDEO_SUFFIXES | SOUND_SUFFIXES


def touch(directory: Path, *names: str) -> Path:
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).touch()
    return directory


def write_table(directory: Path, *rows: tuple[str, ...], columns: str = "file,actor") -> None:
    with (directory / "clips.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns.split(","), *rows])


def names(corpus: Corpus) -> list[str]:
    return [clip.name for clip in corpus.clips]


file_names = st.builds(
    lambda stem, suffix: stem + suffix,
    st.text(st.characters(codec="utf-8", exclude_characters="/\0"), max_size=20),
    st.sampled_from([*sorted(MEDIA), ".MP4", ".Wav", ".txt", ".mp4.wav", ""]),
).filter(lambda name: name not in ("", ".", ".."))


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_any_names_become_clips_or_are_listed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("any")
    letters = st.characters(codec="utf-8", exclude_characters="/\0.")
    emotions = st.text(letters, min_size=1, max_size=9)
    emotions = emotions.filter(lambda name: name.isprintable() and name == name.strip())
    emotions = emotions.filter(lambda name: name not in COLUMNS_BESIDE_LABELS)
    classes = data.draw(st.lists(emotions, min_size=2, max_size=3, unique=True))
    files = {f"{name}/sure.mp4" for name in classes}
    for name in classes:
        files |= {f"{name}/{file}" for file in data.draw(st.sets(file_names, max_size=5))}
    touch(directory, *files)
    corpus = read_corpus(directory)
    assert corpus.labels == tuple(sorted(classes)) and corpus.name == "folder"
    found = [p for clip in corpus.clips for p in (clip.video, clip.audio) if p]
    every = found + list(corpus.unrecognised_files)
    assert sorted(every) == sorted(directory / file for file in files), "each file once"
    for path in every:
        is_media = path.suffix.lower() in MEDIA and not path.name.startswith(".")
        assert (path in found) == is_media
    for clip in corpus.clips:
        assert clip.actor == UNKNOWN_ACTOR and clip.name.split("/")[0] == clip.emotion
        assert clip.name in files
    write_table(directory, *((clip.name, f"actor {i}") for i, clip in enumerate(corpus.clips)))
    named = read_corpus(directory)
    assert [clip.actor for clip in named.clips] == [f"actor {i}" for i in range(len(named.clips))]
    assert names(named) == names(corpus)
    shutil.rmtree(directory)


def test_video_and_sound_of_one_stem_are_one_clip(tmp_path: Path) -> None:
    touch(tmp_path, "sad/a.mp4", "sad/a.wav", "happy/a.wav", "happy/b.mp4", "happy/b.mkv")
    touch(tmp_path, "happy/b.wav")
    corpus = read_corpus(tmp_path)
    media = {clip.name: (clip.video, clip.audio) for clip in corpus.clips}
    happy, sad = tmp_path / "happy", tmp_path / "sad"
    assert media == {
        "happy/a.wav": (None, happy / "a.wav"),
        "happy/b.mkv": (happy / "b.mkv", None),  # whose voice b.wav is cannot be known
        "happy/b.mp4": (happy / "b.mp4", None),
        "happy/b.wav": (None, happy / "b.wav"),
        "sad/a.mp4": (sad / "a.mp4", sad / "a.wav"),
    }


def test_what_is_no_clip_is_listed(tmp_path: Path) -> None:
    touch(tmp_path, "sad/a.mp4", "happy/a.mp4", "sad/.hidden.mp4", "sad/a.txt", "sad/more/b.mp4")
    touch(tmp_path, "top.mp4", ".git/config")
    (tmp_path / "sad" / "back").symlink_to(tmp_path)
    (tmp_path / "sad" / "loop.mp4").symlink_to("loop.mp4")
    (tmp_path / "sad" / os.fsdecode(b"caf\xe9.mp4")).touch()
    corpus = read_corpus(tmp_path)
    assert names(corpus) == ["happy/a.mp4", "sad/a.mp4", "sad/loop.mp4"]  # fails when it is read
    assert {path.relative_to(tmp_path).as_posix() for path in corpus.unrecognised_files} == {
        ".git", "sad/.hidden.mp4", "sad/a.txt", "sad/back", "sad/more", "sad/caf\udce9.mp4",
        "top.mp4",
    }  # fmt: skip
    assert "clips.csv" in corpus.notes[0]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["happy/a.mp4"], "has 1 folders"),
        (["a.mp4", "b.mp4"], "has 0 folders"),
        (["happy/a.mp4", "sad/a.txt"], "sad holds no video, picture or sound file"),
        (["happy/a.mp4", "sad/anna/a.mp4"], "sad holds no video.* directly in it"),
        (["happy/a.mp4", "target/a.mp4"], "'target' is the name of a column"),
        (["happy/a.mp4", "caf\udce9/a.mp4"], "a label must be text that UTF-8 can hold"),
    ],
)
def test_folders_that_are_no_corpus_are_refused(tmp_path: Path, files, message: str) -> None:
    touch(tmp_path, *files)
    with pytest.raises(UsageError, match=message):
        read_corpus(tmp_path)


def test_the_table_gives_actor_level_and_sentence(tmp_path: Path) -> None:
    touch(tmp_path, "sad/a.mp4", "sad/a.wav", "happy/b.mp4")
    columns = "actor,level,file,sentence"
    text = "Anna,high,sad/a.wav,Oh no\r\nZoe\u0308,,happy/b.mp4,\r\n"
    (tmp_path / "clips.csv").write_text(f"\ufeff{columns}\r\n{text}", encoding="utf-8")
    happy, sad = read_corpus(tmp_path).clips
    assert (sad.actor, sad.level, sad.sentence) == ("Anna", "high", "Oh no")
    assert (happy.actor, happy.level, happy.sentence) == ("Zo\u00eb", "", "")
    assert read_corpus(tmp_path).notes == ()


def test_the_table_gives_an_official_split(tmp_path: Path) -> None:
    """A clip in a part of it needs no actor."""
    touch(tmp_path, "sad/a.mp4", "sad/b.png", "happy/b.mp4")
    rows = [("sad/a.mp4", "Anna", "train"), ("sad/b.png", "", "validation")]
    write_table(tmp_path, *rows, ("happy/b.mp4", "Anna", "test"), columns="file,actor,part")
    found = [(clip.name, clip.actor, clip.part) for clip in read_corpus(tmp_path).clips]
    assert found == [
        ("happy/b.mp4", "Anna", "test"), ("sad/a.mp4", "Anna", "train"),
        ("sad/b.png", UNKNOWN_ACTOR, "validation"),
    ]  # fmt: skip


GOOD = "file,actor\nsad/a.mp4,Anna\nhappy/b.mp4,Boris\n"
SPLIT = "file,actor,part\nsad/a.mp4,Anna,train\nhappy/b.mp4,Boris,test\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "clips.csv lacks the columns 'actor', 'file'"),
        (GOOD.replace(",", ";"), "separated by commas"),
        (GOOD.replace("actor", "actor,actor"), "has more than once the columns 'actor'"),
        (GOOD.replace("actor", "actor,age"), "has the unknown columns 'age'"),
        (GOOD.replace("Anna", "Anna,5"), "row 1 of .* not have one value for each column"),
        (GOOD.replace(",Boris", ""), "row 2 of .* not have one value"),
        (GOOD.replace("Boris", ""), "row 2 of .*the actor of 'happy/b.mp4' is ''"),
        (GOOD.replace("Boris", "unknown"), "row 2 of .* 'unknown': name the person"),
        (GOOD.replace("Boris", "a/b"), "'a/b' cannot name a file.*Change that name"),
        (GOOD.replace("Boris", "anna"), "'Anna' and 'anna' differ in capitals"),
        (GOOD + "sad/a.mp4,Anna\n", "row 3 of .*'sad/a.mp4' has a row before"),
        (GOOD + "sad/c.mp4,Anna\n", r"1 row without a .*'sad/c.mp4' \(row 3\), and 0 files"),
        (GOOD + "".join(f"sad/{x}.mp4,Anna\n" for x in "cde"), r"\(row 5\), and 0 files"),
        (GOOD + "".join(f"sad/{x}.mp4,Anna\n" for x in "cdef"), r"\(row 5\), \.\.\., and 0 f"),
        (GOOD.replace("happy/b.mp4,Boris\n", ""), "and 1 file without a row: 'happy/b.mp4'"),
        (GOOD + "sad/a.wav,Boris\n", r"differs on sad/a.mp4 and .*\(rows 1 and 3"),
        (SPLIT.replace("test", "Test"), "the part of 'happy/b.mp4' is 'Test', but must be train"),
        (SPLIT.replace("Boris,test", ","), "row 2 of .*the actor of 'happy/b.mp4' is ''"),
        (SPLIT + "sad/a.wav,Anna,test\n", "differs on .*the same actor, level, sentence and part"),
        (GOOD + '"sad', "is not a table"),
        (b"\xff\xfe" + GOOD.encode("utf-16-le"), "is not a table in UTF-8"),
    ],
)  # fmt: skip
def test_tables_that_do_not_fit_are_refused(tmp_path: Path, text, message: str) -> None:
    touch(tmp_path, "sad/a.mp4", "sad/a.wav", "happy/b.mp4")
    (tmp_path / "clips.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError, match=message):
        read_corpus(tmp_path)


def test_a_table_that_cannot_be_opened_is_no_missing_one(tmp_path: Path) -> None:
    touch(tmp_path, "sad/a.mp4", "happy/b.mp4")
    (tmp_path / "clips.csv").symlink_to("nowhere")
    with pytest.raises(UsageError, match="clips.csv cannot be read .No such file"):
        read_corpus(tmp_path)


def test_pointers_get_no_advice_of_another_corpus(tmp_path: Path) -> None:
    for name in ("sad/a.mp4", "happy/b.mp4"):
        write_pointer(touch(tmp_path, name) / name)
    with pytest.raises(
        UsageError, match="All of the 2 media.*Put the media files themselves"
    ) as caught:
        avemotion.preprocess(tmp_path, corpus="folder", out=tmp_path / "out", progress=False)
    assert "git lfs pull" not in str(caught.value)


@pytest.fixture
def films(tmp_path: Path, real_videos: list[Path]) -> Path:
    """Six real clips as three people's, in two emotions with names of all kinds."""
    for number, video in enumerate(real_videos):
        emotion = ("fröhlich & laut", "sad")[number % 2]
        folder = tmp_path / "films" / emotion
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(video, folder / f"take\n{number // 2}.flv")
    return tmp_path / "films"


def name_the_actors(films: Path) -> None:
    rows = [(clip.name, f"Actor {clip.name[-5]}") for clip in read_corpus(films).clips]
    write_table(films, *rows)


def contents(store: Path) -> dict[str, bytes]:
    files = [path for path in store.rglob("*") if path.is_file() and path.name != ".lock"]
    return {path.relative_to(store).as_posix(): path.read_bytes() for path in files}


def test_from_folder_to_prediction(
    films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "features"
    words = ["preprocess", "--corpus", "folder", str(films), "--out", str(store), "--views", "1"]
    assert main(words) == 0
    assert "There is no clips.csv" in capsys.readouterr().out
    tiny = AR5Settings(width=0.1, video_features=4, audio_features=4)
    how = {"data": store, "training": TrainingSettings(epochs=1, batch_size=2), "progress": False}
    run = tmp_path / "runs" / "ar5" / "av"
    for refused in (
        lambda: avemotion.fit(**how, out=run, settings=tiny),
        lambda: avemotion.evaluate(**how, protocol="loso", out=run, settings={"ar5": tiny}),
        lambda: avemotion.evaluate(data=store, out=run, progress=False),
    ):
        with pytest.raises(UsageError, match=r"6 clips without an actor.*columns file,actor"):
            refused()
        assert not run.exists()

    name_the_actors(films)
    assert main(words) == 0  # the same command goes on: everyone is someone else now
    found = FeatureStore(store)
    assert [row.status for row in found.rows] == ["av"] * 6
    assert {row.actor for row in found.rows} == {"Actor 0", "Actor 1", "Actor 2"}
    assert found.labels == ("fröhlich & laut", "sad") and found.info["corpus"] == "folder"
    moved = films.rename(tmp_path / "elsewhere")
    avemotion.preprocess(
        moved,
        corpus="folder",
        out=tmp_path / "again",
        workers=2,
        settings=PreprocessSettings(views=1),
        progress=False,
    )
    assert contents(tmp_path / "again") == contents(store), "the same input, the same bytes"

    avemotion.fit(**how, out=run, settings=tiny)
    clip = next(moved.glob("sad/*.flv"))
    prediction = avemotion.classify_clip(clip, checkpoint=run)
    assert list(prediction.probabilities) == ["fröhlich & laut", "sad"]
    assert prediction.label in prediction.probabilities and prediction.modality == "av"


def test_who_is_missing_is_said_before_the_work(
    films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("avemotion.data.preprocessing._fill", interrupt)
    words = ["preprocess", "--corpus", "folder", str(films), "--out", str(tmp_path / "features")]
    assert main(words) == 130
    said = capsys.readouterr().err
    assert said.startswith("There is no clips.csv with the actor of each file, so `fit` and")
    assert "file,actor" in said and "Ctrl-C stops here." in said
    name_the_actors(films)
    assert main(words) == 130
    assert "clips.csv" not in capsys.readouterr().err


def test_an_official_split_of_unknown_people(films: Path, tmp_path: Path) -> None:
    """They may be in several parts: the folds are the corpus' own, and every report says so."""
    clips = read_corpus(films).clips
    parts = ("train", "validation", "test")
    rows = [(clip.name, "", parts[i % 3]) for i, clip in enumerate(clips)]
    write_table(films, *rows, columns="file,actor,part")
    store = tmp_path / "features"
    words = {"corpus": "folder", "out": store, "settings": PreprocessSettings(views=1)}
    avemotion.preprocess(films, **words, progress=False)
    found = FeatureStore(store)
    assert {(row.actor, row.shard) for row in found.rows} == {(UNKNOWN_ACTOR, "unknown-00000")}
    assert [row.part for row in found.rows] == [part for _, _, part in rows]
    how = {"data": store, "progress": False}
    training = TrainingSettings(epochs=1, batch_size=2, split="official")
    tiny = AR5Settings(width=0.1, video_features=4, audio_features=4)
    runs = tmp_path / "runs"
    run = runs / "ar5" / "video"
    with pytest.raises(UsageError, match="6 clips without an actor"):
        avemotion.fit(**how, modality="video", out=run, training=TrainingSettings(epochs=1))
    avemotion.fit(**how, modality="video", out=run, settings=tiny, training=training)
    metadata = load_checkpoint(run / "checkpoint.safetensors")[1]
    assert metadata.split == Split(("train",), ("validation",), ("test",), "part")
    tested = {row.clip for row in found.rows if row.part == "test"}
    asked = {**how, "modalities": ("video",), "robustness": True}
    held_out = avemotion.evaluate(**asked, runs=runs, out=tmp_path / "held out")
    trained = avemotion.evaluate(
        **asked,
        protocol="official",
        out=tmp_path / "official",
        settings={"ar5": tiny},
        training=training,
    )
    for results in (held_out, trained):
        with (Path(results.out) / "predictions.csv").open(newline="", encoding="utf-8") as file:
            assert {row["clip"] for row in csv.DictReader(file)} == tested
        assert any("the same people may have trained and be tested" in n for n in results.notes)
    heard = avemotion.evaluate(
        **how,
        protocol="official",
        modalities=("audio",),
        out=tmp_path / "babble",
        settings={"ar5": tiny},
        training=training,
    )
    conditions = {score.condition for score in heard.robustness["ar5/audio"]}
    assert "babble 10 dB" in conditions  # of other clips, since each may be somebody else's


def test_names_with_html_are_text_in_the_report(real_videos: list[Path], tmp_path: Path) -> None:
    """Of corpus, store, emotion, clip, level, sentence; an actor can have no such name."""
    corpus = tmp_path / "<script>alert('corpus')<script>"
    emotions = ("<script>alert('emotion')<script>", "sad & <b>bold")
    rows = []
    for number, video in enumerate(real_videos):
        name = f"{emotions[number % 2]}/<img src=x onerror=alert('{number}')>.flv"
        (corpus / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(video, corpus / name)
        level, sentence = (f"<svg onload=alert('{what}')>" for what in (number % 2, number))
        rows.append((name, str(number // 2), level, sentence))
    write_table(corpus, *rows, columns="file,actor,level,sentence")
    store, out = corpus.with_name("<script>alert('store')<script>"), tmp_path / "<b>out"
    words = ["preprocess", "--corpus", "folder", str(corpus), "--out", str(store), "--views", "1"]
    assert main(words) == 0
    avemotion.fit(
        data=store,
        modality="video",
        out=tmp_path / "runs" / "ar5" / "video",
        settings=AR5Settings(width=0.1, video_features=4),
        training=TrainingSettings(epochs=1, batch_size=2, holdout=0.34),
        progress=False,
    )
    words = ["evaluate", "--data", str(store), "--runs", str(tmp_path / "runs")]
    assert main([*words, "--out", str(out)]) == 0
    page = out / "report" / "index.html"
    page.unlink()
    assert main(["report", str(out)]) == 0
    drawn = page.read_text(encoding="utf-8")
    assert "&lt;script&gt;alert('emotion')&lt;script&gt;" in drawn.replace("&#39;", "'")
    for hostile in ("<script", "<img src=x", "<svg onload", "<b>"):
        assert hostile not in drawn, hostile


def test_changes_of_the_table_are_followed(tmp_path: Path, films: Path) -> None:
    shutil.rmtree(films / "sad")
    shutil.copytree(films / "fröhlich & laut", films / "sad")
    one_view, out = PreprocessSettings(views=1), tmp_path / "out"

    def processed(level: str) -> int:
        rows = [(c.name, "Anna" if c.emotion == "sad" else "Boris") for c in clips]
        table = [(*row, level if row[1] == "Anna" else "") for row in rows]
        write_table(films, *table, columns="file,actor,level")
        report = avemotion.preprocess(
            films, corpus="folder", out=out, workers=1, settings=one_view, progress=False
        )
        return report.processed

    clips = read_corpus(films).clips
    assert processed("low") == 6
    assert processed("low") == 0
    assert processed("high") == 3  # Anna's
    assert {row.level for row in FeatureStore(out).rows if row.actor == "Anna"} == {"high"}
