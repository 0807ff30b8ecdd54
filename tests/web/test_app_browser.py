"""The web page in a real, headless browser: its states, what it loads, a camera fed from a clip."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from app_maker import App, save_model, save_picture_model, serving, write_camera, write_film
from media_maker import make_clip, noise_frames
from PIL import Image

from avemotion.media.reader import read_clip

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
HOSTILE = "<img src=x onerror=document.title='hacked'>.flv"


@pytest.fixture(scope="module")
def clip(small_corpus: Path) -> Path:
    return min((small_corpus / "VideoFlash").glob("*.flv"))


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("app")
    with serving(folder / "tmp", save_model(folder)) as running:
        yield running


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory, clip: Path) -> Iterator[Any]:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser is installed: none of {', '.join(BROWSERS)}")
    camera = write_camera(tmp_path_factory.mktemp("camera") / "camera.y4m", clip)
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(
            executable_path=found,
            args=[
                "--no-sandbox",
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
                f"--use-file-for-fake-video-capture={camera}",
            ],
        )
        yield running
        running.close()


@pytest.fixture(scope="module")
def page(browser: Any, app: App) -> Iterator[Any]:
    """The page, loaded once; it must ask nobody but its own server, and break nowhere."""
    context = browser.new_context(permissions=["camera"], color_scheme="dark")
    context.set_default_timeout(120_000)
    page = context.new_page()
    asked: list[str] = []
    broken: list[str] = []

    def complain(message: Any) -> None:
        if message.type == "error" and "status of 422" not in message.text:
            broken.append(message.text)

    # The network is blocked but for the server, and the page's own data and blobs.
    own = (app.url, "data:", "blob:")
    context.route(lambda url: not url.startswith(own), lambda route: route.abort())
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: broken.append(str(error)))
    page.on("console", complain)
    page.goto(app.url)
    page.wait_for_selector("#model:not(:empty)")
    yield page
    assert page.title() == "avemotion"  # no hostile name has run
    assert page.is_visible(".notice"), "the notice is always there"
    context.close()
    assert asked and [url for url in asked if not url.startswith(own)] == []
    assert broken == []


def wait_until(page: Any, expression: str) -> None:
    """Ask until it holds: the page's own policy forbids Playwright to poll inside it."""
    for _ in range(600):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"after 30 s still not: {expression}")


def test_the_empty_page(page: Any) -> None:
    notice = page.inner_text(".notice")
    assert "Expressed is not felt" in notice and "not for decisions about people" in notice
    assert "trained on synthetic data" in notice
    assert page.is_visible("#drop") and not page.is_visible("#result")
    assert "200 MiB and 10 minutes" in page.inner_text("#limits")
    box = page.locator(".notice").bounding_box()
    page.set_viewport_size({"width": 400, "height": 300})
    page.evaluate("window.scrollTo(0, 10000)")
    assert page.locator(".notice").bounding_box()["y"] < 300 and box["y"] < 100
    page.set_viewport_size({"width": 1000, "height": 820})


def test_arrow_keys_choose_the_mode(page: Any) -> None:
    page.focus("#file-tab")
    page.keyboard.press("ArrowRight")
    assert page.is_visible("#live") and page.is_hidden("#file")
    page.keyboard.press("ArrowLeft")
    assert page.is_visible("#file") and page.is_hidden("#live")


def test_nothing_but_its_own_files_may_be_used(browser: Any, app: App) -> None:
    """The browser itself refuses what the page's policy does not name."""
    page = browser.new_page()
    page.goto(app.url)
    refused = page.evaluate(
        """async () => {
            const refused = [];
            document.addEventListener("securitypolicyviolation", (e) => refused.push(e.blockedURI));
            await fetch("http://127.0.0.1:1/").catch(() => {});
            const image = new Image();
            image.src = "http://127.0.0.1:1/x.png";
            await new Promise((done) => (image.onerror = done));
            return refused;
        }"""
    )
    assert refused == ["http://127.0.0.1:1/", "http://127.0.0.1:1/x.png"]
    page.close()


def test_a_clip_is_answered(page: Any, clip: Path, app: App) -> None:
    page.set_input_files("#choose", clip)
    page.wait_for_selector("#result:not([hidden])")
    assert page.inner_text("#result-name") == clip.name
    values = [v.replace("\xa0%", "") for v in page.locator("#result-bars .value").all_inner_texts()]
    assert len(values) == 6 and abs(sum(map(int, values)) - 100) <= 3
    with page.expect_download() as saved:
        page.click("#save")
    assert saved.value.suggested_filename == f"{clip.stem}.json"
    answer = json.loads(Path(saved.value.path()).read_text())
    assert answer["clip"] == clip.name and answer["label"] in page.inner_text("#result-label")
    assert [round(100 * p) for p in answer["probabilities"].values()] == list(map(int, values))
    assert "Most like acted" in page.inner_text(".headline >> nth=0")
    assert "face and voice" in page.inner_text("#result-evidence")
    assert "20 of 20 frames" in page.inner_text("#result-evidence")
    parts = page.inner_text("#result-parts")
    for name, modality in (("The face", "video"), ("The voice", "audio")):
        part = answer["parts"][modality]
        assert f"{name} alone: {max(part, key=part.__getitem__)}, " in parts
    assert "synthetic data" in page.inner_text("#result-warnings")
    for image, width in (("faces", 800), ("spectrogram", 960)):
        assert page.evaluate(f"document.getElementById('{image}').naturalWidth") == width
    assert app.uploads() == []


def rows_of(page: Any, link: str) -> list[str]:
    with page.expect_download() as saved:
        page.click(link)
    return Path(saved.value.path()).read_text().splitlines()


WATCHING = """() => {
  window.said = [];
  const [doing, bar, stop] = ["file-doing", "file-progress", "stop"].map(
    (id) => document.getElementById(id));
  new MutationObserver(() => window.said.push([doing.textContent, !bar.hidden, !stop.hidden]))
    .observe(doing, { childList: true });
}"""
"""Keeps what the page says while it reads a file; some of it is gone in a moment."""


def test_a_long_clip_is_drawn_over_time(page: Any, clip: Path, app: App, tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mkv", clip).rename(tmp_path / f"{HOSTILE[:-4]}.mkv")
    page.evaluate(WATCHING)
    page.set_input_files("#choose", film)
    page.wait_for_selector("#result:not([hidden])")
    said = page.evaluate("window.said")
    assert [one for one in said if " of 0:1" in one[0] and one[1:] == [True, True]]  # how far it is
    page.wait_for_selector("#file-status", state="hidden")
    table = rows_of(page, "#save-csv")
    lines = [json.loads(line) for line in rows_of(page, "#save-jsonl")]
    assert len(table) == len(lines) + 1 and table[0].startswith("window,start_seconds,end_seconds")
    answered = [row for row in lines if row["label"]]
    assert f"{len(answered)} of {len(lines)} windows" in page.inner_text("#timeline-summary")
    assert len(answered) < len(lines), "nobody is there for 4 s"
    assert page.inner_text("#timeline-name") == film.name
    assert "The clip as a whole" in page.inner_text("#result")
    # Chromium knows the sound of this film, and not its images.
    assert re.search("to hear it|cannot play", page.inner_text("#player-note"))

    # The curve of an emotion has the height of its probability, where it is the most probable too.
    first = lines[0]
    labels = page.locator("#plot text:not(.time)").all_text_contents()
    assert labels == list(first["smoothed"])
    for number, label in enumerate(labels):
        drawn = page.locator("#plot .pale").nth(number).get_attribute("d")
        base, top = (float(part) for part in re.match(r"M\S+ (\S+?)V(\S+?)H", drawn).groups())
        assert (base - top) / 30 == pytest.approx(first["smoothed"][label], abs=1e-6)
    gaps = page.locator("#plot rect.none")
    assert gaps.count() >= len(labels) and gaps.count() % len(labels) == 0
    (reason,) = {row["reason"] for row in lines if row["reason"]}
    assert reason in page.inner_text("#gap-list") and page.is_visible("#legend-none")
    assert 3 < page.locator("#strip img").count() < 16
    box = page.locator("#plot").bounding_box()
    nobody = gaps.first.bounding_box()
    middle = nobody["x"] + nobody["width"] / 2 - box["x"]
    page.locator("#plot").hover(position={"x": middle, "y": 20})
    assert f"no prediction: {reason}" in page.inner_text("#readout")
    page.focus("#plot")
    for _ in lines:
        page.keyboard.press("ArrowLeft")
    ranked = sorted(first["smoothed"].values(), reverse=True)
    assert f"{round(100 * ranked[0])}\xa0%" in page.inner_text("#readout")

    page.set_viewport_size({"width": 375, "height": 700})
    wait_until(page, "document.getElementById('plot').viewBox.baseVal.width < 375")
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    assert page.locator("#strip img").count() <= 5
    page.set_viewport_size({"width": 1000, "height": 820})

    page.set_input_files("#choose", film)
    page.wait_for_selector("#file-doing:has-text(' of 0:1')")
    page.click("#stop")
    page.wait_for_selector("#file-error:has-text('Stopped')")
    assert page.is_visible("#timeline") and not page.is_visible("#result")
    assert len(rows_of(page, "#save-jsonl")) < len(lines)
    page.set_input_files("#choose", clip)
    page.wait_for_selector("#result:not([hidden])")
    assert not page.is_visible("#timeline") and not page.is_visible("#result-whole")
    assert app.uploads() == []


def test_the_video_plays_beside_its_timeline(page: Any, clip: Path, tmp_path: Path) -> None:
    frames = read_clip(clip, None, np.arange).frames.frames[:, ::2, ::2]
    film = make_clip(
        tmp_path / "film.webm", np.resize(frames, (330, *frames.shape[1:])), 30, codec="libvpx"
    )
    page.set_input_files("#choose", film)
    page.wait_for_selector("#result:not([hidden])")
    page.wait_for_selector("#player:not([hidden])")
    assert "the line follows" in page.inner_text("#player-note")
    now = "document.getElementById('player').currentTime"
    place = "Number(document.querySelector('#plot .playhead').getAttribute('x1'))"
    box = page.locator("#plot").bounding_box()
    at = {}
    for share in (0.3, 0.8):
        page.locator("#plot").click(position={"x": share * box["width"], "y": 60})
        wait_until(page, f"Math.abs({place} - {share * box['width']}) < 2")
        at[share] = page.evaluate(now)
    left, right = 92, box["width"] - 12
    for share, seconds in at.items():
        expected = (share * box["width"] - left) / (right - left) * 11
        assert seconds == pytest.approx(expected, abs=0.1)
    before = page.evaluate(place)
    page.evaluate(f"{now} = 2; document.getElementById('player').play()")
    wait_until(page, f"{place} < {before} && {now} > 2.5")
    page.evaluate("document.getElementById('player').pause()")
    labels = json.loads(page.request.get(f"{page.url}about").text())["labels"]
    said = [word for word in re.findall(r"[a-z]+", page.inner_text("#readout")) if word in labels]
    assert said[-6:] == labels  # in the model's order
    assert "Surest moments: " in page.inner_text("#result-strongest")
    page.set_input_files("#choose", clip)
    page.wait_for_selector("#result:not([hidden])")
    assert page.evaluate("document.getElementById('player').getAttribute('src')") is None


def test_further_faces_are_said(page: Any, clip: Path, tmp_path: Path) -> None:
    media = read_clip(clip, None, np.arange).frames.frames[:, ::2, ::2]
    film = make_clip(
        tmp_path / "two.mkv", np.concatenate([media, media], axis=2), 30, codec="mpeg4"
    )
    page.set_input_files("#choose", film)
    page.wait_for_selector("#result:not([hidden])")
    assert "One more face was found in the video" in page.inner_text("#result-further")
    page.set_input_files("#choose", clip)
    page.wait_for_selector("#result:not([hidden])")
    assert page.inner_text("#result-further") == ""


def test_a_picture_is_refused_by_a_model_for_clips(page: Any, clip: Path, tmp_path: Path) -> None:
    with av.open(str(clip)) as container:
        next(container.decode(video=0)).to_image().save(tmp_path / "me.jpg")
    page.set_input_files("#choose", tmp_path / "me.jpg")
    page.wait_for_selector("#file-error:has-text('me.jpg is a picture, but the model')")
    assert not page.is_visible("#result")


def test_a_picture_is_shown_with_the_face_that_the_model_read(
    browser: Any, clip: Path, tmp_path: Path
) -> None:
    with av.open(str(clip)) as container:
        next(container.decode(video=0)).to_image().save(tmp_path / "me.jpg")
    with serving(tmp_path / "tmp", save_picture_model(tmp_path / "model")) as running:
        page = browser.new_page()
        page.goto(running.url)
        page.set_input_files("#choose", tmp_path / "me.jpg")
        page.wait_for_selector("#result-name:has-text('me.jpg')")
        assert "the face alone of one image" in page.inner_text("#result-evidence")
        assert page.evaluate("document.getElementById('faces').naturalWidth") == 48
        assert "as the model reads it" in page.inner_text("#faces-caption")
        assert not page.is_visible("#spectrogram")
        page.close()


def test_a_name_with_html_is_text(page: Any, clip: Path) -> None:
    for content, shown in ((clip.read_bytes(), "#result-name"), (b"nothing", "#file-error")):
        page.set_input_files(
            "#choose", {"name": HOSTILE, "mimeType": "video/x-flv", "buffer": content}
        )
        page.wait_for_selector(f"{shown}:visible")
        assert HOSTILE in page.inner_text(shown)
    assert page.locator("main img:not(#faces, #spectrogram):visible").count() == 0


def test_what_is_no_video_is_refused_with_a_message(page: Any, tmp_path: Path) -> None:
    text = tmp_path / "letter.mp4"
    text.write_text("Dear page, I am no video. " * 99)
    page.set_input_files("#choose", text)
    page.wait_for_selector("#file-error:not([hidden])")
    assert "letter.mp4 cannot be decoded" in page.inner_text("#file-error")
    assert not page.is_visible("#result") and not page.is_visible("#file-status")
    page.set_input_files("#choose", make_clip(tmp_path / "blocks.flv", noise_frames(40)))
    page.wait_for_selector("#file-error:has-text('no face found')")


def test_the_live_camera(page: Any) -> None:
    page.click("#live-tab")
    assert "the microphone is not used" in page.inner_text("#live")
    page.click("#start")
    page.wait_for_selector("#live-headline:has-text('Most like acted')")
    seen = set()
    for _ in range(12):
        page.wait_for_timeout(150)
        seen.add(tuple(page.locator("#live-bars .value").all_inner_texts()))
    assert len(seen) > 3, "the bars move"
    assert page.inner_text("#latency").endswith(" ms")
    assert int(page.inner_text("#rate").split()[0]) >= 1  # how many depends on who else computes
    painted = page.evaluate(
        """() => {
            const overlay = document.getElementById("overlay");
            const { width, height } = overlay;
            const pixels = overlay.getContext("2d").getImageData(0, 0, width, height).data;
            return pixels.some((value) => value > 0);
        }"""
    )
    assert painted, "a frame around the face"
    page.evaluate(
        """() => {
            const pen = CanvasRenderingContext2D.prototype, write = pen.fillText;
            pen.fillText = function (text, ...where) {
                window.written = { text, mirrored: this.getTransform().a < 0 };
                return write.call(this, text, ...where);
            };
        }"""
    )
    wait_until(page, "Boolean(window.written)")
    written = page.evaluate("window.written")
    assert re.fullmatch(r"[a-z]+ [0-9]+\u00a0%", written["text"]), "the label at the face"
    shown = page.evaluate("getComputedStyle(document.getElementById('overlay')).transform")
    assert written["mirrored"] == shown.startswith("matrix(-1,"), "mirror writing"
    assert page.is_hidden("#saved")
    page.check("#saving")
    page.wait_for_selector("#saved-faces figure canvas")
    shown = page.locator("#live-bars .row > span:first-child").all_inner_texts()
    assert page.locator("#saved-faces figcaption").first.inner_text() in shown
    page.wait_for_timeout(1500)
    kept = page.locator("#saved-faces figcaption").all_inner_texts()
    repeated = [a for a, b in zip(kept, kept[1:], strict=False) if a == b]
    assert not repeated, "kept again though nothing changed"
    with page.expect_download() as download:
        page.click("#save-faces")
    sheet = Image.open(download.value.path())
    columns = min(10, len(kept))
    assert sheet.size == (64 * columns, -(-len(kept) // columns) * (64 + 14))
    first = np.asarray(sheet.convert("L"))[:64, :64]
    assert first.std() > 10, "an empty picture was kept"
    page.uncheck("#saving")
    page.click("#clear-faces")
    assert page.is_hidden("#saved")
    page.click("#file-tab")  # leaving it ends the camera
    assert page.evaluate("document.getElementById('video').srcObject") is None


def test_a_camera_that_comes_after_leaving_is_stopped(page: Any) -> None:
    page.evaluate(
        """() => {
            const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
            navigator.mediaDevices.getUserMedia = async (wanted) => {
                window.late = await open(wanted);
                await new Promise((done) => (window.allow = done));
                return window.late;
            };
        }"""
    )
    page.click("#live-tab")
    page.click("#start")
    wait_until(page, "Boolean(window.allow)")
    page.click("#file-tab")
    page.evaluate("window.allow()")
    wait_until(page, "window.late.getTracks().every((track) => track.readyState === 'ended')")
    assert page.evaluate("document.getElementById('video').srcObject") is None
    page.reload()
    page.wait_for_selector("#model:not(:empty)")


def test_a_server_that_is_gone_is_told(browser: Any, app: App) -> None:
    page = browser.new_page()
    page.goto(app.url)
    page.wait_for_selector("#model:not(:empty)")
    page.context.route("**/classify", lambda route: route.abort())
    page.set_input_files("#choose", {"name": "a.flv", "mimeType": "video/x-flv", "buffer": b"x"})
    page.wait_for_selector("#file-error:not([hidden])")
    assert "did not answer" in page.inner_text("#file-error")
    page.close()
