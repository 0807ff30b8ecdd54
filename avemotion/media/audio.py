"""The sound of a file as it is decoded: which track, channels and stretch are kept."""

from __future__ import annotations

from collections.abc import Sequence

import av
import numpy as np
from numpy.typing import NDArray

from avemotion.config import LONGEST_SOUND_SECONDS
from avemotion.errors import MediaError
from avemotion.media.channels import ChannelLevels, Mix, is_silent, usual_mix
from avemotion.media.timestamps import PacketIndex, needed_for_sound, unit_seconds

MIN_SOUND_SECONDS = 0.1
"""Shorter sounds hold no speech; 0.1 s is six windows of the power spectrogram."""

_MOST_PLANES = 7  # PyAV 18 reads past the end of a block with more


def ordered_tracks(container: av.container.InputContainer) -> list[av.AudioStream]:
    """Return the audio tracks: those that the file plays by default first, unknown codecs last."""
    default = av.stream.Disposition.default
    tracks = sorted(container.streams.audio, key=lambda track: not track.disposition & default)
    return [track for track in tracks if track.codec_context is not None] or tracks


class BlockReader:
    """Turns decoded blocks of a sound into float32 arrays."""

    def __init__(self, rate: int) -> None:
        """Take the sample rate of the sound in Hz; blocks of another rate are resampled to it."""
        self._rate = rate
        self._to_packed = av.AudioResampler(format="flt", rate=rate)

    def read(self, frame: av.AudioFrame) -> list[NDArray[np.float32]]:
        """Return what a decoded block makes possible: float32 (channel, sample), full scale 1."""
        count, is_planar = frame.layout.nb_channels, frame.format.name == "fltp"
        if is_planar and frame.sample_rate == self._rate and count <= _MOST_PLANES:
            planes = [
                np.frombuffer(memoryview(plane), np.float32, frame.samples)
                for plane in frame.planes
            ]
            return [np.array(planes) if count > 1 else planes[0][None]]
        blocks = self._to_packed.resample(frame)
        packed = [
            np.frombuffer(memoryview(b.planes[0]), np.float32, b.samples * count) for b in blocks
        ]
        return [np.ascontiguousarray(block.reshape(-1, count).T) for block in packed]


class AudioTrack:
    """Collects the decoded sound of one audio track as mono."""

    def __init__(self, track: av.AudioStream, packets: PacketIndex, mix: Mix | None = None) -> None:
        """Start empty.

        Args:
            track: The audio stream.
            packets: Index of its packets.
            mix: Which channels are kept; by default the usual ones.
        """
        self.index = track.index
        self.rate = track.rate
        self.track = track
        unit = float(unit_seconds(track))
        self._whole_seconds = packets.length() * unit
        self._window = packets.middle(LONGEST_SOUND_SECONDS / unit)
        self.needed = self._window and needed_for_sound(packets, self._window, 1 / unit)
        """Packets to decode; None for all."""
        self.levels = ChannelLevels(())
        """Of the channels, whichever are kept."""
        self._mix = mix
        self._reader = BlockReader(track.rate)
        self._fresh: list[NDArray[np.float32]] = []  # (channel, sample) each, not mixed yet
        self._samples = self._mixed_samples = 0
        self._mono: list[NDArray[np.float32]] = []

    def take(self, frame: av.AudioFrame) -> None:
        """Add a decoded block."""
        if self._window and not self._is_inside(frame):
            return
        if not self._mono and not self._fresh:
            names = [channel.name for channel in frame.layout.channels]
            self.levels, self._mix = ChannelLevels(names), self._mix or usual_mix(names)
        for channels in self._reader.read(frame):
            if self._fresh and len(channels) != len(self._fresh[0]):
                self.finish()
            self._fresh.append(channels)
            self._samples += channels.shape[1]
            # Several channels take much memory; a second at a time takes less time than a block.
            if len(channels) > 1 and self._samples - self._mixed_samples >= self.rate:
                self.finish()

    def _is_inside(self, frame: av.AudioFrame) -> bool:
        assert self._window is not None
        return frame.pts is None or self._window[0] <= frame.pts <= self._window[1]

    def finish(self) -> None:
        """Measure and mix the blocks that were not yet."""
        if self._fresh and self._mix:
            channels = np.concatenate(self._fresh, axis=1)
            with np.errstate(over="ignore", invalid="ignore"):  # of samples that are no numbers
                self.levels.add(channels)
                self._mono.append(self._mix.of(channels))
            self._fresh, self._mixed_samples = [], self._samples

    def whole_seconds(self) -> float:
        """Return the length of the whole track in seconds."""
        if self._window:
            return self._whole_seconds
        return self._samples / self.rate if self.rate else 0.0

    def better_mix(self) -> Mix | None:
        """Return the mix that should have been kept; None where it was."""
        best = self.levels.best_mix()
        return best if self._mix and best.channels != self._mix.channels else None

    def joined(self, name: str) -> NDArray[np.float32]:
        """Return all blocks as one; float32 (sample,).

        Raises:
            MediaError: Some samples are no numbers; `name` is what the message calls the file.
        """
        if not self.levels.is_finite:
            raise MediaError(not_finite(f"of {name}"))
        if len(self._mono) == 1:
            return self._mono[0]
        return np.concatenate(self._mono) if self._mono else np.zeros(0, np.float32)

    def notes(self) -> list[str]:
        """Say what was left out of the track."""
        note = self.levels.best_mix().note
        return [note] if note else []


def not_finite(where: str) -> str:
    """Return the message for samples that are no numbers, ``of FILE`` or ``at 3.0 s``."""
    return (
        f"the sound {where} holds samples that are infinite or no numbers (NaN): it is damaged, "
        "or was computed wrongly. Write it again"
    )


def choose_track(tracks: Sequence[AudioTrack]) -> AudioTrack:
    """Return the first track with sound on it; the first one where all are silent."""
    return next((track for track in tracks if not is_silent(track.levels.loudest())), tracks[0])


def tracks_note(chosen: AudioTrack, tracks: Sequence[AudioTrack]) -> list[str]:
    """Say which of several tracks is used."""
    if len(tracks) < 2:
        return []
    numbers = sorted(track.track.index for track in tracks)
    number = numbers.index(chosen.track.index) + 1
    language = chosen.track.language
    which = f"number {number}" + (f" ({language})" if language else "")
    default = bool(chosen.track.disposition & av.stream.Disposition.default)
    why = "the default one" if default else "the first with sound"
    return [f"of {len(tracks)} audio tracks, {which}, {why}, is used"]


def to_int16(samples: NDArray[np.floating]) -> NDArray[np.int16]:
    """Scale full scale (1.0) to 32,768 and round."""
    return np.asarray(np.clip(np.rint(samples * 32_768.0), -32_768, 32_767), np.int16)
