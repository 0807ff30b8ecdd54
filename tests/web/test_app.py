"""The web page's server: answers like `classify`, limits, the camera, how it starts and ends."""

import base64
import csv
import dataclasses
import io
import json
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from app_maker import (
    App,
    command,
    save_model,
    save_picture_model,
    serving,
    serving_here,
    write_film,
)
from hypothesis import example, given
from hypothesis import strategies as st
from media_maker import make_clip, make_wav, noise_frames, speech_like
from PIL import Image
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

import avemotion
from avemotion.config import PreprocessSettings
from avemotion.data.spectrogram_plot import spectrogram_png
from avemotion.features.extraction import extract
from avemotion.inference.one_clip import classify_clip, classify_image
from avemotion.inference.runtimes.loading import load_runtime
from avemotion.inference.timeline import write_timeline
from avemotion.web.live import WINDOW_SECONDS, CameraImage, LiveWindow
from avemotion.web.server import CAMERAS
from avemotion.web.uploads import Limits, safe_name


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def app(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    options = ("--upload-mebibytes", 2, "--length-minutes", 0.5)
    with serving(tmp_path_factory.mktemp("app") / "tmp", model, *options) as running:
        yield running


@pytest.fixture(scope="module")
def clip(small_corpus: Path) -> Path:
    return min((small_corpus / "VideoFlash").glob("*.flv"))


def image(data_url: str) -> np.ndarray:
    kind, _, content = data_url.partition(",")
    assert kind == "data:image/png;base64"
    return cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_UNCHANGED)


def test_an_upload_is_answered_as_by_classify(app: App, model: Path, clip: Path) -> None:
    status, found = app.classify(clip.read_bytes(), clip.name)
    assert status == 200
    prediction = classify_clip(clip, checkpoint=model, device="cpu", parts=True)
    expected = json.loads(json.dumps(prediction.to_dict()))
    scores = found["prediction"].pop("probabilities")
    assert scores == pytest.approx(expected.pop("probabilities"), abs=1e-5)
    parts = found["prediction"].pop("parts")
    for modality, alone in expected.pop("parts").items():
        assert parts.pop(modality) == pytest.approx(alone, abs=1e-5)
    assert not parts
    expected["clip"] = clip.name
    assert found["prediction"] == expected
    assert "synthetic data" in expected["warnings"][0]

    seen = extract(clip.stem, clip, clip, PreprocessSettings(views=1, seed=3)).features
    sheet = image(found["images"]["faces"])
    for number, face in enumerate(seen.arrays["faces"][0]):
        y, x = number // 10 * 98, number % 10 * 80
        np.testing.assert_array_equal(sheet[y : y + 98, x : x + 80], face)
    log_mel = seen.arrays["log_mel"][:, : seen.lengths["log_mel"]]
    _, _, png = found["images"]["spectrogram"].partition(",")
    assert base64.b64decode(png) == spectrogram_png(log_mel, "log_mel")
    assert app.uploads() == []


def test_a_sound_shows_no_faces(app: App, tmp_path: Path) -> None:
    sound = make_wav(tmp_path / "voice.wav", speech_like(1.5))
    status, found = app.classify(sound.read_bytes(), sound.name)
    assert status == 200 and found["prediction"]["modality"] == "audio"
    assert set(found["images"]) == {"spectrogram"}
    assert not any("video" in warning for warning in found["prediction"]["warnings"])


@pytest.fixture(scope="module")
def film(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_film(tmp_path_factory.mktemp("film") / "a film.mkv", clip)


def test_a_long_clip_is_answered_over_time_as_by_timeline(
    app: App, model: Path, film: Path, tmp_path: Path
) -> None:
    status, parts = app.parts(film.read_bytes(), film.name)
    assert status == 200 and app.uploads() == []
    head, *rows, last = parts
    assert head["timeline"]["seconds"] == pytest.approx(15, abs=3)
    whole = avemotion.classify_clip(film, checkpoint=model, device="cpu", parts=True)
    for name in ("probabilities", "parts"):
        given = last["prediction"][name]
        for key, value in getattr(whole, name).items():
            assert given[key] == pytest.approx(value, abs=1e-3)
    assert last["prediction"]["frames_sampled"] == whole.frames_sampled > 20
    assert len(last["prediction"]["strongest_windows"]) == 3 and last["images"]["faces"]
    assert last["further_faces"] == 0
    assert any("longer than training clips" in w for w in last["prediction"]["warnings"])

    csv_file, json_file = tmp_path / "film.csv", tmp_path / "film.jsonl"
    for out in (csv_file, json_file):
        write_timeline(film, out=out, checkpoint=model, device="cpu", progress=False)
    expected = [json.loads(line) for line in json_file.read_text().splitlines()]
    scores = ("probabilities", "smoothed")
    for part, row in zip(rows, expected, strict=True):
        for name in scores:
            assert part["row"].pop(name) == pytest.approx(row.pop(name), abs=1e-4)
        assert part["row"] == row
    assert any("no face found" in row["reason"] for row in expected)
    table = head["timeline"]["cells"] + "".join(part["cells"] for part in rows)
    sent, written = (list(csv.DictReader(t.splitlines())) for t in (table, csv_file.read_text()))
    assert [list(row) for row in sent] == [list(row) for row in written]
    assert [row["reason"] for row in sent] == [row["reason"] for row in written]

    crops = list(avemotion.timeline(film, checkpoint=model, device="cpu"))
    shown = [number for number, part in enumerate(rows) if "face" in part]
    assert 5 < len(shown) <= 48
    for number in shown:
        np.testing.assert_array_equal(image(rows[number]["face"]), crops[number].face_crop)


def test_what_was_found_of_a_long_clip_stays_where_the_whole_has_no_answer(
    app: App, tmp_path: Path
) -> None:
    nobody = make_clip(tmp_path / "nobody.mkv", noise_frames(120), rate=10, codec="mpeg4")
    status, (head, *rows, last) = app.parts(nobody.read_bytes(), nobody.name)
    assert status == 200 and "timeline" in head and len(rows) > 5
    assert {part["row"]["label"] for part in rows} == {None}
    assert "nobody.mkv cannot be classified" in last["error"] and "no face" in last["error"]
    assert str(app.temporary) not in last["error"]


def test_ten_seconds_make_a_clip_long(app: App, tmp_path: Path) -> None:
    """Where `classify` begins to warn of the length."""
    for seconds, is_long in ((9.5, False), (11.0, True)):
        voice = np.tile(speech_like(1.0), 11)[: int(seconds * 16_000)]
        sound = make_wav(tmp_path / "voice.wav", voice)
        found = app.parts(sound.read_bytes(), sound.name)[1]
        assert (len(found) > 5) == is_long and (len(found) == 1) == (not is_long)
        warned = any("longer than training clips" in w for w in found[-1]["prediction"]["warnings"])
        assert warned == is_long


# A picture


@pytest.fixture(scope="module")
def for_pictures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The page with a model for pictures."""
    model = save_picture_model(tmp_path_factory.mktemp("picture-model"))
    with serving(tmp_path_factory.mktemp("pictures") / "tmp", model) as running:
        yield running


@pytest.fixture(scope="module")
def still(clip: Path) -> np.ndarray:
    with av.open(str(clip)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


def encoded(image: np.ndarray, kind: str, **more: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **more)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_a_picture_is_classified_by_a_model_for_pictures(
    for_pictures: App, still: np.ndarray, kind: str, tmp_path: Path
) -> None:
    body = encoded(still, kind)
    status, found = for_pictures.classify(body, f"me.{kind}")
    assert status == 200 and for_pictures.uploads() == []
    prediction = found["prediction"]
    assert (prediction["modality"], prediction["faces_found"], prediction["frames_sampled"]) == (
        ("video", 1, 1)
    )
    assert image(found["images"]["faces"]).shape == (48, 48)
    assert set(found["images"]) == {"faces"}
    (tmp_path / f"me.{kind}").write_bytes(body)
    checkpoint = save_picture_model(tmp_path / "model")  # always with the same weights
    library = classify_image(tmp_path / f"me.{kind}", checkpoint)
    assert prediction["probabilities"] == pytest.approx(library.probabilities, abs=1e-6)
    assert prediction["face_box"] == dataclasses.asdict(library.face_box)


def test_a_model_for_clips_refuses_a_picture(app: App, still: np.ndarray) -> None:
    status, found = app.classify(encoded(still, "png"), "me.png")
    assert status == 422
    assert "me.png is a picture, but the model ar5/av reads clips" in found["error"]


def test_a_photo_is_rotated_by_its_exif_orientation(for_pictures: App, still: np.ndarray) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned clockwise
    lying = encoded(np.rot90(still).copy(), "jpeg", quality=95, exif=turned)
    upright = encoded(still, "jpeg", quality=95)
    (x, y, width, height), (x_2, y_2, width_2, height_2) = (
        for_pictures.classify(body, "me.jpg")[1]["prediction"]["face_box"].values()
        for body in (lying, upright)
    )
    # The cascade's boxes differ by some pixels where the JPEG's blocks do.
    assert abs(x + width / 2 - x_2 - width_2 / 2) < width_2 / 8
    assert abs(y + height / 2 - y_2 - height_2 / 2) < height_2 / 8
    assert 0.75 < width / width_2 < 1.33


def test_pictures_without_a_face_or_whole_data_are_refused(
    for_pictures: App, still: np.ndarray
) -> None:
    moving = {"save_all": True, "append_images": [Image.fromarray(255 - still)]}
    for body, name, reason in (
        (encoded(np.full((300, 300), 90, np.uint8), "png"), "wall.png", "no face found"),
        (encoded(still, "webp", **moving), "moving.webp", "moving.webp cannot be decoded"),
        (encoded(still, "jpeg")[:3000], "half.jpg", "half.jpg is truncated"),
        (encoded(np.zeros((8000, 8001), np.uint8), "png"), "vast.png", "more than 64 million"),
    ):
        status, found = for_pictures.classify(body, name)
        assert status == 422 and reason in found["error"], found
    assert for_pictures.uploads() == []


def test_a_large_photo_is_taken(for_pictures: App, still: np.ndarray) -> None:
    """Of 12 million pixels, as telephones make them; a video may have no such frames."""
    photo = cv2.resize(still, (4032, 3024))
    status, found = for_pictures.classify(encoded(photo, "jpeg"), "photo.jpg")
    assert status == 200 and found["prediction"]["face_box"]["width"] > 500


def test_what_has_no_answer_is_refused_with_the_reason(app: App, tmp_path: Path) -> None:
    still = make_clip(tmp_path / "still.flv", noise_frames(1)).read_bytes()
    blocks = make_clip(tmp_path / "blocks.flv", noise_frames(40)).read_bytes()
    long = make_clip(tmp_path / "long.flv", noise_frames(40), rate=1).read_bytes()
    for body, status, reason in (
        (b"no video at all " * 9, 422, "my clip.flv cannot be decoded"),
        (b"", 422, "my clip.flv is empty"),
        (still, 422, "an image, not a video"),
        (blocks, 422, "no face found"),
        (long, 422, "my clip.flv is longer than 0.5 minutes"),
        (b"\0" * (2 * 2**20 + 1), 413, "larger than 2 MiB"),
    ):
        found = app.classify(body, "my clip.flv")
        assert found[0] == status and reason in found[1]["error"], found
        assert str(app.temporary) not in found[1]["error"] and ".." not in found[1]["error"]
    assert app.uploads() == []


def test_the_size_is_counted_where_it_is_not_announced(app: App) -> None:
    chunks = (b"\0" * 2**16 for _ in range(40))  # sent without a length
    status, answer = app.ask("POST", "/classify", chunks, x_file_name="a")
    assert status == 413 and b"larger than 2 MiB" in answer
    assert app.uploads() == []


def test_an_upload_without_a_name_is_refused(app: App) -> None:
    assert app.ask("POST", "/classify", b"x")[0] == 400
    assert app.ask("GET", "/classify")[0] == 405


def test_a_decoder_that_hangs_costs_one_upload(model: Path, clip: Path, tmp_path: Path) -> None:
    limits = Limits(upload_bytes=2**20, length_seconds=60, answer_seconds=0.02)
    with serving_here(model, tmp_path, limits) as app:
        for _ in range(2):
            status, found = app.classify(clip.read_bytes(), clip.name)
            assert status == 422 and "took longer than 0.02 s" in found["error"]
        assert app.uploads() == []


@given(st.text(max_size=400))
@example("../../x")
@example("..\\..\\x.mp4")
@example("/etc/passwd")
@example("....//a\0b.flv")
@example("é" * 300 + ".mp4")
def test_safe_names_lead_nowhere(name: str) -> None:
    safe = safe_name(name)
    assert Path("/folder", safe).parent == Path("/folder")
    assert safe not in ("", ".", "..") and not safe.startswith(".")
    assert len(safe.encode()) <= 255
    assert not set(safe) & set("/\\\0<>&\"'\n\r")


# The live camera


@pytest.fixture(scope="module")
def frames(clip: Path) -> list[np.ndarray]:
    with av.open(str(clip)) as container:
        return [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]


def watch(window: LiveWindow, frames: list[np.ndarray], start: float = 0.0):
    """Show frames evenly over one window; return the answers."""
    times = start + np.linspace(0, WINDOW_SECONDS, len(frames))
    return [
        window.see(CameraImage(grey), float(at)) for grey, at in zip(frames, times, strict=True)
    ]


def test_a_full_window_is_classified_as_a_clip_of_these_frames(
    model: Path, clip: Path, frames: list[np.ndarray]
) -> None:
    *before, last = watch(LiveWindow(load_runtime(model, "cpu")), frames)
    assert [answer.faces[0].probabilities for answer in before] == [None] * len(before)
    filled = [answer.filled for answer in before]
    assert filled == sorted(filled) and filled[0] == 0 and last.filled == 1
    expected = classify_clip(clip, checkpoint=model, modality="video", device="cpu")
    # The boxes may differ by a pixel or two: each frame is searched when it comes.
    [face] = last.faces
    box, other = face.box, expected.face_box
    assert abs(box.x - other.x) < other.width / 6 and abs(box.width / other.width - 1) < 0.2
    assert face.probabilities == pytest.approx(expected.probabilities, abs=0.12)
    assert sum(face.probabilities.values()) == pytest.approx(1)


def test_a_new_window_starts_after_a_gap_and_with_another_frame_format(
    model: Path, frames: list[np.ndarray]
) -> None:
    window = LiveWindow(load_runtime(model, "cpu"))
    assert watch(window, frames[:20])[-1].faces[0].probabilities
    grey = frames[0]
    assert window.see(CameraImage(grey), WINDOW_SECONDS + 0.1).filled == 1
    assert window.see(CameraImage(grey), WINDOW_SECONDS + 2).filled == 0
    assert watch(window, frames[:20], start=10)[-1].faces[0].probabilities
    assert window.see(CameraImage(grey[:300]), 12.7).filled == 0


def test_a_flood_of_frames_fills_the_window_and_not_the_memory(
    model: Path, frames: list[np.ndarray]
) -> None:
    window = LiveWindow(load_runtime(model, "cpu"))
    answers = watch(window, frames[:20] * 20)  # 160 a second
    assert answers[-1].filled == 1 and answers[-1].faces[0].probabilities
    assert len(window._window) <= 152


def test_without_a_face_there_is_no_answer(model: Path, frames: list[np.ndarray]) -> None:
    window = LiveWindow(load_runtime(model, "cpu"))
    flat = [np.full((360, 480), 90, np.uint8)] * 12
    assert all(answer.faces == () for answer in watch(window, flat))
    # A face that has just come is not in half of the window's frames yet.
    answers = watch(window, frames[:20], start=WINDOW_SECONDS + 0.1)
    assert answers[3].filled == 1 and answers[3].faces[0].probabilities is None
    assert answers[-1].faces[0].probabilities


@pytest.mark.parametrize("equalise", [False, True])
def test_faces_of_the_camera_are_equalised_as_the_model_says(
    model: Path, frames: list[np.ndarray], equalise: bool
) -> None:
    """Each crop then has every grey value about equally often, however dark the frame around it."""
    runtime = load_runtime(model, "cpu")
    preprocessing = dataclasses.replace(runtime.metadata.preprocessing, equalise=equalise)
    runtime.metadata = dataclasses.replace(runtime.metadata, preprocessing=preprocessing)
    given: list[np.ndarray] = []
    answer = runtime.probabilities
    runtime.probabilities = lambda clips: given.append(clips.inputs["faces"]) or answer(clips)
    assert watch(LiveWindow(runtime), frames[:20])[-1].faces[0].probabilities
    for face in given[-1][0]:
        shares = np.bincount(face.ravel() // 32, minlength=8) / face.size
        assert (np.abs(shares - 1 / 8).max() < 0.08) == equalise


@given(st.binary(max_size=200), st.integers(0, 2000), st.integers(0, 2000), st.booleans())
def test_only_whole_frames_are_accepted(junk: bytes, width: int, height: int, fits: bool) -> None:
    pixels = bytes(width * height) if fits else junk
    message = struct.pack("<HH", width, height) + pixels
    if width in range(64, 1025) and height in range(64, 1025) and len(pixels) == width * height:
        assert CameraImage.from_bytes(message).grey.shape == (height, width)
    else:
        with pytest.raises(ValueError, match=r"sides must|cannot be"):
            CameraImage.from_bytes(message)
    with pytest.raises(ValueError, match="header"):
        CameraImage.from_bytes(message[:3])


def test_the_camera_over_the_wire(app: App, frames: list[np.ndarray]) -> None:
    height, width = frames[0].shape
    with connect(f"ws://127.0.0.1:{app.port}/live") as socket:
        for frame in frames[:5]:
            socket.send(struct.pack("<HH", width, height) + frame.tobytes())
            answer = json.loads(socket.recv())
            [face] = answer["faces"]
            assert face["box"]["width"] > 50 and face["probabilities"] is None
            assert 0 < answer["milliseconds"]
    for junk in (b"", b"abc", struct.pack("<HH", 64, 64), bytes(100_000), "text"):
        with connect(f"ws://127.0.0.1:{app.port}/live") as socket:
            socket.send(junk)
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv()
            assert closed.value.rcvd.code == 1003
    with connect(f"ws://127.0.0.1:{app.port}/live") as socket:
        socket.send(bytes(2**20 + 100))
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv()
        assert closed.value.rcvd.code == 1009  # too big to be read at all


def test_too_many_cameras_are_told_so(app: App) -> None:
    url = f"ws://127.0.0.1:{app.port}/live"
    with ExitStack() as open_ones:
        for _ in range(CAMERAS):
            open_ones.enter_context(connect(url))
        one_more = open_ones.enter_context(connect(url))
        with pytest.raises(ConnectionClosed) as closed:
            one_more.recv()
        assert closed.value.rcvd.code == 1013 and "busy" in closed.value.rcvd.reason
    with connect(url) as again, pytest.raises(TimeoutError):
        again.recv(timeout=0.3)


def test_a_model_of_voices_has_no_camera(tmp_path: Path) -> None:
    with serving(tmp_path / "tmp", save_model(tmp_path, "audio")) as app:
        about = json.loads(app.ask("GET", "/about")[1])
        assert about["camera"] is False and about["modality"] == "audio"
        assert about["synthetic"] is False
        assert about["corpus"] == "96 of CREMA-D's 7,442 clips (a partial corpus)"
        with connect(f"ws://127.0.0.1:{app.port}/live") as socket:
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv()
            assert "video alone" in closed.value.rcvd.reason
        # Ctrl-C is how it ends.
        app.process.send_signal(signal.SIGINT)
        assert app.process.wait(60) == 0


def test_wrong_usage_is_named(app: App, model: Path, tmp_path: Path) -> None:
    port = ("--checkpoint", model, "--port", app.port)
    for words, reason in (
        (("--checkpoint", tmp_path / "none"), "No checkpoint at"),
        (port, f"Cannot listen on 127.0.0.1 port {app.port}"),
        (("--checkpoint", model, "--port", 99999), "Choose another --port"),
        (("--upload-mebibytes", 0), "--upload-mebibytes is 0"),
        (("--length-minutes", 1e300), "at most 1,440"),
    ):
        done = subprocess.run(command(*words), capture_output=True, text=True)
        assert done.returncode == 2 and reason in done.stderr, done
        assert "Traceback" not in done.stderr and done.stdout == ""


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "websockets", "matplotlib"])
def test_a_missing_extra_is_named_with_its_remedy(package: str) -> None:
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from avemotion.cli import main; sys.exit(main(['app']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert package in done.stderr and "`pip install '.[app]'` in the checkout" in done.stderr
