"""A timeline uses the same one of several audio tracks as `classify`, with the same note."""

import dataclasses
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from awkward_inputs import Track, face, film, placed, silence, surround, voice
from network_maker import EXPERIMENTS, metadata_of, untrained

import avemotion
from avemotion.config import TimelineSettings
from avemotion.inference.timeline_windows import window_media
from avemotion.media.reader import read_clip
from avemotion.media.windows import MediaWindow, stream_windows
from avemotion.models.checkpoint import save_checkpoint

SETTINGS = TimelineSettings(window_seconds=1.5, hop_seconds=1.5)


def pcm(samples: np.ndarray, default: bool = False, language: str = "") -> Track:
    return Track(samples, codec="pcm_s16le", default=default, language=language)


def agree(path: Path) -> MediaWindow:
    """Return the first window of a file after finding a clip's notes, and sound, in it."""
    window, clip = next(stream_windows(path, SETTINGS)), read_clip(path, path, np.arange)
    assert window_media(window).notes == clip.notes
    assert clip.sound is not None and window.samples is not None
    assert np.array_equal(window.samples, clip.sound.samples[: len(window.samples)])
    return window


def test_the_first_track_with_sound_is_used(tmp_path: Path) -> None:
    tracks = [pcm(silence()), pcm(voice(), language="fre"), pcm(voice(1.6, 7))]
    window = agree(film(tmp_path / "a.mkv", face(), tracks))
    assert window.notes == ("of 3 audio tracks, number 2 (fre), the first with sound, is used",)
    tracks = [pcm(voice(), language="fre"), pcm(voice(1.6, 7), default=True, language="eng")]
    window = agree(film(tmp_path / "b.mkv", face(), tracks))
    assert window.notes == ("of 2 audio tracks, number 2 (eng), the default one, is used",)


def test_surround_sound_and_hdr_have_the_notes_of_clips(tmp_path: Path) -> None:
    window = agree(surround(tmp_path / "5.1.mkv"))
    assert window.notes == ("of 6 audio channels, the front centre one is used",)
    x265 = {"x265-params": "log-level=none:transfer=16"}
    path = film(tmp_path / "hdr.mkv", face(), [pcm(voice())], "libx265", "yuv420p10le",
                transfer=16, preset="ultrafast", **x265)  # fmt: skip
    assert "HDR (PQ)" in agree(path).notes[0]


@pytest.mark.parametrize(
    "track",
    [
        Track(placed(6, 0, 1), "5.1", "ac3", 48_000),
        Track(placed(8, 2), "7.1", "aac", 48_000),
        Track(np.stack([voice(), -voice()]), "stereo", "pcm_s16le"),
    ],
)
def test_channels_are_those_of_clips(tmp_path: Path, track: Track) -> None:
    (note,) = agree(film(tmp_path / "a.mkv", face(), [track])).notes
    assert note.startswith(f"of {len(track.samples)} audio channels, ")


def test_a_faint_default_track_does_not_hide_the_voice(tmp_path: Path) -> None:
    """AC-3 decodes silence to noise."""
    silent = Track(silence(), codec="ac3", rate=48_000, default=True)
    window = agree(film(tmp_path / "a.mkv", face(), [silent, pcm(voice())]))
    assert window.notes == ("of 2 audio tracks, number 2, the first with sound, is used",)


def test_every_row_says_which_track_was_used(tmp_path: Path) -> None:
    metadata = dataclasses.replace(metadata_of(EXPERIMENTS["av"]), synthetic=None)
    save_checkpoint(tmp_path / "m.safetensors", untrained(EXPERIMENTS["av"]), metadata)
    path = film(tmp_path / "a.mkv", face(), [pcm(silence(3.2)), pcm(voice(3.2))], rate=25)
    rows = list(avemotion.timeline(path, checkpoint=tmp_path / "m.safetensors", settings=SETTINGS))
    assert len(rows) >= 2 and "audio" in {row.modality for row in rows[1:]}
    note = "of 2 audio tracks, number 2, the first with sound, is used"
    assert all(row.label and note in row.warnings for row in rows)


def late(path: Path, starts: list[int], seconds: int) -> Path:
    """Write tracks side by side at 1 kHz, each zeros until its start and then the same number."""
    with av.open(str(path), "w") as out:
        tracks = [out.add_stream("pcm_s16le", rate=1000, layout="mono") for _ in starts]
        for track in tracks:
            track.disposition = av.stream.Disposition(0)
        for second in range(seconds):
            for number, (track, start) in enumerate(zip(tracks, starts, strict=True), 1):
                samples = np.full((1, 1000), 8000 * number * (second >= start), np.int16)
                block = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
                block.sample_rate, block.pts = 1000, 1000 * second
                block.time_base = Fraction(1, 1000)
                out.mux(track.encode(block))
    return path


@pytest.mark.parametrize(
    "starts, number, note",
    [
        ([62, 58], 2, "of 2 audio tracks, number 2, the first with sound, is used"),
        ([62, 61], 1, "of 2 audio tracks, all are silent for 60 s: the first one is used"),
        ([3, 0], 1, "of 2 audio tracks, number 1, the first with sound, is used"),
    ],
)
def test_a_minute_is_searched(tmp_path: Path, starts: list[int], number: int, note: str) -> None:
    *_, last = stream_windows(late(tmp_path / "late.mkv", starts, 70), SETTINGS)
    assert last.notes == (note,) and last.samples is not None
    assert np.median(last.samples) == pytest.approx(8000 * number, abs=80)
