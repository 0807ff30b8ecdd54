"""Streams results from the worker process to the browser as they come."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack
from time import monotonic
from typing import Any

from anyio import CancelScope
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from avemotion.parallel.isolated_worker import TaskFailure
from avemotion.parallel.isolation import IsolatedProcess

_KILL_AGAIN_SECONDS = 0.5
_PATIENCE_SECONDS = 30.0  # how long a client may keep its whole answer waiting,
_LEAST_RATE = 100_000  # and for as many bytes a second more


class Reader:
    """The worker process: it reads one file at a time; other uploads wait for their turn."""

    def __init__(self, process: IsolatedProcess, answer_seconds: float) -> None:
        """Take the process, and the time limit for a file."""
        self._process, self._answer_seconds = process, answer_seconds
        self._turn = asyncio.Lock()

    async def parts(self, task: object) -> AsyncGenerator[Any]:
        """Yield the parts of an answer as they come; last a `TaskFailure` where it failed.

        Closing this generator before its end kills the process: nobody waits for the answer.
        """
        loop, queue = asyncio.get_running_loop(), asyncio.Queue[Any]()

        def report(part: object) -> None:
            loop.call_soon_threadsafe(queue.put_nowait, part)

        # A separate task: the turn ends with the work, however slowly the client fetches the parts.
        work = asyncio.create_task(self._read(task, report))
        work.add_done_callback(queue.put_nowait)
        try:
            while (part := await queue.get()) is not work:
                yield part
            if isinstance(failure := work.result(), TaskFailure):
                yield failure
        finally:
            work.cancel()
            with CancelScope(shield=True):
                await asyncio.wait([work])

    async def _read(self, task: object, report: Callable[[object], None]) -> Any:
        """Wait for the turn, then read the file; cancelling this kills the process."""
        async with self._turn:
            work = asyncio.ensure_future(
                run_in_threadpool(self._process.run, task, self._answer_seconds, report)
            )
            try:
                await asyncio.wait([work])
            finally:
                while not work.done():  # a process killed during its start is started again
                    self._process.kill()
                    await asyncio.wait([work], timeout=_KILL_AGAIN_SECONDS)
            return work.result()

    def stop(self) -> None:
        """Cancel what is being read, and start nothing more."""
        self._process.close()

    def close(self) -> None:
        """Stop, and wait for the process to end."""
        self.stop()
        self._process.end()


def refusal(failure: TaskFailure) -> str:
    """Return the error message of an upload that was not classified."""
    return f"No prediction: {failure.reason.removesuffix('.')}."


class Lines(StreamingResponse):
    """Parts of an answer as newline-delimited JSON."""

    media_type = "application/x-ndjson"

    def __init__(
        self, first: object, others: AsyncIterator[Any], resources: AsyncExitStack
    ) -> None:
        """Take the first part, the parts to come, and the resources to close in the end."""
        super().__init__(self._lines(first, others))
        self._resources = resources

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the lines; in any case, remove the upload.

        A client that stops fetching them, or fetches too slowly, is disconnected.
        """
        patience = _PATIENCE_SECONDS

        async def send_soon(message: Message) -> None:
            nonlocal patience
            patience += len(message.get("body", b"")) / _LEAST_RATE
            start = monotonic()
            async with asyncio.timeout(patience):
                await send(message)
            patience -= monotonic() - start

        try:
            await super().__call__(scope, receive, send_soon)
        except* TimeoutError:
            pass  # the server closes the connection of an unfinished response
        finally:
            with CancelScope(shield=True):
                await self._resources.aclose()

    async def _lines(self, first: object, others: AsyncIterator[Any]) -> AsyncIterator[str]:
        yield _line(first)
        async for part in others:
            yield _line({"error": refusal(part)} if isinstance(part, TaskFailure) else part)
        await self._resources.aclose()  # the upload is removed before the response ends


def _line(part: object) -> str:
    return json.dumps(part, allow_nan=False) + "\n"
