"""The HTTP server, and the connections that would keep others out: silent, flooding, too many.

uvicorn limits requests; before and after a request, a client could keep its connection for ever.
"""

from __future__ import annotations

import logging
import socket
from asyncio import Transport
from collections import Counter
from time import monotonic
from types import FrameType
from typing import Any

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

_SILENT_SECONDS = 25.0  # for a request to be complete, and for an answer's rest to be fetched
_CONNECTIONS = 128  # a browser opens six; requests of more are answered "unavailable"
_MOST_CONNECTIONS = 2 * _CONNECTIONS  # more are closed at once, lest open files run out
_MESSAGE_BYTES = 2**20 + 64  # largest camera frame
_SHUTDOWN_SECONDS = 2  # for open connections to end
_LOG = logging.getLogger("uvicorn.error")

_TCP_OPTIONS = {  # as far as the system has them
    "TCP_KEEPIDLE": 10,  # seconds
    "TCP_KEEPINTVL": 5,  # seconds
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": 25_000,  # milliseconds
}


def notice_vanished_clients(listener: socket.socket) -> None:
    """Let the system close connections of clients that are gone without a word, or fetch nothing.

    Accepted connections inherit the options.
    """
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _TCP_OPTIONS.items():
        if hasattr(socket, name):
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class PageServer(uvicorn.Server):
    """Closes silent connections; ends at once: what is being read is cancelled."""

    def __init__(self, app: Starlette) -> None:
        """Configure uvicorn.

        Args:
            app: Its ``state.stop_reading`` is called when the server ends.
        """
        config = uvicorn.Config(
            app,
            http=_Connection,
            ws=_CameraConnection,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            ws_max_size=_MESSAGE_BYTES,
            limit_concurrency=_CONNECTIONS,
            timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
            backlog=_CONNECTIONS,
        )
        super().__init__(config)
        _LOG.addFilter(_REPEATS)
        self._silent_since: dict[tuple[Any, object], float] = {}

    async def on_tick(self, counter: int) -> bool:
        """Close silent connections; uvicorn calls this ten times a second."""
        now = monotonic()
        connections: set[Any] = self.server_state.connections
        # A new request has a new cycle, and with it the full time again.
        silent = [(c, getattr(c, "cycle", None)) for c in connections if _is_silent(c)]
        self._silent_since = {key: self._silent_since.get(key, now) for key in silent}
        for (connection, _), since in self._silent_since.items():
            if now - since > _SILENT_SECONDS:
                connection.transport.abort()
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Start to shut down; a second signal does not interrupt the clean-up."""
        if not self.should_exit:
            super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Cancel what is being read, then shut down."""
        app: Any = self.config.app
        app.state.stop_reading()
        await super().shutdown(sockets)


def _is_silent(connection: Any) -> bool:
    """Return whether no request is being received or answered, or the connection is closing."""
    if connection.transport.is_closing():
        return True
    if not isinstance(connection, H11Protocol):
        return False  # a WebSocket: it has pings, and the camera a limit of its own
    return connection.cycle is None or connection.cycle.response_complete


class _Connection(H11Protocol):
    """An HTTP connection, closed at once where there are too many."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > _MOST_CONNECTIONS:
            _LOG.warning("Too many connections: new ones are closed.")
            transport.abort()


class _CameraConnection(WebSocketsSansIOProtocol):
    """A WebSocket; nothing is read from a client that fetches nothing.

    Each ping is answered: the answers to a flood of them would fill the memory.
    """

    def handle_text(self, event: Frame) -> None:
        # The page sends none. As bytes it is refused, while uvicorn logs text that is not UTF-8.
        self.handle_bytes(event)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.read_paused:
            self.transport.resume_reading()


class _Repeats(logging.Filter):
    """Passes a warning on at its 1st, 10th, 100th ... time: strangers cause them."""

    def __init__(self) -> None:
        super().__init__()
        self._times: Counter[str] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno != logging.WARNING:
            return True
        self._times[record.msg] += 1
        times = self._times[record.msg]
        if times > 1:
            record.msg = f"{record.msg} ({times:,} times until now)"
        return str(times).strip("0") == "1"


_REPEATS = _Repeats()
