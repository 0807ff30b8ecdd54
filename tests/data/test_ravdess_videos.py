"""RAVDESS in its official layout: names to clips, and training on small real files."""

import itertools
import shutil
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from media_maker import make_clip, make_wav, sine

import avemotion
from avemotion.cli.text_output import preprocess_text
from avemotion.config import PreprocessSettings
from avemotion.data.corpora import ravdess
from avemotion.data.corpora.ravdess import read_corpus
from avemotion.data.splits import luna_jimenez_folds
from avemotion.data.store import FeatureStore
from avemotion.errors import UsageError
from avemotion.media.reader import read_frames, read_sound


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def official_takes() -> list[str]:
    """The 1,440 names without their first two fields, by the published rule."""
    return [
        f"{emotion:02}-{level:02}-{sentence:02}-{repetition:02}-{actor:02}"
        for actor, emotion, level, sentence, repetition in itertools.product(
            range(1, 25), range(1, 9), (1, 2), (1, 2), (1, 2)
        )
        if (emotion, level) != (1, 2)  # neutral has no strong intensity
    ]


def test_the_whole_download(tmp_path: Path) -> None:
    for take in official_takes():
        actor = f"Actor_{take[-2:]}"
        videos = tmp_path / f"Video_Speech_{actor}" / actor
        touch(videos / f"01-01-{take}.mp4", videos / f"02-01-{take}.mp4")
        touch(tmp_path / "Audio_Speech_Actors_01-24" / actor / f"03-01-{take}.wav")
    song = "01-02-05-01-01-01-01.mp4"
    touch(tmp_path / "Video_Song_Actor_01" / "Actor_01" / song, tmp_path / "README.txt")
    corpus = read_corpus(tmp_path)
    assert [clip.name for clip in corpus.clips] == sorted(f"01-01-{t}" for t in official_takes())
    assert len(corpus.clips) == ravdess.CLIPS == 1_440
    assert Counter(clip.actor for clip in corpus.clips) == dict.fromkeys(ravdess.ACTORS, 60)
    emotions = Counter(clip.emotion for clip in corpus.clips)
    assert emotions.pop("neutral") == 96 and set(emotions.values()) == {192}
    assert corpus.unrecognised_files == () and corpus.notes == (
        "Files of song, left out since only speech is read: 1.",
    )
    for clip in corpus.clips:
        assert clip.video and clip.video.stem == clip.name
        assert clip.audio and clip.audio.stem == f"03{clip.name[2:]}"
    assert corpus.demographics["07"] == {"Sex": "Male"}


def test_the_real_names_are_those_of_the_rule(test_data: Path) -> None:
    archive = test_data / "ravdess" / "speech-16khz.zip"
    if not archive.is_file():
        pytest.skip(f"{archive} is not there")
    with zipfile.ZipFile(archive) as takes:
        real = {name for name in takes.namelist() if name.endswith(".flac")}
    assert real == {f"03-01-{take}.flac" for take in official_takes()}


@pytest.mark.parametrize("folder", [".", "Actor_12", "Video_Speech_Actor_12/Actor_12"])
def test_files_are_found_at_any_depth_and_the_best_is_taken(tmp_path: Path, folder: str) -> None:
    name = "01-05-02-01-02-12"
    touch(tmp_path / folder / f"02-{name}.mp4")
    (clip,) = read_corpus(tmp_path).clips
    assert clip.name == f"01-{name}" and clip.audio is None
    assert clip.video == tmp_path / folder / f"02-{name}.mp4"
    assert (clip.actor, clip.emotion, clip.level, clip.sentence) == ("12", "anger", "strong", "01")
    touch(tmp_path / folder / f"01-{name}.MP4", tmp_path / f"03-{name}.wav")
    (clip,) = read_corpus(tmp_path).clips
    assert clip.video == tmp_path / folder / f"01-{name}.MP4"
    assert clip.audio == tmp_path / f"03-{name}.wav"


def test_other_files_and_copies_are_listed(tmp_path: Path) -> None:
    name = "03-01-05-01-01-01-01.wav"
    touch(tmp_path / "Actor_01" / name, tmp_path / "audio_speech" / "Actor_01" / name)
    others = [
        "holiday.mp4",
        "01-01-05-01-01-01-25.mp4",  # there are 24 actors
        "03-01-05-01-01-01-01.mp4",  # a voice in a video's file
        "01-01-05-01-01-01-01 (1).mp4",
    ]
    touch(*(tmp_path / "Actor_01" / name for name in others))
    (tmp_path / "Actor_01" / "round").symlink_to(tmp_path)
    touch(tmp_path / "Actor_01" / "._01-01-05-01-01-01-01.mp4")
    corpus = read_corpus(tmp_path)
    assert len(corpus.clips) == 1 and "there again" in corpus.notes[0]
    assert {path.name for path in corpus.unrecognised_files} == set(others)
    (tmp_path / "Actor_01" / "round").unlink()
    (tmp_path / "audio_speech" / "Actor_01" / name).write_bytes(b"another")
    with pytest.raises(UsageError, match="the same name, but are not the same"):
        read_corpus(tmp_path)


def test_songs_alone_are_refused(tmp_path: Path) -> None:
    touch(tmp_path / "Actor_01" / "01-02-05-01-01-01-01.mp4")
    with pytest.raises(UsageError, match="no take of RAVDESS' speech.* 1 takes of song"):
        read_corpus(tmp_path)


def voice(test_data: Path, name: str, folder: Path) -> np.ndarray:
    """int16 (sample,): a real take at 16 kHz; a tone where the takes are not there."""
    archive = test_data / "ravdess" / "speech-16khz.zip"
    if not archive.is_file():
        return (sine(300, 2, 16_000) * 20_000).astype(np.int16)
    with zipfile.ZipFile(archive) as takes:
        return read_sound(Path(takes.extract(f"{name}.flac", folder))).samples


@pytest.fixture
def takes(tmp_path: Path, test_data: Path, real_videos: list[Path]) -> Path:
    """Real faces under RAVDESS' names, as MP4; real voices as WAV."""
    corpus = tmp_path / "ravdess"
    actor_1 = corpus / "Video_Speech_Actor_01" / "Actor_01"
    actor_2, voices = corpus / "Actor_02", corpus / "Audio_Speech_Actors_01-24" / "Actor_01"
    for folder in (actor_1, actor_2, voices):
        folder.mkdir(parents=True)
    for number, (folder, name, sound) in enumerate(
        [
            (actor_1, "01-01-05-01-01-01-01", read_sound(real_videos[0]).samples / 32_768),
            (actor_1, "02-01-05-01-01-01-01", None),
            (actor_2, "02-01-03-01-01-01-02", None),
        ]
    ):
        frames = read_frames(real_videos[number], np.arange).frames[:40]
        path = folder / f"{name}.mp4"
        make_clip(path, frames, 30, codec="mpeg4", sound=sound, sound_rate=16_000)
    for folder, name in ((voices, "03-01-05-01-01-01-01"), (actor_2, "03-01-04-01-01-01-02")):
        make_wav(folder / f"{name}.wav", voice(test_data, name, tmp_path))
    shutil.copyfile(actor_2 / "02-01-03-01-01-01-02.mp4", actor_2 / "01-02-03-01-01-01-02.mp4")
    return corpus


def test_from_real_files_to_results(takes: Path, tmp_path: Path) -> None:
    out = tmp_path / "features"
    settings = PreprocessSettings(views=1)
    report = avemotion.preprocess(
        takes, corpus="ravdess", out=out, workers=1, settings=settings, progress=False
    )
    store = FeatureStore(out)
    assert store.labels == ravdess.LABELS and store.info["corpus"] == "ravdess"
    rows = {row.clip: row for row in store.rows}
    assert {name: row.status for name, row in rows.items()} == {
        "01-01-05-01-01-01-01": "av",
        "01-01-03-01-01-01-02": "video",
        "01-01-04-01-01-01-02": "audio",
    }
    whole = rows["01-01-05-01-01-01-01"]
    assert whole.faces_found == 20 and whole.emotion == "anger" and whole.actor == "01"
    wav = "Audio_Speech_Actors_01-24/Actor_01/03-01-05-01-01-01-01.wav"
    assert whole.audio_file == wav  # preferred to the sound in the MP4
    assert whole.video_file == "Video_Speech_Actor_01/Actor_01/01-01-05-01-01-01-01.mp4"
    np.testing.assert_array_equal(
        store.read(whole, "waveform"), read_sound(takes / wav).samples, strict=True
    )
    assert store.demographics() == {"01": {"Sex": "Male"}, "02": {"Sex": "Female"}}
    assert "Files of song, left out" in preprocess_text(report)


def test_the_published_folds_fit_the_readers_actors(tmp_path: Path) -> None:
    touch(*(tmp_path / f"03-01-01-01-01-01-{actor:02}.wav" for actor in range(1, 25)))
    folds = luna_jimenez_folds(read_corpus(tmp_path).clips)  # type: ignore[arg-type]
    assert sorted(a for fold in folds for a in fold.test) == list(ravdess.ACTORS)
