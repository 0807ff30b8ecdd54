"""What preprocessing a clip costs beside decoding it, and what a second worker brings."""

from __future__ import annotations

import resource
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import cv2
from decoding import decode, found_clips
from reporting import interleave, parser, publish, ratio, timing_table
from threadpoolctl import threadpool_limits

import avemotion
from avemotion.config import PreprocessSettings
from avemotion.corpora.crema_d import SENTENCES
from avemotion.emotions import EMOTION_BY_CODE
from avemotion.extraction import extract


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


def worker_mebibytes() -> float:
    """Return the peak memory of the largest process that has ended."""
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit / 2**20


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--clips", type=Path, help="folder of FLV files")
    arguments.add_argument("--repeats", type=int, default=9, help="rounds over the clips")
    arguments.add_argument("--worker-clips", type=int, default=120, help="clips of a whole run")
    arguments.add_argument("--worker-repeats", type=int, default=3, help="runs a worker count")
    given = arguments.parse_args()
    with found_clips(given.clips) as (clips, called):
        # The workers first: a child's peak memory must not be that of a synthesizer.
        runs = time_workers(clips, given.worker_clips, given.worker_repeats)
        memory = worker_mebibytes()
        single = time_extraction(clips, given.repeats)
    floor = single["only decoding"]
    four = ratio(single["preprocessing, 4 views"], floor)
    one = ratio(single["preprocessing, 1 view"], floor)
    workers = ratio(runs["1 worker"], runs["2 workers"])
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
            f"Preprocessing over decoding: **{four}** with 4 views, **{one}** with 1 view "
            "(medians; smallest and largest round).",
            f"`avemotion.preprocess` on {given.worker_clips} clips (the same ones, linked under "
            "other names), start of the workers included; "
            f"{given.worker_repeats} interleaved runs. Milliseconds a clip:",
            timing_table(runs, per=given.worker_clips),
            f"Two workers do **{workers}** times the clips of one: {rate:.1f} clips/s. "
            f"Largest worker: {memory:.0f} MiB.",
        ],
        {
            "preprocess_over_decode": four,
            "preprocess_one_view_over_decode": one,
            "two_workers_over_one": workers,
            "clips_per_second": rate,
            "worker_peak_mebibytes": memory,
        },
    )


if __name__ == "__main__":
    main()
