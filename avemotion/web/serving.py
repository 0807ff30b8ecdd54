"""The command `app`: load a model and serve the page until interrupted."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from avemotion.compat import install_line
from avemotion.errors import UsageError
from avemotion.inference.runtimes.interface import RuntimeName
from avemotion.inference.runtimes.loading import find_checkpoint, load_runtime
from avemotion.models.packaged import model_name

_MOST_MEBIBYTES, _MOST_MINUTES = 2**20, 24 * 60


def app(
    checkpoint: Path | None = None,
    *,
    runtime: RuntimeName = "auto",
    host: str = "127.0.0.1",
    port: int = 7860,
    upload_mebibytes: float = 200,
    length_minutes: float = 10,
    echo: Callable[[str], None] = print,
) -> None:
    """Serve a local web page that classifies files and a live camera, until interrupted.

    Args:
        checkpoint: The model, or the folder of its run; by default $AVEMOTION_CHECKPOINT, else
            runs/latest, else the model that comes with the package, avemotion-1.
        runtime: See `classify`.
        host: Address to listen on; other than 127.0.0.1, others can use the page too.
        port: Port to listen on; 0 takes a free one.
        upload_mebibytes: Largest upload.
        length_minutes: Longest video or audio.
        echo: Called with the page's address once it can be opened.

    Raises:
        UsageError: There is no such model, the port is taken, a limit is out of range, or
            a package of the extra `app` is missing.

    Examples:
        >>> from pathlib import Path
        >>> from avemotion import app
        >>> app(Path("runs/latest"), port=7860)  # doctest: +SKIP
        http://127.0.0.1:7860  (model: runs/latest/checkpoint.safetensors; Ctrl-C ends it)
        >>> app(length_minutes=0)
        Traceback (most recent call last):
        avemotion.errors.UsageError: --length-minutes is 0, but must be above 0 and at most ...
    """
    _check(upload_mebibytes, length_minutes)
    from avemotion.web.connections import PageServer, notice_vanished_clients
    from avemotion.web.server import build_server
    from avemotion.web.uploads import Limits

    # Leave the other cores to the browser; must be set before torch is imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    path = find_checkpoint(checkpoint, runtime).resolve()  # stays the same if runs/latest changes
    limits = Limits(
        upload_bytes=round(upload_mebibytes * 2**20),
        length_seconds=60 * length_minutes,
        answer_seconds=60 + 60 * length_minutes,  # enough for large frames on a slow machine
    )
    server = build_server(path, load_runtime(path, "cpu"), host, limits)
    with _listening(host, port) as listener:
        notice_vanished_clients(listener)
        shown = f"[{host}]" if ":" in host else host
        everywhere = host in ("0.0.0.0", "::")  # all interfaces, not an address to open
        address = f"http://{'127.0.0.1' if everywhere else shown}:{listener.getsockname()[1]}"
        others = "; for others: this machine's name or address in place of 127.0.0.1" * everywhere
        echo(f"{address}  (model: {model_name(path)}; Ctrl-C ends it{others})")
        with _hangup_ends_it(), suppress(KeyboardInterrupt):  # it runs until then
            PageServer(server).run(sockets=[listener])


def _check(upload_mebibytes: float, length_minutes: float) -> None:
    """Refuse limits that are out of range, and a missing package."""
    for name, value, most in (
        ("upload-mebibytes", upload_mebibytes, _MOST_MEBIBYTES),
        ("length-minutes", length_minutes, _MOST_MINUTES),
    ):
        if not 0 < value <= most:
            raise UsageError(f"--{name} is {value:g}, but must be above 0 and at most {most:,}.")
    for package in ("starlette", "uvicorn", "websockets", "matplotlib", "librosa"):
        if find_spec(package) is None:
            raise UsageError(
                f"The page needs {package}, which is not installed: {install_line('app')}."
            )


@contextmanager
def _hangup_ends_it() -> Iterator[None]:
    """Let a closed terminal end the server as SIGTERM does; with ``nohup`` it keeps running."""
    hangup = getattr(signal, "SIGHUP", None)
    is_main = threading.current_thread() is threading.main_thread()
    if hangup is None or not is_main or signal.getsignal(hangup) != signal.SIG_DFL:
        yield
        return
    signal.signal(hangup, lambda *_: signal.raise_signal(signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(hangup, signal.SIG_DFL)


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"Cannot listen on {host} port {port} ({error}). Choose another --port, or 0 for a "
            "free one."
        ) from error
