"""This checkout against another: preprocessing, classifying and training, in interleaved rounds.

Each checkout works in a process of its own, which does one job at a time when it is asked to, so
that a busy moment of the machine meets both. Only public names are used, so that old checkouts run.
"""

from __future__ import annotations

import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from scipy import stats

JOBS = ("preprocess", "preprocess_more", "classify", "train", "command")
CLIPS, MORE_CLIPS = 48, 480  # preprocessed in a round
LIMIT = 1.05


def work(folder: Path) -> None:
    """Do jobs as they are named on standard input; answer with the seconds that each took."""
    import avemotion
    from avemotion.config import TrainingSettings

    corpus, more = folder / "crema", folder / "more"
    features, run = folder / "features", folder / "run"
    training = TrainingSettings(epochs=3, batch_size=16, holdout=0.25)
    avemotion.synth(folder / "synthetic", actors=8, clips_per_actor=24, progress=False)
    avemotion.preprocess(folder / "synthetic", out=folder / "store", progress=False)
    avemotion.fit(data=folder / "store", out=run, training=training, progress=False)
    classifier = avemotion.Classifier(run, device="cpu")
    clips = sorted((corpus / "VideoFlash").iterdir())

    def preprocess() -> None:
        avemotion.preprocess(corpus, out=features, workers=1, progress=False)

    def preprocess_more() -> None:
        avemotion.preprocess(more, out=features, workers=1, progress=False)

    def classify() -> None:
        for clip in clips:
            classifier.classify(clip)

    def train() -> None:
        out = folder / "again"
        avemotion.fit(data=folder / "store", out=out, training=training, progress=False)

    def command() -> None:
        words = [sys.executable, "-m", "avemotion", "classify", str(clips[0])]
        subprocess.run(  # elsewhere: a package in the current folder would come first
            [*words, "--checkpoint", str(run)], check=True, cwd=folder, stdout=subprocess.DEVNULL
        )

    jobs: dict[str, Callable[[], None]] = dict(
        zip(JOBS, (preprocess, preprocess_more, classify, train, command), strict=True)
    )
    print("ready", Path(avemotion.__file__).parent, flush=True)
    for line in sys.stdin:
        shutil.rmtree(features, ignore_errors=True)
        shutil.rmtree(folder / "again", ignore_errors=True)
        start = time.perf_counter()
        jobs[line.strip()]()
        print("seconds", time.perf_counter() - start, flush=True)


class Version:
    """A checkout at work."""

    def __init__(self, checkout: Path, folder: Path, clips: list[Path]) -> None:
        """Start its process, and wait until it is ready."""
        from preprocess import link_corpus

        folder.mkdir()
        link_corpus(clips, folder / "crema", CLIPS)
        link_corpus(clips, folder / "more", MORE_CLIPS)
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--work", str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(checkout), *sys.path])},
        )  # fmt: skip
        _, package = self._answer("ready")
        if Path(package) != checkout.resolve() / "avemotion":
            raise SystemExit(f"{checkout} was asked for, but {package} answered")

    def _answer(self, word: str) -> list[str]:
        assert self._process.stdout
        for line in self._process.stdout:
            if line.startswith(word):
                return line.split()
        raise SystemExit("a checkout's process died; see above")

    def seconds(self, job: str) -> float:
        """Do a job; return how long it took."""
        assert self._process.stdin
        self._process.stdin.write(f"{job}\n")
        self._process.stdin.flush()
        return float(self._answer("seconds")[1])

    def end(self) -> None:
        """End the process."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def interval(ratios: list[float]) -> tuple[float, float, float]:
    """Return the geometric mean of ratios, and its 95 % t interval."""
    logs = [math.log(r) for r in ratios]
    mean = statistics.mean(logs)
    half = stats.t.ppf(0.975, len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)


def main() -> None:
    if sys.argv[1:2] == ["--work"]:  # with the other checkout's package, so without our modules
        work(Path(sys.argv[2]))
        return
    from decoding import found_clips
    from reporting import parser, publish, table

    arguments = parser(__doc__)
    arguments.add_argument("other", type=Path, help="the other checkout")
    arguments.add_argument("--clips", type=Path, help="folder of FLV files")
    arguments.add_argument("--rounds", type=int, default=9, help="rounds of all jobs")
    arguments.add_argument("--jobs", nargs="+", choices=JOBS, default=JOBS, help="what is timed")
    given = arguments.parse_args()
    here = Path(__file__).parents[1]
    with (
        found_clips(given.clips) as (clips, called),
        tempfile.TemporaryDirectory() as temporary,
    ):
        ours = Version(here, Path(temporary, "ours"), clips)
        theirs = Version(given.other, Path(temporary, "theirs"), clips)
        ratios: dict[str, list[float]] = {job: [] for job in given.jobs}
        for number in range(given.rounds + 1):
            for job in given.jobs:
                # The first of a pair finds the machine in another state: they take turns.
                pair = (ours, theirs) if number % 2 else (theirs, ours)
                seconds = {version: version.seconds(job) for version in pair}
                if number:  # the first round only warms up
                    ratios[job].append(seconds[ours] / seconds[theirs])
        ours.end()
        theirs.end()
    found = {job: interval(values) for job, values in ratios.items()}
    rows = [[job, *(f"{x:.3f}" for x in values)] for job, values in found.items()]
    publish(
        given.out,
        "versions",
        "This version against the one before it",
        [
            f"{called}; {given.rounds} interleaved rounds. *preprocess*: {CLIPS} clips, one "
            f"worker, its start included; *preprocess_more*: {MORE_CLIPS}. *classify*: the same "
            "clips, warm. *train*: `fit`, 3 epochs of synthetic clips. "
            "*command*: `avemotion classify` of one clip, cold. Time of "
            "this version over that of the other, geometric mean of the rounds and its 95 % "
            "interval:",
            table(["", "ratio", "from", "to"], rows),
            "A worker loads scipy once, before its first clip: about a second more than in 0.1, "
            "whatever the number of clips.",
        ],
        {job: values[0] for job, values in found.items()}
        | {"all_below_limit": all(high <= LIMIT for _, _, high in found.values())},
    )


if __name__ == "__main__":
    main()
