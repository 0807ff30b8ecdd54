"""The sound of a file of any length at 16 kHz: what current windows need of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avemotion.config import SAMPLE_RATE
from avemotion.media import MIN_SOUND_SECONDS, to_int16
from avemotion.resampling import BlockResampler
from avemotion.soundtracks import MonoBlocks
from avemotion.stream_clock import MIN_COVERED_SHARE, checked_step, ticks

_JITTER_SECONDS = 0.04  # time stamps of sound that is unbroken err by less


@dataclass(frozen=True, slots=True)
class CutSound:
    """Sound of a window."""

    samples: NDArray[np.int16]
    """int16 (sample,), 16 kHz: from the first that there is to the last."""
    missing: int
    """Samples that the file does not have."""


class SoundStream:
    """The sound of a file at 16 kHz, as far as it was read; gaps in it are zeros."""

    def __init__(self, container: Any, stream: Any, origin: Fraction) -> None:
        """Take what to read, and the time stamp that counts as 0."""
        stream.thread_type = "NONE"
        self._decoded = (f for packet in container.demux(stream) for f in packet.decode())
        self._origin, self._rate = origin, stream.rate
        self._resampler = BlockResampler(stream.rate, SAMPLE_RATE)
        self._blocks = self._unbroken()
        self._gaps: deque[tuple[int, int]] = deque()
        self._samples = np.zeros(0, np.int16)
        self._start = 0  # tick of the first sample held
        self._finished = False

    @property
    def _end(self) -> int:
        return self._start + len(self._samples)

    def read_to(self, tick: int) -> int:
        """Read until there are samples up to this tick; return how far the sound reaches."""
        fresh = []
        reached = self._end
        while not self._finished and reached < tick:
            block = next(self._blocks, None)
            self._finished = block is None
            ready = self._resampler.finish() if block is None else self._resampler.push(block)
            fresh.append(to_int16(ready))
            reached += len(ready)
        self._samples = np.concatenate([self._samples, *fresh])
        return self._end if self._finished else tick

    def _unbroken(self) -> Iterator[NDArray[np.float32]]:
        """Yield the sound from time 0 on, gaps filled with zeros, overlaps cut off."""
        mono, position = MonoBlocks(self._rate), 0  # in samples of the file
        heard = False
        for frame in self._decoded:
            stamp = ticks(frame, self._origin)
            at = position if stamp is None else round(stamp * self._rate / SAMPLE_RATE)
            checked_step((at - position) / self._rate, position / self._rate)
            if heard and abs(at - position) < _JITTER_SECONDS * self._rate:
                at = position
            for block in mono.of(frame):
                if at > position:
                    self._note_gap(position, at)
                    for zeros in range(position, at, self._rate):
                        yield np.zeros(min(self._rate, at - zeros), np.float32)
                    position = at
                new = block[position - at :]
                at += len(block)
                position += len(new)
                heard = True
                yield new

    def _note_gap(self, start: int, end: int) -> None:
        first, last = -(-start * SAMPLE_RATE // self._rate), end * SAMPLE_RATE // self._rate
        self._gaps.append((first, last))

    def forget(self, tick: int) -> None:
        """Drop the samples before this tick."""
        dropped = min(max(0, tick - self._start), len(self._samples))
        self._samples = self._samples[dropped:].copy()
        self._start += dropped
        while self._gaps and self._gaps[0][1] <= tick:
            self._gaps.popleft()

    def cut(self, start: int, end: int) -> CutSound | str:
        """Return the sound of [start, end), or say why that cannot be."""
        first, last = start, max(start, min(end, self._end))
        gaps = [(max(a, start), min(b, end)) for a, b in self._gaps if a < end and b > start]
        if gaps and gaps[0][0] == first:
            first = gaps.pop(0)[1]
        if gaps and gaps[-1][1] >= last:
            last = gaps.pop()[0]
        there = last - first - sum(b - a for a, b in gaps)
        if there <= 0:
            return "no sound in this window"
        if there < max(MIN_COVERED_SHARE * (end - start), MIN_SOUND_SECONDS * SAMPLE_RATE):
            return f"sound in only {there / SAMPLE_RATE:.1f} s of this window"
        samples = self._samples[first - self._start : last - self._start]
        if not samples.any():
            return "the sound is silent in this window (every sample is zero)"
        return CutSound(samples.copy(), end - start - there)
