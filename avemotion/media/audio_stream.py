"""The sound of a file of any length at 16 kHz: what current windows need of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from avemotion.config import SAMPLE_RATE
from avemotion.media.audio import (
    MIN_SOUND_SECONDS,
    AudioTrack,
    MonoMixer,
    choose_track,
    ordered_tracks,
    to_int16,
    tracks_note,
)
from avemotion.media.decoder import opened, use_one_thread
from avemotion.media.resampling import BlockResampler
from avemotion.media.timestamps import (
    MIN_COVERED_SHARE,
    PacketIndex,
    check_step,
    origin_of,
    ticks,
)

LOOK_AHEAD_SECONDS = 60.0
"""How much of several tracks is decoded to find the first with sound."""

_JITTER_SECONDS = 0.04  # time stamps of sound that is unbroken err by less
_NO_SAMPLES = np.zeros(0, np.float32)


class _TrackProbe(AudioTrack):
    """Finds out whether a track has sound; keeps only its first block that is not silent."""

    def __init__(self, track: av.AudioStream) -> None:
        """Start empty."""
        super().__init__(track, PacketIndex())
        self.seconds = 0.0
        """Decoded so far."""

    def take(self, frame: av.AudioFrame) -> None:
        """Examine a decoded block."""
        self._blocks = [block for block in self._mono.mix(frame) if block.any()][:1]
        self.seconds += frame.samples / frame.sample_rate


def track_with_sound(path: Path) -> tuple[int, list[str]]:
    """Choose among several audio tracks as for clips, but by the first minute alone.

    Args:
        path: A file with at least one track, of a codec that FFmpeg knows.

    Returns:
        The stream's index, and a note on the choice.

    Raises:
        MediaError: The file cannot be opened.
    """
    with opened(path) as container:
        probes = [_TrackProbe(track) for track in ordered_tracks(container)]
        # Windows before the damage can be used; whoever reads on will meet the error.
        with suppress(av.error.FFmpegError, IndexError, ValueError):
            _probe_tracks(_first_packets(container, probes), probes)
        chosen = choose_track(probes)
        if not chosen.is_silent:
            return chosen.index, tracks_note(chosen, probes)
        return chosen.index, [
            f"of {len(probes)} audio tracks, all are silent for {LOOK_AHEAD_SECONDS:.0f} s: the "
            "first one is used"
        ]


def _first_packets(
    container: av.container.InputContainer, probes: Sequence[_TrackProbe]
) -> Iterator[av.Packet[av.AudioStream]]:
    """Yield the packets of the first minute."""
    tracks = [probe.track for probe in probes]
    for track in tracks:
        use_one_thread(track)
    end = origin_of(tracks) + Fraction(LOOK_AHEAD_SECONDS)
    for packet in container.demux(tuple(tracks)):
        if packet.dts is not None and packet.dts * packet.time_base >= end:
            return
        yield packet


def _probe_tracks(
    packets: Iterable[av.Packet[av.AudioStream]], probes: Sequence[_TrackProbe]
) -> None:
    """Decode until the first track has sound, or the packets end, or are too many."""
    by_index = {probe.index: probe for probe in probes}
    for packet in packets:
        probe = by_index[packet.stream.index]
        if probe.is_silent:
            for frame in packet.decode():
                if probe.is_silent:
                    probe.take(frame)
        if not probes[0].is_silent or probe.seconds >= LOOK_AHEAD_SECONDS:  # without times
            return


@dataclass(frozen=True, slots=True)
class WindowSound:
    """The sound of a window."""

    samples: NDArray[np.int16]
    """int16 (sample,), 16 kHz: from the first that the file has in the window to the last."""
    missing_samples: int
    """Samples of the window that the file does not have."""


class SoundStream:
    """The sound of a file at 16 kHz, as far as it was read; gaps in it are zeros."""

    def __init__(
        self,
        container: av.container.InputContainer,
        stream: av.AudioStream,
        origin: Fraction,
        notes: Sequence[str] = (),
    ) -> None:
        """Start at the beginning.

        Args:
            container: The file, opened for this stream alone.
            stream: The audio track.
            origin: Time stamp that counts as 0, in seconds.
            notes: Why it is this track.
        """
        use_one_thread(stream)
        self._decoded = (f for packet in container.demux(stream) for f in packet.decode())
        self._origin, self._rate = origin, stream.rate
        self._resampler = BlockResampler(stream.rate, SAMPLE_RATE)
        self._choice_notes = notes
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
        started = False
        for frame in self._decoded:
            stamp = ticks(frame, self._origin)
            at = position if stamp is None else round(stamp * self._rate / SAMPLE_RATE)
            check_step((at - position) / self._rate, position / self._rate)
            if started and abs(at - position) < _JITTER_SECONDS * self._rate:
                at = position
            for block in self._mono.mix(frame):
                if at > position:
                    self._note_gap(position, at)
                    for zeros in range(position, at, self._rate):
                        yield np.zeros(min(self._rate, at - zeros), np.float32)
                    position = at
                new = block[position - at :]
                at += len(block)
                position += len(new)
                started = True
                yield new

    def _note_gap(self, start: int, end: int) -> None:
        first, last = -(-start * SAMPLE_RATE // self._rate), end * SAMPLE_RATE // self._rate
        self._gaps.append((first, last))

    def drop_before(self, tick: int) -> None:
        """Drop the samples before this tick."""
        dropped = min(max(0, tick - self._start), len(self._samples))
        self._samples = self._samples[dropped:].copy()
        self._start += dropped
        while self._gaps and self._gaps[0][1] <= tick:
            self._gaps.popleft()

    def cut(self, start: int, end: int) -> WindowSound | str:
        """Return the sound of the ticks [start, end), or why there is none."""
        first, last = start, max(start, min(end, self._end))
        gaps = [(max(a, start), min(b, end)) for a, b in self._gaps if a < end and b > start]
        if gaps and gaps[0][0] == first:
            first = gaps.pop(0)[1]
        if gaps and gaps[-1][1] >= last:
            last = gaps.pop()[0]
        present = last - first - sum(b - a for a, b in gaps)
        if present <= 0:
            return "no sound in this window"
        if present < max(MIN_COVERED_SHARE * (end - start), MIN_SOUND_SECONDS * SAMPLE_RATE):
            return f"sound in only {present / SAMPLE_RATE:.1f} s of this window"
        samples = self._samples[first - self._start : last - self._start]
        if not samples.any():
            return "the sound is silent in this window (every sample is zero)"
        return WindowSound(samples.copy(), end - start - present)

    def notes(self) -> list[str]:
        """Say which track this is, and what was left out of it so far."""
        return [*self._choice_notes, *self._mono.notes()]
