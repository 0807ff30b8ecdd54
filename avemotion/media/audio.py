"""The sound of a file as it is decoded: which track, which channels, which stretch is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from avemotion.media.timestamps import PacketIndex, needed_for_sound

LONGEST_SOUND_SECONDS = 300.0
"""Of a longer sound only the middle is decoded and kept, so that its memory is bounded."""

_FRONT_CENTRE = "FC"
_SURROUND_CHANNELS = 3  # from so many on, a front centre channel is there for the speech
MIN_SOUND_SECONDS = 0.1
"""Shorter sounds hold no speech; 0.1 s is six windows of the power spectrogram."""


def ordered_tracks(container: Any) -> list[Any]:
    """Return the audio tracks: those that the file plays by default first, unknown codecs last."""
    default = av.stream.Disposition.default
    tracks = sorted(container.streams.audio, key=lambda track: not track.disposition & default)
    return [track for track in tracks if track.codec_context is not None] or tracks


class MonoMixer:
    """Turns decoded blocks of a sound into plain ones of one channel.

    Of surround sound the front centre channel is taken, which carries the speech, unless it is
    silent: averaged with the others the voice would be lost among them. Other channels are averaged
    (FFmpeg's own down-mix would be 3 dB louder).
    """

    def __init__(self, rate: int) -> None:
        """Take the rate of the blocks in Hz; a block of another rate is brought to it."""
        self.rate = rate
        self._centre_of = 0  # channels of the sound; 0 where all are averaged
        self._to_float = av.AudioResampler(format="fltp", rate=rate)

    def of(self, frame: Any) -> Iterator[NDArray[np.float32]]:
        """Yield float32 (sample,), full scale 1."""
        plain = frame.format.name == "fltp" and frame.sample_rate == self.rate
        for block in [frame] if plain else self._to_float.resample(frame):
            channels = [np.frombuffer(bytes(p), np.float32, block.samples) for p in block.planes]
            yield channels[0] if len(channels) == 1 else self._mixed(block, channels)

    def notes(self) -> list[str]:
        """Say what was left out so far."""
        if not self._centre_of:
            return []
        return [f"of {self._centre_of} channels of sound, the front centre one is heard"]

    def _mixed(self, block: Any, channels: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        if len(channels) >= _SURROUND_CHANNELS:
            names = [channel.name for channel in block.layout.channels]
            centre = channels[names.index(_FRONT_CENTRE)] if _FRONT_CENTRE in names else None
            if centre is not None and centre.any():
                self._centre_of = len(channels)
                return centre
        return np.asarray(np.mean(channels, axis=0))


class AudioTrack:
    """Joins the blocks of one track."""

    def __init__(self, track: Any, packets: PacketIndex) -> None:
        """Begin with nothing.

        Args:
            track: The stream.
            packets: What its packets say of themselves.
        """
        self.index: int = track.index
        self.rate: int = track.rate
        self.track = track
        unit = float(track.time_base)
        self._whole_seconds = packets.length() * unit
        self._window = packets.middle(LONGEST_SOUND_SECONDS / unit)
        self.needed = self._window and needed_for_sound(packets, self._window, 1 / unit)
        """Packets to decode; None for all."""
        self._mono = MonoMixer(track.rate)
        self._blocks: list[NDArray[np.float32]] = []

    def take(self, frame: Any) -> None:
        """Add a block."""
        if not self._window or self._is_inside(frame):
            self._blocks.extend(self._mono.of(frame))

    def _is_inside(self, frame: Any) -> bool:
        assert self._window is not None
        return frame.pts is None or self._window[0] <= frame.pts <= self._window[1]

    def whole_seconds(self) -> float:
        """Return the length of the whole track."""
        if self._window:
            return self._whole_seconds
        return sum(map(len, self._blocks)) / self.rate if self.rate else 0.0

    @property
    def is_silent(self) -> bool:
        """Is every sample zero, or none there?"""
        return not any(block.any() for block in self._blocks)

    def joined(self) -> NDArray[np.float32]:
        """Return all blocks as one; float32 (sample,)."""
        return np.concatenate(self._blocks) if self._blocks else np.zeros(0, np.float32)

    def notes(self) -> list[str]:
        """Say what was left out of the track."""
        return self._mono.notes()


def heard(tracks: Sequence[AudioTrack]) -> AudioTrack:
    """Return the first track with sound on it; the first one where all are silent."""
    return next((track for track in tracks if not track.is_silent), tracks[0])


def tracks_note(chosen: AudioTrack, tracks: Sequence[AudioTrack]) -> list[str]:
    """Say which of several tracks is heard."""
    if len(tracks) < 2:
        return []
    numbers = sorted(track.track.index for track in tracks)
    number = numbers.index(chosen.track.index) + 1
    language = chosen.track.language
    called = f"number {number}" + (f" ({language})" if language else "")
    default = bool(chosen.track.disposition & av.stream.Disposition.default)
    why = "the default one" if default else "the first with sound"
    return [f"of {len(tracks)} audio tracks, {called}, {why}, is heard"]


def to_int16(samples: NDArray[np.floating]) -> NDArray[np.int16]:
    """Scale full scale (1.0) to 32,768 and round."""
    return np.asarray(np.clip(np.rint(samples * 32_768.0), -32_768, 32_767), np.int16)
