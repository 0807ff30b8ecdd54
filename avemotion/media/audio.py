"""The sound of a file as it is decoded: which track, channels and stretch are kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import av
import numpy as np
from numpy.typing import NDArray

from avemotion.media.timestamps import PacketIndex, needed_for_sound, unit_seconds

LONGEST_SOUND_SECONDS = 300.0
"""Of a longer sound only the middle is decoded and kept, so that its memory is bounded."""

_FRONT_CENTRE = "FC"
_SURROUND_CHANNELS = 3  # from so many on, a front centre channel is there for the speech
MIN_SOUND_SECONDS = 0.1
"""Shorter sounds hold no speech; 0.1 s is six windows of the power spectrogram."""


def ordered_tracks(container: av.container.InputContainer) -> list[av.AudioStream]:
    """Return the audio tracks: those that the file plays by default first, unknown codecs last."""
    default = av.stream.Disposition.default
    tracks = sorted(container.streams.audio, key=lambda track: not track.disposition & default)
    return [track for track in tracks if track.codec_context is not None] or tracks


class MonoMixer:
    """Turns decoded blocks of a sound into mono float32.

    Of surround sound the front centre channel is taken, which carries the speech, unless it is
    silent: averaged with the others the voice would be lost among them. Other channels are averaged
    (FFmpeg's own down-mix would be 3 dB louder).
    """

    def __init__(self, rate: int) -> None:
        """Take the sample rate of the sound in Hz; blocks of another rate are resampled to it."""
        self.rate = rate
        self._surround_channels = 0  # of a sound whose front centre channel is taken
        self._to_float = av.AudioResampler(format="fltp", rate=rate)

    def mix(self, frame: av.AudioFrame) -> Iterator[NDArray[np.float32]]:
        """Yield a decoded block as float32 (sample,), full scale 1."""
        plain = frame.format.name == "fltp" and frame.sample_rate == self.rate
        for block in [frame] if plain else self._to_float.resample(frame):
            channels = [np.frombuffer(bytes(p), np.float32, block.samples) for p in block.planes]
            yield channels[0] if len(channels) == 1 else self._mixed(block, channels)

    def notes(self) -> list[str]:
        """Say what was left out so far."""
        if not self._surround_channels:
            return []
        return [f"of {self._surround_channels} audio channels, the front centre one is used"]

    def _mixed(
        self, block: av.AudioFrame, channels: list[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        if len(channels) >= _SURROUND_CHANNELS:
            names = [channel.name for channel in block.layout.channels]
            centre = channels[names.index(_FRONT_CENTRE)] if _FRONT_CENTRE in names else None
            if centre is not None and centre.any():
                self._surround_channels = len(channels)
                return centre
        return np.asarray(np.mean(channels, axis=0))


class AudioTrack:
    """Collects the decoded sound of one audio track."""

    def __init__(self, track: av.AudioStream, packets: PacketIndex) -> None:
        """Start empty.

        Args:
            track: The audio stream.
            packets: Index of its packets.
        """
        self.index = track.index
        self.rate = track.rate
        self.track = track
        unit = float(unit_seconds(track))
        self._whole_seconds = packets.length() * unit
        self._window = packets.middle(LONGEST_SOUND_SECONDS / unit)
        self.needed = self._window and needed_for_sound(packets, self._window, 1 / unit)
        """Packets to decode; None for all."""
        self._mono = MonoMixer(track.rate)
        self._blocks: list[NDArray[np.float32]] = []

    def take(self, frame: av.AudioFrame) -> None:
        """Add a decoded block."""
        if not self._window or self._is_inside(frame):
            self._blocks.extend(self._mono.mix(frame))

    def _is_inside(self, frame: av.AudioFrame) -> bool:
        assert self._window is not None
        return frame.pts is None or self._window[0] <= frame.pts <= self._window[1]

    def whole_seconds(self) -> float:
        """Return the length of the whole track in seconds."""
        if self._window:
            return self._whole_seconds
        return sum(map(len, self._blocks)) / self.rate if self.rate else 0.0

    @property
    def is_silent(self) -> bool:
        """Whether every sample is zero, or there is none."""
        return not any(block.any() for block in self._blocks)

    def joined(self) -> NDArray[np.float32]:
        """Return all blocks as one; float32 (sample,)."""
        return np.concatenate(self._blocks) if self._blocks else np.zeros(0, np.float32)

    def notes(self) -> list[str]:
        """Say what was left out of the track."""
        return self._mono.notes()


def choose_track(tracks: Sequence[AudioTrack]) -> AudioTrack:
    """Return the first track with sound on it; the first one where all are silent."""
    return next((track for track in tracks if not track.is_silent), tracks[0])


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
