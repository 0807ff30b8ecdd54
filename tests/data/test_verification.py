import csv
import json
import multiprocessing
import os
import re
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from media_maker import make_clip, make_wav, noise_frames, sine, speech_like, write_pointer

from avemotion.data import media_check
from avemotion.data.corpora.crema_d import CLIPS, EMOTION_BY_CODE
from avemotion.data.media_check import MediaFile, decode_all, read_heads
from avemotion.data.preprocessing import preprocess
from avemotion.data.verification import PROBLEMS, Verification, verify
from avemotion.errors import UsageError
from avemotion.media.integrity import announced_bytes, is_plainly_whole
from avemotion.media.reader import read_streams
from avemotion.parallel.isolated_worker import TaskFailure

NAMES = [f"{actor}_DFA_{code}_XX" for actor in (1001, 1002) for code in EMOTION_BY_CODE]


def check(corpus: Path) -> Verification:
    return verify(corpus, progress=False)


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A small complete corpus that states its own size."""
    for folder in ("VideoFlash", "AudioWAV", "processedResults"):
        (tmp_path / folder).mkdir()
    clip = make_clip(tmp_path / "one.flv", noise_frames(12)).read_bytes()
    sound = make_wav(tmp_path / "one.wav", speech_like(0.5)).read_bytes()
    for name in NAMES:
        (tmp_path / "VideoFlash" / f"{name}.flv").write_bytes(clip)
        (tmp_path / "AudioWAV" / f"{name}.wav").write_bytes(sound)
    (tmp_path / "synthetic.json").write_text(json.dumps({"actors": 2, "clips_per_actor": 6}))
    numbered = [[i, name] for i, name in enumerate(NAMES, 1)]
    table(tmp_path / "SentenceFilenames.csv", ["Stimulus_Number", "Filename"], numbered)
    people = [[actor, 30, "Female", "Asian", "Not Hispanic"] for actor in (1001, 1002)]
    columns = ["ActorID", "Age", "Sex", "Race", "Ethnicity"]
    table(tmp_path / "VideoDemographics.csv", columns, people)
    votes = [
        [f"{channel}{i:05d}", 1, 2, 3, 4, 5, 6, name, 21]
        for channel in (1, 2, 3)
        for i, name in numbered
    ]
    table(
        tmp_path / "processedResults" / "tabulatedVotes.csv",
        ["", "A", "D", "F", "H", "N", "S", "fileName", "numResponses"],
        votes,
    )
    return tmp_path


def table(path: Path, columns: list, rows: list) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_NONNUMERIC).writerows([columns, *rows])


def test_a_whole_corpus_is_whole(whole: Path):
    found = check(whole)
    assert found.ok and found.synthetic
    assert (found.clips, found.expected, found.videos, found.sounds) == (12, 12, 12, 12)
    assert found.clips_by_actor == {"1001": (6, 6), "1002": (6, 6)}
    assert set(found.clips_by_emotion.values()) == {(2, 2)}
    assert all(getattr(found, problem) == () for problem in PROBLEMS)
    assert "The corpus is complete." in found.summary()
    assert "missing" not in found.summary()


def video(corpus: Path) -> Path:
    return corpus / "VideoFlash" / f"{NAMES[0]}.flv"


def sound(corpus: Path) -> Path:
    return corpus / "AudioWAV" / f"{NAMES[0]}.wav"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-500])


def drop_last_line(path: Path) -> None:
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGE: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "no video": (lambda c: video(c).unlink(), "missing_videos", NAMES[0]),
    "no sound": (lambda c: sound(c).unlink(), "missing_audio", NAMES[0]),
    "pointer": (lambda c: write_pointer(video(c)), "pointers", "VideoFlash/1001_DFA_ANG_XX.flv"),
    "empty": (lambda c: sound(c).write_bytes(b""), "empty", "AudioWAV/1001_DFA_ANG_XX.wav"),
    "cut video": (lambda c: cut(video(c)), "unreadable", "VideoFlash.*is truncated"),
    "cut sound": (lambda c: cut(sound(c)), "unreadable", "AudioWAV.*is truncated"),
    "text": (lambda c: video(c).write_text("x" * 999), "unreadable", "cannot be decoded"),
    "sound as video": (
        lambda c: video(c).write_bytes(sound(c).read_bytes()), "unreadable", "has no video stream"
    ),
    "video as sound": (
        lambda c: sound(c).write_bytes(video(c).read_bytes()), "soundless", "has no audio track"
    ),
    "pipe": (lambda c: fifo(video(c)), "unreadable", "not a regular file"),
    "unrecognised": (
        lambda c: (c / "AudioWAV" / "happy.wav").touch(), "unrecognised_files", "AudioWAV/happy.wav"
    ),
    "unlisted": (
        lambda c: video(c).copy(video(c).with_name("1003_DFA_ANG_XX.flv"))
        if hasattr(Path, "copy")
        else video(c).with_name("1003_DFA_ANG_XX.flv").write_bytes(video(c).read_bytes()),
        "unlisted", "1003_DFA_ANG_XX",
    ),
    "no votes": (
        lambda c: (c / "processedResults" / "tabulatedVotes.csv").unlink(),
        "tables", "tabulatedVotes.csv is missing",
    ),
    "a vote short": (
        lambda c: drop_last_line(c / "processedResults" / "tabulatedVotes.csv"),
        "tables", "lacks 1 of 36 rows",
    ),
    "votes are a pointer": (
        lambda c: write_pointer(c / "processedResults" / "tabulatedVotes.csv"),
        "tables", "git lfs pull",
    ),
    "an actor short": (
        lambda c: drop_last_line(c / "VideoDemographics.csv"),
        "tables", "VideoDemographics.csv lacks 1002",
    ),
    "no demographics": (
        lambda c: (c / "VideoDemographics.csv").unlink(), "tables", "Demographics.csv is missing"
    ),
    "no list": (
        lambda c: (c / "SentenceFilenames.csv").unlink(), "tables", "Filenames.csv is missing"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_each_damage_is_named_and_nothing_else(whole: Path, name: str):
    damage, field, message = DAMAGE[name]
    damage(whole)
    found = check(whole)
    assert not found.ok
    entries = getattr(found, field)
    assert len(entries) == 1 and re.search(message, entries[0])
    assert all(not getattr(found, other) for other in PROBLEMS if other != field), found
    assert entries[0] in found.summary() and "not complete" in found.summary()


def test_a_short_list_is_noticed(whole: Path):
    drop_last_line(whole / "SentenceFilenames.csv")
    found = check(whole)
    assert "11 rows with 11 different clips, expected 12" in found.tables[0]
    assert found.unlisted == (NAMES[-1],)


def test_known_bad_clips_are_no_problem(whole: Path):
    """Without its description the corpus counts as recorded, and the four are looked for."""
    (whole / "synthetic.json").unlink()
    for folder, suffix in (("VideoFlash", "flv"), ("AudioWAV", "wav")):
        first = whole / folder / f"{NAMES[0]}.{suffix}"
        (whole / folder / f"1076_MTI_SAD_XX.{suffix}").write_bytes(first.read_bytes())
    found = check(whole)
    assert len(found.known_bad) == 1 and "error image" in found.known_bad[0]
    assert "1 known bad clips, which preprocessing leaves out" in found.summary()


def test_long_lists_are_shortened(whole: Path):
    for path in (whole / "VideoFlash").iterdir():
        path.unlink()
    found = check(whole)
    assert len(found.missing_videos) == 12
    lines = found.summary().splitlines()
    assert sum(line.startswith("  1001_") or line.startswith("  1002_") for line in lines) == 10
    assert "  and 2 more" in lines


def test_folders_that_are_no_corpus_are_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="not a folder"):
        check(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="no CREMA-D clip"):
        check(tmp_path)


def test_damaged_description_is_refused(whole: Path):
    (whole / "synthetic.json").write_text('{"actors": "two"}')
    with pytest.raises(UsageError, match="actors is 'two'"):
        check(whole)


def media(path: Path, images: bool) -> MediaFile:
    return MediaFile(path, NAMES[0], images, not images)


@pytest.mark.parametrize("look", [read_heads, decode_all])
def test_many_files_come_back_in_their_order(whole: Path, look):
    files = [media(video(whole), True), media(sound(whole), False), media(sound(whole), True)] * 20
    assert [bool(complaint) for complaint in look(files)] == [False, False, True] * 20


@pytest.mark.parametrize(
    "blow, message", [(signal.SIGKILL, "crashed"), (signal.SIGSTOP, "took longer than 6 s")]
)
def test_a_decoder_that_dies_or_hangs_costs_one_file(whole: Path, monkeypatch, blow, message):
    monkeypatch.setattr(media_check, "CLIP_TIMEOUT_SECONDS", 6)
    monkeypatch.setattr(media_check, "cores", lambda: 1)
    # So long that the worker is still busy with it when the blow falls.
    long = make_wav(whole / "long.wav", np.tile(speech_like(10), 180))
    outcomes = decode_all([media(path, False) for path in (sound(whole), long, sound(whole))])
    assert next(outcomes) is None
    time.sleep(0.1)
    (worker,) = multiprocessing.active_children()
    os.kill(worker.pid, blow)
    lost, last = outcomes
    assert isinstance(lost, TaskFailure) and message in lost.reason and last is None


def blank_frames(path: Path) -> None:
    """Fill the frames of an FLV with 255, but for the byte that names the codec."""
    content = bytearray(path.read_bytes())
    position = 13
    while position < len(content):
        end = position + 11 + int.from_bytes(content[position + 1 : position + 4], "big")
        if content[position] == 9:
            content[position + 12 : end] = b"\xff" * (end - position - 12)
        position = end + 4
    path.write_bytes(content)


ONLY_DECODED: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "frozen": (
        lambda c: make_clip(video(c), noise_frames(1).repeat(12, axis=0)),
        "unreadable", "ANG_XX.flv moves for only 0.00 of 0.48 s",
    ),
    "an image": (
        lambda c: make_clip(video(c), noise_frames(1)), "unreadable", "holds a single frame"
    ),
    "broken frames": (lambda c: blank_frames(video(c)), "unreadable", "VideoFlash"),
    "silent": (
        lambda c: make_wav(sound(c), np.zeros(16_000, np.int16)), "soundless", "WAV/.* is silent"
    ),
    "next to no sound": (
        lambda c: make_wav(sound(c), speech_like(0.05)), "soundless", "lasts 0.050 s"
    ),
    "no sound at all": (lambda c: sound(c).unlink(), "soundless", "Flash/.* has no audio track"),
}  # fmt: skip


@pytest.mark.parametrize("name", ONLY_DECODED)
def test_damage_that_only_decoding_finds(whole: Path, name: str):
    damage, field, message = ONLY_DECODED[name]
    damage(whole)
    assert not check(whole).unreadable + check(whole).soundless
    found = verify(whole, decode=True, progress=False)
    assert not found.ok and found.decoded == found.videos + found.sounds
    entries = found.unreadable + found.soundless
    assert entries == getattr(found, field)
    assert len(entries) == 1 and re.search(message, entries[0])
    assert entries[0] in found.summary()


def test_a_whole_corpus_decodes(whole: Path):
    found = verify(whole, decode=True, progress=False)
    assert found.ok and found.decoded == 24 and "Decoded: 24 files." in found.summary()
    assert check(whole).decoded == 0 and "--decode" in check(whole).summary()


def test_what_preprocess_rejects_is_listed_in_its_words(whole: Path, tmp_path_factory):
    """Eleven clips, damaged in one way each, then dealt to names of their own."""
    clean = video(whole).read_bytes(), sound(whole).read_bytes()
    damages = [*ONLY_DECODED.values()]
    damages += [DAMAGE[how] for how in ("cut video", "cut sound", "pipe", "text", "sound as video")]
    for name, (damage, _, _) in zip(NAMES[1:], damages, strict=True):
        damage(whole)
        for path, content in zip((video(whole), sound(whole)), clean, strict=True):
            path.with_stem(name).unlink()
            if path.exists():
                path.rename(path.with_stem(name))
            path.write_bytes(content)
    found = verify(whole, decode=True, progress=False)
    listed = found.unreadable + found.soundless
    out = tmp_path_factory.mktemp("out") / "features"
    rows = preprocess(whole, out=out, workers=1, progress=False).rows
    assert sum(row.status == "failed" for row in rows) >= 8
    for row in rows:
        for reason in row.reason.split("; "):
            if not reason.startswith(("no face found", "no sound file")):  # an image, or missing
                assert any(entry.endswith(f": {reason}") for entry in listed), (row.clip, reason)
    assert len(listed) == 11


def test_known_bad_clips_are_not_decoded(whole: Path):
    (whole / "synthetic.json").unlink()
    for folder, suffix in (("VideoFlash", "flv"), ("AudioWAV", "wav")):
        first = whole / folder / f"{NAMES[0]}.{suffix}"
        (whole / folder / f"1076_MTI_SAD_XX.{suffix}").write_bytes(first.read_bytes())
    make_clip(whole / "VideoFlash" / "1076_MTI_SAD_XX.flv", noise_frames(1))
    found = verify(whole, decode=True, progress=False)
    assert not found.unreadable and found.decoded == 24


def test_json_holds_every_field(whole: Path):
    plain = json.loads(json.dumps(check(whole).to_dict()))
    assert plain.keys() == {"ok", *(field.name for field in fields(Verification))}
    assert plain["ok"] is True and plain["directory"] == str(whole)
    video(whole).unlink()
    plain = json.loads(json.dumps(check(whole).to_dict()))
    assert plain["ok"] is False and plain["missing_videos"] == [NAMES[0]]


@pytest.fixture(scope="module")
def plain_media(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """An FLV and a WAV."""
    folder = tmp_path_factory.mktemp("plain")
    clip = make_clip(folder / "one.flv", noise_frames(8), sound=sine(300, 0.3, 44_100))
    return [clip, make_wav(folder / "one.wav", speech_like(0.2))]


@settings(deadline=None, max_examples=150)
@given(data=st.data(), is_video=st.booleans())
def test_a_glance_takes_nothing_for_whole_that_the_decoder_refuses(plain_media, data, is_video):
    """Damage as a broken copy makes: a lost end, or a stretch of zeros."""
    whole = plain_media[0 if is_video else 1].read_bytes()
    start = data.draw(st.integers(0, 600) | st.integers(0, len(whole)), "zeros from")
    zeros = data.draw(st.integers(0, 600) | st.integers(0, len(whole)), "how many")
    keep = data.draw(st.just(len(whole)) | st.integers(1, len(whole)), "bytes kept")
    content = whole[:start] + bytes(zeros) + whole[start + zeros :]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "damaged")
        path.write_bytes(content[:keep])
        if is_plainly_whole(path, is_video):
            assert read_streams(path)[0 if is_video else 1]
            with path.open("rb") as file:
                assert announced_bytes(file) <= path.stat().st_size


def test_a_glance_is_enough_for_plain_files(plain_media, tmp_path: Path):
    """And for no other: of another format, not what is wanted, a byte short."""
    for whole, is_video in zip(plain_media, (True, False), strict=True):
        assert is_plainly_whole(whole, is_video)
        assert not is_plainly_whole(whole, not is_video)
        (tmp_path / "short").write_bytes(whole.read_bytes()[:-1])
        assert not is_plainly_whole(tmp_path / "short", is_video)


def test_a_glance_is_enough_for_real_files(real_videos: list[Path], real_sounds: list[Path]):
    assert all(is_plainly_whole(path, True) for path in real_videos)
    assert all(is_plainly_whole(path, False) for path in real_sounds)


def test_real_checkout(crema_d: Path):
    found = check(crema_d)
    assert found.expected == CLIPS and len(found.clips_by_actor) == 91
    assert not found.synthetic and not found.tables and not found.unreadable
    videos = len(list((crema_d / "VideoFlash").glob("*.flv")))
    sounds = len(list((crema_d / "AudioWAV").glob("*.wav")))
    assert (found.videos, found.sounds) == (videos, sounds)
    assert len(found.missing_videos) == CLIPS - videos
    assert len(found.missing_audio) == CLIPS - sounds
    assert sum(expected for _, expected in found.clips_by_emotion.values()) == CLIPS
    assert found.clips_by_emotion["neutral"][1] == 1087
    assert found.ok == (videos == sounds == CLIPS)
