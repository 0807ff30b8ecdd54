"""Clips in many containers, codecs, channels, rates and orientations: is the input the same?"""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path

from decoding import found_clips
from media_distance import Distance, Task, measure
from media_files import Variant, variants
from reporting import parser, publish, table

from avemotion.parallel.isolated_worker import TaskFailure
from avemotion.parallel.isolation import map_isolated

FRAMES_LIMIT, BOX_LIMIT, SOUND_LIMIT = 5.0, 15.0, 4.0
"""Grey levels, percent and dB: the answer counts as the same below all three."""
_SECONDS = 120

Outcome = tuple[Variant, Distance | TaskFailure]
"""A variant, and how far it is from the original; or how the process ended."""


def verdict(outcome: Distance | TaskFailure) -> str:
    """Tell what became of a file."""
    if isinstance(outcome, TaskFailure):
        return "crashed"
    if outcome.unwritten:
        return "not written"
    if outcome.message:
        return "refused"
    pairs = (
        (outcome.frames, FRAMES_LIMIT), (outcome.box, BOX_LIMIT), (outcome.sound, SOUND_LIMIT),
    )  # fmt: skip
    return "same" if all((value or 0.0) <= limit for value, limit in pairs) else "differs"


def summary(outcomes: Sequence[Outcome], group: Callable[[Variant], tuple[str, str]]) -> str:
    """Return a table with a row for each group of files that FFmpeg writes."""
    groups: defaultdict[tuple[str, str], list[Distance | TaskFailure]] = defaultdict(list)
    for variant, outcome in outcomes:
        if verdict(outcome) != "not written":
            groups[group(variant)].append(outcome)
    rows = []
    for names, found in groups.items():
        counts = Counter(map(verdict, found))
        read = [one for one in found if isinstance(one, Distance)]
        rows.append(
            [*names, len(found), *(counts[one] or "" for one in ("same", "differs", "refused"))]
            + [_largest([getattr(one, name) for one in read]) for name in ("frames", "box")]
            + [_largest([getattr(one, name) for one in read]) for name in ("sound", "lag")]
        )
    header = ["varied", "", "files", "same", "differs", "refused", "frames", "box", "sound", "lag"]
    return table(header, rows)


def _largest(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{max(known, key=abs):.1f}" if known else ""


def _group(variant: Variant) -> tuple[str, str]:
    """Name the row of a variant."""
    codec = f"{variant.container}, {variant.sound}"
    by_axis = {"codecs": variant.container, "orientations": f"{variant.container}, {variant.video}"}
    return variant.axis, by_axis.get(variant.axis, codec)


def others(outcomes: Sequence[Outcome]) -> str:
    """Return a table of the files that are not the same, or were not written, and why."""
    rows = []
    for variant, outcome in outcomes:
        how = verdict(outcome)
        if how == "same":
            continue
        codecs = "/".join(filter(None, (variant.video, variant.sound)))
        name = f"{variant.container}, {codecs}, {variant.layout}, {variant.rate:,} Hz"
        if isinstance(outcome, TaskFailure):
            why = outcome.reason
        elif how == "differs":
            measured = {name: getattr(outcome, name) for name in ("frames", "box", "sound")}
            why = ", ".join(f"{name} {value:.1f}" for name, value in measured.items() if value)
        else:
            why = outcome.message or outcome.unwritten
        turned = "" if variant.orientation == "upright" else f", {variant.orientation}"
        rows.append([name + turned, how, why])
    return table(["file", "", "why"], rows) if rows else "All are the same."


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--clips", type=Path, help="folder of FLV files")
    arguments.add_argument("--every", type=int, default=1, help="write one of so many files")
    arguments.add_argument("--workers", type=int, default=2, help="processes")
    given = arguments.parse_args()
    with found_clips(given.clips) as (clips, called), tempfile.TemporaryDirectory() as temporary:
        tasks = []
        for number, (variant, clip) in enumerate(zip(variants(), cycle(clips), strict=False)):
            if number % given.every == 0:
                folder = Path(temporary, str(number))
                folder.mkdir()
                tasks.append(Task(clip, variant, folder))
        found = map_isolated(measure, tasks, workers=given.workers, timeout_seconds=_SECONDS)
        outcomes = [(task.variant, one) for task, one in zip(tasks, found, strict=True)]
    counts = Counter(verdict(outcome) for _, outcome in outcomes)
    publish(
        given.out,
        "media_matrix",
        "Clips in many containers, codecs, channels, sample rates and orientations",
        [
            f"{called}, each file made of one of them by PyAV's FFmpeg and read as `classify` "
            "reads it. Compared with the original is what any network is shown: *frames*, mean "
            "absolute difference of the 20 grey frames, in grey levels; *box*, largest difference "
            "of an edge of the face's box, in percent of its width; *sound*, mean absolute "
            "difference of the log-mel in the cells within 30 dB of the loudest, below 0.4 of the "
            "sample rate, in dB, whatever the level and the delay; *lag*, that delay, in ms. "
            "Codecs lose some of each, and the detector's box moves a little from one encoding to "
            f"another; the *same* is up to {FRAMES_LIMIT:.0f} grey levels, {BOX_LIMIT:.0f} % and "
            f"{SOUND_LIMIT:.0f} dB. *Refused* is a clear word instead of an answer. Of each row, "
            "the largest distance:",
            summary(outcomes, _group),
            f"Of {len(outcomes)} combinations {counts['not written']} are not written by FFmpeg. "
            f"Of the others **{counts['same']} are the same, {counts['differs']} differ, "
            f"{counts['refused']} are refused, {counts['crashed']} end the process or take longer "
            f"than {_SECONDS} s**. Those that are not the same:",
            others(outcomes),
        ],
        {name.replace(" ", "_"): counts[name] for name in
         ("same", "differs", "refused", "crashed", "not written")},
    )  # fmt: skip


if __name__ == "__main__":
    main()
