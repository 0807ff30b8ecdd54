"""Many clips: decoded in worker processes, classified in this one; and the command `classify`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from avemotion.config import AskedModality, FaceChoice
from avemotion.errors import AvemotionError, MediaError, MissingModalityError, UsageError
from avemotion.inference.classifier import Classifier
from avemotion.inference.isolated_preparation import ClipTask, prepare_all, task_of
from avemotion.inference.prediction import Prediction
from avemotion.inference.runtimes.interface import RuntimeName
from avemotion.media.sources import DecodedClip, Source
from avemotion.parallel.processes import cores

_BATCH = 8  # clips in a call of the network


@dataclass(frozen=True, slots=True)
class ClipFailure:
    """A clip that could not be classified.

    Examples:
        >>> from avemotion import classify_clips
        >>> [failure] = classify_clips(["missing.mp4"])
        >>> failure.reason
        'no such file: missing.mp4'
    """

    clip: str
    """The clip, named as in `Prediction.clip`."""
    reason: str
    """Why there is no prediction."""

    def to_dict(self) -> dict[str, str]:
        """Return plain values, ready for JSON."""
        return asdict(self)


def classify_clips(
    sources: Iterable[Source],
    classifier: Classifier | None = None,
    modality: AskedModality = "auto",
    *,
    face: FaceChoice = "main",
    parts: bool = False,
    workers: int | None = None,
) -> Iterator[Prediction | ClipFailure]:
    """Predict the emotions of many clips, decoding some while the network classifies others.

    Each is decoded in a worker process, which may crash, hang or run out of memory: only that clip
    fails. Close the iterator to end the processes early.

    Args:
        sources: The clips, each as for `classify_clip`.
        classifier: The model; by default `Classifier()`.
        modality: ``av``, ``video`` or ``audio``; ``auto`` uses all that a clip and the model have.
        face: ``main``, the largest and most central face, or ``all``.
        parts: Also return the predictions from each modality alone.
        workers: Number of processes; by default one per core.

    Returns:
        For each clip in order, a prediction (with ``all``, one per face) or a `ClipFailure`.

    Raises:
        UsageError: There is no such model, it does not support the modality, `workers` is below 1,
            or a single clip is given.

    Examples:
        >>> from avemotion import classify_clips
        >>> for result in classify_clips(["clip.mp4", "missing.mp4"]):
        ...     print(result.clip, type(result).__name__)
        clip.mp4 Prediction
        missing.mp4 ClipFailure
    """
    if workers is not None and workers < 1:
        raise UsageError(f"workers is {workers}, but must be 1 or more.")
    given = _several(sources)
    classifier = classifier or Classifier()
    if not isinstance(classifier, Classifier):
        raise UsageError(
            f"classifier is {type(classifier).__name__}, but must be a Classifier: "
            "Classifier(checkpoint)."
        )
    request = classifier.request(modality, face)
    tasks = [task_of(source, request) for source in given]
    return _answers(tasks, classifier, parts, workers or cores())


def _several(sources: Iterable[Source]) -> list[Source]:
    """Refuse a single clip: a string would be taken letter by letter."""
    is_one = isinstance(sources, str | bytes | os.PathLike | DecodedClip)
    if is_one or hasattr(sources, "read") or not isinstance(sources, Iterable):
        raise UsageError(
            f"clips must be a list, not {type(sources).__name__}. Put a single clip in a list, too."
        )
    return list(sources)


def _answers(
    tasks: list[ClipTask], classifier: Classifier, parts: bool, workers: int
) -> Iterator[Prediction | ClipFailure]:
    with closing(prepare_all(tasks, workers)) as outcomes:
        pairs = zip(tasks, outcomes, strict=True)
        while batch := list(islice(pairs, _BATCH)):
            prepared = [
                clip for _, outcome in batch if isinstance(outcome, list) for clip in outcome
            ]
            answers = iter(classifier.answer(prepared, parts))
            for task, outcome in batch:
                if isinstance(outcome, AvemotionError):
                    yield ClipFailure(task.name, str(outcome))
                else:
                    yield from islice(answers, len(outcome))


def classify(
    clips: Sequence[Path],
    *,
    checkpoint: Path | None = None,
    modality: AskedModality = "auto",
    device: str = "auto",
    runtime: RuntimeName = "auto",
    face: FaceChoice = "main",
    parts: bool = False,
) -> Iterator[Prediction | ClipFailure]:
    """Predict the emotion of each clip; a clip that fails stops no other.

    Several clips are decoded in worker processes, while the network classifies.

    Args:
        clips: Media files.
        checkpoint: The model (a checkpoint or an exported .onnx), or the folder of its run; by
            default $AVEMOTION_CHECKPOINT, else runs/latest.
        modality: ``av``, ``video`` or ``audio``; ``auto`` uses all that a clip and the model have.
        device: ``auto``, ``cpu``, ``cuda``...
        runtime: ``auto`` uses onnx for an exported model, torch for a checkpoint. In the folder of
            a run, ``onnx`` uses checkpoint.onnx, the others checkpoint.safetensors.
        face: ``main``, the largest and most central face, or ``all``.
        parts: Also return the predictions from face and voice alone.

    Yields:
        For each clip in order, a prediction (with ``all``, one per face) or a `ClipFailure`.

    Raises:
        UsageError: There is no such model, its runtime is not installed, or it does not support
            the modality.

    Examples:
        >>> from pathlib import Path
        >>> from avemotion import classify
        >>> [result.modality for result in classify([Path("clip.mp4")], modality="audio")]
        ['audio']
    """
    given = _several(clips)
    classifier = Classifier(checkpoint, device, runtime)
    if len(given) != 1:
        yield from classify_clips(given, classifier, modality, face=face, parts=parts)
        return
    try:
        yield from classifier.answer(classifier.prepare(given[0], modality, face), parts)
    except (MediaError, MissingModalityError) as error:
        yield ClipFailure(str(given[0]), str(error))
