"""Many clips: decoded in other processes, answered in this one; and the command `classify`."""

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
    """A clip without an answer."""

    clip: str
    """The file, as it was given."""
    reason: str
    """Why there is none."""

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
    """Tell the emotions of many clips, decoding some while the network answers for others.

    Each is decoded in a worker process, which may crash, hang or run out of memory: that costs one
    clip. Close the iterator to end the processes early.

    Args:
        sources: As `classify_clip` takes them.
        classifier: The model; by default the one that `Classifier()` loads.
        modality: What to answer from; ``auto`` takes all that a clip and the model have.
        face: Of several faces, answer for the largest and most central one (``main``), or for each
            (``all``).
        parts: Also say what each modality alone would have said.
        workers: Processes; by default one a core.

    Returns:
        In the order of the clips, a prediction (with ``all``, one for each face) or the reason why
        there is none.

    Raises:
        UsageError: There is no such model, it cannot answer from that modality, `workers` is below
            1, or a single clip is given.
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
    """Refuse a single clip: a text would be taken letter by letter."""
    is_one = isinstance(sources, str | bytes | os.PathLike | DecodedClip)
    if is_one or hasattr(sources, "read") or not isinstance(sources, Iterable):
        raise UsageError(
            f"clips are given as one {type(sources).__name__}, but must be a list. Put one clip in "
            "a list, too."
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
    """Tell the emotion of each clip; one without an answer stops no other.

    Several clips are decoded in worker processes, while the network answers.

    Args:
        clips: Media files.
        checkpoint: The model (a checkpoint or an exported .onnx), or the folder of its run; by
            default $AVEMOTION_CHECKPOINT, else runs/latest.
        modality: What to answer from; ``auto`` takes all that the clip and the model have.
        device: ``auto``, ``cpu``, ``cuda``...
        runtime: ``auto``: an exported model is for ``onnx``, a checkpoint for ``torch``; of a run's
            folder, ``onnx`` takes checkpoint.onnx, the others checkpoint.safetensors.
        face: ``main``: of several faces the largest and most central one; ``all``: each.
        parts: Also say what face and voice alone would have said.

    Yields:
        In the order of the clips, a prediction (with ``all``, one for each face) or the reason why
        there is none.

    Raises:
        UsageError: There is no such model, its runtime is not installed, or it cannot answer from
            that modality.
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
