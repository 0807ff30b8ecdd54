"""The floor that reading a clip is compared with: decode it once, and do nothing else."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import av
import numpy as np

import avemotion

SAMPLED_FRAMES = 20
"""Frames whose luma the floor takes: those that a network is shown."""


def decode(path: Path, frames: bool = True, sound: bool = True) -> tuple[int, int]:
    """Decode a clip in a single pass, on one thread.

    All frames are decoded, since they build on one another; the luma plane is copied of evenly
    spread ones, by a stride rather than our grid, since a single pass does not know the end.

    Args:
        path: A media file.
        frames: Decode the video.
        sound: Decode the sound to arrays, at its own rate.

    Returns:
        How many frames were decoded and how many sound samples.
    """
    decoded, samples = 0, 0
    planes: list[np.ndarray] = []
    with av.open(str(path)) as container:
        streams = []
        if frames:
            video = container.streams.video[0]
            video.thread_type = "NONE"
            streams.append(video)
        if sound:
            streams.append(container.streams.audio[0])
        for frame in container.decode(*streams):
            if isinstance(frame, av.AudioFrame):
                samples += frame.to_ndarray().shape[-1]
                continue
            if decoded % 4 == 0 and len(planes) < SAMPLED_FRAMES:
                plane = frame.planes[0]
                planes.append(np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size).copy())
            decoded += 1
    return decoded, samples


def sampled_and_distinct(path: Path) -> tuple[int, int]:
    """Decode a video with PyAV alone; count those that 20 steps sample, and those that differ."""
    digests = []
    with av.open(str(path)) as container, suppress(av.FFmpegError):  # as far as it goes
        # On one thread: on several, some decoders give up where alone they go on.
        container.streams.video[0].thread_type = "NONE"
        for frame in container.decode(video=0):
            digests.append(hashlib.sha256(frame.to_ndarray(format="gray")).digest())
    last = len(digests) - 1
    grid = {round(i * last / (SAMPLED_FRAMES - 1)) for i in range(SAMPLED_FRAMES)}
    return len(grid), len({digests[i] for i in grid})


@contextmanager
def found_clips(folder: Path | None) -> Iterator[tuple[list[Path], str]]:
    """Yield clips and what to call them: a folder's, else real ones at hand, else drawn ones.

    Args:
        folder: Folder of FLV files; by default ``$AVEMOTION_TEST_DATA/crema-d/VideoFlash``, else a
            synthetic corpus in a temporary folder.
    """
    where = os.environ.get("AVEMOTION_TEST_DATA")
    if folder is None and where:
        folder = Path(where, "crema-d", "VideoFlash")
        called = "real clips of CREMA-D"
    else:
        called = f"clips of the folder given with --clips ({folder and folder.name})"
    if folder is not None:
        clips = sorted(folder.glob("*.flv"))
        if not clips:
            raise SystemExit(f"{folder} holds no .flv file")
        yield clips, f"{len(clips)} {called}"
        return
    with tempfile.TemporaryDirectory() as temporary:
        corpus = Path(temporary, "crema")
        avemotion.synth(corpus, actors=1, clips_per_actor=6, workers=1, progress=False)
        clips = sorted((corpus / "VideoFlash").glob("*.flv"))
        yield clips, f"{len(clips)} clips of a synthetic corpus (480 x 360, FLV1 and MP3)"
