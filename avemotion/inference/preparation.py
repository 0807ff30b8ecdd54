"""From one clip to the network's input, with the evidence; needs no torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from avemotion.config import FACE_FRAMES, FACE_HEIGHT, FACE_WIDTH
from avemotion.errors import MissingModalityError
from avemotion.features.crops import crop_faces, scaled_box
from avemotion.features.extraction import FrameChooser, noisy_sound
from avemotion.features.face_detection import NO_FACE, FaceTrack, find_face, find_faces
from avemotion.features.spectrogram import (
    MEL_FRAMES,
    SPECTROGRAM_SHAPES,
    log_mel,
    power_spectrogram,
)
from avemotion.inference.request import InferenceRequest
from avemotion.inference.runtimes.interface import ClipArrays
from avemotion.media.audio import LONGEST_SOUND_SECONDS
from avemotion.media.reader import read_arrays, read_clip
from avemotion.media.sources import DecodedClip, Source, as_media, source_name
from avemotion.media.timestamps import MIN_COVERED_SHARE
from avemotion.media.types import Box, ClipMedia

LONG_CLIP_SECONDS = 10.0
"""Longer clips get a warning: those of the usual corpora last 2 to 5 s."""


@dataclass(frozen=True, slots=True)
class PreparedClip:
    """The network's input for a clip, or for one of its faces, and the evidence beside it."""

    clip: str
    """Name of the clip: its path as it was given, or ``clip given as bytes`` and the like."""
    arrays: ClipArrays
    """A batch of one clip: faces uint8 (1, 20, 98, 80), spectrograms float32 (1, 1, frequency,
    time). A missing modality is zeros, and hidden from the network."""
    modality: str
    """Modality that the prediction uses: ``av``, ``video`` or ``audio``."""
    faces_found: int
    """Sampled frames in which the face was found, 0 to 20."""
    frames_sampled: int
    """Frames searched for a face: 20, or 0 without a video."""
    face_box: Box | None
    """The crop in pixels of the upright video; None without a face."""
    face: int | None
    """Number of the face, from 1, where all faces were requested and there is one."""
    warnings: tuple[str, ...]
    """What was missing or unusual in the clip."""


@dataclass(frozen=True, slots=True)
class FaceCrops:
    """The crops of one face, or the reason why there is none."""

    crops: NDArray[np.uint8]
    """uint8 (20, 98, 80); zeros without a face."""
    found: tuple[bool, ...] = ()
    """For each of the 20 frames, whether the face was found in it; empty without a face."""
    box: Box | None = None
    """The crop in pixels of the upright video; None without a face."""
    number: int | None = None
    """From 1, where all faces were requested; None without a face."""
    missing: str = ""
    """Why there is no face; empty where there is one."""


def prepare_clip(source: Source, request: InferenceRequest) -> list[PreparedClip]:
    """Compute the network's input for a clip: the features that `preprocess` stores in view 0.

    The reader is always PyAV, since it reads every kind of source.

    Args:
        source: A path, bytes, a binary file or arrays.
        request: Model, modality and choice of faces.

    Returns:
        One prepared clip, or one per face; without a face, one for the audio alone.

    Raises:
        MediaError: The clip cannot be read.
        MissingModalityError: The clip lacks the face or the sound that the prediction needs.
        UsageError: The source is not a clip.
    """
    name, clip = source_name(source), as_media(source)
    stem = clip.name if isinstance(clip, DecodedClip) else clip.stem
    settings = replace(request.metadata.preprocessing, views=1)
    choose = FrameChooser(stem, settings)
    if isinstance(clip, DecodedClip):
        media = read_arrays(_without_unused(clip, request.wanted), choose)
    else:
        video = clip if request.wanted != "audio" else None
        audio = clip if request.wanted != "video" else None
        media = read_clip(video, audio, choose)
    faces = crop_faces_of(media, choose.grids[0] if choose.grids else np.zeros(0, np.intp), request)
    spectrogram = compute_spectrogram(stem, media, request)
    return [combine(name, media, face, spectrogram, request) for face in faces]


def _without_unused(clip: DecodedClip, wanted: str) -> DecodedClip:
    """Drop the modality that was not requested, unless the clip has nothing else."""
    if wanted == "audio" and clip.waveform is not None:
        return replace(clip, frames=None, frame_rate=None)
    if wanted == "video" and clip.frames is not None:
        return replace(clip, waveform=None, sample_rate=None)
    return clip


def crop_faces_of(
    media: ClipMedia, grid: NDArray[np.intp], request: InferenceRequest
) -> list[FaceCrops]:
    """Find and crop the requested faces.

    Args:
        media: Frames and sound.
        grid: Indices of the 20 sampled frames among all frames of the video, int (20,).
        request: Model, modality and choice of faces.

    Returns:
        At least one: without a face, one `FaceCrops` with the reason.
    """
    none = np.zeros((FACE_FRAMES, FACE_HEIGHT, FACE_WIDTH), np.uint8)
    video = media.frames
    if video is None or request.wanted == "audio":
        return [FaceCrops(none, missing=media.no_frames)]
    frames = video.frames[np.searchsorted(video.requested_indices, grid)]
    tracks: list[FaceTrack] = []
    if request.face == "all":
        tracks = find_faces(list(frames))
    elif track := find_face(list(frames)):
        tracks = [track]
    if not tracks:
        return [FaceCrops(none, missing=NO_FACE)]
    return [
        FaceCrops(
            crop_faces(frames, track.box),
            track.found,
            scaled_box(track.box, video.scale),
            number if request.face == "all" else None,
        )
        for number, track in enumerate(tracks, 1)
    ]


def compute_spectrogram(
    name: str, media: ClipMedia, request: InferenceRequest
) -> tuple[NDArray[np.float32], int]:
    """Compute the kind of spectrogram that the model reads, with the noise of view 0.

    Args:
        name: Name of the clip without folder and suffix; it seeds the noise.
        media: Frames and sound; without sound, the spectrogram is zeros.
        request: Tells the kind of spectrogram and the seed.

    Returns:
        The spectrogram, float32 (64, 500) for a log-mel or (128, 128) for a power spectrogram, and
        the number of its columns that hold sound.
    """
    kind = request.metadata.experiment.network.spectrogram
    shape = SPECTROGRAM_SHAPES[kind]
    if media.sound is None or not media.sound.samples.any():
        return np.zeros(shape, np.float32), 0
    noisy = noisy_sound(name, 0, request.metadata.preprocessing.seed, media.sound.samples)
    if kind == "power":
        return power_spectrogram(noisy), shape[1]
    image, length = log_mel(noisy)
    return image.astype(np.float32), length


def combine(
    name: str,
    media: ClipMedia,
    face: FaceCrops,
    spectrogram: tuple[NDArray[np.float32], int],
    request: InferenceRequest,
) -> PreparedClip:
    """Combine one face and the sound into the network's input, with its warnings.

    Args:
        name: Name of the clip, for messages.
        media: Frames and sound.
        face: The face, a result of `crop_faces_of`.
        spectrogram: The spectrogram and its length, the result of `compute_spectrogram`.
        request: Model, modality and choice of faces.

    Raises:
        MissingModalityError: The face or the sound that the prediction needs is missing.
    """
    used = _used_modality(name, face, media, request)
    image, length = spectrogram
    return PreparedClip(
        clip=name,
        arrays=ClipArrays(
            faces=face.crops[None],
            spectrograms=image[None, None],
            lengths=np.array([length], np.int64),
            has_face=np.array([used != "audio"]),
            has_sound=np.array([used != "video"]),
        ),
        modality=used,
        faces_found=sum(face.found),
        frames_sampled=FACE_FRAMES if media.frames else 0,
        face_box=face.box,
        face=face.number,
        warnings=tuple(_warnings(face, media, used, request)),
    )


def _used_modality(name: str, face: FaceCrops, media: ClipMedia, request: InferenceRequest) -> str:
    """Return the requested modality, or the only one of ``av`` that the clip has."""
    wanted = request.wanted
    both = {(True, True): "av", (True, False): "video", (False, True): "audio"}
    present = both.get((face.box is not None, media.sound is not None), "")
    if present in ("av", wanted):
        return wanted
    if wanted == "av" and present in request.metadata.answers:
        return present
    reasons = (
        face.missing if wanted != "audio" else "",
        media.no_sound if wanted != "video" else "",
    )
    missing = "; ".join(filter(None, reasons))
    if wanted == "av" and present:
        raise MissingModalityError(
            f"{name} has only one modality ({missing}), but {request.checkpoint} needs both: it "
            "was trained with modality_dropout=0. Train a model with modality dropout."
        )
    raise MissingModalityError(f"{name} cannot be classified from {wanted}: {missing}.")


def _warnings(
    face: FaceCrops, media: ClipMedia, used: str, request: InferenceRequest
) -> Iterator[str]:
    """Yield what was missing or unusual."""
    metadata = request.metadata
    if metadata.synthetic is not None:
        yield (
            "the model was trained on synthetic data: its predictions say nothing about real people"
        )
    if used != request.wanted:
        missing = face.missing if used == "audio" else media.no_sound
        yield f"answered from {used} alone: {missing}"
    if used != "audio" and sum(face.found) * 2 < FACE_FRAMES:
        yield f"a face was found in only {sum(face.found)} of {FACE_FRAMES} frames"
    yield from media.notes
    yield from _length_warnings(media, used, metadata.experiment.network.spectrogram)


def _length_warnings(media: ClipMedia, used: str, spectrogram: str) -> Iterator[str]:
    limit = MEL_FRAMES / 100 if spectrogram == "log_mel" else LONGEST_SOUND_SECONDS
    sound = media.sound_seconds if used != "video" else 0.0
    video = media.frames.duration_seconds if media.frames and used != "audio" else 0.0
    frames = f"{FACE_FRAMES} evenly spaced frames"
    audio = f"the middle {limit:.0f} s of audio" if sound > limit else "all audio"
    if max(sound, video) > LONG_CLIP_SECONDS:
        parts = {"av": f"{frames} and {audio}", "video": frames, "audio": audio}[used]
        yield (
            f"the clip lasts {max(sound, video):.1f} s, much longer than training clips; the "
            f"prediction uses {parts}"
        )
    elif sound > limit:
        yield f"the audio lasts {sound:.1f} s; the prediction uses its middle {limit:.0f} s"
    if 0 < video < MIN_COVERED_SHARE * sound:
        yield f"the video lasts only {video:.1f} of the {sound:.1f} s of audio"
