"""Thousands of damaged files through `avemotion preprocess`: how each ends, and the run.

Real clips, and the same in other containers, are damaged at random (from a seed) and laid out as a
corpus with files that are worse than damaged. The command itself runs on it. Afterwards every clip
must be listed with a reason that users understand, and each accepted video is decoded anew to
see that its sampled frames differ.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice, product
from pathlib import Path

import numpy as np
from damage import CONTAINERS, DAMAGES, SOUND_DAMAGES, encode_again, sound_of
from decoding import found_clips, sampled_and_distinct
from odd_files import HEAVY, ODD_SOUNDS, ODD_VIDEOS, UNRECOGNISED_NAMES
from reporting import parser, publish, table
from trials import UNPRIVILEGED

from avemotion.data.corpora.crema_d import EMOTION_BY_CODE, SENTENCES
from avemotion.data.store import FeatureStore, ManifestRow
from avemotion.parallel.isolated_worker import TaskFailure
from avemotion.parallel.isolation import map_isolated

OUTCOMES = ("both", "one modality", "refused", "time-out", "memory", "crash")

# What users do not understand: names of exceptions, numbers of errors, addresses.
_NOT_UNDERSTOOD = re.compile(r"unexpected error|Errno|Error\b|Exception|0x[0-9a-f]{6}|Traceback|^$")

_RUN = """
import resource, sys
from avemotion.data import preprocessing
from avemotion import cli
preprocessing.CLIP_TIMEOUT_SECONDS = {seconds}
code = cli.main(["preprocess", {corpus!r}, "--out", {out!r}, "--workers", "{workers}"])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
sys.exit(code)
"""


@dataclass(frozen=True, slots=True)
class Sources:
    """Whole media to damage."""

    videos: dict[str, list[bytes]]
    """By container."""
    sounds: list[bytes]
    """WAVs."""


def read_sources(clips: list[Path]) -> Sources:
    videos = {"flv": [clip.read_bytes() for clip in clips]}
    for container in CONTAINERS:
        videos[container] = [encode_again(clip, container) for clip in clips[:2]]
    folder = clips[0].parents[1] / "AudioWAV"
    sounds = [path.read_bytes() for path in sorted(folder.glob("*.wav"))[:6]]
    return Sources(videos, sounds or [sound_of(clip) for clip in clips])


def names() -> Iterator[str]:
    """Yield clips' names: one actor after the other, 72 clips each."""
    for actor, sentence, code in product(range(1001, 2000), SENTENCES, EMOTION_BY_CODE):
        yield f"{actor}_{sentence}_{code}_XX"


def lay_out(corpus: Path, sources: Sources, files: int, seed: int, hours: float) -> dict[str, str]:
    """Write the corpus; return what was done to each clip."""
    for folder in ("VideoFlash", "AudioWAV"):
        (corpus / folder).mkdir(parents=True)
    free, done = names(), {}
    for kind, makers, folder, suffix in (
        ("video", ODD_VIDEOS, "VideoFlash", "flv"),
        ("sound", ODD_SOUNDS, "AudioWAV", "wav"),
    ):
        for what, make in makers.items():
            if what in HEAVY and not hours:
                continue
            name = next(free)
            make(corpus / folder / f"{name}.{suffix}", hours)
            done[name] = f"{what} ({kind})"
    containers = cycle(sources.videos)
    jobs = [*product(["video"], DAMAGES), *product(["sound"], SOUND_DAMAGES)]
    for number, (kind, what) in enumerate(islice(cycle(jobs), files - len(done))):
        name, rng = next(free), np.random.default_rng([seed, number])
        video = corpus / "VideoFlash" / f"{name}.flv"
        sound = corpus / "AudioWAV" / f"{name}.wav"
        if kind == "video":
            whole = sources.videos[next(containers)]
            video.write_bytes(DAMAGES[what](_one(whole, rng), _one(whole, rng), rng))
            if rng.random() < 0.5:  # else its own track is used
                sound.write_bytes(_one(sources.sounds, rng))
        else:
            whole = sources.sounds
            sound.write_bytes(SOUND_DAMAGES[what](_one(whole, rng), _one(whole, rng), rng))
            if rng.random() < 0.5:
                video.write_bytes(_one(sources.videos["flv"], rng))
        done[name] = f"{what} ({kind})"
    for name in UNRECOGNISED_NAMES:
        Path(os.fsdecode(os.fsencode(corpus / "VideoFlash") + b"/" + name)).write_bytes(b"FLV")
    return done


def _one(whole: list[bytes], rng: np.random.Generator) -> bytes:
    return whole[rng.integers(len(whole))]


@dataclass(frozen=True, slots=True)
class Run:
    """How the command ended."""

    code: int
    seconds: float
    peak_mebibytes: int
    noise: list[str]
    """Lines on the terminal that are not the command's own."""


def run_command(corpus: Path, out: Path, seconds: float, workers: int) -> Run:
    """Run `avemotion preprocess` as if a user who may not read everything called it."""
    code = _RUN.format(seconds=seconds, corpus=str(corpus), out=str(out), workers=workers)
    drop = UNPRIVILEGED if os.geteuid() == 0 and shutil.which("setpriv") else []
    start = time.monotonic()
    done = subprocess.run([*drop, sys.executable, "-c", code], capture_output=True, text=True)
    lines = re.split(r"[\r\n]+", done.stderr)
    noise = [
        line for line in lines if line and not line.startswith(("preprocess:", "failed before:"))
    ]
    peak = done.stdout.split()[-1] if done.stdout else "0"
    return Run(done.returncode, time.monotonic() - start, int(peak), noise)


def find_violations(corpus: Path, out: Path, clips: int) -> dict[str, list[str]]:
    """Return the clips that break each rule, by rule: empty lists if all is well."""
    rows = FeatureStore(out).rows
    with_video = [row for row in rows if row.status in ("av", "video")]
    counted = map_isolated(
        sampled_and_distinct,
        [corpus / row.video_file for row in with_video],
        workers=2,
        timeout_seconds=600,
    )
    repeating = [
        f"{row.clip}: {outcome}"
        for row, outcome in zip(with_video, counted, strict=True)
        if isinstance(outcome, TaskFailure) or 2 * outcome[1] < outcome[0]
    ]
    store = FeatureStore(out)
    arrays = ("faces", "power", "log_mel")
    return {
        "clips_not_listed": ["?"] * (clips - len(rows)),
        "reasons_not_understood": [
            f"{row.clip}: {row.reason}"
            for row in rows
            if row.status != "av" and _NOT_UNDERSTOOD.search(row.reason)
        ],
        "accepted_with_repeating_frames": repeating,
        "features_not_finite": [
            row.clip
            for row in rows
            if row.status in ("av", "video", "audio")
            and not all(np.isfinite(store.read(row, name)).all() for name in arrays)
        ],
    }


def outcome_of(row: ManifestRow) -> str:
    """Return how a clip ended, in a word."""
    if row.status != "failed":
        return "both" if row.status == "av" else "one modality"
    ends = {"took longer": "time-out", "crashed": "crash", "more memory": "memory"}
    return next((word for text, word in ends.items() if text in row.reason), "refused")


def pattern_of(row: ManifestRow) -> str:
    """Return a reason without the names and numbers of its clip."""
    text = re.sub(rf"{row.clip}\.\w+", "FILE", row.reason)
    return re.sub(r"\d[\d,.]*", "N", text)


def summary(rows: list[ManifestRow], done: dict[str, str]) -> str:
    """Return the table of outcomes by damage."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        counts[done[row.clip]][outcome_of(row)] += 1
        if row.status != "av":
            reasons[done[row.clip]][pattern_of(row)] += 1
    lines = [
        [
            what,
            count.total(),
            *(count[outcome] or "" for outcome in OUTCOMES),
            "; ".join(f"{reason} ({n})" for reason, n in reasons[what].most_common(2)),
        ]
        for what, count in counts.items()
    ]
    total = Counter(map(outcome_of, rows))
    lines.append(["all", len(rows), *(total[outcome] for outcome in OUTCOMES), ""])
    return table(["damage", "files", *OUTCOMES, "commonest reasons"], lines)


def report(
    given: argparse.Namespace,
    called: str,
    done: dict[str, str],
    rows: list[ManifestRow],
    run: Run,
    wrong: dict[str, list[str]],
) -> None:
    ends = Counter(map(outcome_of, rows))
    publish(
        given.out,
        "fuzz",
        "Damaged files through `avemotion preprocess`",
        [
            f"{len(done):,} files made from {called}, and from the same in "
            f"{', '.join(CONTAINERS)}; seed {given.seed}; {given.workers} workers, at most "
            f"{given.seconds:g} s a clip. *Both*: accepted with face and voice, as the damage is "
            "not to be seen, or the other file of the clip is whole. *One modality*: the other is "
            "named as missing. *Refused*, *time-out*, *memory*, *crash*: a failed clip, with its "
            f"reason. The long files last {given.hours:g} h.",
            summary(rows, done),
            f"The command ended with exit code {run.code} (1: some clips failed, each named) after "
            f"{run.seconds:.0f} s; its largest process took {run.peak_mebibytes:,} MiB. "
            f"Lines of decoders' noise on the terminal: {len(run.noise)}.",
            table(
                ["what must not be", "clips"],
                [[what.replace("_", " "), len(which)] for what, which in wrong.items()],
            ),
        ],
        {
            "files": len(done),
            "exit_code": run.code,
            "seconds": run.seconds,
            "peak_mebibytes": run.peak_mebibytes,
            "noise_lines": len(run.noise),
            **{outcome.replace(" ", "_").replace("-", "_"): ends[outcome] for outcome in OUTCOMES},
            **{what: len(which) for what, which in wrong.items()},
        },
    )


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--clips", type=Path, help="folder of FLV files")
    arguments.add_argument("--files", type=int, default=2_200, help="damaged files")
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--seconds", type=float, default=30, help="limit for a clip")
    arguments.add_argument(
        "--hours",
        type=float,
        default=1,
        help="length of the long files; 0: no long and no huge ones",
    )
    arguments.add_argument("--workers", type=int, default=2)
    given = arguments.parse_args()
    with (
        found_clips(given.clips) as (clips, called),
        tempfile.TemporaryDirectory() as temporary,
    ):
        corpus, store = Path(temporary, "crema"), Path(temporary, "features")
        done = lay_out(corpus, read_sources(clips), given.files, given.seed, given.hours)
        run = run_command(corpus, store, given.seconds, given.workers)
        for line in run.noise:
            print(line, file=sys.stderr)
        rows = FeatureStore(store).rows
        wrong = find_violations(corpus, store, len(done))
    for what, which in wrong.items():
        for line in which[:20]:
            print(f"{what}: {line}", file=sys.stderr)
    report(given, called, done, rows, run, wrong)
    sys.exit(any(wrong.values()) or run.code != 1)


if __name__ == "__main__":
    main()
