"""Checks every request: only the scripts of this page may use the server.

Every web page that is open in the browser can reach a server on the user's own machine. Two attacks
are blocked here: a foreign domain that resolves to this machine (DNS rebinding, seen in the Host
header), and requests from a foreign page (seen in the Origin header).
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
    # Only files and connections of this server, and no inline script or style.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; media-src blob:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
"""Sent with every response."""

_FORBIDDEN, _MISDIRECTED, _POLICY_VIOLATION = 403, 421, 1008


class Guard:
    """Middleware: refuses requests of other sites, and adds `HEADERS` to the responses."""

    def __init__(self, app: ASGIApp, host: str) -> None:
        """Wrap an application.

        Args:
            app: The application.
            host: The address that it is bound to.
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
        """Return the status and the reason of a refusal; status 0 where there is none."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._is_ours(host):
            return _MISDIRECTED, f"Host {host!r} is not this server."
        if origin is not None and _address(origin) != _address(f"http://{host}"):
            return _FORBIDDEN, "Requests from other origins are refused."
        return 0, ""

    def _is_ours(self, host: str) -> bool:
        """Return whether a Host header names this machine, or is an IP address, not a domain."""
        name = _address(f"http://{host}")[0]
        if name in self._names:
            return True
        try:
            ip_address(name)
        except ValueError:
            return False
        return True


def _address(url: str) -> tuple[str, int | None]:
    """Return host and port of a URL; an empty host where it is invalid."""
    try:
        parts = urlsplit(url)
        default = {"http": 80, "https": 443}.get(parts.scheme)
        return parts.hostname or "", parts.port or default
    except ValueError:
        return "", None
