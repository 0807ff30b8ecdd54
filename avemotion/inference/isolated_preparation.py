"""Reads clips in worker processes, which may crash, hang, or run out of memory."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avemotion.errors import AvemotionError, MediaError
from avemotion.inference.request import InferenceRequest
from avemotion.media.sources import DecodedClip, MediaFile, Source, as_portable, source_name
from avemotion.parallel.isolated_worker import TaskFailure
from avemotion.parallel.isolation import CLIP_TIMEOUT_SECONDS, map_isolated
from avemotion.parallel.processes import one_thread


@dataclass(frozen=True, slots=True)
class ClipTask:
    """A clip to read in a worker process."""

    clip: MediaFile | DecodedClip | AvemotionError
    """The clip; an error where it cannot be sent to the worker."""
    name: str
    """Name of the clip in messages and predictions."""
    request: InferenceRequest
    """Model, modality and choice of faces."""
    parts: bool
    """Whether the predictions from each modality alone are wanted, too."""


def task_of(source: Source, request: InferenceRequest, parts: bool = False) -> ClipTask:
    """Return a clip in a form that can be sent to a worker process."""
    try:
        return ClipTask(as_portable(source), source_name(source), request, parts)
    except AvemotionError as error:
        return ClipTask(error, source_name(source), request, parts)


def prepare_all(
    prepare: Callable[[ClipTask], Iterator[Any]], tasks: Sequence[ClipTask], workers: int
) -> Generator[Any, None, None]:
    """Call a function with each task in worker processes, and yield what it made of each, in order.

    Args:
        prepare: Importable by name. What it yields last is the result; what it yields before says
            that it has not hung: the time limit starts anew.
        tasks: The clips.
        workers: Number of processes.

    Returns:
        The result for each task; a `MediaError` where the process crashed, hung, or ran out of
        memory.
    """
    with closing(
        map_isolated(
            prepare,
            tasks,
            workers=workers,
            timeout_seconds=CLIP_TIMEOUT_SECONDS,
            prepare=one_thread,
        )
    ) as outcomes:
        for task, outcome in zip(tasks, outcomes, strict=True):
            if isinstance(outcome, TaskFailure):
                yield MediaError(f"{Path(task.name).name} cannot be decoded: {outcome.reason}")
            else:
                yield outcome
