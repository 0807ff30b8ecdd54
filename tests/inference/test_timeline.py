"""`classify --timeline`: agreement with `classify`, smoothing, faces, files, plot, command."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from media_maker import make_clip, noise_frames, sine, speech_like

import avemotion
from avemotion.cli import main
from avemotion.config import TimelineSettings
from avemotion.errors import MediaError, MissingModalityError, UsageError
from avemotion.features.face_detection import find_face, find_faces
from avemotion.features.face_tracking import FaceTracker
from avemotion.inference.timeline_plot import TimelinePlot
from avemotion.inference.timeline_rows import TimelineRow, smoothed
from avemotion.media.reader import read_clip
from avemotion.media.types import Box
from avemotion.media.windows import stream_windows

RATE = 30
LABELS = ("joy", "fear", "calm")


def media_of(clip: Path) -> tuple[np.ndarray, np.ndarray]:
    """Grey frames of a clip at its 30 a second, and float sound of their length at 16 kHz."""
    media = read_clip(clip, clip, np.arange)
    frames = media.frames.frames
    length = len(frames) * 16_000 // RATE
    sound = np.pad(media.sound.samples, (0, length))[:length]
    return frames, sound.astype(np.float32) / 32_768


def write(path: Path, frames: np.ndarray | None, sound: np.ndarray | None) -> Path:
    return make_clip(path, frames, RATE, sound, 16_000, codec="mpeg4")


@pytest.fixture(scope="module")
def parts(small_corpus: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """An angry and a sad clip of two actors."""
    clips = sorted((small_corpus / "VideoFlash").glob("*.flv"))
    angry = next(c for c in clips if c.name.startswith("1001") and "ANG" in c.name)
    sad = next(c for c in clips if c.name.startswith("1002") and "SAD" in c.name)
    return [media_of(angry), media_of(sad)]


@pytest.fixture(scope="module")
def film(parts: list, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[float]]:
    """Angry, nobody and silence (4 s), angry without sound, a voice without a face, sad.

    Returns it and where the parts begin and end.
    """
    (angry, angry_voice), (sad, sad_voice) = parts
    nobody = noise_frames(4 * RATE, *angry.shape[1:], smooth=40)
    unseen = noise_frames(len(sad), *angry.shape[1:], seed=1, smooth=40)
    frames = [angry, nobody, angry, unseen, sad]
    sounds = [
        *(angry_voice, np.zeros(4 * 16_000), np.zeros(len(angry) * 16_000 // RATE)),
        *(sad_voice, sad_voice),
    ]
    path = tmp_path_factory.mktemp("film") / "film.mkv"
    write(path, np.concatenate(frames), np.concatenate(sounds).astype(np.float32))
    return path, [0.0, *(np.cumsum([len(f) for f in frames]) / RATE).tolist()]


PLAIN = TimelineSettings(window_seconds=1.5, hop_seconds=0.5, smooth_seconds=0)


@pytest.fixture(scope="module")
def rows(film: tuple[Path, list[float]], fitted: Path) -> list[TimelineRow]:
    return list(avemotion.timeline(film[0], checkpoint=fitted / "ar5/av", settings=PLAIN))


def inside(rows: list[TimelineRow], start: float, end: float) -> list[TimelineRow]:
    return [r for r in rows if r.start_seconds >= start and r.end_seconds <= end]


def test_each_stretch_uses_the_modalities_it_has(
    film: tuple[Path, list[float]], rows: list[TimelineRow]
) -> None:
    path, edges = film
    assert rows[-1].end_seconds == pytest.approx(edges[-1], abs=0.05)
    expected = ["av", "", "video", "audio", "av"]
    for start, end, modality in zip(edges[:-1], edges[1:], expected, strict=True):
        found = inside(rows, start, end)
        assert found and {row.modality for row in found} == {modality}
        for row in found:
            assert (row.label is None) == (row.probabilities is None) == (modality == "")
            assert (row.face_box is None) == (modality in ("", "audio"))
            assert bool(row.reason) == (modality == "")
    reason = inside(rows, edges[1], edges[2])[0].reason
    assert "no face found" in reason and "silent" in reason
    assert any("no face found" in w for w in inside(rows, edges[3], edges[4])[0].warnings)


def test_the_change_in_the_middle_is_found_where_it_is(
    film: tuple[Path, list[float]],
    rows: list[TimelineRow],
    parts: list,
    fitted: Path,
    tmp_path: Path,
) -> None:
    """A window of the angry, and of the sad part, is answered as that stretch of that clip."""
    path, edges = film
    classifier = avemotion.Classifier(fitted / "ar5/av")
    for number, (frames, sound) in ((0, parts[0]), (4, parts[1])):
        row = inside(rows, edges[number], edges[number + 1])[0]
        first = round((row.start_seconds - edges[number]) * RATE)
        last = first + round(1.5 * RATE)
        samples = sound[first * 16_000 // RATE : last * 16_000 // RATE]
        prediction = classifier.classify(write(tmp_path / "cut.mkv", frames[first:last], samples))
        # Encoded anew, and not at exactly these frames: nearly the same pixels.
        assert row.probabilities == pytest.approx(prediction.probabilities, abs=0.05)
        box, expected = row.face_box, prediction.face_box
        assert abs(box.x - expected.x) + abs(box.y - expected.y) <= 8
    starts = [round(edge * RATE) for edge in edges[:-1]]
    for window in stream_windows(path, PLAIN):
        for frame, at in zip(window.frames, window.frame_seconds, strict=True):
            number = round(at * RATE)
            part = max(k for k in range(5) if starts[k] <= number)
            if part in (0, 2, 4):
                source = parts[part == 4][0][number - starts[part]]
                assert np.abs(frame.astype(int) - source).mean() < 4


@pytest.mark.parametrize("modality", ["av", "video", "audio"])
@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_a_window_is_answered_as_a_clip_cut_to_it(
    modality: str, runtime: str, parts: list, exported: Path, tmp_path: Path
) -> None:
    """The clip that is cut bears the window's name, so that even the noise is the same."""
    frames, sound = parts[0]
    whole = make_clip(tmp_path / "whole.mkv", frames, RATE, sound, 16_000, codec="ffv1")
    checkpoint = (
        exported / modality / f"checkpoint.{'onnx' if runtime == 'onnx' else 'safetensors'}"
    )
    classifier = avemotion.Classifier(checkpoint, device="cpu")
    # Starts that are whole milliseconds and frames: Matroska rounds its time stamps.
    second = TimelineSettings(window_seconds=1.0, hop_seconds=0.2, smooth_seconds=0)
    for row in list(classifier.timeline(whole, settings=second))[:-1:2]:
        first, last = round(row.start_seconds * RATE), round(row.end_seconds * RATE)
        cut = tmp_path / f"whole@{row.window}.mkv"
        samples = sound[first * 16_000 // RATE : last * 16_000 // RATE]
        make_clip(cut, frames[first:last], RATE, samples, 16_000, codec="ffv1")
        prediction = classifier.classify(cut)
        assert row.probabilities == pytest.approx(prediction.probabilities, abs=1e-6)
        assert (row.label, row.modality, row.faces_found, row.face_box, row.warnings) == (
            prediction.label, prediction.modality, prediction.faces_found, prediction.face_box,
            prediction.warnings,
        )  # fmt: skip


def a_row(number: int, answer: np.ndarray | None, face: int | None = None) -> TimelineRow:
    by_label = None if answer is None else dict(zip(LABELS, answer.tolist(), strict=True))
    return TimelineRow(
        number, number * 0.5, number * 0.5 + 2, face, "x", "x", by_label, by_label, "av", 20,
        None, "", (),
    )  # fmt: skip


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(0, 80), st.integers(0, 2**32), st.booleans())
def test_smoothing_is_a_centred_mean_of_logarithms(
    n: int, tenths: int, seed: int, two_faces: bool
) -> None:
    rng, width = np.random.default_rng(seed), tenths / 10
    faces = [1, 2] if two_faces else [None]
    answers = rng.dirichlet([0.3] * 3, (n, len(faces))).clip(1e-4)
    answers /= answers.sum(axis=2, keepdims=True)
    silent = rng.random((n, len(faces))) < 0.2
    windows = [
        [a_row(k, None if silent[k, f] else answers[k, f], face) for f, face in enumerate(faces)]
        for k in range(n)
    ]
    found = list(smoothed(windows, width))
    assert [(r.window, r.face) for r in found] == [(k, face) for k in range(n) for face in faces]
    for row in found:
        k, f = row.window, faces.index(row.face)
        if silent[k, f]:
            assert row.smoothed is None
            continue
        near = [j for j in range(n) if abs(j - k) * 0.5 <= width / 2 and not silent[j, f]]
        expected = np.exp(np.log(answers[near, f]).mean(axis=0))
        expected /= expected.sum()
        assert list(row.smoothed.values()) == pytest.approx(expected, abs=1e-9)
        assert row.smoothed_label == LABELS[int(np.argmax(list(row.smoothed.values())))]
        if width == 0:
            assert row.smoothed == row.probabilities


def test_rows_are_given_before_the_end_is_known() -> None:
    seen = []

    def windows() -> Iterator[list[TimelineRow]]:
        for k in range(100):
            seen.append(k)
            yield [a_row(k, np.array([0.5, 0.3, 0.2]))]

    first = next(smoothed(windows(), 2.0))
    assert first.window == 0 and len(seen) == 4  # centres up to a second later, and one more


def two_people(parts: list) -> np.ndarray:
    """Both actors side by side, as long as the shorter is seen."""
    return np.concatenate([f[: min(map(len, (p[0] for p in parts)))] for f, _ in parts], axis=2)


def test_all_faces_are_found_and_known_again(parts: list, fitted: Path, tmp_path: Path) -> None:
    both = two_people(parts)
    tracks = find_faces(both[::4][:20]).tracks
    assert len(tracks) == 2
    for track, (frames, _) in zip(sorted(tracks, key=lambda t: t.box.x), parts, strict=True):
        alone = find_face(frames[::4][:20])
        assert abs(track.box.width - alone.box.width) < 0.25 * alone.box.width
    assert find_faces(noise_frames(20, 360, 480, smooth=40)).tracks == []
    path = write(tmp_path / "both.mkv", both, parts[0][1])
    every = TimelineSettings(window_seconds=1.5, hop_seconds=0.5, smooth_seconds=2, face="all")
    rows = list(avemotion.timeline(path, checkpoint=fitted / "ar5/av", settings=every))
    assert {row.face for row in rows} == {1, 2}
    left = {row.face for row in rows if row.face_box.x < both.shape[2] / 2 - 60}
    assert len(left) == 1  # one number stays on its side
    assert any("which of the 2 faces is speaking" in w for w in rows[0].warnings)
    by_window = [row.window for row in rows]
    assert by_window == sorted(by_window) and len(rows) == 2 * len(set(by_window))


def test_faces_are_linked_by_the_overlap_of_their_boxes() -> None:
    numbers = FaceTracker()
    left, right, far = Box(0, 0, 80, 98), Box(200, 0, 80, 98), Box(600, 0, 80, 98)
    assert numbers.of([left, right], 0) == [1, 2]
    moved = Box(215, 5, 80, 98)
    assert numbers.of([moved, left], 1) == [2, 1]  # whatever their order
    assert numbers.of([], 2) == []
    assert numbers.of([far], 3) == [3]
    assert numbers.of([left], 5) == [1]  # away for 4 s
    assert numbers.of([moved], 7) == [4]  # away for 6 s
    # Two boxes overlap one face: the closer one keeps its number.
    assert numbers.of([Box(30, 0, 80, 98), Box(4, 0, 80, 98)], 8) == [5, 1]


def test_a_scene_cut_starts_a_new_person(parts: list, fitted: Path, tmp_path: Path) -> None:
    """Two actors one after the other at the same position."""
    (angry, voice), (sad, other_voice) = parts
    both, sound = np.concatenate([angry[:60], sad[:60]]), np.concatenate([voice, other_voice])
    path = write(tmp_path / "cut.mkv", both, sound[: len(both) * 16_000 // RATE])
    every = TimelineSettings(window_seconds=1, hop_seconds=1, smooth_seconds=0, face="all")
    rows = list(avemotion.timeline(path, checkpoint=fitted / "ar5/av", settings=every))
    assert [row.face for row in rows if row.face] == [1, 1, 2, 2]


def test_table_and_lines_hold_the_same_rows(
    film: tuple[Path, list[float]], fitted: Path, tmp_path: Path
) -> None:
    path = film[0]
    checkpoint = fitted / "ar5/av"
    for name in ("t.csv", "t.jsonl"):
        report = avemotion.write_timeline(
            path, out=tmp_path / name, checkpoint=checkpoint, progress=False
        )
    rows = list(avemotion.timeline(path, checkpoint=checkpoint))
    lines = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert lines == [json.loads(json.dumps(row.to_dict())) for row in rows]
    assert len(table) == len(rows) == report.rows
    for cells, row in zip(table, rows, strict=True):
        assert float(cells["start_seconds"]) == row.start_seconds
        assert cells["label"] == (row.label or "") and cells["reason"] == row.reason
        for label in avemotion.Classifier(checkpoint).labels if row.probabilities else ():
            assert float(cells[f"p_{label}"]) == pytest.approx(row.probabilities[label], abs=1e-6)
            assert float(cells[f"smoothed_p_{label}"]) == pytest.approx(
                row.smoothed[label], abs=1e-6
            )
        assert cells["face_width"] == (str(row.face_box.width) if row.face_box else "")
    assert {p.name for p in tmp_path.iterdir()} == {"t.csv", "t.jsonl"}
    assert any(row.smoothed != row.probabilities for row in rows)


def test_an_interruption_keeps_the_rows_so_far_under_another_name(
    film: tuple[Path, list[float]], fitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "t.csv"
    real = avemotion.Classifier.timeline

    for error in (KeyboardInterrupt(), MediaError("film.mkv cannot be decoded: at last")):

        def stopping(self, *words, error=error, **named):
            rows = real(self, *words, **named)
            yield next(rows)
            yield next(rows)
            raise error

        monkeypatch.setattr(avemotion.Classifier, "timeline", stopping)
        with pytest.raises(type(error), match="The rows before it are in .*partial"):
            avemotion.write_timeline(film[0], out=out, checkpoint=fitted / "ar5/av", progress=False)
        assert not out.exists()
        with (tmp_path / ".t.csv.partial").open(newline="", encoding="utf-8") as file:
            assert len(list(csv.reader(file))) == 3


def test_an_unreadable_video_leaves_the_rows_of_an_earlier_run_alone(
    fitted: Path, tmp_path: Path
) -> None:
    kept = tmp_path / ".t.csv.partial"
    kept.write_text("rows of an earlier run")
    for video in (tmp_path / "missing.mp4", tmp_path / "text.mp4"):
        if video.stem == "text":
            video.write_text("no video")
        with pytest.raises(MediaError):
            avemotion.write_timeline(
                video, out=tmp_path / "t.csv", checkpoint=fitted / "ar5/av", progress=False
            )
        assert kept.read_text() == "rows of an earlier run"


def test_the_plot_is_drawn_and_does_not_grow(
    film: tuple[Path, list[float]], fitted: Path, tmp_path: Path
) -> None:
    image = tmp_path / "film.png"
    avemotion.write_timeline(film[0], plot=image, checkpoint=fitted / "ar5/av", progress=False)
    pixels = cv2.imread(str(image))
    assert pixels.shape[1] == 1400 and pixels.shape[0] < 900
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50
    collected = TimelinePlot("long", LABELS, TimelineSettings())
    crop = np.full((98, 80), 90, np.uint8)
    sums = np.zeros(3)
    for k in range(5000):
        answer = np.array([0.2, 0.3, 0.5]) if k % 2 else np.array([0.7, 0.2, 0.1])
        row = a_row(2 * k, answer)
        object.__setattr__(row, "face_crop", crop)
        collected.add(row)
        sums += answer
    held = collected._sums[None]
    assert len(held) <= 1150 and len(collected._crops[None]) <= 48
    total = np.sum(list(held.values()), axis=0)
    assert total == pytest.approx([*sums, 5000])  # every window is in one column


def test_only_the_most_probable_emotion_is_drawn_solid(tmp_path: Path) -> None:
    """First joy, then calm; fear, between them in order, never."""
    plot = TimelinePlot("two halves", LABELS, TimelineSettings())
    for k in range(20):
        plot.add(a_row(2 * k, np.array([0.5, 0.3, 0.2] if k < 10 else [0.2, 0.3, 0.5])))
    plot.write(tmp_path / "plot.png", synthetic=False)
    pixels = cv2.imread(str(tmp_path / "plot.png"))[:, :, ::-1]
    solid = {"joy": "0072B2", "fear": "D55E00", "calm": "009E73"}  # Okabe and Ito
    columns = {
        label: np.flatnonzero((pixels == list(bytes.fromhex(colour))).all(axis=2).any(axis=0))
        for label, colour in solid.items()
    }
    assert len(columns["joy"]) > 500 and len(columns["calm"]) > 500 and len(columns["fear"]) == 0
    assert columns["joy"].max() < columns["calm"].min()


def test_a_plot_reaches_the_ends_of_the_video(tmp_path: Path) -> None:
    plot = TimelinePlot("one window", LABELS, TimelineSettings())
    plot.add(a_row(0, np.array([0.5, 0.3, 0.2])))
    plot.write(tmp_path / "plot.png", synthetic=False)
    pixels = cv2.imread(str(tmp_path / "plot.png"))[:, :, ::-1]
    joy = np.flatnonzero((pixels == list(bytes.fromhex("0072B2"))).all(axis=2).any(axis=0))
    left, right = 0.11 * pixels.shape[1], 0.975 * pixels.shape[1]
    assert abs(joy[0] - left) < 5 and abs(joy[-1] - right) < 5


def test_wrong_values_are_refused_in_the_words_of_the_options(
    film: tuple[Path, list[float]], fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip, model = str(film[0]), ["--checkpoint", str(fitted / "ar5/av")]
    sound = str(make_clip(tmp_path / "s.wav", None, sound=sine(300, 3, 16_000), sound_rate=16_000))
    (tmp_path / "folder.csv").mkdir()
    refused = {
        "--window_seconds is 0.2, but must be from 0.5 to 5": ["--window-seconds", "0.2"],
        "--hop_seconds is 3.0, but must be from 0.1 to --window_seconds (2.5)": [
            "--hop_seconds", "3",
        ],
        "--hop_seconds is 0.0": ["--hop_seconds", "0"],
        "--smooth_seconds is -1.0": ["--smooth_seconds", "-1"],
        "must end in .csv or .jsonl": ["--out", str(tmp_path / "rows.txt")],
        "there is no folder": ["--out", str(tmp_path / "no" / "rows.csv")],
        "a folder": ["--out", str(tmp_path / "folder.csv")],
        "must end in .png": ["--plot", str(tmp_path / "p.jpg")],
        "takes one video, but 2": [clip],
        "give one or the other": ["--json", "--out", str(tmp_path / "rows.csv")],
    }  # fmt: skip
    for message, words in refused.items():
        assert main(["classify", "--timeline", clip, *words, *model]) == 2
        assert message in capsys.readouterr().err
    assert main(["classify", clip, "--hop_seconds", "0.5", *model]) == 2
    assert "Only --timeline takes --plot, --window_seconds" in capsys.readouterr().err
    words = ["classify", "--timeline", sound, "--checkpoint", str(fitted / "ar5/video")]
    assert main([*words, "--out", str(tmp_path / "rows.csv")]) == 1
    assert "has no video" in capsys.readouterr().err
    assert not [p for p in tmp_path.iterdir() if "rows" in p.name]
    with pytest.raises(UsageError, match="There is nothing to write"):
        avemotion.write_timeline(clip, checkpoint=fitted / "ar5/av")
    with pytest.raises(UsageError, match="--window_seconds is nan"):
        TimelineSettings(window_seconds=float("nan"))
    with pytest.raises(UsageError, match="--face is 'two'"):
        TimelineSettings(face="two")  # type: ignore[arg-type]


def test_the_command(
    film: tuple[Path, list[float]], fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["classify", "--timeline", str(film[0]), "--checkpoint", str(fitted / "ar5/av")]
    assert main([*words, "--json", "--hop_seconds", "2"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0]["start_seconds"] == 0 and lines[1]["start_seconds"] == 2
    assert main([*words, "--hop_seconds", "2"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert len(out) == len(lines) and "no answer" in "".join(out) and "(from av)" in out[0]
    assert main([*words, "--out", str(tmp_path / "t.csv"), "--plot", str(tmp_path / "t.png")]) == 0
    printed = capsys.readouterr()
    assert "with an answer" in printed.out and "SYNTHETIC" in printed.out and "t.png" in printed.out
    assert printed.err == ""  # no terminal, no bar


def test_sound_alone(fitted: Path, tmp_path: Path) -> None:
    speech = speech_like(6).astype(np.float32) / 32_768
    path = make_clip(tmp_path / "podcast.wav", None, sound=speech, sound_rate=16_000)
    rows = list(avemotion.timeline(path, checkpoint=fitted / "ar5/av"))
    assert [row.modality for row in rows] == ["audio"] * 5
    assert rows[-1].end_seconds == 6
    assert not [w for row in rows for w in row.warnings if "video" in w], "nobody misses a face"
    with pytest.raises(MissingModalityError, match="has no video"):
        list(avemotion.timeline(path, checkpoint=fitted / "ar5/video"))
    with pytest.raises(UsageError, match="does not support modality 'video', only audio"):
        avemotion.timeline(path, checkpoint=fitted / "ar5/audio", modality="video")
