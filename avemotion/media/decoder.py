"""One pass over a media file with PyAV: chosen frames in grey, and the sound's samples."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from av.codec.context import ThreadType
from numpy.typing import NDArray

from avemotion.errors import MediaError
from avemotion.media.audio import AudioTrack, choose_track, ordered_tracks, tracks_note
from avemotion.media.channels import Mix
from avemotion.media.frames import FrameCollector
from avemotion.media.integrity import check_content, check_file
from avemotion.media.kinds import Kind, kind_of
from avemotion.media.sources import MediaFile
from avemotion.media.tiles import in_tiles, joined
from avemotion.media.timestamps import FrameChoice as FrameChoice
from avemotion.media.timestamps import (
    FramePlan,
    PacketIndex,
    check_length,
    plan_frames,
    unit_seconds,
)
from avemotion.media.types import VideoFrames
from avemotion.media.video_tracks import ordered_videos, videos_note

_PLAYLISTS = {"concat", "dash", "hls", "imf", "sdp", "webm_dash_manifest"}
_HELD_BYTES = 64 * 2**20  # compressed packets kept from counting to decoding; a clip has 0.5 MB


@dataclass(frozen=True, slots=True)
class DecodedStreams:
    """What was decoded; None for a stream that the file lacks, or that was not asked for."""

    frames: VideoFrames | None
    """The chosen frames."""
    samples: NDArray[np.float32] | None
    """float32 (sample,): one audio track as one channel, full scale 1; of a very long one the
    middle."""
    sample_rate: int
    """Sample rate of `samples`, in Hz; 0 without any."""
    sound_seconds: float = 0.0
    """Length of the whole track."""
    notes: tuple[str, ...] = ()
    """What was left out, or is unusual."""
    kind: Kind = "video"
    """What the file is."""


@contextmanager
def opened(file: MediaFile, **options: str) -> Iterator[av.container.InputContainer]:
    """Open a container; the decoder's errors become `MediaError` with a plain reason.

    Raises:
        MediaError: The file cannot be read.
    """
    # A media file has no business opening others: local files only, and no playlists.
    source: str | BinaryIO
    if isinstance(file, Path):
        check_file(file)
        source, allowed = str(file.absolute()), "file"  # a relative name may look like a URL
    else:
        check_content(file.name, file.handle)
        file.handle.seek(0)
        source, allowed = file.handle, "none"
    try:
        forced = {"protocol_whitelist": allowed, "format_whitelist": _formats()}
        with av.open(source, "r", options=forced | options) as container:
            whole = joined(file) if in_tiles(container, file.name) else None
            if whole is None:
                yield container
        if whole is not None:
            with av.open(whole, "r", options=forced | {"protocol_whitelist": "none"}) as container:
                yield container
    except av.error.ArgumentError as error:
        raise MediaError(
            f"{file.name} cannot be decoded: it refers to other files (a playlist), or is damaged"
        ) from error
    except av.error.InvalidDataError as error:
        raise MediaError(
            f"{file.name} cannot be decoded: not a video, sound or picture file, or damaged"
        ) from error
    except av.error.FFmpegError as error:
        raise MediaError(f"{file.name} cannot be decoded: {_plain(error)}") from error
    except (IndexError, ValueError) as error:  # streams that begin in the middle, planes too short
        raise MediaError(
            f"{file.name} cannot be decoded: inconsistent stream metadata (corrupt file)"
        ) from error
    except OSError as error:  # of the caller's file object
        raise MediaError(f"{file.name} cannot be read: {_plain(error)}") from error


@cache
def _formats() -> str:
    """Return FFmpeg's names of the containers that hold their media themselves."""
    return ",".join(sorted(av.formats_available - _PLAYLISTS))


def _plain(error: Exception) -> str:
    """Return the decoder's message without its error number and path."""
    return str(getattr(error, "strerror", "") or error).strip()


def decode(file: MediaFile, choose: FrameChoice | None, with_sound: bool) -> DecodedStreams:
    """Decode a file once, on one thread, and keep what is asked for.

    At a variable frame rate the frames are those shown when the wanted ones of a constant rate
    would be. Of a long video only the stretches around the wanted frames are decoded.

    Args:
        file: A media file in any container and codec that FFmpeg reads.
        choose: Which frames to keep; None for none.
        with_sound: Keep the sound.

    Raises:
        MediaError: The file cannot be read, or its video holds no frame.
    """
    plan = None if choose is None else partial(plan_frames, choose)
    streams, collector = _decode_once(file, plan, with_sound)
    if choose is None or collector is None:
        return streams
    # Some packets gave no frame, or several: choose again, now that more is known.
    while (better := collector.better_plan(choose)) is not None:
        again = _decode_once(file, partial(_fixed, better), with_sound=False)[1]
        collector = again or collector
    return replace(streams, frames=collector.finish())


def _fixed(plan: FramePlan, _: PacketIndex) -> FramePlan:
    return plan


def _decode_once(
    file: MediaFile, plan: Callable[[PacketIndex], FramePlan] | None, with_sound: bool
) -> tuple[DecodedStreams, FrameCollector | None]:
    """Read a file once; return its sound, and the frames, which may not be those wanted."""
    with opened(file) as container:
        videos = ordered_videos(container) if plan else []
        video = next(iter(videos), None)
        tracks = ordered_tracks(container) if with_sound else []
        check_codecs(file, [video, *tracks[:1]])
        used = [stream.index for stream in (video, *tracks) if stream is not None]
        kind = kind_of(container, file.name)
        if not used:
            return DecodedStreams(frames=None, samples=None, sample_rate=0, kind=kind), None
        # Containers lie about their number of frames (FLV has none); packets are quick to count.
        packets, held = _index_packets(_demux(container, used))
        collectors: dict[int, FrameCollector | AudioTrack] = {}
        frames = None
        if plan and video:
            times = packets[video.index]
            frames = collectors[video.index] = FrameCollector(file.name, video, times, plan(times))
        sounds = [AudioTrack(track, packets[track.index]) for track in tracks]
        collectors |= {sound.index: sound for sound in sounds}
        _decode_needed(file, held, collectors)
        if video and frames:
            end = frames.end_seconds
            check_length(file.name, container, video, end, lambda: last_seconds(file))
        notes = [*videos_note(videos), *frames.notes()] if frames else []
        sound = _sound_of(file, sounds)
        return replace(sound, notes=(*notes, *sound.notes), kind=kind), frames


def _sound_of(file: MediaFile, sounds: Sequence[AudioTrack]) -> DecodedStreams:
    """Return the sound of the track with sound, once all packets are decoded."""
    if not sounds:
        return DecodedStreams(frames=None, samples=None, sample_rate=0)
    for sound in sounds:
        sound.finish()
    chosen = kept = choose_track(sounds)
    if mix := chosen.better_mix():
        kept = _decode_track(file, chosen.index, mix)
    return DecodedStreams(
        frames=None,
        samples=kept.joined(file.name),
        sample_rate=chosen.rate,
        sound_seconds=chosen.whole_seconds(),
        notes=(*tracks_note(chosen, sounds), *chosen.notes()),
    )


def _decode_track(file: MediaFile, index: int, mix: Mix) -> AudioTrack:
    """Decode a track again, which is rare, rather than keep all channels of every one."""
    with opened(file) as container:
        track = next(track for track in container.streams.audio if track.index == index)
        packets, held = _index_packets(_demux(container, [index]))
        sound = AudioTrack(track, packets[index], mix)
        _decode_needed(file, held, {index: sound})
        sound.finish()
        return sound


def last_seconds(file: MediaFile) -> float:
    """Return the time stamp of a file's last packet."""
    with opened(file) as container:
        return max(
            float(packet.pts * unit_seconds(packet.stream))
            for packet in container.demux()
            if packet.pts is not None
        )


def check_codecs(
    file: MediaFile, streams: Iterable[av.VideoStream | av.AudioStream | None]
) -> None:
    """Refuse streams that FFmpeg has no decoder for.

    Raises:
        MediaError: There is one.
    """
    for stream in streams:
        if stream is not None and stream.codec_context is None:
            raise MediaError(
                f"{file.name} cannot be decoded: its {stream.type} codec is unknown to FFmpeg"
            )


def use_one_thread(stream: av.stream.Stream) -> None:
    """Let a stream be decoded on the caller's thread: work is spread over processes."""
    stream.codec_context.thread_type = ThreadType.NONE


def _demux(
    container: av.container.InputContainer, used: list[int]
) -> Iterable[av.Packet[av.stream.Stream]]:
    """Yield the packets of some streams, each to be decoded on one thread."""
    streams = [container.streams[index] for index in used]
    for stream in streams:
        use_one_thread(stream)
    return container.demux(streams)


def _index_packets(
    packets: Iterable[av.Packet[av.stream.Stream]],
) -> tuple[Mapping[int, PacketIndex], list[av.Packet[av.stream.Stream]] | None]:
    """Index each stream's packets, and keep the packets unless they are too large."""
    streams: defaultdict[int, PacketIndex] = defaultdict(PacketIndex)
    held: list[av.Packet[av.stream.Stream]] | None = []
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


def _decode_needed(
    file: MediaFile,
    held: list[av.Packet[av.stream.Stream]] | None,
    collectors: Mapping[int, FrameCollector | AudioTrack],
) -> None:
    """Decode the packets that are needed, and give each frame to its stream's collector."""
    counts = dict.fromkeys(collectors, -1)
    skips = any(collector.needed is not None for collector in collectors.values())
    with ExitStack() as more:
        # Packets too large to hold are read again.
        packets = held or _demux(more.enter_context(opened(file)), list(collectors))
        for packet in packets:
            index = packet.stream.index
            collector = collectors[index]
            if skips and packet.size > 0:
                counts[index] += 1
                if collector.needed is not None and not collector.needed[counts[index]]:
                    continue
            take: Callable[[Any], None] = collector.take  # a video gives only video frames
            for frame in packet.decode():
                take(frame)
