"""Clients of the web page that are slow, idle or gone: none of them keeps the others waiting."""

import asyncio
import io
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import quote

import av
import pytest
from app_maker import App, save_model, serving_here
from media_maker import noise_frames
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from avemotion.parallel.isolation import IsolatedProcess
from avemotion.web import reading, server, uploads
from avemotion.web.answering import Upload
from avemotion.web.reading import Lines, Reader
from avemotion.web.uploads import Limits

UPLOAD = (
    "POST /classify HTTP/1.1\r\nHost: localhost\r\nX-File-Name: {}\r\nContent-Length: {}\r\n\r\n"
)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    model = save_model(tmp_path_factory.mktemp("model"))
    limits = Limits(upload_bytes=2**24, length_seconds=600, answer_seconds=600)
    with serving_here(model, tmp_path_factory.mktemp("app"), limits) as running:
        yield running


@pytest.fixture(scope="module")
def clip(small_corpus: Path) -> bytes:
    return min((small_corpus / "VideoFlash").glob("*.flv")).read_bytes()


def connected(
    app: App, body: bytes, announced: int | None = None, name: str = "film.mkv"
) -> socket.socket:
    """Send a file over a connection that takes little of the answer."""
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    line.connect(("127.0.0.1", app.port))
    line.sendall(UPLOAD.format(quote(name), announced or len(body)).encode() + body)
    return line


def gone_after(app: App, seconds: float) -> bool:
    """Wait until no upload is left."""
    end = time.monotonic() + seconds
    while app.uploads() and time.monotonic() < end:
        time.sleep(0.01)
    return not app.uploads()


def never_ready(_: Path, upload: Upload) -> Iterator[object]:
    """Answer as the worker process does, but hang: at once, or after the first part."""
    if upload.name != "hangs.mkv":
        yield {"part": 1}
    if upload.name != "ends.mkv":
        time.sleep(600)


def at_once(_: Path) -> None:
    """Initialise the worker process without a model."""


@pytest.mark.parametrize("name", ["hangs.mkv", "hangs later.mkv"])
def test_who_leaves_is_not_read_for(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in line, while another's file is read, nor when the own one is read."""
    monkeypatch.setattr(server, "answer", never_ready)
    monkeypatch.setattr(server, "prepare", at_once)
    (tmp_path / "app").mkdir()
    limits = Limits(upload_bytes=2**20, length_seconds=600, answer_seconds=600)
    with serving_here(save_model(tmp_path), tmp_path / "app", limits) as app:
        with connected(app, b"x", name=name) as first:
            if name == "hangs later.mkv":
                assert b"200 OK" in first.recv(4096)
            while not app.uploads():
                time.sleep(0.01)
            with connected(app, b"x"):  # it waits in line
                while len(app.uploads()) < 2:
                    time.sleep(0.01)
            end = time.monotonic() + 5
            while len(app.uploads()) > 1 and time.monotonic() < end:
                time.sleep(0.01)
            assert len(app.uploads()) == 1, "who waits in line and leaves is forgotten"
        assert gone_after(app, 5), "who leaves is not read for"
        assert app.classify(b"x", "ends.mkv") == (200, {"part": 1})


def test_who_does_not_fetch_an_answer_keeps_nobody_waiting() -> None:
    async def scenario() -> None:
        reader = Reader(IsolatedProcess(iter, None), 60)
        slow = reader.parts([1, 2, 3])
        try:
            assert await anext(slow) == 1
            async with asyncio.timeout(20):
                assert [part async for part in reader.parts([4])] == [4]
            assert [part async for part in slow] == [2, 3]
        finally:
            reader.close()

    asyncio.run(scenario())


def test_an_answer_that_nobody_fetches_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_PATIENCE_SECONDS", 0.1)

    async def nothing() -> AsyncIterator[object]:
        for part in ():
            yield part

    async def scenario() -> None:
        never, closed, resources = asyncio.Event(), asyncio.Event(), AsyncExitStack()
        resources.callback(closed.set)

        async def send(_: object) -> None:
            await never.wait()

        scope = {"type": "http", "asgi": {"spec_version": "2.3"}}
        async with asyncio.timeout(5):
            await Lines({}, nothing(), resources)(scope, never.wait, send)
        assert closed.is_set()

    asyncio.run(scenario())


def test_an_answer_fetched_a_little_at_a_time_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part is fetched in time; but who may take that long for each keeps its place."""
    monkeypatch.setattr(reading, "_PATIENCE_SECONDS", 0.5)
    sent: list[object] = []

    async def many() -> AsyncIterator[object]:
        for number in range(100):
            yield number

    async def slow(message: object) -> None:
        await asyncio.sleep(0.1)
        sent.append(message)

    async def scenario() -> None:
        scope = {"type": "http", "asgi": {"spec_version": "2.3"}}
        await Lines({}, many(), AsyncExitStack())(scope, asyncio.Event().wait, slow)

    asyncio.run(scenario())
    assert 1 <= len(sent) <= 6


def test_an_upload_that_trickles_is_given_up(
    app: App, clip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte comes in time, all of them would never."""
    monkeypatch.setattr(uploads, "_BEGIN_SECONDS", 0.5)
    start = time.monotonic()
    with connected(app, b"F", announced=1000) as line:
        line.settimeout(0.05)
        answer = b""
        while not answer and time.monotonic() < start + 5:
            try:
                answer = line.recv(4096)
            except TimeoutError:
                line.sendall(b"x")
    assert b" 408 " in answer and app.uploads() == []
    assert app.classify(clip)[0] == 200


@pytest.mark.parametrize("announced", [True, False])
def test_the_largest_file_is_taken_and_one_byte_more_is_not(app: App, announced: bool) -> None:
    for size, status in ((2**24, 422), (2**24 + 1, 413)):  # 422: it was read, and is no medium
        body = bytes(size) if announced else iter([bytes(2**24), bytes(size - 2**24)])
        assert app.classify(body, "zeros.flv")[0] == status


def test_a_stream_without_times_has_a_length(app: App) -> None:
    """Raw H.264: its packets say neither when they are shown nor how many come."""
    file = io.BytesIO()
    with av.open(file, "w", format="h264") as container:
        stream = container.add_stream("libx264", rate=1)
        stream.width, stream.height = 128, 96
        for grey in [*noise_frames(30, 96, 128)] * 25:
            frame = av.VideoFrame.from_ndarray(grey, format="gray").reformat(format="yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    status, found = app.classify(file.getvalue(), "raw.h264")
    assert status == 422 and "longer than 10 minutes" in found["error"], found


def test_a_camera_that_sends_nothing_gives_its_place_up(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_IDLE_SECONDS", 0.2)
    with connect(f"ws://127.0.0.1:{app.port}/live") as idle:
        with pytest.raises(ConnectionClosed) as closed:
            idle.recv(timeout=5)
        assert "no frame received" in closed.value.rcvd.reason
