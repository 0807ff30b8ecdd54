"""From one clip's media to its features: the step that preprocessing and classification share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avemotion.config import FACE_FRAMES, PreprocessSettings
from avemotion.features.crops import face_crops, scaled_box, whole_crops
from avemotion.features.face_detection import find_face, no_face
from avemotion.features.face_path import boxes_at
from avemotion.features.frame_sampling import GRIDS
from avemotion.features.table import ClipSignals, shows_motion
from avemotion.features.types import ClipFeatures
from avemotion.features.views import view_rng
from avemotion.media.motion import motion_of
from avemotion.media.reader import read_arrays, read_clip
from avemotion.media.sources import DecodedClip
from avemotion.media.types import Box, ClipMedia, VideoFrames


@dataclass(frozen=True, slots=True)
class Extraction:
    """The features of one clip, and what was found on the way."""

    features: ClipFeatures
    """All views; a missing modality is zeros."""
    no_face: str = ""
    """Why there is no face; empty where there is one."""
    no_sound: str = ""
    """Why there is no sound; empty where there is some."""
    frames_decoded: int = 0
    """Frames of the whole video."""
    faces_found: int = 0
    """Sampled frames of view 0 on which a face is seen."""
    searched_frames: int = 0
    """Frames searched whole for the face."""
    searched_frames_with_face: int = 0
    """Those on which the clip's face was found."""
    box: Box | None = None
    """The crop, in pixels of the video; of a face that moves that on the middle frame of view 0."""
    video_seconds: float = 0.0
    """Length of the video."""
    sound_seconds: float = 0.0
    """Length of the sound."""

    @property
    def status(self) -> str:
        """What the clip offers: ``av``, ``video`` or ``audio``; ``failed`` where it is neither."""
        if self.no_face:
            return "failed" if self.no_sound else "audio"
        return "video" if self.no_sound else "av"


def view_grids(clip: str, n_frames: int, settings: PreprocessSettings) -> list[NDArray[np.intp]]:
    """Return the indices of the 20 frames that each view samples, int (20,) each."""
    grid = GRIDS[settings.grid]
    return [
        grid(n_frames, view, view_rng(clip, view, settings.seed).random())
        for view in range(settings.views)
    ]


class FrameChooser:
    """Chooses the frames of a clip's views once its length is known, and keeps the choice."""

    def __init__(self, clip: str, settings: PreprocessSettings) -> None:
        """Start without a choice.

        Args:
            clip: Seeds the random numbers; the clip's name without folder and suffix.
            settings: Views, frame grid and seed.
        """
        self._clip, self._settings = clip, settings
        self.grids: list[NDArray[np.intp]] = []
        """Indices of the 20 frames of each view; empty while nothing is chosen."""

    def __call__(self, n_frames: int) -> NDArray[np.intp]:
        """Return the ascending indices, int (frame,), of all frames that some view samples."""
        self.grids = view_grids(self._clip, n_frames, self._settings)
        return np.unique(np.concatenate(self.grids))


def read_views(
    name: str, video: Path | None, audio: Path | None, settings: PreprocessSettings
) -> tuple[ClipMedia, list[NDArray[np.intp]]]:
    """Decode a clip: its sound, and each frame that its views sample once.

    Args:
        name: Seeds the random numbers.
        video: File with the frames, or None.
        audio: File with the sound, or None.
        settings: Views, frame grid, seed, reader and features.

    Returns:
        Frames and sound, and the indices of the 20 frames of each view.

    Raises:
        MediaError: A file is missing or broken, or the frames of view 0 do not change although a
            feature shows how they do.
    """
    choose = FrameChooser(name, settings)
    still = not shows_motion(settings.features)
    media = read_clip(video, audio, choose, settings.reader, still=still)
    if not still and video and media.frames:  # all views together may differ more than one alone
        plain = np.searchsorted(media.frames.requested_indices, choose.grids[0])
        _, first = np.unique(media.frames.indices[plain], return_index=True)
        frames = [media.frames.frames[index] for index in plain[first]]
        motion_of(frames, len(frames), media.frames.duration_seconds).check_for_training(video.name)
    return media, choose.grids


def extract(
    name: str, video: Path | None, audio: Path | None, settings: PreprocessSettings
) -> Extraction:
    """Turn one clip's media into features.

    Args:
        name: Seeds the random numbers; the clip's name without folder and suffix.
        video: File with the faces, or None for a clip without.
        audio: File with the sound (it may be the video's), or None for a clip without.
        settings: Views, frame grid, seed, reader and features.

    Returns:
        The features. A missing modality is zeros, and `no_face` or `no_sound` says why.

    Raises:
        MediaError: A file is missing or broken. A broken part never passes for a missing one.
    """
    return _extracted(name, *read_views(name, video, audio, settings), settings)


def extract_image(name: str, image: NDArray[np.uint8], settings: PreprocessSettings) -> Extraction:
    """Turn a picture that is decoded already into features.

    Args:
        name: Seeds the random numbers.
        image: Grey, uint8 (row, column).
        settings: Views, frame grid, seed and features.

    Raises:
        MediaError: A feature shows motion, which a picture has none of.
    """
    choose = FrameChooser(name, settings)
    clip = DecodedClip(image[None], frame_rate=1.0, name=name)
    media = read_arrays(clip, choose, still=not shows_motion(settings.features))
    return _extracted(name, media, choose.grids, settings)


def _extracted(
    name: str, media: ClipMedia, grids: Sequence[NDArray[np.intp]], settings: PreprocessSettings
) -> Extraction:
    faces, found = (
        _faces(media.frames, grids, settings)
        if media.frames
        else (None, Extraction(ClipFeatures(), no_face=media.no_frames))
    )
    samples = media.sound.samples if media.sound else None
    signals = ClipSignals(name, settings.seed, faces, samples, settings.crop_size)
    return replace(
        found,
        features=ClipFeatures.of(signals, settings.features, settings.views),
        no_sound=media.no_sound,
        sound_seconds=media.sound_seconds,
    )


def _faces(
    video: VideoFrames, grids: Sequence[NDArray[np.intp]], settings: PreprocessSettings
) -> tuple[NDArray[np.uint8] | None, Extraction]:
    """Crop the faces.

    Args:
        video: The frames of all views.
        grids: Indices of the 20 frames of each view.
        settings: How faces are cropped.

    Returns:
        The faces, uint8 (view, 20, row, column), or None, and what was found.
    """
    found = Extraction(
        ClipFeatures(),
        frames_decoded=video.decoded,
        video_seconds=video.duration_seconds,
    )
    views = [np.searchsorted(video.requested_indices, grid) for grid in grids]
    if settings.face == "whole":
        crops, box = whole_crops(video.frames, settings)
        seen = min(video.decoded, FACE_FRAMES)
        return np.stack([crops[view] for view in views]), replace(
            found, faces_found=seen, box=scaled_box(box, video.scale)
        )
    track = find_face([video.frames[index] for index in views[0]])
    if track is None:
        return None, replace(found, no_face=no_face(video.decoded))
    path = boxes_at(track.boxes, grids[0], video.requested_indices)
    crops, boxes = face_crops(video.frames, path, settings, track.tilt_degrees)
    return np.stack([crops[view] for view in views]), replace(
        found,
        faces_found=sum(track.found),
        searched_frames=track.searched_frames,
        searched_frames_with_face=track.searched_frames_with_face,
        box=scaled_box(boxes[views[0][FACE_FRAMES // 2]], video.scale),
    )
