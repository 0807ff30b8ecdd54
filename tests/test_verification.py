import csv
import json
import multiprocessing
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from media_maker import make_clip, make_wav, noise_frames, speech_like, write_pointer

from avemotion import heads
from avemotion.corpora.crema_d import CLIPS
from avemotion.emotions import EMOTION_BY_CODE
from avemotion.errors import UsageError
from avemotion.heads import read_heads
from avemotion.verification import PROBLEMS, Verification, verify

NAMES = [f"{actor}_DFA_{code}_XX" for actor in (1001, 1002) for code in EMOTION_BY_CODE]


def check(corpus: Path) -> Verification:
    return verify(corpus, progress=False)


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A small complete corpus that says itself how large it is."""
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
        lambda c: video(c).write_bytes(sound(c).read_bytes()), "unreadable", "holds no video"
    ),
    "video as sound": (
        lambda c: sound(c).write_bytes(video(c).read_bytes()), "unreadable", "holds no sound"
    ),
    "pipe": (lambda c: fifo(video(c)), "unreadable", "not a regular file"),
    "stranger": (
        lambda c: (c / "AudioWAV" / "happy.wav").touch(), "strangers", "AudioWAV/happy.wav"
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
    damage, field, said = DAMAGE[name]
    damage(whole)
    found = check(whole)
    assert not found.ok
    entries = getattr(found, field)
    assert len(entries) == 1 and re.search(said, entries[0])
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
    assert len(found.known_bad) == 1 and "error picture" in found.known_bad[0]
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


def test_many_files_come_back_in_their_order(whole: Path):
    files = [(video(whole), True), (sound(whole), False), (sound(whole), True)] * 40
    assert [bool(complaint) for complaint in read_heads(files)] == [False, False, True] * 40


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
def test_a_worker_that_dies_or_hangs_costs_no_other_file(whole: Path, monkeypatch, blow):
    """Its files are read again one by one, and the order is kept."""
    monkeypatch.setattr(heads, "_TIMEOUT_SECONDS", 4)
    monkeypatch.setattr(heads, "_CHUNK", 500)  # so long that workers are in the midst of one
    files = [(video(whole), True), (sound(whole), False), (sound(whole), True)] * 500
    struck = []
    complaints = []
    for complaint in read_heads(files):
        complaints.append(bool(complaint))
        if not struck:
            time.sleep(0.1)
            struck = multiprocessing.active_children()[:1]
            os.kill(struck[0].pid, blow)
    assert struck and complaints == [False, False, True] * 500


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
