"""What stands before every request: nobody but this page's own scripts may talk to the server.

A server on one's own machine can be reached by every web page that is open in the browser. Two ways
in are closed here: a stranger's domain that is pointed at this machine (DNS rebinding, seen by the
Host header), and requests that a stranger's page sends (seen by the Origin header).
"""

from __future__ import annotations

from ipaddress import ip_address
from socket import gethostname
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

HEADERS = {
    # Nothing but this server's own files and connections, and no script or style in the page.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
"""Sent with every answer."""

_FORBIDDEN, _MISDIRECTED, _POLICY_VIOLATION = 403, 421, 1008


class Guard:
    """Refuses strangers, and tells the browser what the page may do."""

    def __init__(self, app: ASGIApp, host: str) -> None:
        """Stand before an application.

        Args:
            app: What is guarded.
            host: The address it is bound to.
        """
        self._app = app
        own = gethostname().lower()
        self._names = {"localhost", host.lower(), own, f"{own}.local"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        status, reason = self._refusal(Headers(scope=scope))
        if scope["type"] == "websocket":
            answer: ASGIApp = WebSocketClose(_POLICY_VIOLATION, reason) if status else self._app
            await answer(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        answer = PlainTextResponse(reason, status) if status else self._app
        await answer(scope, receive, with_headers)

    def _refusal(self, headers: Headers) -> tuple[int, str]:
        """Return the status and the reason of a refusal; 0 where there is none."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._is_ours(host):
            return _MISDIRECTED, f"This server is not {host!r}."
        if origin is not None and _place(origin) != _place(f"http://{host}"):
            return _FORBIDDEN, "Only this server's own page may ask it."
        return 0, ""

    def _is_ours(self, host: str) -> bool:
        """Tell whether a Host header names this machine: a stranger's domain is no address."""
        name = _place(f"http://{host}")[0]
        if name in self._names:
            return True
        try:
            ip_address(name)
        except ValueError:
            return False
        return True


def _place(url: str) -> tuple[str, int | None]:
    """Return the host and the port of a web address; an empty host where it is none."""
    try:
        parts = urlsplit(url)
        default = {"http": 80, "https": 443}.get(parts.scheme)
        return parts.hostname or "", parts.port or default
    except ValueError:
        return "", None
