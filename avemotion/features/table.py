"""What a network can read of a clip: one entry for each feature.

The store keeps features under these names, a model declares which of them it reads, and
classification computes just those. A new feature is one entry of `FEATURES`; the embeddings of an
encoder are a feature, too: see `avemotion.encoders`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from avemotion.config import (
    FACE_FRAMES,
    FACE_HEIGHT,
    FACE_WIDTH,
    LONGEST_SOUND_SECONDS,
    SAMPLE_RATE,
    Stream,
)
from avemotion.encoders.interface import PREFIX
from avemotion.encoders.registry import TABLES, encoder, entry_of, name_of
from avemotion.errors import UsageError
from avemotion.features.crops import crop_faces
from avemotion.features.mel import (
    MEL_RANGE_DB,
    MEL_RATE,
    MEL_SECONDS,
    MEL_SHAPE,
    MEL_STEP,
    mel,
    mel_columns,
)
from avemotion.features.recording_quality import speech_level_db
from avemotion.features.spectrogram import (
    MEL_BANDS,
    MEL_FRAMES,
    POWER_SHAPE,
    add_noise,
    log_mel,
    log_mel_columns,
    mel_edges,
    power_spectrogram,
)
from avemotion.features.views import view_rng
from avemotion.media.types import Box

if TYPE_CHECKING:
    from torch import Tensor


STILLS = "stills"
"""Feature of the 20 sampled faces, each a small picture: a picture is as good as a clip."""
PICTURES = (STILLS, "image", "faces")
"""Features that show the face as pictures; `faces` of the whole crop."""
STILL_SIDE = 48
"""Rows and columns of `stills`: those of FER2013."""


@dataclass(slots=True)
class ClipSignals:
    """Face crops and waveform of one clip: what its features are computed from."""

    name: str
    """Name of the clip without folder and suffix; it seeds the noise."""
    seed: int
    """Seed of the noise, which also depends on the name."""
    faces: NDArray[np.uint8] | None
    """uint8 (view, 20, 98, 80); None without a face."""
    samples: NDArray[np.int16] | NDArray[np.float64] | None
    """int16 (sample,), 16 kHz, or float64 in int16 steps; None without sound."""
    crop_size: tuple[int, int] = (FACE_HEIGHT, FACE_WIDTH)
    """Rows and columns of the faces."""
    _noisy: NDArray[np.float64] | None = None

    def has(self, stream: Stream) -> bool:
        """Return whether the clip has a face (``video``) or sound (``audio``)."""
        return (self.faces if stream == "video" else self.samples) is not None

    def shown(self, view: int) -> NDArray[np.uint8]:
        """Return the face crops of a view, uint8 (20, 98, 80)."""
        assert self.faces is not None
        return np.asarray(self.faces[view])

    def heard(self) -> NDArray[np.int16] | NDArray[np.float64]:
        """Return the waveform without noise, (sample,)."""
        assert self.samples is not None
        return self.samples

    def noisy(self) -> NDArray[np.float64]:
        """Return the sound with its noise, float64 (sample,) in int16 steps."""
        if self._noisy is None:
            rng = view_rng(self.name, 0, self.seed)
            rng.random()  # the first number of the stream is the grid's shift
            self._noisy = add_noise(self.heard(), rng)
        return self._noisy


@dataclass(frozen=True, slots=True)
class SpectrogramAxes:
    """How a spectrogram is drawn."""

    hertz: Callable[[], NDArray[np.float64]]
    """Where rows begin and end, (row + 1,), from the first row to the last."""
    to_decibels: Callable[[NDArray[Any]], NDArray[np.float64]]
    """Stored values -> levels in decibels."""
    mel: bool
    """Whether rows are equally wide in mel, not in Hz."""
    columns_a_second: float | None
    """None where each is stretched to its shape, so that there is no axis in seconds."""


@dataclass(frozen=True, slots=True)
class Feature:
    """A kind of array that a network can read."""

    stream: Stream
    """What it is computed from: the face (``video``) or the sound (``audio``)."""
    kind: Literal["frames", "image", "spectrogram", "waveform", "embedding"]
    """How it is augmented, corrupted and drawn."""
    dtype: type[np.generic]
    """Of the stored array."""
    shape: tuple[int | None, ...]
    """Shape for one clip in one view; None where the length varies from clip to clip. That of an
    image is the crops' size, and that of some embeddings is known when they are loaded: see
    `shape_at`."""
    compute: Callable[[ClipSignals, int], NDArray[Any]]
    """Computes a view of it."""
    columns: Callable[[int], int] | None = None
    """Samples of the sound -> how many of the last axis hold sound; None where all always do."""
    moves: bool = True
    """Whether frames are read for how they change; a picture, which has one frame, is refused."""
    has_views: bool = True
    """Whether the views of a clip differ: those of faces do, sound is heard in one way."""
    offset: float = 0.0
    """Networks read ``(value - offset) / scale``."""
    scale: float = 1.0
    """See `offset`."""
    highest: float = 1.0
    """A high value, for random clips."""
    longest_seconds: float = LONGEST_SOUND_SECONDS
    """Of longer sounds, only a part is read: see `part_read`."""
    part_read: Literal["first", "middle"] = "middle"
    """Which part."""
    axes: SpectrogramAxes | None = None
    """Of a spectrogram."""
    loaded_shape: Callable[[], tuple[int, ...]] | None = None
    """Loads an encoder whose weights alone tell the shape of its embeddings, and returns it."""
    of_waveforms: Callable[[Tensor, Tensor], Tensor] | None = None
    """Computes it for a batch of waveforms in training: see `batched_spectrograms`."""
    changes: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = field(default_factory=dict)
    """How training changes clips where there are no waveforms: names as in the settings
    (``noise`` for `sound_noise`), and functions of spectrograms and lengths: see `mel_changes`."""

    @property
    def varies(self) -> bool:
        """Whether clips have arrays of different length."""
        return None in self.shape

    def of(self, clip: ClipSignals, views: int) -> NDArray[Any]:
        """Compute all views of a clip; where it lacks the face or the sound, zeros.

        Returns:
            (view, *shape); shape alone where views do not differ.
        """
        if not clip.has(self.stream):
            return self.zeros(views, clip.crop_size)
        if not self.has_views:
            return self.compute(clip, 0).astype(self.dtype, copy=False)
        array = self.zeros(views, clip.crop_size)
        for view in range(views):
            array[view] = self.compute(clip, view)
        return array

    def shape_at(self, crop_size: tuple[int, int]) -> tuple[int | None, ...]:
        """Return the shape for one clip in one view where crops have that size."""
        if self.kind == "image":
            return crop_size
        return self.loaded_shape() if self.loaded_shape else self.shape

    def zeros(self, views: int, crop_size: tuple[int, int]) -> NDArray[Any]:
        """Return the array of a clip that lacks the face or the sound; an axis that varies is 0."""
        shape = tuple(size or 0 for size in self.shape_at(crop_size))
        return np.zeros((views, *shape) if self.has_views else shape, self.dtype)

    def length_of(self, clip: ClipSignals) -> int:
        """Return how many of the last axis hold sound; 0 without any."""
        assert self.columns
        return self.columns(len(clip.heard())) if clip.has("audio") else 0


def _as_int16(samples: NDArray[Any]) -> NDArray[np.int16]:
    """Return a waveform as a file holds it: what a gain made louder is limited."""
    whole = samples if samples.dtype == np.int16 else np.clip(np.rint(samples), -32_768, 32_767)
    return np.asarray(whole, np.int16)


def _stills(faces: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the middle square of each crop, uint8 (20, 48, 48)."""
    rows, columns = faces.shape[1:]
    side = min(rows, columns)
    top, left = (rows - side) // 2, (columns - side) // 2
    middle = [Box(left, top, side, side)] * len(faces)
    return crop_faces(faces, middle, (STILL_SIDE, STILL_SIDE))


def _log_mels(waveforms: Tensor, lengths: Tensor) -> Tensor:
    from avemotion.features.batched_spectrograms import log_mels  # needs torch

    return log_mels(waveforms, lengths)


def _power_spectrograms(waveforms: Tensor, lengths: Tensor) -> Tensor:
    from avemotion.features.batched_spectrograms import power_spectrograms

    return power_spectrograms(waveforms, lengths)


def _noisy_log_mels(log_mels: Tensor, lengths: Tensor) -> Tensor:
    from avemotion.features.log_mel_noise import noisy  # needs torch

    return noisy(log_mels, lengths)


def _mel_change(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    def change(mels: Tensor, lengths: Tensor) -> Tensor:
        from avemotion.features import mel_changes  # needs torch

        found: Tensor = getattr(mel_changes, name)(mels, lengths)
        return found

    return change


def _band_hertz(bands: int, sample_rate: int) -> NDArray[np.float64]:
    """Return where each mel band begins and ends on an axis, float64 (band + 1,)."""
    peaks = mel_edges(bands, sample_rate)[1:-1]
    return np.concatenate(([0.0], (peaks[1:] + peaks[:-1]) / 2, [sample_rate / 2]))


FEATURES: dict[str, Feature] = {
    "faces": Feature(  # the 20 sampled faces, grey
        "video",
        "frames",
        np.uint8,
        (FACE_FRAMES, FACE_HEIGHT, FACE_WIDTH),
        lambda clip, view: clip.shown(view),
        offset=127.0,  # thesis eq. 6.1: about -1 to 1
        scale=128.0,
        highest=255.0,
    ),
    "image": Feature(  # one face, grey: a picture's, or that of the middle sampled frame
        "video",
        "image",
        np.uint8,
        (FACE_HEIGHT, FACE_WIDTH),
        lambda clip, view: clip.shown(view)[FACE_FRAMES // 2],
        offset=127.0,
        scale=128.0,
        highest=255.0,
    ),
    STILLS: Feature(
        "video",
        "frames",
        np.uint8,
        (FACE_FRAMES, STILL_SIDE, STILL_SIDE),
        lambda clip, view: _stills(clip.shown(view)),
        offset=127.0,
        scale=128.0,
        highest=255.0,
        moves=False,
    ),
    "power": Feature(  # the thesis' spectrogram, high frequencies first
        "audio",
        "spectrogram",
        np.float32,
        POWER_SHAPE,
        lambda clip, _: power_spectrogram(clip.noisy()),
        columns=lambda samples: POWER_SHAPE[1] if samples else 0,  # stretched to its shape
        has_views=False,
        axes=SpectrogramAxes(
            hertz=lambda: np.linspace(SAMPLE_RATE / 2, 0, POWER_SHAPE[0] + 1),
            to_decibels=lambda power: 10 * np.log10(np.maximum(power.astype(np.float64), 1e-12)),
            mel=False,
            columns_a_second=None,
        ),
        of_waveforms=_power_spectrograms,
    ),
    "log_mel": Feature(  # decibels above the floor, low frequencies first
        "audio",
        "spectrogram",
        np.float16,
        (MEL_BANDS, MEL_FRAMES),
        lambda clip, _: log_mel(clip.noisy())[0],
        columns=log_mel_columns,
        has_views=False,
        highest=80.0,
        longest_seconds=MEL_FRAMES / 100,
        axes=SpectrogramAxes(
            hertz=lambda: _band_hertz(MEL_BANDS, SAMPLE_RATE),
            to_decibels=lambda log_mels: log_mels.astype(np.float64),
            mel=True,
            columns_a_second=100.0,
        ),
        of_waveforms=_log_mels,
        changes={"noise": _noisy_log_mels},
    ),
    "mel": Feature(  # decibels above 80 below the loudest place, the first 3 s
        "audio",
        "spectrogram",
        np.float16,
        MEL_SHAPE,
        lambda clip, _: mel(clip.heard()),
        columns=mel_columns,
        has_views=False,
        highest=MEL_RANGE_DB,
        longest_seconds=MEL_SECONDS,
        part_read="first",
        axes=SpectrogramAxes(
            hertz=lambda: _band_hertz(MEL_SHAPE[0], MEL_RATE),
            to_decibels=lambda mels: mels.astype(np.float64) - MEL_RANGE_DB,
            mel=True,
            columns_a_second=MEL_RATE / MEL_STEP,
        ),
        changes={
            "noise": _mel_change("noisy"),
            "equaliser": _mel_change("equalised"),
            "channel": _mel_change("through_channel"),
        },
    ),
    "waveform": Feature(  # 16 kHz, without noise
        "audio",
        "waveform",
        np.int16,
        (None,),
        lambda clip, _: _as_int16(clip.heard()),
        columns=lambda samples: samples,
        has_views=False,
        scale=32_768.0,
        highest=32_767.0,
    ),
}
"""Name -> feature, in the order in which the store holds them."""


def feature(name: str) -> Feature:
    """Return a feature.

    Raises:
        UsageError: There is none of that name.
    """
    if name.startswith(PREFIX):
        return embedding(name.removeprefix(PREFIX))
    if name not in FEATURES:
        raise UsageError(f"There is no feature {name!r}. Features: {', '.join(FEATURES)}.")
    return FEATURES[name]


def is_embedding(name: str) -> bool:
    """Return whether a feature is an encoder's: the store keeps it beside those of clips."""
    return name.startswith(PREFIX)


def is_table(name: str) -> bool:
    """Return whether a feature is a table of the user's, so that no other clip can have it."""
    return is_embedding(name) and name.removeprefix(PREFIX).partition(".")[0] in TABLES


ENCODED_LEVEL_DB = -26.0
"""Level of the speech that encoders hear, in dB of full scale: that of the recording is left out.
"""


def embedding(spec: str) -> Feature:
    """Return the feature that an encoder makes; the encoder is loaded when one is computed.

    View 0 of a voice is the clip as it is, others are as other recordings would have it.

    Args:
        spec: Name of an encoder, or a table with its file: see `avemotion.encoders.registry`.

    Raises:
        UsageError: There is no such encoder, or the table cannot be read.
    """
    entry = entry_of(name_of(spec))
    altered = entry.stream == "audio" and bool(entry.weights)  # a table has one row a clip

    def compute(clip: ClipSignals, view: int) -> NDArray[np.float32]:
        if not entry.weights:
            return encoder(spec).encode(np.zeros(0, np.float32), clip.name)
        if entry.stream == "video":
            return encoder(spec).encode(clip.shown(view), clip.name)
        sound = _as_int16(clip.heard())
        if altered and view:
            from avemotion.features.other_recordings import other_recording  # loads scipy

            sound = other_recording(sound, view_rng(f"embedding/{clip.name}", view, clip.seed))
        return encoder(spec).encode(levelled(sound), clip.name)

    return Feature(
        entry.stream,
        "embedding",
        np.float32,
        entry.shape,
        compute,
        has_views=altered,
        loaded_shape=None if entry.shape else lambda: encoder(spec).shape,
    )


def levelled(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """Return a sound with its speech at `ENCODED_LEVEL_DB`, float32 (sample,), full scale 1.

    Args:
        samples: int16 (sample,), not silent.
    """
    gain = 10 ** ((ENCODED_LEVEL_DB - speech_level_db(samples)) / 20)
    return (samples * (gain / 32_768)).astype(np.float32)


def reads_frames(names: Iterable[str]) -> bool:
    """Return whether one of the features is of several frames of a clip."""
    about = map(feature, names)
    return any(f.kind == "frames" or (f.kind == "embedding" and f.stream == "video") for f in about)


def shows_motion(names: Iterable[str]) -> bool:
    """Return whether one of the features needs frames that change; a picture has none."""
    return reads_frames(name for name in names if feature(name).moves)


def check_features(names: Iterable[str]) -> None:
    """Refuse names of unknown features, and none at all.

    Raises:
        UsageError: There is such a name, a name twice, or no name.
    """
    given = list(names)
    unknown = [name for name in given if name not in FEATURES]  # embeddings are made later
    if unknown or not given or len(set(given)) < len(given):
        raise UsageError(
            f"--features is {','.join(given) or 'empty'!r}, but must be one or more of "
            f"{', '.join(FEATURES)}, each once."
        )
