"""Clients of the web page that are slow, idle or gone: none of them keeps the others waiting."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from app_maker import App, save_model, serving_here, write_film

from avemotion.web import reading
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
    app: App, clip: bytes, film: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither while another's file is read, nor while the model of its own process loads."""
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


def test_who_does_not_read_keeps_nobody_waiting(
    app: App, clip: bytes, film: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_STALLED_SECONDS", 3600.0)
    with connected(app, film):
        while not app.uploads():
            time.sleep(0.01)
        assert app.classify(clip)[0] == 200
        assert len(app.uploads()) == 1, "its answer is not sent yet"
    assert gone_after(app, 5)
    monkeypatch.setattr(reading, "_STALLED_SECONDS", 0.5)
    with connected(app, film):
        while not app.uploads():
            time.sleep(0.01)
        assert app.classify(clip)[0] == 200
        assert gone_after(app, 5), "it is given up"
