"""Clients of the web page that are slow, idle or gone: none of them keeps the others waiting."""

import asyncio
import io
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import av
import pytest
from app_maker import App, save_model, serving_here, write_film
from media_maker import noise_frames
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from avemotion.parallel.isolation import IsolatedProcess
from avemotion.web import reading, server, uploads
from avemotion.web.reading import Lines, Reader
from avemotion.web.uploads import Limits

UPLOAD = (
    "POST /classify HTTP/1.1\r\nHost: localhost\r\nX-File-Name: film.mkv\r\n"
    "Content-Length: {}\r\n\r\n"
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


@pytest.fixture(scope="module")
def film(small_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    clip = min((small_corpus / "VideoFlash").glob("*.flv"))
    return write_film(tmp_path_factory.mktemp("film") / "film.mkv", clip, 60).read_bytes()


def connected(app: App, body: bytes, announced: int | None = None) -> socket.socket:
    """Send a file over a connection that takes little of the answer."""
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    line.connect(("127.0.0.1", app.port))
    line.sendall(UPLOAD.format(announced or len(body)).encode() + body)
    return line


def gone_after(app: App, seconds: float) -> bool:
    """Wait until no upload is left."""
    end = time.monotonic() + seconds
    while app.uploads() and time.monotonic() < end:
        time.sleep(0.01)
    return not app.uploads()


def test_who_leaves_before_the_first_part_is_not_read_for(
    app: App, clip: bytes, film: bytes
) -> None:
    """Neither in line, while another's file is read, nor when it is read itself."""
    with ExitStack() as others:
        first = others.enter_context(connected(app, film))
        while not app.uploads():
            time.sleep(0.01)
        with connected(app, clip):  # it waits in line
            while len(app.uploads()) < 2:
                time.sleep(0.01)
        end = time.monotonic() + 5
        while len(app.uploads()) > 1 and time.monotonic() < end:
            time.sleep(0.01)
        assert len(app.uploads()) == 1, "who waits in line and leaves is forgotten"
        first.close()
    assert gone_after(app, 5)
    assert app.classify(clip)[0] == 200


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
    monkeypatch.setattr(reading, "_STALLED_SECONDS", 0.1)

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
