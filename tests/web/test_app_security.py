"""The web page against foreign pages and hostile files: each test fails without its defence."""

import http.client
import io
import json
import os
import pickle
import signal
import struct
import subprocess
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from socket import gethostname
from unittest.mock import patch

import av
import numpy as np
import pytest
import torch
from app_maker import App, command, save_model, serving, write_film
from media_maker import noise_frames
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from avemotion.web.guard import HEADERS
from avemotion.web.server import UPLOADS
from avemotion.web.uploads import lock, own_folder

PARALLEL = 50


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("app")
    with serving(folder / "tmp", save_model(folder)) as running:
        yield running


@pytest.fixture(scope="module")
def clip(small_corpus: Path) -> bytes:
    return min((small_corpus / "VideoFlash").glob("*.flv")).read_bytes()


def cmdline(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


# Foreign pages


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:{port}", 200),
        ("localhost:{port}", 200),
        ("LOCALHOST", 200),
        ("[::1]:{port}", 200),
        (f"{gethostname()}:{{port}}", 200),
        ("evil.example:{port}", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example:{port}", 421),
        ("evil.example:x", 421),
        ("", 421),
    ],
)
def test_a_foreign_domain_gets_nothing(app: App, host: str, status: int) -> None:
    """DNS rebinding: the browser believes that this server is the foreign domain's."""
    host = host.format(port=app.port)
    for path in ("/", "/about", "/page.js", "/none"):
        found, content = app.ask("GET", path, Host=host)
        assert found == (404 if path == "/none" and status == 200 else status)
        assert status == 200 or b"avemotion" not in content
    if status != 200:
        assert app.ask("POST", "/classify", b"x", Host=host, x_file_name="a")[0] == status


@pytest.mark.parametrize(
    ("origin", "ours"),
    [
        ("http://127.0.0.1:{port}", True),
        ("http://127.0.0.1:1", False),
        ("http://localhost:{port}", False),
        ("https://evil.example", False),
        ("http://127.0.0.1.evil.example:{port}", False),
        ("null", False),
        ("", False),
    ],
)
def test_a_foreign_page_gets_nothing(app: App, origin: str, ours: bool) -> None:
    origin = origin.format(port=app.port)
    status, _ = app.ask("POST", "/classify", b"x", Origin=origin, x_file_name="a")
    assert status == (422 if ours else 403)
    assert app.ask("GET", "/about", Origin=origin)[0] == (200 if ours else 403)
    address = f"ws://127.0.0.1:{app.port}/live"
    if ours:
        connect(address, origin=origin).__enter__().close()
    elif origin:
        with pytest.raises(InvalidStatus) as refused, connect(address, origin=origin):
            pass
        assert refused.value.response.status_code == 403


def test_every_answer_closes_the_page_to_the_outside(app: App) -> None:
    for path in ("/", "/about", "/page.css", "/none"):
        connection = http.client.HTTPConnection("127.0.0.1", app.port)
        connection.request("GET", path)
        answer = connection.getresponse()
        sent = dict(answer.getheaders())
        assert answer.read() and HEADERS.items() <= {k.title(): v for k, v in sent.items()}.items()
        assert "access-control-allow-origin" not in sent
        connection.close()
    policy = HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy


# Hostile files


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".onnx"])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_pickle_for_a_checkpoint_is_not_executed(
    suffix: str, zipped: bool, tmp_path: Path
) -> None:
    mark, model = tmp_path / "executed", tmp_path / f"model{suffix}"
    if zipped:
        torch.save(Bomb(mark), model)
    else:
        model.write_bytes(pickle.dumps(Bomb(mark)))
    done = subprocess.run(
        command("--checkpoint", model, "--port", 0), capture_output=True, text=True
    )
    assert done.returncode == 2 and str(model) in done.stderr and "Traceback" not in done.stderr
    assert not mark.exists()
    if zipped:
        torch.load(io.BytesIO(model.read_bytes()), weights_only=False)
    else:
        pickle.loads(model.read_bytes())
    assert mark.exists()  # it would have been


@pytest.mark.parametrize("name", ["../../x.flv", "..\\..\\x.flv", "{folder}/x.flv", "a/../../../x"])
def test_a_name_leads_nowhere(app: App, clip: bytes, name: str) -> None:
    name = name.format(folder=app.temporary)
    status, found = app.classify(clip, name)
    assert status == 200 and found["prediction"]["clip"] == name
    assert [path.name[:14] for path in app.temporary.iterdir()] == ["avemotion-app-"]
    assert not (app.temporary.parent / "x.flv").exists() and app.uploads() == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:3,\n{path}\n#EXT-X-ENDLIST\n"),
        ("list.mp4", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:3,\n{path}\n#EXT-X-ENDLIST\n"),
        ("list.ffconcat", "ffconcat version 1.0\nfile {path}\n"),
        ("list.mp4", "ffconcat version 1.0\nfile {path}\n"),
    ],
)
def test_a_list_of_other_files_shows_none_of_them(
    app: App, clip: bytes, name: str, content: str, tmp_path: Path
) -> None:
    """Whoever may send files may not have this machine's own files shown."""
    secret = tmp_path / "secret.ts"
    with av.open(io.BytesIO(clip)) as source, av.open(str(secret), "w", format="mpegts") as target:
        stream = target.add_stream("mpeg4", rate=30)
        stream.width, stream.height = 480, 360
        for frame in source.decode(video=0):
            target.mux(stream.encode(frame.reformat(480, 360, "yuv420p")))
        target.mux(stream.encode(None))
    assert app.classify(secret.read_bytes(), "secret.ts")[0] == 200
    status, found = app.classify(content.format(path=secret).encode(), name)
    assert status == 422 and set(found) == {"error"} and "cannot be decoded" in found["error"]


def flat_png_video(side: int, announced: int | None = None) -> bytes:
    """A film of 24 times the same huge white frame; its header may announce small ones."""
    file = io.BytesIO()
    with av.open(file, "w", format="mov") as container:
        stream = container.add_stream("png", rate=Fraction(10))
        stream.width = stream.height = side
        stream.pix_fmt = "gray"
        frame = av.VideoFrame(side, side, "gray")
        frame.planes[0].update(bytes([255]) * frame.planes[0].buffer_size)
        packets = [bytes(packet) for packet in [*stream.encode(frame), *stream.encode(None)]]
        for number in range(24):
            packet = av.Packet(packets[0])
            packet.stream, packet.pts, packet.dts = stream, number, number
            packet.time_base, packet.is_keyframe = Fraction(1, 10), True
            container.mux(packet)
    content = file.getvalue()
    if announced:
        old, new = (struct.pack(">HH", size, size) for size in (side, announced))
        start = content.rindex(b"stsd")  # the table of samples has width and height
        assert content.find(old, start) > 0
        content = content[:start] + content[start:].replace(old, new, 1)
    return content


@pytest.mark.parametrize("announced", [None, 64])
def test_frames_that_would_fill_the_memory_are_refused(
    app: App, clip: bytes, announced: int | None
) -> None:
    bomb = flat_png_video(6000, announced)
    assert len(bomb) < 2 * 2**20
    before = app.peak_mebibytes(app.process.pid)
    status, found = app.classify(bomb, "bomb.mov")
    assert status == 422 and "6000 x 6000 pixels: more than 4K" in found["error"], found
    assert app.peak_mebibytes(app.process.pid) < before + 50
    assert app.classify(clip)[0] == 200 and app.uploads() == []


def test_a_film_without_end_is_refused(app: App) -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width = 96, 128
        for number, grey in enumerate(noise_frames(30)):
            frame = av.VideoFrame.from_ndarray(grey, format="gray").reformat(format="yuv420p")
            frame.pts = number * 25 * 3600  # an hour each
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    start = time.monotonic()
    status, found = app.classify(file.getvalue(), "endless.mp4")
    assert status == 422 and "longer than 10 minutes" in found["error"], found
    assert time.monotonic() - start < 30 and app.uploads() == []


@pytest.fixture(scope="module")
def film(small_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    clip = min((small_corpus / "VideoFlash").glob("*.flv"))
    return write_film(tmp_path_factory.mktemp("film") / "film.mkv", clip).read_bytes()


@contextmanager
def being_read(app: App, film: bytes) -> Iterator[tuple[http.client.HTTPResponse, set[int]]]:
    """Begin to have a long clip answered; give what is answered and the process that reads it."""
    connection = http.client.HTTPConnection("127.0.0.1", app.port)
    connection.request("POST", "/classify", film, {"X-File-Name": "film.mkv"})
    answer = connection.getresponse()
    assert b"timeline" in answer.readline() and b"row" in answer.readline()
    readers = {pid for pid in app.children() if b"spawn_main" in cmdline(pid)}
    assert len(readers) == 1
    yield answer, readers
    answer.close()
    connection.close()


def test_a_decoder_that_crashes_costs_one_upload(app: App, clip: bytes, film: bytes) -> None:
    with being_read(app, film) as (answer, (reader,)), ThreadPoolExecutor(2) as pool:
        others = [pool.submit(app.classify, clip) for _ in range(2)]  # they wait
        os.kill(reader, signal.SIGSEGV)
        *_, last = answer
        assert "the process crashed (SIGSEGV)" in json.loads(last)["error"]
        assert [other.result()[0] for other in others] == [200, 200]
    (idle,) = (pid for pid in app.children() if b"spawn_main" in cmdline(pid))
    os.kill(idle, signal.SIGSEGV)
    assert app.classify(clip)[0] == 200 and app.uploads() == []  # it is replaced


def test_fifty_uploads_at_once(app: App, clip: bytes) -> None:
    before, most, done = app.peak_mebibytes(app.process.pid), 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.005):
            most = max(most, len(app.uploads()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(PARALLEL) as pool:
        answers = list(
            pool.map(lambda number: app.classify(clip, f"{number}.flv"), range(PARALLEL))
        )
    done.set()
    watcher.join()
    assert {status for status, _ in answers} == {200, 503}
    assert sum(status == 200 for status, _ in answers) >= UPLOADS
    assert all("Busy" in found["error"] for status, found in answers if status == 503)
    named = {found["prediction"]["clip"] for status, found in answers if status == 200}
    assert len(named) == sum(status == 200 for status, _ in answers)  # each its own
    assert 0 < most <= UPLOADS and app.uploads() == []
    assert app.peak_mebibytes(app.process.pid) < before + 100
    assert app.classify(clip)[0] == 200


def test_who_leaves_midway_leaves_nothing(app: App, clip: bytes) -> None:
    import socket

    for _ in range(UPLOADS + 1):
        with socket.create_connection(("127.0.0.1", app.port)) as line:
            line.sendall(
                b"POST /classify HTTP/1.1\r\nHost: localhost\r\nX-File-Name: a.flv\r\n"
                b"Content-Length: 1000000\r\n\r\n" + clip[:1000]
            )
            while not app.uploads():
                time.sleep(0.001)
        while app.uploads():
            time.sleep(0.001)
    assert app.classify(clip)[0] == 200  # no upload is counted forever


def test_who_leaves_a_long_clip_leaves_nothing(app: App, clip: bytes, film: bytes) -> None:
    """Its reading ends at once: the next is not kept waiting."""
    with being_read(app, film) as (_, readers):
        pass
    while app.uploads():
        time.sleep(0.001)
    assert not readers & set(app.children()), "it is not read to its end"
    assert app.classify(clip)[0] == 200 and app.uploads() == []


def test_what_a_killed_server_left_is_removed_by_the_next(tmp_path: Path) -> None:
    dead, living = tmp_path / "avemotion-app-dead", tmp_path / "avemotion-app-living"
    for folder in (dead, living):
        folder.mkdir()
        (folder / "clip.mp4").write_bytes(b"somebody's video")
        os.utime(folder, (1, 1))
    with patch("tempfile.tempdir", str(tmp_path)), ExitStack() as locks:
        assert lock(living, locks)
        with own_folder() as folder:
            assert folder.is_dir() and living.is_dir() and not dead.exists()
        assert living.is_dir() and not folder.exists()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGHUP])
def test_a_server_that_ends_midway_leaves_nothing(
    small_corpus: Path, tmp_path: Path, end: signal.Signals
) -> None:
    """Nor does it wait for the rest, or complain."""
    clip = min((small_corpus / "VideoFlash").glob("*.flv"))
    film = write_film(tmp_path / "film.mkv", clip, seconds=180).read_bytes()
    with ExitStack() as browser, serving(tmp_path / "tmp", save_model(tmp_path), end=end) as app:
        browser.enter_context(being_read(app, film))


def test_a_picture_that_would_fill_the_memory_is_refused(app: App, clip: bytes) -> None:
    """A PNG of less than 1 MiB, whose pixels take 144 MB."""
    rows = zlib.compressobj(9)
    line = bytes(12_001)
    data = b"".join(rows.compress(line) for _ in range(12_000)) + rows.flush()
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 12_000, 12_000, 8, 0, 0, 0, 0)), (b"IDAT", data)]
    bomb = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in [*chunks, (b"IEND", b"")]
    )
    assert len(bomb) < 2**20
    before = app.peak_mebibytes(app.process.pid)
    start = time.monotonic()
    status, found = app.classify(bomb, "bomb.png")
    assert status == 422 and "12000 x 12000 pixels: more than 64 million" in found["error"], found
    assert app.peak_mebibytes(app.process.pid) < before + 50 and time.monotonic() - start < 30
    assert app.classify(clip)[0] == 200 and app.uploads() == []


def test_no_traceback_reaches_the_page(app: App) -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        status, found = app.classify(b"FLV\1\5\0\0\0\11" + rng.bytes(500), "x.flv")
        assert status == 422 and "Traceback" not in json.dumps(found)
