"""One pass over a media file with PyAV: chosen frames in grey, and the sound's samples."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from avemotion.errors import MediaError, NoVideoError
from avemotion.media.audio import AudioTrack, heard, ordered_tracks, tracks_note
from avemotion.media.frames import FrameCollector
from avemotion.media.integrity import check_content, check_file
from avemotion.media.sources import MediaFile
from avemotion.media.timestamps import FrameChoice as FrameChoice
from avemotion.media.timestamps import FramePlan, PacketIndex, plan_frames
from avemotion.media.types import VideoFrames

_PLAYLISTS = {"concat", "dash", "hls", "imf", "sdp", "webm_dash_manifest"}
_HELD_BYTES = 64 * 2**20  # compressed packets kept from counting to decoding; a clip has 0.5 MB


@dataclass(frozen=True, slots=True)
class Streams:
    """What one pass over a file gave; None for a stream that it lacks, or that was not asked."""

    frames: VideoFrames | None
    """The chosen frames."""
    samples: NDArray[np.float32] | None
    """float32 (sample,): one audio track as one channel, full scale 1; of a very long one the
    middle."""
    sample_rate: int
    """Of `samples`, in Hz; 0 without."""
    sound_seconds: float = 0.0
    """Length of the whole track."""
    notes: tuple[str, ...] = ()
    """What was left out, or is unusual."""


@contextmanager
def opened(file: MediaFile, **options: str) -> Iterator[Any]:
    """Open a container, turning the decoder's errors into reasons.

    Raises:
        MediaError: The file cannot be read.
    """
    # A media file has no business opening others: local files only, and no playlists.
    place: Any
    if isinstance(file, Path):
        check_file(file)
        place, allowed = str(file.absolute()), "file"  # a relative name may look like a URL
    else:
        check_content(file.name, file.handle)
        file.handle.seek(0)
        place, allowed = file.handle, "none"
    try:
        forced = {"protocol_whitelist": allowed, "format_whitelist": _formats()}
        with av.open(place, options=forced | options) as container:
            yield container
    except av.error.ArgumentError as error:
        raise MediaError(
            f"{file.name} cannot be decoded: it names other files instead of holding media, or it "
            "is damaged"
        ) from error
    except av.error.InvalidDataError as error:
        raise MediaError(
            f"{file.name} cannot be decoded: it is no video or sound, or it is damaged"
        ) from error
    except av.error.FFmpegError as error:
        raise MediaError(f"{file.name} cannot be decoded: {_plain(error)}") from error
    except (IndexError, ValueError) as error:  # streams that begin in the middle, planes too short
        raise MediaError(f"{file.name} cannot be decoded: it contradicts itself") from error
    except OSError as error:  # of the caller's file object
        raise MediaError(f"{file.name} cannot be read: {_plain(error)}") from error


@cache
def _formats() -> str:
    """Return FFmpeg's names of the containers that hold their media themselves."""
    return ",".join(sorted(av.formats_available - _PLAYLISTS))


def _plain(error: Exception) -> str:
    """Return the decoder's complaint without its error number and path."""
    return str(getattr(error, "strerror", "") or error).strip()


def is_video(stream: Any) -> bool:
    """Tell a video from the picture on a song's cover."""
    return not stream.disposition & av.stream.Disposition.attached_pic


def video_stream(container: Any, path: Path) -> Any:
    """Return the first video stream.

    Raises:
        NoVideoError: There is none.
    """
    for stream in filter(is_video, container.streams.video):
        return stream
    raise NoVideoError(f"{path.name} has no video stream")


def decode(file: MediaFile, choose: FrameChoice | None, hear: bool) -> Streams:
    """Decode a file once, on one thread, and keep what is asked for.

    At a variable frame rate the frames are those shown when the wanted ones of a constant rate
    would be. Of a long video only the stretches around the wanted frames are decoded.

    Args:
        file: In any container and codec that FFmpeg reads.
        choose: Which frames to keep; None for none.
        hear: Keep the sound.

    Raises:
        MediaError: The file cannot be read, or its video holds no frame.
    """
    plan = None if choose is None else partial(plan_frames, choose)
    streams, kept = _pass(file, plan, hear)
    if choose is None or kept is None:
        return streams
    # Some packets gave no frame, or several: choose again, now that more is known.
    while (better := kept.better_plan(choose)) is not None:
        kept = _pass(file, partial(_fixed, better), hear=False)[1] or kept
    return replace(streams, frames=kept.finish())


def _fixed(plan: FramePlan, _: PacketIndex) -> FramePlan:
    return plan


def _pass(
    file: MediaFile, plan: Callable[[PacketIndex], FramePlan] | None, hear: bool
) -> tuple[Streams, FrameCollector | None]:
    """Read a file once; return what it gave, and the frames, which may not be those wanted."""
    with opened(file) as container:
        video = next(filter(is_video, container.streams.video), None) if plan else None
        tracks = ordered_tracks(container) if hear else []
        check_known(file, [video, *tracks[:1]])
        used = [stream.index for stream in (video, *tracks) if stream is not None]
        if not used:
            return Streams(None, None, 0), None
        # Containers lie about their number of frames (FLV has none); packets are quick to count.
        packets, held = _gather(_demux(container, used))
        keepers: dict[int, FrameCollector | AudioTrack] = {}
        frames = None
        if plan and video:
            times = packets[video.index]
            frames = keepers[video.index] = FrameCollector(file.name, video, times, plan(times))
        sounds = [AudioTrack(track, packets[track.index]) for track in tracks]
        keepers |= {sound.index: sound for sound in sounds}
        _decode_all(file, held, keepers)
        if frames:
            frames.check_length(container.duration)
        notes = frames.notes() if frames else []
        if not sounds:
            return Streams(None, None, 0, notes=tuple(notes)), frames
        sound = heard(sounds)
        notes += [*tracks_note(sound, sounds), *sound.notes()]
        seconds = sound.whole_seconds()
        return Streams(None, sound.joined(), sound.rate, seconds, tuple(notes)), frames


def check_known(file: MediaFile, streams: Iterable[Any]) -> None:
    """Refuse streams that FFmpeg has no decoder for.

    Raises:
        MediaError: There is one.
    """
    for stream in streams:
        if stream is not None and stream.codec_context is None:
            raise MediaError(
                f"{file.name} cannot be decoded: its {stream.type} is of a kind that FFmpeg does "
                "not know"
            )


def _demux(container: Any, used: list[int]) -> Iterable[Any]:
    """Yield the packets of some streams, each to be decoded on one thread."""
    streams = [container.streams[index] for index in used]
    for stream in streams:
        stream.thread_type = "NONE"  # work is spread over processes
    packets: Iterable[Any] = container.demux(streams)
    return packets


def _gather(packets: Iterable[Any]) -> tuple[Mapping[int, PacketIndex], list[Any] | None]:
    """Note the times of each stream's packets, and keep the packets unless they are too large."""
    streams: defaultdict[int, PacketIndex] = defaultdict(PacketIndex)
    held: list[Any] | None = []
    size = 0
    for packet in packets:
        length = packet.size
        if length > 0:  # empty ones only flush the decoder
            size += length
            streams[packet.stream.index].add(packet)
        if size > _HELD_BYTES:
            held = None
        if held is not None:
            held.append(packet)
    return streams, held


def _decode_all(
    file: MediaFile, held: list[Any] | None, keepers: Mapping[int, FrameCollector | AudioTrack]
) -> None:
    """Decode the packets that are needed, and give each frame to its stream's keeper."""
    numbers = dict.fromkeys(keepers, -1)
    skips = any(keeper.needed is not None for keeper in keepers.values())
    with ExitStack() as more:
        # Packets too large to hold are read again.
        packets = held or _demux(more.enter_context(opened(file)), list(keepers))
        for packet in packets:
            index = packet.stream.index
            keeper = keepers[index]
            if skips and packet.size > 0:
                numbers[index] += 1
                if keeper.needed is not None and not keeper.needed[numbers[index]]:
                    continue
            for frame in packet.decode():
                keeper.take(frame)
