"""Connections to the page that are silent, flooding, gone or too many keep nobody out."""

import base64
import http.client
import logging
import os
import socket
import struct
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from app_maker import App, save_model, serving_here
from awkward_inputs import face
from network_maker import EXPERIMENTS, metadata_of, untrained
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.sync.client import connect

from avemotion.models.checkpoint import save_checkpoint
from avemotion.web import connections, server
from avemotion.web.connections import notice_vanished_clients
from avemotion.web.uploads import Limits

ABOUT = b"GET /about HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What the server logs."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    monkeypatch.setattr(connections._REPEATS, "_times", Counter())
    logging.getLogger("uvicorn.error").addHandler(handler)
    yield lines
    logging.getLogger("uvicorn.error").removeHandler(handler)


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """A server that takes few connections, and is soon tired of silent ones."""
    monkeypatch.setattr(connections, "_SILENT_SECONDS", 1.0)
    monkeypatch.setattr(connections, "_CONNECTIONS", 4)
    monkeypatch.setattr(connections, "_MOST_CONNECTIONS", 6)
    monkeypatch.setattr(server, "_IDLE_SECONDS", 1.0)
    (tmp_path / "app").mkdir()
    limits = Limits(upload_bytes=2**20, length_seconds=600, answer_seconds=600)
    with serving_here(save_model(tmp_path), tmp_path / "app", limits) as running:
        yield running


def opened(app: App, text: bytes = b"") -> socket.socket:
    line = socket.create_connection(("127.0.0.1", app.port), timeout=5)
    line.sendall(text)
    return line


def rest_of(line: socket.socket, trickle: bytes = b"") -> bytes:
    """Read until the server closes the connection; meanwhile send a byte now and then."""
    content, end = b"", time.monotonic() + 5
    line.settimeout(0.2)
    while time.monotonic() < end:
        try:
            part = line.recv(65_536)
        except TimeoutError:
            line.sendall(trickle)
        except ConnectionError:
            return content
        else:
            if not part:
                return content
            content += part
    raise TimeoutError("the connection stays open")


@pytest.mark.parametrize(
    ("text", "trickle"),
    [
        (b"", b""),
        (b"GET / HT", b""),
        (b"GET /about HTTP/1.1\r\nHost: local", b""),
        (b"GET /about HTTP/1.1\r\nHost: local", b"x"),
        (ABOUT + b"Content-Length: 99\r\n\r\n", b"x"),
    ],
)
def test_silent_connections_are_closed(app: App, text: bytes, trickle: bytes) -> None:
    with opened(app, text) as line:
        rest_of(line, trickle)
    assert app.ask("GET", "/about")[0] == 200


def test_who_sends_a_file_slowly_is_not_silent(app: App) -> None:
    head = b"POST /classify HTTP/1.1\r\nHost: localhost\r\nX-File-Name: a.flv\r\n"
    with opened(app, head + b"Content-Length: 10\r\nConnection: close\r\n\r\n") as line:
        for byte in b"123456789x":
            time.sleep(0.2)
            line.sendall(bytes([byte]))
        line.settimeout(60)
        assert b" 422 " in line.recv(4096)


def test_a_page_that_asks_now_and_then_keeps_its_connection(app: App) -> None:
    page = http.client.HTTPConnection("127.0.0.1", app.port)
    page.connect()
    line = page.sock
    for _ in range(6):
        time.sleep(0.3)
        page.request("GET", "/about")
        assert page.getresponse().read() and page.sock is line
    page.close()


def test_excess_connections_are_refused_without_a_line_for_each(
    app: App, logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_SILENT_SECONDS", 60.0)
    silent = [opened(app) for _ in range(4)]
    for _ in range(12):
        with opened(app, ABOUT + b"\r\n") as line:
            assert b" 503 " in rest_of(line)
    silent += [opened(app) for _ in range(2)]
    for _ in range(12):
        with opened(app) as line:
            assert rest_of(line) == b""
    for line in silent:
        line.close()
    refused, closed = "Exceeded concurrency limit.", "Too many connections: new ones are closed."
    expected = [
        text.format(x) for x in (refused, closed) for text in ("{}", "{} (10 times until now)")
    ]
    assert logged == expected
    while app.ask("GET", "/about")[0] != 200:
        time.sleep(0.1)


def test_a_flood_of_pings_is_not_read_while_nobody_fetches_the_answers(
    app: App, logged: list[str]
) -> None:
    key = base64.b64encode(os.urandom(16))
    with opened(
        app,
        b"GET /live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + b"\r\n\r\n",
    ) as line:
        assert b" 101 " in line.recv(4096)
        pings, sent = Frame(Opcode.PING, bytes(125)).serialize(mask=True) * 1000, 0
        line.settimeout(1.5)  # the camera is given up meanwhile
        with pytest.raises(TimeoutError):
            while sent < 2**26:
                sent += line.send(pings)
    assert sent < 2**25
    while app.ask("GET", "/about")[0] != 200:
        time.sleep(0.1)
    assert logged == []


def test_text_for_the_camera_is_refused_without_a_line(app: App, logged: list[str]) -> None:
    with connect(f"ws://127.0.0.1:{app.port}/live") as camera:
        camera.socket.sendall(Frame(Opcode.TEXT, b"\xff").serialize(mask=True))
        with pytest.raises(ConnectionClosed) as closed:
            camera.recv(timeout=5)
    assert "header of 4 bytes" in closed.value.rcvd.reason and logged == []


def test_the_camera_is_told_that_a_model_gives_no_answer(tmp_path: Path) -> None:
    network, picture = untrained(EXPERIMENTS["av"]), face(1)[0]
    with torch.no_grad():  # finite, but its sums are not
        network.classifier[-1].weight *= 1e37
        network.classifier[0].weight *= 1e10
    save_checkpoint(tmp_path / "x.safetensors", network, metadata_of(EXPERIMENTS["av"]))
    (tmp_path / "app").mkdir()
    limits = Limits(upload_bytes=2**20, length_seconds=600, answer_seconds=600)
    with (
        serving_here(tmp_path / "x.safetensors", tmp_path / "app", limits) as app,
        connect(f"ws://127.0.0.1:{app.port}/live") as camera,
    ):
        image = struct.pack("<HH", *picture.shape[::-1]) + picture.tobytes()
        with pytest.raises(ConnectionClosed) as closed:
            for _ in range(300):  # until the window is full
                camera.send(image)
                camera.recv(timeout=30)
                time.sleep(0.1)
    assert "The model answers" in closed.value.rcvd.reason


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux alone has all options")
def test_the_system_looks_for_clients_that_are_gone_without_a_word() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        notice_vanished_clients(listener)
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as line:
            idle, interval, count, unanswered = (
                line.getsockopt(socket.IPPROTO_TCP, option)
                for option in (
                    socket.TCP_KEEPIDLE,
                    socket.TCP_KEEPINTVL,
                    socket.TCP_KEEPCNT,
                    socket.TCP_USER_TIMEOUT,
                )
            )
            assert line.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert idle + interval * count <= 30 and unanswered <= 30_000
