"""What the live camera of the web page costs: frames per second, latency, processor time."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import av
import numpy as np
from classify import save_untrained
from decoding import found_clips
from numpy.typing import NDArray
from reporting import parser, publish, table
from websockets.sync.client import connect

from avemotion.models.metadata import CHECKPOINT_NAME
from avemotion.web.live import WINDOW_SECONDS


def processor_seconds(process: int) -> float:
    """Return the processor time of a process, on all cores."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def camera_messages(clip: Path) -> list[bytes]:
    """Return a clip's frames, forwards and backwards, as the page sends them."""
    with av.open(str(clip)) as container:
        grey = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    height, width = grey[0].shape
    header = struct.pack("<HH", width, height)
    return [header + frame.tobytes() for frame in grey + grey[::-1]]


def watch(url: str, process: int, messages: list[bytes], seconds: float) -> dict[str, float]:
    """Send each frame as soon as the one before is answered; measure once the window is full."""
    waits: list[float] = []
    with connect(url.replace("http", "ws") + "/live") as socket:
        start, begun, number = time.perf_counter(), 0.0, 0
        while not begun or time.perf_counter() - begun < seconds:
            sent = time.perf_counter()
            if not begun and sent - start > WINDOW_SECONDS + 0.5:
                begun, computed = sent, processor_seconds(process)
            socket.send(messages[number % len(messages)])
            answer = json.loads(socket.recv())
            number += 1
            if begun:
                assert answer["filled"] == 1
                waits.append(time.perf_counter() - sent)
        lasted = time.perf_counter() - begun
        cost = processor_seconds(process) - computed
    waited: NDArray[np.float64] = 1000 * np.array(waits)
    return {
        "pictures_per_second": len(waits) / lasted,
        "latency_ms": float(np.median(waited)),
        "latency_95_ms": float(np.percentile(waited, 95)),
        "processor_ms": 1000 * cost / len(waits),
    }


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--clips", type=Path, help="folder of FLV files")
    arguments.add_argument("--seconds", type=float, default=10, help="of each round")
    arguments.add_argument("--repeats", type=int, default=5, help="rounds")
    given = arguments.parse_args()
    with (
        found_clips(given.clips) as (clips, called),
        tempfile.TemporaryDirectory() as temporary,
    ):
        save_untrained(Path(temporary, CHECKPOINT_NAME))
        words = ("-m", "avemotion", "app", "--checkpoint", temporary, "--port", "0")
        with subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True) as app:
            assert app.stdout is not None
            found = re.match(r"\S+", app.stdout.readline())
            assert found is not None
            try:
                rounds = [
                    watch(found[0], app.pid, camera_messages(clips[n % len(clips)]), given.seconds)
                    for n in range(given.repeats)
                ]
            finally:
                app.terminate()
    result = {name: median(one[name] for one in rounds) for name in rounds[0]}
    names = {
        "pictures_per_second": "pictures a second",
        "latency_ms": "latency, median ms",
        "latency_95_ms": "latency, 95th percentile ms",
        "processor_ms": "processor time a picture, ms",
    }
    rows = [
        [what, *(f"{x:.1f}" for x in (result[name], *_ends([one[name] for one in rounds])))]
        for name, what in names.items()
    ]
    publish(
        given.out,
        "app",
        "The live camera of the web page",
        [
            f"{called}, their pictures sent one after the other over a WebSocket to `avemotion "
            "app`, each as soon as the one before is answered (the browser's own work is not in "
            "it); weights random: the speed is that of trained ones. "
            f"{given.repeats} rounds of {given.seconds:g} s, the window full:",
            table(["", "median", "min", "max"], rows),
            f"15 pictures a second take {15 * result['processor_ms'] / 10:.0f} % of one core.",
        ],
        result,
    )


def _ends(values: list[float]) -> tuple[float, float]:
    return min(values), max(values)


if __name__ == "__main__":
    main()
