"""Small real media files, written with PyAV and the standard library."""

import wave
import zipfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange


def noise_frames(
    n: int, height: int = 96, width: int = 128, seed: int = 0, smooth: int = 8
) -> np.ndarray:
    """uint8 (n, height, width): blocks of random grey, other ones in every frame."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(16, 240, (n, height // smooth, width // smooth), dtype=np.uint8)
    return coarse.repeat(smooth, axis=1).repeat(smooth, axis=2)


def sine(frequency: float, seconds: float, rate: int, amplitude: float = 0.5) -> np.ndarray:
    """float32 (sample,)."""
    time = np.arange(round(seconds * rate)) / rate
    return (amplitude * np.sin(2 * np.pi * frequency * time)).astype(np.float32)


def make_clip(
    path: Path,
    frames: np.ndarray | None,
    rate: int = 25,
    sound: np.ndarray | None = None,
    sound_rate: int = 44_100,
    codec: str = "flv",
    sound_codec: str = "pcm_s16le",
    pixel_format: str = "yuv420p",
    rotation: int | None = None,
    full_range: bool = False,
) -> Path:
    """Write grey uint8 (n, height, width) and a sound, float32 (sample,) or (channel, sample)."""
    with av.open(str(path), "w") as container:
        video = audio = None
        if frames is not None:
            video = container.add_stream(codec, rate=Fraction(rate))
            video.height, video.width = frames.shape[1:]
            video.pix_fmt = pixel_format
            if codec in ("flv", "mpeg4"):
                video.options = {"qmin": "1", "qmax": "3"}
            if full_range:
                video.codec_context.color_range = ColorRange.JPEG
            if rotation is not None:
                video.set_display_rotation(rotation)
        if sound is not None:
            sound = np.atleast_2d(sound)
            layout = {1: "mono", 2: "stereo"}[len(sound)]
            audio = container.add_stream(sound_codec, rate=sound_rate, layout=layout)
        for grey in frames if frames is not None else ():
            frame = av.VideoFrame.from_ndarray(grey, format="gray").reformat(
                format=pixel_format, dst_color_range=ColorRange.JPEG if full_range else None
            )
            container.mux(video.encode(frame))
        if video is not None:
            container.mux(video.encode(None))
        if audio is not None:
            pcm = (np.clip(sound, -1, 1) * 32767).round().astype(np.int16)
            block = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(pcm.T).reshape(1, -1), format="s16", layout=layout
            )
            block.sample_rate = sound_rate
            block.pts = 0
            container.mux(audio.encode(block))
            container.mux(audio.encode(None))
    return path


def make_wav(path: Path, samples: np.ndarray, rate: int = 16_000) -> Path:
    """Write int16 (sample,) or (sample, channel)."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.ascontiguousarray(samples, "<i2").tobytes())
    return path


def speech_like(seconds: float, seed: int = 0) -> np.ndarray:
    """int16 (sample,) at 16 kHz: noise with a slow envelope."""
    rng = np.random.default_rng(seed)
    n = round(seconds * 16_000)
    envelope = 0.2 + np.abs(np.sin(np.arange(n) / 2000))
    return (3000 * envelope * rng.standard_normal(n)).clip(-32768, 32767).astype(np.int16)


def write_pointer(path: Path) -> Path:
    path.write_text(
        "version https://git-lfs.github.com/spec/v1\n"
        "oid sha256:9269ed5eb1710836e616d9b036553482d4f22592fdcd495c9228df9bcc009a3e\n"
        "size 414429\n"
    )
    return path


def without_sound(flv: bytes) -> bytes:
    """Drop the audio tags of an FLV: type 8; type, length (3 bytes), 7 bytes, content, 4 bytes."""
    kept, place = [flv[:4] + b"\x01" + flv[5:13]], 13
    while place < len(flv):
        end = place + 11 + int.from_bytes(flv[place + 1 : place + 4], "big") + 4
        if flv[place] != 8:
            kept.append(flv[place:end])
        place = end
    return b"".join(kept)


def landmark_face(x: float, y: float, size: float) -> np.ndarray:
    """68 points: a jaw, brows, two eyes, and everything else in the middle."""
    points = np.full((68, 2), (x, y), dtype=np.float64)
    angle = np.linspace(0, np.pi, 17)
    points[:17] = np.stack([x - size * np.cos(angle), y + size * np.sin(angle)], axis=1)
    points[17:27, 1] = y - size / 2
    points[36:42, 0] -= size / 3
    points[42:48, 0] += size / 3
    return points.astype(np.int16)


def write_takes(
    folder: Path, actors: Sequence[int], emotions: Sequence[int], sentences: Sequence[int] = (1,)
) -> None:
    """Write RAVDESS' speech and landmarks: a tone and a moving face for each take."""
    folder.mkdir(exist_ok=True)
    names = [
        f"01-0{emotion}-01-0{sentence}-01-{actor:02}"
        for actor in actors
        for emotion in emotions
        for sentence in sentences
    ]
    points = np.stack([landmark_face(600 + i, 300, 150) for i in range(25)])
    np.savez(
        folder / "landmarks.npz",
        clip=np.array([f"02-{name}" for name in names]),
        start=np.arange(len(names) + 1, dtype=np.int32) * 25,
        points=np.concatenate([points] * len(names)),
    )
    with zipfile.ZipFile(folder / "speech-16khz.zip", "w") as archive:
        for number, name in enumerate(names):
            path = folder / f"03-{name}.flac"
            write_flac(path, 300 + 40 * number)
            archive.write(path, path.name)


def write_flac(path: Path, hertz: float) -> None:
    """Write one second of a tone, 16 kHz."""
    samples = (8000 * np.sin(np.arange(16_000) * 2 * np.pi * hertz / 16_000)).astype(np.int16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=16_000)
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = 16_000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
