"""What preprocessing a clip costs beside decoding it, what a second worker brings, and memory."""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import librosa
import numpy as np
import scipy.io.wavfile
from decoding import decode, found_clips
from reporting import interleave, parser, publish, ratio, timing_table
from threadpoolctl import threadpool_limits

import avemotion
from avemotion.config import PreprocessSettings
from avemotion.data.corpora.crema_d import CLIPS, EMOTION_BY_CODE, SENTENCES
from avemotion.features.extraction import extract

CASCADE = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")


def time_extraction(clips: list[Path], repeats: int) -> dict[str, list[float]]:
    """Return seconds of each round over all clips, on one thread."""
    default, one_view = PreprocessSettings(), PreprocessSettings(views=1)

    def extract_all(settings: PreprocessSettings) -> None:
        for clip in clips:
            outcome = extract(clip.stem, clip, clip, settings)
            assert outcome.status == "av", (clip, outcome.no_face, outcome.no_sound)

    jobs = {
        "only decoding": lambda: [decode(clip) for clip in clips],
        "preprocessing, 4 views": lambda: extract_all(default),
        "preprocessing, 1 view": lambda: extract_all(one_view),
    }
    cv2.setNumThreads(1)
    with threadpool_limits(1):
        return interleave(jobs, repeats)


def link_corpus(clips: list[Path], folder: Path, wanted: int) -> None:
    """Lay the clips out as CREMA-D's, under as many names as wanted."""
    names = [f"{s}_{e}_XX" for s in SENTENCES for e in EMOTION_BY_CODE]
    (folder / "VideoFlash").mkdir(parents=True)
    for number in range(wanted):
        name = f"{1001 + number // len(names)}_{names[number % len(names)]}.flv"
        (folder / "VideoFlash" / name).symlink_to(clips[number % len(clips)].resolve())


def time_workers(clips: list[Path], wanted: int, repeats: int) -> dict[str, list[float]]:
    """Return seconds of each run of the command, the start of its workers included."""
    with tempfile.TemporaryDirectory() as temporary:
        corpus, store = Path(temporary, "crema"), Path(temporary, "features")
        link_corpus(clips, corpus, wanted)

        def run(workers: int) -> None:
            shutil.rmtree(store, ignore_errors=True)
            report = avemotion.preprocess(corpus, out=store, workers=workers, progress=False)
            assert report.counts == {"av": wanted}, report.counts

        jobs = {"1 worker": lambda: run(1), "2 workers": lambda: run(2)}
        return interleave(jobs, repeats, warm_up=False)


def slow_pipeline(clip: Path, wav: Path) -> tuple[np.ndarray, np.ndarray]:
    """Do what is often written: a face search on each of 20 whole frames, and librosa.

    Returns:
        Faces uint8 (20, 98, 80), and the log-mel in decibels (64, time).
    """
    video = cv2.VideoCapture(str(clip))
    frames = []
    while (read := video.read())[0]:
        frames.append(read[1])
    faces = []
    for index in np.linspace(0, len(frames) - 1, 20).round().astype(int):
        grey = cv2.cvtColor(frames[index], cv2.COLOR_BGR2GRAY)
        x, y, width, height = max(CASCADE.detectMultiScale(grey, 1.1, 5), key=lambda box: box[2])
        faces.append(cv2.resize(grey[y : y + height, x : x + width], (80, 98)))
    samples, rate = librosa.load(wav, sr=16_000)
    mel = librosa.feature.melspectrogram(y=samples, sr=rate, n_fft=512, hop_length=160, n_mels=64)
    return np.stack(faces), librosa.power_to_db(mel)


def time_slow(clips: list[Path], repeats: int) -> dict[str, list[float]]:
    """Return seconds of each round over all clips, ours and the slow pipeline, on one thread."""
    one_view = PreprocessSettings(views=1)
    with tempfile.TemporaryDirectory() as temporary:
        wavs = {clip: Path(temporary, f"{clip.stem}.wav") for clip in clips}
        for clip, wav in wavs.items():
            scipy.io.wavfile.write(wav, 44_100, _sound(clip))
        cv2.setNumThreads(1)
        with threadpool_limits(1):
            return interleave(
                {
                    "20 whole frames and librosa": lambda: [
                        slow_pipeline(clip, wav) for clip, wav in wavs.items()
                    ],
                    "preprocessing, 1 view": lambda: [
                        extract(clip.stem, clip, clip, one_view) for clip in clips
                    ],
                },
                repeats,
            )


def _sound(clip: Path) -> np.ndarray:
    with av.open(str(clip)) as container:
        blocks = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
    return (np.clip(np.concatenate(blocks), -1, 1) * 32_767).astype(np.int16)


def workers_memory(clips: list[Path], wanted: int) -> tuple[float, float]:
    """Preprocess clips with two workers and look at their memory meanwhile; Linux only.

    Returns:
        The most that a worker held, in MiB, in the second and in the last quarter of the run.
    """
    seen: list[float] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            seen.append(max(_children_mebibytes(), default=0.0))

    with tempfile.TemporaryDirectory() as temporary:
        corpus, store = Path(temporary, "crema"), Path(temporary, "features")
        link_corpus(clips, corpus, wanted)
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            avemotion.preprocess(corpus, out=store, workers=2, progress=False)
        finally:
            done.set()
            watcher.join()
    quarter = len(seen) // 4
    return max(seen[quarter : 2 * quarter]), max(seen[3 * quarter :])


def _children_mebibytes() -> Iterator[float]:
    """Yield the resident memory of each process that this one started."""
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            metadata = dict(line.split(":", 1) for line in status.read_text().splitlines())
        except OSError:  # it has ended
            continue
        if int(metadata["PPid"]) == os.getpid() and "VmRSS" in metadata:
            yield int(metadata["VmRSS"].split()[0]) / 1024


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--clips", type=Path, help="folder of FLV files")
    arguments.add_argument("--repeats", type=int, default=9, help="rounds over the clips")
    arguments.add_argument("--worker-clips", type=int, default=600, help="clips of a whole run")
    arguments.add_argument("--worker-repeats", type=int, default=3, help="runs a worker count")
    arguments.add_argument("--memory-clips", type=int, default=2_000, help="clips of the long run")
    given = arguments.parse_args()
    with found_clips(given.clips) as (clips, called):
        single = time_extraction(clips, given.repeats)
        runs = time_workers(clips, given.worker_clips, given.worker_repeats)
        early, late = workers_memory(clips, given.memory_clips)
        slow = time_slow(clips, given.repeats)
    floor = single["only decoding"]
    four = ratio(single["preprocessing, 4 views"], floor)
    one = ratio(single["preprocessing, 1 view"], floor)
    workers = ratio(runs["1 worker"], runs["2 workers"])
    gain = ratio(slow["20 whole frames and librosa"], slow["preprocessing, 1 view"])
    rate = given.worker_clips / statistics.median(runs["2 workers"])
    publish(
        given.out,
        "preprocess",
        "Preprocessing a clip against only decoding it",
        [
            f"{called}; one thread; {given.repeats} interleaved rounds over all clips. "
            "*Only decoding*: one pass of PyAV over frames and sound, copying the luma of 20 "
            "frames. *Preprocessing*: `extract`, from the file to faces, spectrograms, log-mels. "
            "Milliseconds a clip:",
            timing_table(single, per=len(clips)),
            f"Preprocessing over decoding: **{one}** with 1 view, **{four}** with the default 4 "
            "(medians; smallest and largest round).",
            f"`avemotion.preprocess` on {given.worker_clips} clips (the same ones, linked under "
            "other names), 4 views, start of the workers included; "
            f"{given.worker_repeats} interleaved runs. Milliseconds a clip:",
            timing_table(runs, per=given.worker_clips),
            f"Two workers do **{workers}** times the clips of one: {rate:.1f} clips/s; at that "
            f"rate all {CLIPS:,} clips of CREMA-D take {CLIPS / rate / 60:.1f} minutes.",
            f"Memory of the larger of two workers over {given.memory_clips} clips: at most "
            f"{early:.0f} MiB in the second quarter of the run, {late:.0f} MiB in the last.",
            "Beside it, what is often written: OpenCV's reader, the cascade on each of 20 whole "
            "frames, librosa on a WAV of the same sound; in the same run, milliseconds a clip:",
            timing_table(slow, per=len(clips)),
            f"That pipeline takes **{gain}** times as long.",
        ],
        {
            "preprocess_over_decode": four,
            "preprocess_one_view_over_decode": one,
            "two_workers_over_one": workers,
            "clips_per_second": rate,
            "crema_d_minutes": CLIPS / rate / 60,
            "worker_mebibytes": late,
            "worker_mebibytes_growth": late - early,
            "slow_over_ours": gain,
        },
    )


if __name__ == "__main__":
    main()
