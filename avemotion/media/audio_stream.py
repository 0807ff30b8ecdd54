"""The sound of a file of any length at 16 kHz: what current windows need of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from avemotion.config import SAMPLE_RATE
from avemotion.media.audio import (
    MIN_SOUND_SECONDS,
    AudioTrack,
    MonoMixer,
    heard,
    ordered_tracks,
    to_int16,
    tracks_note,
)
from avemotion.media.decoder import opened
from avemotion.media.resampling import BlockResampler
from avemotion.media.timestamps import (
    MIN_COVERED_SHARE,
    PacketIndex,
    checked_step,
    origin_of,
    ticks,
)

LOOK_AHEAD_SECONDS = 60.0
"""Of several tracks, so much is listened to for the first that has sound on it."""

_JITTER_SECONDS = 0.04  # time stamps of sound that is unbroken err by less
_NO_SAMPLES = np.zeros(0, np.float32)


class _Glimpse(AudioTrack):
    """Whether a track has sound: of it only the first block that is not silent is held."""

    def __init__(self, track: Any) -> None:
        """Begin with nothing."""
        super().__init__(track, PacketIndex())
        self.seconds = 0.0
        """Listened to."""

    def take(self, frame: Any) -> None:
        """Listen to a block."""
        self._blocks = [block for block in self._mono.of(frame) if block.any()][:1]
        self.seconds += frame.samples / frame.sample_rate


def track_to_hear(path: Path) -> tuple[int, list[str]]:
    """Choose among several audio tracks by the rule for clips, as far as the first minute tells.

    Args:
        path: A file with at least one track, of a codec that FFmpeg knows.

    Returns:
        The stream's index, and what is to be said of the choice.

    Raises:
        MediaError: The file cannot be opened.
    """
    with opened(path) as container:
        glimpses = [_Glimpse(track) for track in ordered_tracks(container)]
        # Windows before a damaged place are answered: whoever reads them will come to it.
        with suppress(av.error.FFmpegError, IndexError, ValueError):
            _look_ahead(_start_of(container, glimpses), glimpses)
        chosen = heard(glimpses)
        if not chosen.is_silent:
            return chosen.index, tracks_note(chosen, glimpses)
        return chosen.index, [
            f"of {len(glimpses)} audio tracks, all are silent for {LOOK_AHEAD_SECONDS:.0f} s: the "
            "first one is heard"
        ]


def _start_of(container: Any, glimpses: Sequence[_Glimpse]) -> Iterator[Any]:
    """Yield the packets of the first minute."""
    tracks = [glimpse.track for glimpse in glimpses]
    for track in tracks:
        track.thread_type = "NONE"
    end = origin_of(tracks) + Fraction(LOOK_AHEAD_SECONDS)
    for packet in container.demux(tracks):
        if packet.dts is not None and packet.dts * packet.time_base >= end:
            return
        yield packet


def _look_ahead(packets: Iterable[Any], glimpses: Sequence[_Glimpse]) -> None:
    """Listen until the first track is heard, or the packets end, or are too many."""
    by_index = {glimpse.index: glimpse for glimpse in glimpses}
    for packet in packets:
        glimpse = by_index[packet.stream.index]
        if glimpse.is_silent:
            for frame in packet.decode():
                if glimpse.is_silent:
                    glimpse.take(frame)
        if not glimpses[0].is_silent or glimpse.seconds >= LOOK_AHEAD_SECONDS:  # without times
            return


@dataclass(frozen=True, slots=True)
class CutSound:
    """Sound of a window."""

    samples: NDArray[np.int16]
    """int16 (sample,), 16 kHz: from the first that there is to the last."""
    missing: int
    """Samples that the file does not have."""


class SoundStream:
    """The sound of a file at 16 kHz, as far as it was read; gaps in it are zeros."""

    def __init__(
        self, container: Any, stream: Any, origin: Fraction, chosen: Sequence[str] = ()
    ) -> None:
        """Take what to read, the time stamp that counts as 0, and why it is this track."""
        stream.thread_type = "NONE"
        self._decoded = (f for packet in container.demux(stream) for f in packet.decode())
        self._origin, self._rate = origin, stream.rate
        self._resampler = BlockResampler(stream.rate, SAMPLE_RATE)
        self._chosen = chosen
        self._mono = MonoMixer(stream.rate)
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
            given = _NO_SAMPLES if block is None else block
            ready = self._resampler.push(given, last=self._finished)
            fresh.append(to_int16(ready))
            reached += len(ready)
        self._samples = np.concatenate([self._samples, *fresh])
        return self._end if self._finished else tick

    def _unbroken(self) -> Iterator[NDArray[np.float32]]:
        """Yield the sound from time 0 on, gaps filled with zeros, overlaps cut off."""
        position = 0  # in samples of the file
        heard = False
        for frame in self._decoded:
            stamp = ticks(frame, self._origin)
            at = position if stamp is None else round(stamp * self._rate / SAMPLE_RATE)
            checked_step((at - position) / self._rate, position / self._rate)
            if heard and abs(at - position) < _JITTER_SECONDS * self._rate:
                at = position
            for block in self._mono.of(frame):
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

    def notes(self) -> list[str]:
        """Say which track this is, and what was left out of it so far."""
        return [*self._chosen, *self._mono.notes()]
