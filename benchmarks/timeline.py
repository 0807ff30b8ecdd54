"""A long video's timeline: is the memory flat, and what does it cost beside decoding it?"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from math import ceil
from pathlib import Path
from statistics import median

import av
import numpy as np
from classify import save_untrained
from decoding import found_clips
from film import scene_of, write_film
from reporting import parser, publish, table

from avemotion.config import TimelineSettings
from avemotion.inference.classifier import Classifier
from avemotion.inference.timeline_plot import TimelinePlot
from avemotion.models.metadata import CHECKPOINT_NAME


def write_long(path: Path, base: Path, length: Fraction, seconds: float) -> None:
    """Repeat a file's packets with later time stamps, until the whole lasts so many seconds."""
    with av.open(str(path), "w") as target:
        streams: dict[int, av.stream.Stream] = {}
        for repeat in range(ceil(seconds / length)):
            with av.open(str(base)) as source:
                for stream in source.streams:
                    if stream.index not in streams:
                        streams[stream.index] = target.add_stream_from_template(stream)
                for packet in source.demux():
                    if packet.pts is None:
                        continue
                    shift = round(repeat * length / packet.time_base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = streams[packet.stream.index]
                    target.mux(packet)


def only_decode(path: Path) -> None:
    """Decode frames and sound, with the threads that the timeline decodes with."""
    with av.open(str(path)) as container:
        for stream in container.streams.video:
            stream.thread_type = "AUTO"
        for _ in container.decode():
            pass


def resident_mebibytes() -> float:
    """Return the resident memory of this process; Linux only."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def timed(job: Callable[[], object]) -> tuple[float, float]:
    """Return the wall and the processor seconds of a job."""
    wall, processor = time.perf_counter(), time.process_time()
    job()
    return time.perf_counter() - wall, time.process_time() - processor


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--clips", type=Path, help="folder of FLV files")
    arguments.add_argument("--minutes", type=float, default=60.0, help="length of the video")
    arguments.add_argument("--face", choices=("main", "all"), default="main")
    given = arguments.parse_args()
    settings = TimelineSettings(face=given.face)
    memory: list[float] = []
    with (
        tempfile.TemporaryDirectory() as temporary,
        found_clips(given.clips) as (clips, called),
    ):
        folder = Path(temporary)
        save_untrained(folder / CHECKPOINT_NAME)
        classifier = Classifier(folder / CHECKPOINT_NAME, device="cpu")
        length = write_film(folder / "base.mkv", map(scene_of, clips[:6]))
        video = folder / "long.mkv"
        write_long(video, folder / "base.mkv", length, 60 * given.minutes)
        size = video.stat().st_size / 2**20
        plot = TimelinePlot(video.name, classifier.labels, settings)

        def run() -> None:
            for row in classifier.timeline(video, settings=settings):
                plot.add(row)
                memory.append(resident_mebibytes())

        before = timed(lambda: only_decode(video))
        ours = timed(run)
        after = timed(lambda: only_decode(video))
        drawing = timed(lambda: plot.write(folder / "plot.png", synthetic=True))
    quarters = [median(part) for part in np.array_split(np.array(memory), 4)]
    hours = given.minutes / 60
    floor = [(a + b) / 2 for a, b in zip(before, after, strict=True)]
    publish(
        given.out,
        "timeline",
        "The timeline of a long video",
        [
            f"{given.minutes:g} minutes of video (480 x 360, 30 frames a second, H.264; FLAC, "
            f"48 kHz; {size:.0f} MiB), made of {min(6, len(clips))} of {called}, their packets "
            f"repeated; a window of {settings.window_seconds:g} s every "
            f"{settings.hop_seconds:g} s, `--face {given.face}`, av, CPU: {len(memory)} rows. "
            "Resident memory after each row, the median of each quarter of the run, in MiB:",
            table(
                ["first", "second", "third", "fourth", "highest"],
                [[f"{value:.1f}" for value in (*quarters, max(memory))]],
            ),
            f"From the second to the last quarter: **{quarters[3] - quarters[1]:+.1f} MiB**.",
            "Seconds for an hour of video; *only decoding* is the mean of a run before and one "
            "after. Processor seconds are those to go by: the wall clock also counts what else "
            "the machine does.",
            table(
                ["", "processor", "wall"],
                [
                    [name, *(f"{seconds / hours:.0f}" for seconds in reversed(pair))]
                    for name, pair in (("timeline", ours), ("only decoding", floor))
                ],
            ),
            f"Over only decoding, in processor time: **{ours[1] / floor[1]:.2f}**. The plot is "
            f"drawn in {drawing[0]:.1f} s.",
        ],
        {
            "rows": len(memory),
            "second_quarter_mebibytes": quarters[1],
            "last_quarter_mebibytes": quarters[3],
            "growth_mebibytes": quarters[3] - quarters[1],
            "seconds_per_video_hour": ours[0] / hours,
            "processor_seconds_per_video_hour": ours[1] / hours,
            "timeline_over_decode": ours[1] / floor[1],
        },
    )


if __name__ == "__main__":
    main()
