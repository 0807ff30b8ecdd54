"""The sound of a file of any length at 16 kHz: what current windows need of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from avemotion.config import SAMPLE_RATE
from avemotion.errors import MediaError
from avemotion.media.audio import (
    MIN_SOUND_SECONDS,
    AudioTrack,
    BlockReader,
    choose_track,
    not_finite,
    ordered_tracks,
    to_int16,
    tracks_note,
)
from avemotion.media.channels import SILENCE_DB, Mix, is_silent, level_of
from avemotion.media.decoder import opened, use_one_thread
from avemotion.media.resampling import BlockResampler
from avemotion.media.sources import MediaFile
from avemotion.media.timestamps import (
    MIN_COVERED_SHARE,
    PacketIndex,
    check_step,
    origin_of,
    ticks,
)

LOOK_AHEAD_SECONDS = 60.0
"""How much is decoded to choose a track and its channels."""

_JITTER_SECONDS = 0.04  # time stamps of sound that is unbroken err by less
_NO_SAMPLES = np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True)
class SoundChoice:
    """The track and the channels that are used of a file."""

    track: int
    """Index of the stream."""
    mix: Mix
    """Channels that are averaged."""
    notes: tuple[str, ...] = ()
    """What is left out, and why."""


def choose_sound(path: MediaFile) -> SoundChoice | None:
    """Choose a track and its channels as for clips, but by the first minute alone.

    Args:
        path: A media file.

    Returns:
        The choice; None where the file has no audio track of a codec that FFmpeg knows.

    Raises:
        MediaError: The file cannot be opened.
    """
    with opened(path) as container:
        tracks = ordered_tracks(container)
        if not tracks or tracks[0].codec_context is None:
            return None
        if len(tracks) == 1 and tracks[0].channels == 1:
            return SoundChoice(tracks[0].index, Mix((0,), 1))
        probes = [AudioTrack(track, PacketIndex()) for track in tracks]
        # Windows before the damage can be used; whoever reads on will meet the error.
        with suppress(av.error.FFmpegError, IndexError, ValueError):
            _probe_tracks(_first_packets(container, tracks), probes)
        chosen = choose_track(probes)
        mix = chosen.levels.best_mix()
        notes = [*tracks_note(chosen, probes), *chosen.notes()]
        if len(probes) > 1 and is_silent(chosen.levels.loudest()):
            silent = f"all are silent for {LOOK_AHEAD_SECONDS:.0f} s: the first one is used"
            notes = [f"of {len(probes)} audio tracks, {silent}"]
        return SoundChoice(chosen.index, mix, tuple(notes))


def _first_packets(
    container: av.container.InputContainer, tracks: Sequence[av.AudioStream]
) -> Iterator[av.Packet[av.AudioStream]]:
    """Yield the packets of the first minute."""
    for track in tracks:
        use_one_thread(track)
    end = origin_of(tracks) + Fraction(LOOK_AHEAD_SECONDS)
    for packet in container.demux(tuple(tracks)):
        if packet.dts is not None and packet.dts * packet.time_base >= end:
            return
        yield packet


def _probe_tracks(
    packets: Iterable[av.Packet[av.AudioStream]], probes: Sequence[AudioTrack]
) -> None:
    """Decode the first track, and others as long as it may be silent; packets may lack times."""
    by_index = {probe.index: probe for probe in probes}
    first, minute = probes[0], round(LOOK_AHEAD_SECONDS * probes[0].rate)
    for packet in packets:
        probe = by_index[packet.stream.index]
        if probe is first or is_silent(first.levels.loudest(minute)):
            for frame in packet.decode():
                probe.take(frame)
            probe.finish()
        if probe.whole_seconds() >= LOOK_AHEAD_SECONDS:
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
        choice: SoundChoice,
    ) -> None:
        """Start at the beginning.

        Args:
            container: The file, opened for this stream alone.
            stream: The audio track.
            origin: Time stamp that counts as 0, in seconds.
            choice: Its channels.
        """
        use_one_thread(stream)
        self._decoded = (f for packet in container.demux(stream) for f in packet.decode())
        self._origin, self._rate = origin, stream.rate
        self._resampler = BlockResampler(stream.rate, SAMPLE_RATE)
        self._choice, self._reader = choice, BlockReader(stream.rate)
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
            for channels in self._reader.read(frame):
                if not np.isfinite(channels).all():
                    raise MediaError(not_finite(f"at {position / self._rate:.1f} s"))
                block = self._choice.mix.of(channels)
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
        if is_silent(level_of(samples)):
            return f"the sound is silent in this window (below {SILENCE_DB:.0f} dB of full scale)"
        return WindowSound(samples.copy(), end - start - present)

    def notes(self) -> list[str]:
        """Say which track and channels these are."""
        return list(self._choice.notes)
