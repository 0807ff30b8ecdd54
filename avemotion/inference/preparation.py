"""From one clip to the network's input, with the evidence; needs no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avemotion.config import FACE_FRAMES, PreprocessSettings, Stream
from avemotion.data.batch import STREAMS, Arrays, Batch, as_read
from avemotion.errors import MissingModalityError
from avemotion.features.crops import face_crops, scaled_box, whole_crops
from avemotion.features.extraction import FrameChooser
from avemotion.features.face_detection import FaceTrack, find_face, find_faces, no_face
from avemotion.features.stillness import is_one_picture
from avemotion.features.table import (
    PICTURES,
    STILL_SIDE,
    STILLS,
    ClipSignals,
    feature,
    reads_frames,
    shows_motion,
)
from avemotion.features.types import ClipFeatures
from avemotion.inference.request import InferenceRequest
from avemotion.media.reader import read_arrays, read_clip
from avemotion.media.sources import DecodedClip, Source, as_media, source_name
from avemotion.media.timestamps import MIN_COVERED_SHARE
from avemotion.media.types import Box, ClipMedia, VideoFrames
from avemotion.models.inputs import names_of
from avemotion.models.recording_conditions import Departure, departures, measured
from avemotion.models.training_distance import strangeness

_WHOLE = "the picture is small: all of it is taken as the face, and no face was searched for"
_NOT_FOUND = "no face was found in the small picture: all of it is taken as the face"

_SMALL_PIXELS = 128
"""Rows and columns of a picture that may be a face by itself. A face that fills a picture is not
found, since the search needs some of what is around it; published crops of faces have 48 to 112."""

LONG_CLIP_SECONDS = 10.0
"""Of longer clips, windows are predicted from: those of the usual corpora last 2 to 5 s."""


@dataclass(frozen=True, slots=True)
class PreparedClip:
    """The network's input for a clip, or for one of its faces, and the evidence beside it."""

    clip: str
    """Name of the clip: its path as it was given, or ``clip given as bytes`` and the like."""
    arrays: Arrays
    """A batch of one clip, with the features that the model reads: ``faces`` uint8
    (1, 20, 98, 80), ``log_mel`` float32 (1, 64, 500) and the like. A missing modality is zeros, and
    hidden from the model."""
    modality: str
    """Modality that the prediction uses: ``av``, ``video`` or ``audio``."""
    faces_found: int
    """Sampled frames in which the face was found, 0 to 20."""
    frames_sampled: int
    """Frames searched for a face: 20, 1 of a picture, or 0 without a video."""
    face_box: Box | None
    """The crop in pixels of the upright video, of a face that moves that on the middle one of the
    20 frames; None without a face."""
    face: int | None
    """Number of the face, from 1, where all faces were requested and there is one."""
    warnings: tuple[str, ...]
    """What was missing or unusual in the clip."""
    seconds: float
    """Duration of the longer of the streams that were read; 0 where it is unknown."""
    departures: tuple[Departure, ...] = ()
    """In what it is unlike the training clips; of a window nothing, since it is not compared."""


@dataclass(frozen=True, slots=True)
class FaceCrops:
    """The crops of one face, or the reason why there is none."""

    crops: NDArray[np.uint8] | None = None
    """uint8 (20, 98, 80); None without a face."""
    found: tuple[bool, ...] = ()
    """For each of the 20 frames, whether the face was found in it; empty without a face."""
    box: Box | None = None
    """The crop in pixels of the upright video, of a face that moves that on the middle one of the
    20 frames; None without a face."""
    number: int | None = None
    """From 1, where all faces were requested; None without a face."""
    missing: str = ""
    """Why there is no face; empty where there is one."""
    notes: tuple[str, ...] = ()
    """What is unusual about how it was found."""


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
    still = not shows_motion(names_of(request.metadata.inputs))
    if isinstance(clip, DecodedClip):
        media = read_arrays(_without_unused(clip, request.wanted), choose, still=still)
    else:
        video = clip if request.wanted != "audio" else None
        audio = clip if request.wanted != "video" else None
        media = read_clip(video, audio, choose, still=still)
    faces = crop_faces_of(media, choose.grids[0] if choose.grids else np.zeros(0, np.intp), request)
    sound = sound_features(stem, media, request)
    prepared = [combine(name, media, face, sound, request) for face in faces]
    return [
        _compared(clip, face, media, request) for clip, face in zip(prepared, faces, strict=True)
    ]


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
    video = media.frames
    if video is None or request.wanted == "audio":
        return [FaceCrops(missing=media.no_frames)]
    frames = video.frames[np.searchsorted(video.requested_indices, grid)]
    settings = request.metadata.preprocessing
    if settings.face == "whole" and _is_small(frames, settings):
        return [_whole(video, frames, settings, request, _WHOLE)]
    tracks: list[FaceTrack] = []
    left_out: tuple[str, ...] = ()
    may_be_a_face = _may_be_a_face(video, request)
    if request.face == "all":
        found_faces = find_faces(list(frames), again=not may_be_a_face)
        tracks, left_out = found_faces.tracks, _left_out(found_faces.left_out)
    elif track := find_face(list(frames), again=not may_be_a_face):
        tracks = [track]
    if not tracks and may_be_a_face:
        settings = replace(settings, crop_rows=STILL_SIDE, crop_columns=STILL_SIDE)
        return [_whole(video, frames, settings, request, _NOT_FOUND)]
    if not tracks:
        return [FaceCrops(missing=no_face(video.decoded))]
    faces = []
    for number, track in enumerate(tracks, 1):
        crops, boxes = face_crops(frames, track.boxes, settings, track.tilt_degrees)
        box = scaled_box(boxes[FACE_FRAMES // 2], video.scale)
        shown = number if request.face == "all" else None
        notes = (track.note,) if track.note else ()
        faces.append(FaceCrops(crops, track.found, box, shown, notes=notes + left_out))
    return faces


def _whole(
    video: VideoFrames,
    frames: NDArray[np.uint8],
    settings: PreprocessSettings,
    request: InferenceRequest,
    note: str,
) -> FaceCrops:
    """Take all of the picture as the face."""
    crops, box = whole_crops(frames, settings)
    number = 1 if request.face == "all" else None
    found = (True,) * len(frames)
    return FaceCrops(crops, found, scaled_box(box, video.scale), number, notes=(note,))


def _may_be_a_face(video: VideoFrames, request: InferenceRequest) -> bool:
    """Return whether all of a small picture may be a face, as those that `stills` come from are.

    What else a model reads of the face may need crops of another size.
    """
    rows, columns = video.frames.shape[1:]
    small = video.decoded == 1 and max(rows, columns) <= _SMALL_PIXELS
    return small and _of_stream(request, "video") == [STILLS]


def _left_out(faces: int) -> tuple[str, ...]:
    """Say how many faces got no answer, and why."""
    if not faces:
        return ()
    what = "1 further face is" if faces == 1 else f"{faces} further faces are"
    return (f"{what} left out: seen on too few frames",)


def _is_small(frames: NDArray[np.uint8], settings: PreprocessSettings) -> bool:
    """Return whether a picture is so small that it is a face itself, as those of training are."""
    rows, columns = settings.crop_size
    return bool(frames.shape[1] <= 2 * rows and frames.shape[2] <= 2 * columns)


def sound_features(name: str, media: ClipMedia, request: InferenceRequest) -> ClipFeatures:
    """Compute what the model reads of the sound: the features that `preprocess` stores in view 0.

    Args:
        name: Name of the clip without folder and suffix; it seeds the noise.
        media: Frames and sound; without sound, and of silence, the features are zeros.
        request: Tells the model, and the seed of the noise.
    """
    signals = ClipSignals(name, request.metadata.preprocessing.seed, None, _heard(media))
    return ClipFeatures.of(signals, _of_stream(request, "audio"), views=1)


def _heard(media: ClipMedia) -> NDArray[np.int16] | None:
    """Return the sound, int16 (sample,); None without one, and of silence."""
    return media.sound.samples if media.sound and media.sound.samples.any() else None


def _of_stream(request: InferenceRequest, stream: Stream) -> list[str]:
    names = names_of(request.metadata.inputs)
    return [name for name in names if feature(name).stream == stream]


def combine(
    name: str,
    media: ClipMedia,
    face: FaceCrops,
    sound: ClipFeatures,
    request: InferenceRequest,
) -> PreparedClip:
    """Combine one face and the sound into the model's input, with its warnings.

    Args:
        name: Name of the clip, for messages.
        media: Frames and sound.
        face: The face, a result of `crop_faces_of`.
        sound: The result of `sound_features`.
        request: Model, modality and choice of faces.

    Raises:
        MissingModalityError: The face or the sound that the prediction needs is missing.
    """
    used = _used_modality(name, face, media, request)
    crops = None if face.crops is None else face.crops[None]
    settings = request.metadata.preprocessing
    signals = ClipSignals(name, settings.seed, crops, None, settings.crop_size)
    shown = ClipFeatures.of(signals, _of_stream(request, "video"), views=1)
    return PreparedClip(
        clip=name,
        arrays=as_batch(ClipFeatures(shown.arrays | sound.arrays, sound.lengths), used),
        modality=used,
        faces_found=min(sum(face.found), _sampled(media)),
        frames_sampled=_sampled(media),
        face_box=face.box,
        face=face.number,
        warnings=tuple(_warnings(face, media, used, request)),
        seconds=max(media.sound_seconds, media.frames.duration_seconds if media.frames else 0.0),
    )


def _sampled(media: ClipMedia) -> int:
    """Return how many frames were searched: of a picture, one stands for all."""
    if media.frames is None:
        return 0
    return 1 if media.frames.decoded == 1 else FACE_FRAMES


def as_batch(features: ClipFeatures, used: str) -> Arrays:
    """Return a batch of one clip.

    Args:
        features: View 0 of what the model reads.
        used: The modality that the prediction uses; the other is hidden.
    """
    return Batch(
        inputs={
            name: as_read(array if feature(name).has_views else array[None])
            for name, array in features.arrays.items()
        },
        present={stream: np.array([used in ("av", stream)]) for stream in STREAMS},
        lengths={name: np.array([n], np.int64) for name, n in features.lengths.items()},
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
        media.no_sound if wanted != "video" and _sampled(media) != 1 else "",
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
    # Nobody expects a picture to sound, or a face in a sound.
    if used != request.wanted and _sampled(media) != 1 and media.kind != "sound":
        missing = face.missing if used == "audio" else media.no_sound
        yield f"answered from {used} alone: {missing}"
    if used != "audio":
        yield from face.notes
    if used != "audio" and sum(face.found) * 2 < FACE_FRAMES:
        yield f"a face was found in only {sum(face.found)} of {FACE_FRAMES} frames"
    if used != "audio" and face.crops is not None and media.kind == "video":
        if _sampled(media) == 1:
            yield "the video holds a single frame: it is answered as a picture is"
        elif is_one_picture(face.crops):
            yield "all frames show the same picture: a photograph, or a video that stands still"
    yield from media.notes
    yield from _length_warnings(media, used, names_of(metadata.inputs))


def _compared(
    clip: PreparedClip, face: FaceCrops, media: ClipMedia, request: InferenceRequest
) -> PreparedClip:
    """Return a clip with in what it is unlike those of training; windows are not compared."""
    found = media_used(clip, face.crops, _heard(media))
    known = request.metadata
    unlike = tuple(departures(measured(found), strangeness(found, known.spaces), known.recordings))
    warnings = (*clip.warnings, *(one.warning for one in unlike))
    return replace(clip, warnings=warnings, departures=unlike)


def media_used(
    clip: PreparedClip, crops: NDArray[np.uint8] | None, samples: NDArray[np.int16] | None
) -> dict[str, NDArray[Any]]:
    """Return by stream what the answer to a clip rests on, as it was recorded.

    Args:
        clip: What the model reads of it.
        crops: The face crops, uint8 (frame, row, column); None without a face.
        samples: The sound, int16 (sample,); None without one.
    """
    found: dict[str, NDArray[Any]] = {}
    if clip.modality != "audio" and crops is not None:
        found["video"] = _pictures_read(clip.arrays, crops)
    if clip.modality != "video" and samples is not None:
        found["audio"] = samples
    return found


def _pictures_read(arrays: Arrays, crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the pictures of the face that a model reads, uint8 (frame, row, column).

    Args:
        arrays: What it reads, of one clip.
        crops: The face crops, which stand for them where it reads none of `PICTURES`.
    """
    name = next((name for name in PICTURES if name in arrays.inputs), None)
    if name is None:
        return crops
    read = np.asarray(arrays.inputs[name])
    return read[0] if read.ndim == 4 else read


def _length_warnings(media: ClipMedia, used: str, names: Sequence[str]) -> Iterator[str]:
    shortest = min(map(feature, names), key=lambda about: about.longest_seconds)
    limit, part = shortest.longest_seconds, shortest.part_read
    sound = media.sound_seconds if used != "video" else 0.0
    video = media.frames.duration_seconds if media.frames and used != "audio" else 0.0
    frames = f"{FACE_FRAMES} evenly spaced frames" if reads_frames(names) else "its middle frame"
    audio = f"the {part} {limit:.0f} s of audio" if sound > limit else "all audio"
    if max(sound, video) > LONG_CLIP_SECONDS:
        parts = {"av": f"{frames} and {audio}", "video": frames, "audio": audio}[used]
        yield (
            f"the clip lasts {max(sound, video):.1f} s, much longer than training clips; the "
            f"prediction uses {parts}"
        )
    elif sound > limit:
        yield f"the audio lasts {sound:.1f} s; the prediction uses its {part} {limit:.0f} s"
    if 0 < video < MIN_COVERED_SHARE * sound:
        yield f"the video lasts only {video:.1f} of the {sound:.1f} s of audio"
