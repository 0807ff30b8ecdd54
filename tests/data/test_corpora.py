"""What every corpus must fulfil, whoever wrote its reader; and what a `Corpus` refuses to be."""

import csv
import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from media_maker import make_clip, noise_frames, sine

import avemotion
from avemotion.config import PreprocessSettings, TrainingSettings
from avemotion.data import corpora
from avemotion.data.annotations import write_ratings
from avemotion.data.splits import official_split
from avemotion.data.store import FeatureStore
from avemotion.data.types import COLUMNS_BESIDE_LABELS, UNKNOWN_ACTOR, Clip, Corpus, Rating
from avemotion.errors import UsageError
from avemotion.evaluation.predictions import write_predictions
from avemotion.files import write_csv

GUIDE = Path(__file__).parents[2] / "docs" / "corpora.md"


def touch(directory: Path, *names: str) -> None:
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).touch()


def lay_out_crema_d(directory: Path) -> None:
    touch(directory, "VideoFlash/1002_DFA_ANG_XX.flv", "AudioWAV/1001_IEO_SAD_HI.wav")
    touch(directory, "VideoFlash/1001_IEO_SAD_HI.flv", "VideoFlash/holiday.flv")


def lay_out_ravdess(directory: Path) -> None:
    touch(directory, "Actor_02/01-01-05-01-01-01-02.mp4", "Actor_02/holiday.mp4")
    touch(directory, "Video_Speech_Actor_01/Actor_01/02-01-01-01-01-01-01.mp4")
    touch(directory, "Audio_Speech_Actors_01-24/Actor_01/03-01-01-01-01-01-01.wav")


def lay_out_fer2013(directory: Path) -> None:
    touch(directory, "train/angry/Training_1.jpg", "test/happy/PrivateTest_2.jpg")
    touch(directory, "train/angry/holiday.txt")


def lay_out_folder(directory: Path) -> None:
    touch(directory, "sad/b.mp4", "sad/b.wav", "happy/c.mkv", "happy/holiday.txt")
    (directory / "clips.csv").write_text("file,actor\nsad/b.wav,Boris\nhappy/c.mkv,Anna\n")


def lay_out_ck_plus(directory: Path) -> None:
    """Sequences of four pictures: each is used."""
    for person, emotion in (("S005", 3), ("S010", 5)):
        images = f"cohn-kanade-images/{person}/001/{person}_001"
        touch(directory, *(f"{images}_{frame:08d}.png" for frame in (1, 2, 3, 4)))
        for folder, text in (("Emotion", f"{emotion}.0e+00"), ("FACS", "12 3\n6 0\n")):
            kind = "emotion" if folder == "Emotion" else "facs"
            path = directory / folder / person / "001" / f"{person}_001_00000004_{kind}.txt"
            path.parent.mkdir(parents=True)
            path.write_text(text)
    touch(directory, "cohn-kanade-images/S005/001/holiday.jpg")


def lay_out_pictures(directory: Path) -> None:
    touch(directory, "a/1.png", "2.jpg", "holiday.png")
    (directory / "pictures.csv").write_text(
        "image,person,emotion,AU1\na/1.png,Anna,joy,1\n2.jpg,Boris,fear,0\n"
    )


def lay_out_ours(directory: Path) -> None:
    touch(directory, "boris_anger_01.mp4", "anna_joy_01.mp4", "holiday.mp4")


LAYOUTS = {
    "crema_d": lay_out_crema_d,
    "ravdess": lay_out_ravdess,
    "fer2013": lay_out_fer2013,
    "ck_plus": lay_out_ck_plus,
    "ck_plus_units": lay_out_ck_plus,
    "pictures": lay_out_pictures,
    "folder": lay_out_folder,
    "ours": lay_out_ours,
}
"""Two clips or more of two actors, laid out as the corpus is, and a file ``holiday``."""


@pytest.fixture(autouse=True)
def ours(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The guide's example, registered."""
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    module = ModuleType("ours")
    exec(compile(code, str(GUIDE), "exec"), module.__dict__)
    monkeypatch.setitem(corpora.READERS, "ours", module.read_corpus)
    return module


def test_the_table_of_readers_is_what_the_command_line_offers() -> None:
    assert get_args(corpora.CorpusName) == tuple(n for n in corpora.READERS if n != "ours")
    assert set(LAYOUTS) == set(corpora.READERS)
    with pytest.raises(
        UsageError, match="'youtube', but must be one of crema_d, ravdess, fer2013, ck_plus, "
    ):
        corpora.read_corpus("youtube", Path())


opened: list[str] | None = None


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and opened is not None:
        opened.append(os.fsdecode(arguments[0]) if not isinstance(arguments[0], int) else "")


sys.addaudithook(_watch)


def is_table(path: Path) -> bool:
    return path.suffix == ".csv" or path.name.endswith(("_emotion.txt", "_facs.txt"))


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_reader_keeps_its_promises(name: str, tmp_path: Path, monkeypatch) -> None:
    LAYOUTS[name](tmp_path)
    monkeypatch.setattr(sys.modules[__name__], "opened", [])
    corpus = corpora.read_corpus(name, tmp_path)
    assert opened is not None
    here = [path for path in opened if path.startswith(str(tmp_path))]
    assert {Path(path).suffix for path in here} <= {".csv", ".json", ".txt"}, "no media is opened"
    assert corpus == corpora.read_corpus(name, tmp_path)
    assert corpus.name == name and corpus.directory == tmp_path
    actors = {clip.actor for clip in corpus.clips}
    assert len(corpus.clips) >= 2
    assert len(actors) == 2 or actors == {UNKNOWN_ACTOR} and name == "fer2013"
    files = {p for clip in corpus.clips for p in (clip.video, clip.audio) if p}
    assert files.isdisjoint(corpus.unrecognised_files) and all(path.is_file() for path in files)
    media = {p for p in tmp_path.rglob("*") if p.is_file() and not is_table(p)}
    assert files | set(corpus.unrecognised_files) == media, "nothing vanishes"
    assert [path.stem for path in corpus.unrecognised_files] == ["holiday"]


@pytest.mark.parametrize("name", LAYOUTS)
def test_folders_without_the_corpus_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=re.escape(str(tmp_path))):
        corpora.read_corpus(name, tmp_path)
    if name != "ours":  # the example is short
        with pytest.raises(UsageError, match="nowhere is not a folder"):
            corpora.read_corpus(name, tmp_path / "nowhere")


def test_some_labels_alone(tmp_path: Path) -> None:
    def clip(name: str, emotion: str) -> Clip:
        return Clip(name, "Anna", "", emotion, "", tmp_path / name, None)

    clips = (clip("a", "fear"), clip("b", "joy"), clip("c", "rage"), clip("d", "joy"))
    corpus = Corpus(
        "ours", tmp_path, ("joy", "fear", "rage", "calm"), clips,
        excluded={"c": "broken", "d": "broken"}, units=("AU1",),
        units_of={c.name: (1.0,) for c in clips},
        ratings=(Rating("a", "video", (1, 2, 4, 8), 16), Rating("c", "video", (1, 0, 0, 0))),
    )  # fmt: skip
    found = corpus.only(("fear", "joy"))
    assert found.labels == ("joy", "fear"), "in the order of the corpus"
    assert [c.name for c in found.clips] == ["a", "b", "d"] and found.excluded == {"d": "broken"}
    assert found.ratings == (Rating("a", "video", (1, 2), 16 + 4 + 8),)
    assert found.units_of == {"a": (1.0,), "b": (1.0,), "d": (1.0,)}
    drawn = replace(corpus, synthetic={"tables": "default", "ceilings": {"av": 0.9}})
    assert drawn.only(("fear", "joy")).synthetic == {"tables": "default"}
    assert found.notes == ("Clips of other labels than joy, fear, left out: 1.",)
    for wrong in (("joy",), ("joy", "anger"), ("joy", "joy"), ()):
        with pytest.raises(UsageError, match="two or more of joy, fear, rage, calm"):
            corpus.only(wrong)


def test_the_guides_example_takes_the_whole_road(tmp_path: Path, ours: ModuleType) -> None:
    assert ours.__doc__ and "Licence" in ours.__doc__
    (tmp_path / "clips").mkdir()
    for seed, name in enumerate(("anna_joy_01", "anna_anger_02", "boris_neutral_01")):
        path = tmp_path / "clips" / f"{name}.mp4"
        sound = sine(300, 1, 44_100)
        make_clip(path, noise_frames(25, seed=seed), codec="mpeg4", sound=sound)
    report = avemotion.preprocess(
        tmp_path / "clips",
        corpus="ours",
        out=tmp_path / "out",
        settings=PreprocessSettings(views=1),
        progress=False,
    )
    assert report.counts == {"audio": 3}  # nobody is to be seen in noise
    store = FeatureStore(tmp_path / "out")
    assert store.labels == ours.LABELS and store.info["corpus"] == "ours"
    parts = {row.clip: row.part for row in store.rows}  # the split that it comes with
    assert parts == {
        "anna_joy_01": "test",
        "anna_anger_02": "validation",
        "boris_neutral_01": "test",
    }
    with pytest.raises(UsageError, match="no official split with a training and a test part"):
        official_split(store.rows, TrainingSettings())


HERE = Path("somewhere")
CORPUS = Corpus(
    name="small",
    directory=HERE,
    labels=("sad", "happy"),
    clips=tuple(Clip(n, a, "", "sad", "", HERE / n, None) for n, a in (("a", "Zoë"), ("b", "2"))),
    excluded={"b": "dark"},
    ratings=(Rating("a", "av", (3, 4)),),
)


def with_clip(**changes: object) -> Corpus:
    """The corpus with another second clip."""
    first, second = CORPUS.clips
    return replace(CORPUS, clips=(first, replace(second, **changes)), excluded={})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: with_clip(name="a"), "unique names, but 'a' follows 'a'"),
        (lambda: with_clip(name="Z"), "'Z' follows 'a'"),
        (lambda: with_clip(name=""), "UTF-8"),
        (lambda: with_clip(name="x\udcff"), "UTF-8"),
        (lambda: with_clip(emotion="angry"), "'angry', no label"),
        (lambda: with_clip(part="dev"), "of the part 'dev', none of"),
        (lambda: with_clip(actor="Unknown-1"), "a name that is kept for unknown actors"),
        (lambda: with_clip(video=Path("elsewhere/x")), "outside"),
        (lambda: with_clip(actor="zoë"), "'Zoë' and 'zoë' differ in capitals"),
        (lambda: replace(CORPUS, clips=()), "must have clips"),
        (lambda: replace(CORPUS, labels=()), "labels"),
        (lambda: replace(CORPUS, labels=("sad", "sad")), "unique"),
        (lambda: replace(CORPUS, labels=("sad", "")), "label"),
        (lambda: replace(CORPUS, labels=("sad", "\udcff")), "UTF-8"),
        (lambda: replace(CORPUS, labels=("sad", "target")), "name of a column"),
        (lambda: replace(CORPUS, excluded={"c": "?"}), "excluded names no clip: 'c'"),
        (lambda: replace(CORPUS, ratings=(Rating("c", "av", (1, 2)),)), "rating of no clip"),
        (lambda: replace(CORPUS, ratings=(Rating("a", "smell", (1, 2)),)), "channel"),
        (lambda: replace(CORPUS, ratings=(Rating("a", "av", (1,)),)), "2 votes"),
    ],
)
def test_a_corpus_that_would_do_harm_is_refused(wrong, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrong()


@pytest.mark.parametrize("actor", ["1001", "Zoë", "Anna Maria", "a.b-c_d", "李", "x" * 50])
def test_actors_that_can_name_files(actor: str) -> None:
    assert with_clip(actor=actor).clips[1].actor == actor


@pytest.mark.parametrize(
    "actor",
    ["", ".", "..", ".hidden", "_", "a/b", "a\\b", "a ", "a.", " a", "a\n", "a\0b", "a:b", "-rf",
     "x" * 51, "a\udcff", "*"],
)  # fmt: skip
def test_actors_that_cannot_name_files(actor: str) -> None:
    with pytest.raises(ValueError, match="cannot name a file"):
        with_clip(actor=actor)


@given(st.text(min_size=1, max_size=60))
def test_an_accepted_actor_is_a_file_in_its_folder(actor: str) -> None:
    try:
        with_clip(actor=actor)
    except ValueError:
        return
    path = HERE / f".{actor}.safetensors.partial"
    assert path.parent == HERE and len(os.fsencode(path.name)) <= 255
    assert actor == actor.strip() and not set(actor) & set('/\\:*?"<>|\0\n\r')


def test_no_label_is_a_column(tmp_path: Path) -> None:
    """What is refused as a label is what the tables with a column a label have beside them."""
    write_predictions(tmp_path / "p.csv", {}, (), ("system", "condition"))
    write_ratings(tmp_path / "v.csv", (), ())
    columns = ",".join((tmp_path / name).read_text().strip() for name in ("p.csv", "v.csv"))
    assert set(columns.split(",")) == set(COLUMNS_BESIDE_LABELS)


@given(st.lists(st.text(st.characters(codec="utf-8")), min_size=1, max_size=4))
def test_tables_hold_any_text(tmp_path_factory: pytest.TempPathFactory, cells: list[str]) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    write_csv(path, ["x"] * len(cells), [cells, cells])
    with path.open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file))[1:] == [cells, cells]
