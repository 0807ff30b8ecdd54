"""What kind of file a clip is: a picture, a sound, or a video that may lack either stream."""

from __future__ import annotations

from pathlib import PurePath
from typing import Literal

import av

from avemotion.media.video_tracks import is_video

Kind = Literal["picture", "sound", "video"]
"""What whoever gives the file knows it to be: of a sound nobody expects a face."""

SOUND_SUFFIXES = frozenset(".aac .aif .aiff .amr .flac .m4a .mp3 .oga .ogg .opus .wav .wma".split())
"""How files end that hold a voice alone, in small letters."""

_FOR_VIDEO = {"asf", "avi", "flv", "matroska", "mov", "mpeg", "mpegts", "mxf", "nut", "webm"}
_SOUND_BRANDS = {"M4A ", "M4B "}  # what an MP4 calls itself that holds sound alone
_PICTURE_BRANDS = {"avif", "heic", "heix", "mif1"}  # and one that holds a photograph


def kind_of(container: av.container.InputContainer, name: str) -> Kind:
    """Return the kind of an opened file, by its content; its name decides only where that does not.

    Args:
        container: The file. The cover image of a song is no video.
        name: Its name: `.m4a` and `.mp4`, say, are one container.
    """
    formats = set(container.format.name.split(","))
    if "image2" in formats or any(part.endswith("_pipe") for part in formats):
        return "picture"
    if container.metadata.get("major_brand") in _PICTURE_BRANDS:
        return "picture"
    if any(map(is_video, container.streams.video)):
        return "video"
    named = PurePath(name).suffix.lower() in SOUND_SUFFIXES
    branded = container.metadata.get("major_brand") in _SOUND_BRANDS
    return "sound" if named or branded or not formats & _FOR_VIDEO else "video"
