"""From one clip to what a network reads of it, with the evidence; needs no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from avemotion.config import FACE_FRAMES, FACE_HEIGHT, FACE_WIDTH, AskedModality, FaceChoice
from avemotion.errors import MissingModalityError, UsageError
from avemotion.features.crops import crop_faces, scaled_box
from avemotion.features.extraction import noisy_sound, view_grids
from avemotion.features.face_detection import NO_FACE, FaceTrack, find_face, find_faces
from avemotion.features.spectrogram import (
    MEL_BANDS,
    MEL_FRAMES,
    POWER_SHAPE,
    log_mel,
    power_spectrogram,
)
from avemotion.inference.runtimes.interface import ClipArrays
from avemotion.media.audio import LONGEST_SOUND_SECONDS
from avemotion.media.reader import read_arrays, read_clip
from avemotion.media.sources import DecodedClip, Source, as_media, source_name
from avemotion.media.types import Box, ClipMedia
from avemotion.models.metadata import CheckpointMetadata

LONG_CLIP_SECONDS = 10.0
"""Clips longer than this are unlike those of CREMA-D (about 2.5 s), and the prediction says so."""

_HEARS_SEES: dict[str, tuple[str, ...]] = {
    "av": ("av", "video", "audio"),
    "video": ("video",),
    "audio": ("audio",),
    "": (),
}
"""What a clip offers -> what can be answered from it, best first."""


@dataclass(frozen=True, slots=True)
class InferenceRequest:
    """What a model is asked of a clip."""

    metadata: CheckpointMetadata
    """What the model says of itself."""
    checkpoint: str
    """Its file."""
    modality: AskedModality = "auto"
    """What to answer from; ``auto`` takes all that the clip and the model have."""
    face: FaceChoice = "main"
    """Which faces to answer for."""

    def __post_init__(self) -> None:
        """Refuse what the model cannot answer.

        Raises:
            UsageError: It does not answer from that modality, or there is no such choice of faces.
        """
        if self.modality not in ("auto", *self.metadata.answers):
            raise UsageError(
                f"{self.checkpoint} cannot answer with modality {self.modality!r}; it answers with "
                f"{', '.join(self.metadata.answers)}. Choose one of these, or another checkpoint."
            )
        if self.face not in get_args(FaceChoice):
            raise UsageError(f"face is {self.face!r}, but must be main or all.")

    @property
    def wanted(self) -> str:
        """The modality asked for, or the model's own where none is."""
        return self.metadata.experiment.modality if self.modality == "auto" else self.modality


@dataclass(frozen=True, slots=True)
class PreparedClip:
    """What the network reads of a clip, or of one of its faces, and the evidence beside it."""

    clip: str
    """What the clip is called."""
    arrays: ClipArrays
    """A batch of this one."""
    modality: str
    """What the answer rests on: ``av``, ``video`` or ``audio``."""
    faces_found: int
    """Sampled frames on which the face was found."""
    frames_sampled: int
    """Frames that were searched: 20, or 0 without a video."""
    face_box: Box | None
    """The crop in pixels of the video, upright; None without a face."""
    face: int | None
    """Number of the face, from 1, where all were asked for and there is one."""
    warnings: tuple[str, ...]
    """What was missing or unusual in the clip."""


@dataclass(frozen=True, slots=True)
class FaceCrops:
    """A face of the clip, or that there is none."""

    crops: NDArray[np.uint8]
    """uint8 (20, 98, 80); zeros without a face."""
    found: tuple[bool, ...] = ()
    """For each frame, is the face seen on it?"""
    box: Box | None = None
    """The crop in pixels of the video, upright; None without a face."""
    number: int | None = None
    """From 1, where all faces were asked for; None without a face."""
    missing: str = ""
    """Why there is none."""


def prepare_clip(source: Source, request: InferenceRequest) -> list[PreparedClip]:
    """Turn a clip into what the network reads: the same as `preprocess` stores in view 0.

    The reader is always PyAV, since it reads every kind of source.

    Args:
        source: A path, bytes, a binary file or arrays.
        request: The model, and what it is asked.

    Returns:
        One, or one for each face; without a face one for the voice alone.

    Raises:
        MediaError: The clip cannot be read.
        MissingModalityError: It lacks the face or the sound that the answer needs.
        UsageError: The source is none.
    """
    name, media = source_name(source), as_media(source)
    stem = media.name if isinstance(media, DecodedClip) else media.stem
    settings = replace(request.metadata.preprocessing, views=1)
    grids: list[NDArray[np.intp]] = []

    def choose(n_frames: int) -> NDArray[np.intp]:
        grids[:] = view_grids(stem, n_frames, settings)
        return np.unique(grids[0])

    if isinstance(media, DecodedClip):
        read = read_arrays(_part(media, request.wanted), choose)
    else:
        sees, hears = request.wanted != "audio", request.wanted != "video"
        read = read_clip(media if sees else None, media if hears else None, choose)
    faces = crop_asked_faces(read, grids[0] if grids else np.zeros(0, np.intp), request)
    heard = hear(stem, read, request)
    return [prepared(name, read, face, heard, request) for face in faces]


def _part(clip: DecodedClip, wanted: str) -> DecodedClip:
    """Leave out what is not asked for; a clip that has nothing else stays as it is."""
    if wanted == "audio" and clip.waveform is not None:
        return replace(clip, frames=None, frame_rate=None)
    if wanted == "video" and clip.frames is not None:
        return replace(clip, waveform=None, sample_rate=None)
    return clip


def crop_asked_faces(
    read: ClipMedia, grid: NDArray[np.intp], request: InferenceRequest
) -> list[FaceCrops]:
    """Find and crop the faces that are asked for; one that is missing where there is none.

    Args:
        read: Frames and sound.
        grid: int (20,): the places of the frames that the network sees.
        request: What is asked.
    """
    none = np.zeros((FACE_FRAMES, FACE_HEIGHT, FACE_WIDTH), np.uint8)
    video = read.frames
    if video is None or request.wanted == "audio":
        return [FaceCrops(none, missing=read.no_frames)]
    frames = video.frames[np.searchsorted(video.places, grid)]
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


def hear(name: str, read: ClipMedia, request: InferenceRequest) -> tuple[NDArray[np.float32], int]:
    """Return the spectrogram, float32 (row, column), and its columns that hold sound.

    Args:
        name: Seeds the noise.
        read: Frames and sound; without sound, zeros are returned.
        request: The model, which tells the kind of spectrogram and the seed.
    """
    is_log_mel = request.metadata.experiment.network.spectrogram == "log_mel"
    if read.sound is None or not read.sound.samples.any():
        return np.zeros((MEL_BANDS, MEL_FRAMES) if is_log_mel else POWER_SHAPE, np.float32), 0
    noisy = noisy_sound(name, 0, request.metadata.preprocessing.seed, read.sound.samples)
    if not is_log_mel:
        return power_spectrogram(noisy), POWER_SHAPE[1]
    image, length = log_mel(noisy)
    return image.astype(np.float32), length


def prepared(
    name: str,
    read: ClipMedia,
    face: FaceCrops,
    heard: tuple[NDArray[np.float32], int],
    request: InferenceRequest,
) -> PreparedClip:
    """Put together what the network reads of one face and the sound, and what is to be said of it.

    Args:
        name: What the clip is called.
        read: Frames and sound.
        face: Of `crop_asked_faces`.
        heard: Of `hear`.
        request: What is asked.

    Raises:
        MissingModalityError: The face or the sound that the answer needs is not there.
    """
    used = _used(name, face, read, request)
    image, length = heard
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
        frames_sampled=FACE_FRAMES if read.frames else 0,
        face_box=face.box,
        face=face.number,
        warnings=tuple(_warnings(face, read, used, request)),
    )


def _used(name: str, face: FaceCrops, read: ClipMedia, request: InferenceRequest) -> str:
    """Return what the answer rests on: what is wanted, or what of it the clip has."""
    wanted, answers = request.wanted, request.metadata.answers
    no_face = "" if face.box else face.missing
    offers = {(True, True): "av", (True, False): "video", (False, True): "audio"}
    possible = _HEARS_SEES[offers.get((face.box is not None, read.sound is not None), "")]
    if wanted in possible:
        return wanted
    lacks = (no_face if wanted != "audio" else "", read.no_sound if wanted != "video" else "")
    missing = "; ".join(why for why in lacks if why)
    for modality in possible:
        if modality in answers and wanted == "av":
            return modality
    if wanted == "av" and possible:
        raise MissingModalityError(
            f"{name} has only one modality ({missing}), and {request.checkpoint} was trained "
            "without hiding modalities: it needs both. Train with modality dropout."
        )
    raise MissingModalityError(f"{name} cannot be classified by {wanted}: {missing}.")


def _warnings(face: FaceCrops, read: ClipMedia, used: str, request: InferenceRequest) -> list[str]:
    """Say what was missing or unusual."""
    metadata, wanted = request.metadata, request.wanted
    warnings = []
    if metadata.synthetic is not None:
        warnings.append(
            "the model was trained on synthetic data: its answer says nothing about people"
        )
    if used != wanted:
        missing = face.missing if used == "audio" else read.no_sound
        warnings.append(f"answered from {used} alone: {missing}")
    if used != "audio" and sum(face.found) * 2 < FACE_FRAMES:
        warnings.append(f"a face was found on only {sum(face.found)} of {FACE_FRAMES} frames")
    if used != "audio" and read.frames is not None:
        shown = len(np.unique(read.frames.indices))
        if shown * 2 < len(read.frames.indices):
            warnings.append(
                f"the video stands still for most of its time: of {len(read.frames.indices)} "
                f"moments spread over it, only {shown} show a new frame"
            )
    warnings += read.notes
    return warnings + _length_warnings(read, used, metadata.experiment.network.spectrogram)


def _length_warnings(read: ClipMedia, used: str, spectrogram: str) -> list[str]:
    heard = MEL_FRAMES / 100 if spectrogram == "log_mel" else LONGEST_SOUND_SECONDS
    sound = read.sound_seconds if used != "video" else 0.0
    video = read.frames.duration_seconds if read.frames and used != "audio" else 0.0
    middle = f"the middle {heard:.0f} s of its sound" if sound > heard else "its sound"
    frames = f"{FACE_FRAMES} frames spread over it"
    by = {"av": f"{frames} and by {middle}", "video": frames, "audio": middle}[used]
    if max(sound, video) > LONG_CLIP_SECONDS:
        return [
            f"the clip lasts {max(sound, video):.1f} s, unlike those of training: it is judged by "
            f"{by}"
        ]
    if sound > heard:
        return [f"of {sound:.1f} s of sound, the middle {heard:.0f} s are heard"]
    return []
