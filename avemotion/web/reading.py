"""From the process that reads an upload to the browser: what is told, as it is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

from anyio import CancelScope
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from avemotion.parallel.isolated_worker import TaskFailure
from avemotion.parallel.isolation import IsolatedProcess

_KILL_AGAIN_SECONDS = 0.5
_STALLED_SECONDS = 30.0


class Reader:
    """The process beside the server: it has one file at a time, and others wait for their turn."""

    def __init__(self, process: IsolatedProcess, answer_seconds: float) -> None:
        """Take the process, and the longest that a file may take it."""
        self._process, self._answer_seconds = process, answer_seconds
        self._turn = asyncio.Lock()

    async def parts(self, task: object) -> AsyncGenerator[Any]:
        """Yield each part of an answer as it comes; a `TaskFailure` where there is no (other) one.

        Who closes this before its end has the process killed: nobody waits for its answer.
        """
        loop, told = asyncio.get_running_loop(), asyncio.Queue[Any]()

        def tell(part: object) -> None:
            loop.call_soon_threadsafe(told.put_nowait, part)

        # A task of its own: the turn ends with the work, however slowly its parts are fetched.
        work = asyncio.create_task(self._read(task, tell))
        work.add_done_callback(told.put_nowait)
        try:
            while (part := await told.get()) is not work:
                yield part
            if isinstance(lost := work.result(), TaskFailure):
                yield lost
        finally:
            work.cancel()
            with CancelScope(shield=True):
                await asyncio.wait([work])

    async def _read(self, task: object, tell: Callable[[object], None]) -> Any:
        """Wait for the turn, and have a file read; cancelled, the process is killed."""
        async with self._turn:
            work = asyncio.ensure_future(
                run_in_threadpool(self._process.run, task, self._answer_seconds, tell)
            )
            try:
                await asyncio.wait([work])
            finally:
                while not work.done():  # one that is killed while it starts is started again
                    self._process.kill()
                    await asyncio.wait([work], timeout=_KILL_AGAIN_SECONDS)
            return work.result()

    def stop(self) -> None:
        """Have whatever is being read end now, and begin nothing more."""
        self._process.close()

    def close(self) -> None:
        """Make sure that the process is gone, once nobody waits for it."""
        self.stop()
        self._process.end()


def refusal(lost: TaskFailure) -> str:
    """Say why there is no answer."""
    return f"There is no answer: {lost.reason.removesuffix('.')}."


class Lines(StreamingResponse):
    """Parts of an answer, a JSON object a line."""

    media_type = "application/x-ndjson"

    def __init__(
        self, first: object, others: AsyncIterator[Any], resources: AsyncExitStack
    ) -> None:
        """Take the first part, those to come, and what to close when they were sent."""
        super().__init__(self._lines(first, others))
        self._resources = resources

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the lines; whatever happens, nothing of the upload is left.

        Whoever does not fetch them is given up.
        """

        async def send_soon(message: Message) -> None:
            async with asyncio.timeout(_STALLED_SECONDS):
                await send(message)

        try:
            await super().__call__(scope, receive, send_soon)
        except* TimeoutError:
            pass  # the connection is closed, since its answer has not ended
        finally:
            with CancelScope(shield=True):
                await self._resources.aclose()

    async def _lines(self, first: object, others: AsyncIterator[Any]) -> AsyncIterator[str]:
        yield _line(first)
        async for part in others:
            yield _line({"error": refusal(part)} if isinstance(part, TaskFailure) else part)
        await self._resources.aclose()  # before the answer ends: who has it finds nothing left


def _line(part: object) -> str:
    return json.dumps(part, allow_nan=False) + "\n"
