"""Prepares clips in worker processes, which may crash, hang, or run out of memory."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from avemotion.errors import AvemotionError, MediaError
from avemotion.inference.preparation import PreparedClip, prepare_clip
from avemotion.inference.request import InferenceRequest
from avemotion.media.sources import DecodedClip, MediaFile, Source, as_portable, source_name
from avemotion.parallel.isolated_worker import TaskFailure
from avemotion.parallel.isolation import CLIP_TIMEOUT_SECONDS, map_isolated
from avemotion.parallel.processes import one_thread


@dataclass(frozen=True, slots=True)
class ClipTask:
    """A clip to prepare in a worker process."""

    clip: MediaFile | DecodedClip | AvemotionError
    """The clip; an error where it cannot be sent to the worker."""
    name: str
    """Name of the clip in messages and predictions."""
    request: InferenceRequest
    """Model, modality and choice of faces."""


def task_of(source: Source, request: InferenceRequest) -> ClipTask:
    """Return a clip in a form that can be sent to a worker process."""
    try:
        return ClipTask(as_portable(source), source_name(source), request)
    except AvemotionError as error:
        return ClipTask(error, source_name(source), request)


def _prepare(task: ClipTask) -> list[PreparedClip] | AvemotionError:
    """Run in a worker: an error keeps its class."""
    if isinstance(task.clip, AvemotionError):
        return task.clip
    try:
        clips = prepare_clip(task.clip, task.request)
    except AvemotionError as error:
        return error
    return [replace(clip, clip=task.name) for clip in clips]


def prepare_all(
    tasks: Sequence[ClipTask], workers: int
) -> Generator[list[PreparedClip] | AvemotionError, None, None]:
    """Prepare clips in worker processes and yield the results in the order of the tasks."""
    with closing(
        map_isolated(
            _prepare,
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


def prepare_isolated(source: Source, request: InferenceRequest) -> list[PreparedClip]:
    """Prepare a clip in a separate process; otherwise as `prepare_clip`.

    Raises:
        MediaError: The clip cannot be read, or the process crashed, hung, or ran out of memory.
        MissingModalityError, UsageError: As `prepare_clip`.
    """
    (outcome,) = prepare_all([task_of(source, request)], workers=1)
    if isinstance(outcome, AvemotionError):
        raise outcome
    return outcome
