import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from media_maker import make_wav, speech_like, without_sound, write_pointer
from preprocess_maker import contents, run, voices

from avemotion.config import PreprocessSettings
from avemotion.data import preprocessing
from avemotion.data.store import FeatureStore, read_manifest
from avemotion.errors import UsageError


@pytest.fixture
def small_corpus(tmp_path: Path, crema_d: Path) -> Path:
    """The real clips, dealt out to three actors."""
    corpus = tmp_path / "corpus"
    for folder in ("VideoFlash", "AudioWAV"):
        (corpus / folder).mkdir(parents=True)
    for number, video in enumerate(sorted((crema_d / "VideoFlash").glob("*.flv"))[:6]):
        name = f"{1001 + number // 2}{video.stem[4:]}"
        shutil.copyfile(video, corpus / "VideoFlash" / f"{name}.flv")
        sound = crema_d / "AudioWAV" / f"{video.stem}.wav"
        if sound.is_file():
            shutil.copyfile(sound, corpus / "AudioWAV" / f"{name}.wav")
    return corpus


def by_clip(store: Path) -> dict:
    return {row.clip: row for row in read_manifest(store)}


def test_store_is_the_same_whoever_wrote_it(small_corpus: Path, tmp_path: Path):
    report = run(small_corpus, tmp_path / "one", workers=1)
    run(small_corpus, tmp_path / "two", workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert report.counts == {"av": 6} and report.processed == 6 and not report.failed
    store = FeatureStore(tmp_path / "one")
    for row in store.rows:
        assert row.faces_found == 20 and row.frames_decoded > 50
        faces = store.read(row, "faces")
        assert faces.shape == (2, 20, 98, 80) and (faces[0] != faces[1]).any()
        assert faces.std(axis=(2, 3)).min() > 10


def test_a_finished_store_is_not_touched(tmp_path: Path):
    corpus = voices(tmp_path / "corpus", actors=2)
    run(corpus, tmp_path / "out")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "actors").iterdir()}
    assert run(corpus, tmp_path / "out").processed == 0
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "actors").iterdir()}


def test_killed_run_goes_on(tmp_path: Path):
    corpus = voices(tmp_path / "corpus", actors=6, clips=3, seconds=8)
    out = tmp_path / "out"
    script = f"""
        from pathlib import Path
        from avemotion.config import PreprocessSettings
        from avemotion.data.preprocessing import preprocess
        settings = PreprocessSettings(views=2)
        preprocess(Path({str(corpus)!r}), out=Path({str(out)!r}), workers=2, settings=settings)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not (out / "actors" / "1003.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()

    listed = {row.actor for row in read_manifest(out)}
    assert {"1001", "1002"} <= listed and len(listed) < 6, "killed too late or too early"
    before = {actor: (out / "actors" / f"{actor}.safetensors").stat() for actor in listed}
    with pytest.raises(UsageError, match="not finished"):
        FeatureStore(out)
    report = run(corpus, out)
    assert report.processed == 3 * (6 - len(listed))
    for actor, stat in before.items():
        assert (out / "actors" / f"{actor}.safetensors").stat().st_mtime_ns == stat.st_mtime_ns
    run(corpus, tmp_path / "undisturbed")
    assert contents(out) == contents(tmp_path / "undisturbed")


def test_bad_clips_are_listed_and_the_others_done(small_corpus: Path, tmp_path: Path):
    videos = sorted((small_corpus / "VideoFlash").iterdir())
    videos[0].write_bytes(videos[0].read_bytes()[:100_000])
    videos[1].write_text("no video at all")
    write_pointer(videos[2])
    (small_corpus / "AudioWAV" / f"{videos[3].stem}.wav").unlink(missing_ok=True)
    os.mkfifo(small_corpus / "AudioWAV" / f"{videos[3].stem}.wav")
    report = run(small_corpus, tmp_path / "out", workers=2)
    failed = {row.clip: row.reason for row in report.failed}
    assert list(failed) == [video.stem for video in videos[:4]]
    assert "truncated" in failed[videos[0].stem]
    assert "cannot be decoded" in failed[videos[1].stem]
    assert "git lfs pull" in failed[videos[2].stem]
    assert "not a regular file" in failed[videos[3].stem]
    assert report.counts == {"failed": 4, "av": 2}
    store = FeatureStore(tmp_path / "out")
    assert [row.clip for row in store.usable("av")] == [video.stem for video in videos[4:]]
    assert store.read(store.usable("av")[0], "faces").any()
    assert not (tmp_path / "out" / "actors" / "1001.safetensors").exists()


def test_mended_clips_are_tried_again(tmp_path: Path):
    corpus = voices(tmp_path / "corpus", actors=2)
    broken = corpus / "AudioWAV" / "1001_DFA_ANG_XX.wav"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:5_000])
    assert run(corpus, tmp_path / "out").counts == {"failed": 1, "audio": 3}
    broken.write_bytes(whole)
    report = run(corpus, tmp_path / "out")
    assert report.counts == {"audio": 4} and report.processed == 2
    run(corpus, tmp_path / "fresh")
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def test_a_clip_that_fails_for_good_is_tried_again_alone(tmp_path: Path):
    corpus = voices(tmp_path / "corpus", actors=2, clips=3)
    (corpus / "AudioWAV" / "1001_DFA_DIS_XX.wav").write_text("no sound at all")
    out = tmp_path / "out"
    assert run(corpus, out).counts == {"audio": 5, "failed": 1}
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}
    again = run(corpus, out)
    assert again.processed == 1 and again.counts == {"audio": 5, "failed": 1}
    assert len(before) == 2
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}


def test_another_file_of_the_same_size_is_noticed(tmp_path: Path):
    corpus = voices(tmp_path / "corpus", actors=2)
    run(corpus, tmp_path / "out")
    path = corpus / "AudioWAV" / "1002_DFA_DIS_XX.wav"
    before = path.stat()
    make_wav(path, speech_like(1.0, seed=99))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert run(corpus, tmp_path / "out").processed == 2
    run(corpus, tmp_path / "fresh")
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")
    assert run(corpus, tmp_path / "out").processed == 0


def test_missing_modalities_are_flagged_and_zero(small_corpus: Path, tmp_path: Path):
    videos = sorted((small_corpus / "VideoFlash").iterdir())
    sounds = {path.stem for path in (small_corpus / "AudioWAV").iterdir()}
    mute, blind = videos[0].stem, next(v.stem for v in videos[1:] if v.stem in sounds)
    videos[0].write_bytes(without_sound(videos[0].read_bytes()))
    (small_corpus / "AudioWAV" / f"{mute}.wav").unlink(missing_ok=True)
    (small_corpus / "VideoFlash" / f"{blind}.flv").unlink()
    report = run(small_corpus, tmp_path / "out")
    assert not report.failed and report.counts == {"video": 1, "audio": 1, "av": 4}
    store, rows = FeatureStore(tmp_path / "out"), by_clip(tmp_path / "out")
    assert rows[mute].status == "video" and "no audio track" in rows[mute].reason
    assert store.read(rows[mute], "faces").any()
    for name in ("power", "log_mel", "waveform"):
        assert not store.read(rows[mute], name).any(), name
        assert store.read(rows[mute], f"{name}_lengths") == 0, name
    assert rows[blind].status == "audio" and "no video" in rows[blind].reason
    assert not store.read(rows[blind], "faces").any()
    assert store.read(rows[blind], "waveform").any()
    assert mute not in {row.clip for row in store.usable("av")}


def test_known_bad_clips_are_excluded_and_no_failure(tmp_path: Path):
    corpus = voices(tmp_path / "corpus", actors=1)
    make_wav(corpus / "AudioWAV" / "1076_MTI_SAD_XX.wav", speech_like(1))
    report = run(corpus, tmp_path / "out")
    assert report.counts == {"audio": 2, "excluded": 1} and report.processed == 2
    assert "error image" in by_clip(tmp_path / "out")["1076_MTI_SAD_XX"].reason
    assert run(corpus, tmp_path / "out").processed == 0


def test_changed_files_are_processed_again(tmp_path: Path):
    corpus = voices(tmp_path / "corpus", actors=3)
    run(corpus, tmp_path / "out")
    shards = tmp_path / "out" / "actors"
    before = {path.name: path.stat().st_mtime_ns for path in shards.iterdir()}
    make_wav(corpus / "AudioWAV" / "1002_DFA_DIS_XX.wav", speech_like(1.5, seed=99))
    assert run(corpus, tmp_path / "out").processed == 2
    after = {path.name: path.stat().st_mtime_ns for path in shards.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"1002.safetensors"}
    run(corpus, tmp_path / "fresh")
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def test_added_and_removed_actors_are_followed(tmp_path: Path):
    corpus = voices(tmp_path / "corpus", actors=3)
    run(corpus, tmp_path / "out")
    for path in (corpus / "AudioWAV").glob("1002_*"):
        path.unlink()
    make_wav(corpus / "AudioWAV" / "1005_DFA_ANG_XX.wav", speech_like(1))
    assert run(corpus, tmp_path / "out").processed == 1
    run(corpus, tmp_path / "fresh")
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def test_pointers_alone_are_a_wrong_call(tmp_path: Path):
    corpus = voices(tmp_path / "corpus", actors=1)
    for path in (corpus / "AudioWAV").iterdir():
        write_pointer(path)
    with pytest.raises(UsageError, match="All of the 2 media files .*git lfs pull"):
        run(corpus, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_wrong_calls_are_named(tmp_path: Path):
    corpus = voices(tmp_path / "corpus", actors=1)
    with pytest.raises(UsageError, match="--workers is 0"):
        run(corpus, tmp_path / "out", workers=0)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="--out is .*a file"):
        run(corpus, tmp_path / "file")
    with pytest.raises(UsageError, match="neither empty nor a feature store"):
        run(corpus, corpus)
    run(corpus, tmp_path / "out")
    with pytest.raises(UsageError, match='"views": 2'):
        run(corpus, tmp_path / "out", settings=PreprocessSettings(views=3))
    with FileLock(tmp_path / "out" / ".lock"), pytest.raises(UsageError, match="another run"):
        run(corpus, tmp_path / "out")


@pytest.mark.parametrize(
    "blow, reason", [(signal.SIGKILL, "crashed"), (signal.SIGSTOP, "took longer than 6 s")]
)
def test_a_worker_that_dies_or_hangs_costs_one_clip(tmp_path: Path, monkeypatch, blow, reason):
    corpus = voices(tmp_path / "corpus", actors=3, clips=1)
    # So long that the worker is still busy with it when the blow falls.
    make_wav(corpus / "AudioWAV" / "1002_DFA_ANG_XX.wav", np.tile(speech_like(10), 90))
    monkeypatch.setattr(preprocessing, "CLIP_TIMEOUT_SECONDS", 6)
    out = tmp_path / "out"
    struck = []

    def strike() -> None:
        deadline = time.monotonic() + 60
        while not (out / "actors" / "1001.safetensors").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(0.2)
        for worker in multiprocessing.active_children():
            os.kill(worker.pid, blow)
            struck.append(worker.pid)

    thread = threading.Thread(target=strike)
    thread.start()
    report = run(corpus, out)
    thread.join()
    assert len(struck) == 1
    assert [row.status for row in report.rows] == ["audio", "failed", "audio"]
    assert reason in report.failed[0].reason
    make_wav(corpus / "AudioWAV" / "1002_DFA_ANG_XX.wav", speech_like(1))
    assert run(corpus, out).counts == {"audio": 3}
