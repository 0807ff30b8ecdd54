"""The server: files of the page, uploads, and the live camera.

It opens no uploaded file (see `avemotion.web.answering`), removes each with its answer, and logs
nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from avemotion.errors import AvemotionError
from avemotion.features.table import reads_frames
from avemotion.inference.runtimes.interface import Runtime
from avemotion.models.inputs import names_of
from avemotion.models.packaged import model_name
from avemotion.parallel.isolated_worker import TaskFailure
from avemotion.parallel.isolation import IsolatedProcess
from avemotion.web.answering import Upload, answer, prepare
from avemotion.web.guard import Guard
from avemotion.web.live import SMOOTH_SECONDS, WINDOW_SECONDS, CameraImage, LiveWindow
from avemotion.web.reading import Lines, Reader, refusal
from avemotion.web.uploads import Limits, RefusedUpload, drained, own_folder, received, upload_name

UPLOADS, CAMERAS = 6, 3
"""How many of each are served at a time; further ones are answered "busy"."""

_IDLE_SECONDS = 10.0  # a camera without frames is disconnected then
_PAGE = Path(__file__).parent / "page"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_UNSUPPORTED, _TRY_AGAIN_LATER = 1003, 1013  # closing a WebSocket


def build_server(checkpoint: Path, runtime: Runtime, host: str, limits: Limits) -> Starlette:
    """Build the server.

    Args:
        checkpoint: File of the model, for the worker process.
        runtime: The same model, loaded, for the camera.
        host: The address that the server will be bound to.
        limits: Limits of an upload.
    """
    site = _Site(checkpoint, runtime, limits)
    files = {path.name: path for path in _PAGE.iterdir() if path.suffix in _TYPES}
    pages = [Route(f"/{name}", _file(path)) for name, path in files.items()]
    server = Starlette(
        routes=[
            Route("/", _file(files["index.html"])),
            *pages,
            Route("/about", site.about),
            Route("/classify", site.classify, methods=["POST"]),
            WebSocketRoute("/live", site.live),
        ],
        middleware=[Middleware(Guard, host=host)],
        lifespan=site.lifespan,
    )
    server.state.stop_reading = site.stop_reading
    return server


async def _unless_gone(request: Request, answer: Awaitable[Any]) -> Any:
    """Wait for an answer as long as the client is connected.

    Raises:
        ClientDisconnect: The client has disconnected; the answer is cancelled.
    """
    waiting = [asyncio.ensure_future(answer), asyncio.ensure_future(_gone(request))]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if not waiting[0].done():
            raise ClientDisconnect
        return waiting[0].result()
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _file(path: Path) -> Any:
    content = path.read_bytes()

    async def send(_: Request) -> Response:
        return Response(content, media_type=_TYPES[path.suffix])

    return send


class _Site:
    """State shared by the requests: the model, the worker process, the number of clients."""

    def __init__(self, checkpoint: Path, runtime: Runtime, limits: Limits) -> None:
        self._checkpoint, self._runtime, self._limits = checkpoint, runtime, limits
        self._reader = Reader(
            IsolatedProcess(partial(answer, checkpoint), partial(prepare, checkpoint)),
            limits.answer_seconds,
        )
        self._uploads = self._cameras = 0
        self._folder = Path()

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Keep a folder for uploads while the server runs, and remove it afterwards."""
        with own_folder() as self._folder:
            try:
                yield
            finally:
                self._reader.close()

    def stop_reading(self) -> None:
        """Cancel what is being read: the server is about to end."""
        self._reader.stop()

    def _model_name(self) -> str:
        """Return the model's name, or its path without the folders of this machine."""
        name = model_name(self._checkpoint)
        return "/".join(Path(name).parts[-3:])

    async def about(self, _: Request) -> Response:
        """Describe the model and the limits to the page."""
        metadata = self._runtime.metadata
        names = names_of(metadata.inputs)
        return JSONResponse(
            {
                "model": self._model_name(),
                "modality": metadata.experiment.modality,
                "labels": metadata.labels,
                "units": metadata.task.units,
                "corpus": metadata.learned_from_in_words,
                "synthetic": metadata.synthetic is not None,
                "camera": "video" in metadata.answers,
                "window_seconds": WINDOW_SECONDS if reads_frames(names) else 0,
                "smooth_seconds": SMOOTH_SECONDS,
                "upload_bytes": self._limits.upload_bytes,
                "length_seconds": self._limits.length_seconds,
            }
        )

    async def classify(self, request: Request) -> Response:
        """Classify the file in the request body; the response is JSON lines, see `answer`."""
        resources = AsyncExitStack()  # the file, and the count of uploads
        try:
            if self._uploads >= UPLOADS:
                await drained(request, self._limits)
                raise RefusedUpload(503, "Busy: other files are being read. Try again in a moment.")
            parts = await self._parts(request, resources)
            first = await _unless_gone(request, anext(parts))
            if isinstance(first, TaskFailure):
                raise RefusedUpload(422, refusal(first))
        except RefusedUpload as error:
            await resources.aclose()
            return JSONResponse({"error": str(error)}, error.status)
        except ClientDisconnect:
            await resources.aclose()
            return Response(status_code=400)  # nobody receives it
        except BaseException:
            await resources.aclose()
            raise
        return Lines(first, parts, resources)

    async def _parts(self, request: Request, resources: AsyncExitStack) -> AsyncGenerator[Any]:
        """Receive a file; return the parts of its answer, valid as long as the resources."""
        self._uploads += 1
        resources.callback(self._leave)
        path = await resources.enter_async_context(received(request, self._folder, self._limits))
        upload = Upload(path, upload_name(request), self._limits.length_seconds)
        return await resources.enter_async_context(aclosing(self._reader.parts(upload)))

    def _leave(self) -> None:
        self._uploads -= 1

    async def live(self, socket: WebSocket) -> None:
        """Answer every camera frame until the page disconnects."""
        await socket.accept()
        if "video" not in self._runtime.metadata.answers:
            await socket.close(_UNSUPPORTED, "this model does not support video alone")
            return
        if self._cameras >= CAMERAS:
            await socket.close(_TRY_AGAIN_LATER, "busy: too many cameras are connected")
            return
        self._cameras += 1
        try:
            await self._answer_frames(socket)
        except WebSocketDisconnect:
            pass
        finally:
            self._cameras -= 1

    async def _answer_frames(self, socket: WebSocket) -> None:
        """Answer frames, or close the connection with the reason.

        Raises:
            WebSocketDisconnect: The page has disconnected.
        """
        window = LiveWindow(self._runtime)
        try:
            while True:
                async with asyncio.timeout(_IDLE_SECONDS):
                    message = await socket.receive()
                if message["type"] == "websocket.disconnect":
                    break
                image = CameraImage.from_bytes(message.get("bytes") or b"")
                found = await run_in_threadpool(window.see, image, monotonic())
                await socket.send_json(asdict(found))
        except TimeoutError:
            await socket.close(_UNSUPPORTED, f"no frame received for {_IDLE_SECONDS:g} seconds")
        except (ValueError, AvemotionError) as error:  # no image; a model that gives no answer
            await socket.close(_UNSUPPORTED, str(error)[:100])
