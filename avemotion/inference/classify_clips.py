"""Many clips: decoded in worker processes, classified in this one; and the command `classify`."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path

from avemotion.config import AskedModality, FaceChoice
from avemotion.errors import AvemotionError, MediaError, MissingModalityError, UsageError
from avemotion.inference.adaptation import adapted, check_adapts
from avemotion.inference.classifier import Classifier, answer_or_prepare, check_several
from avemotion.inference.isolated_preparation import ClipTask, prepare_all, task_of
from avemotion.inference.media_files import media_files
from avemotion.inference.prediction import ClipFailure, Prediction
from avemotion.inference.runtimes.interface import RuntimeName
from avemotion.media.sources import Source
from avemotion.parallel.processes import cores

_BATCH = 8  # clips in a call of the network


def classify_clips(
    sources: Iterable[Source],
    classifier: Classifier | None = None,
    modality: AskedModality = "auto",
    *,
    face: FaceChoice = "main",
    parts: bool = False,
    workers: int | None = None,
) -> Generator[Prediction | ClipFailure]:
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
    check_several(sources)
    classifier = classifier or Classifier()
    if not isinstance(classifier, Classifier):
        raise UsageError(
            f"classifier is {type(classifier).__name__}, but must be a Classifier: "
            "Classifier(checkpoint)."
        )
    request = classifier.request(modality, face)
    tasks = [task_of(source, request, parts) for source in sources]
    return _answers(tasks, classifier, parts, workers or cores())


def _answers(
    tasks: list[ClipTask], classifier: Classifier, parts: bool, workers: int
) -> Generator[Prediction | ClipFailure]:
    with closing(prepare_all(answer_or_prepare, tasks, workers)) as outcomes:
        pairs = zip(tasks, outcomes, strict=True)
        while batch := list(islice(pairs, _BATCH)):
            read = [outcome for _, outcome in batch if not isinstance(outcome, AvemotionError)]
            answers = iter(classifier.complete(read, parts))
            for task, outcome in batch:
                if isinstance(outcome, AvemotionError):
                    yield ClipFailure(task.name, str(outcome))
                else:
                    yield from next(answers)


def classify(
    clips: Sequence[Path | str],
    *,
    checkpoint: Path | None = None,
    modality: AskedModality = "auto",
    device: str = "auto",
    runtime: RuntimeName = "auto",
    face: FaceChoice = "main",
    parts: bool = False,
    adapt: bool = False,
) -> Iterator[Prediction | ClipFailure]:
    """Predict the emotion of each clip; a clip that fails stops no other.

    Several clips are decoded in worker processes, while the network classifies.

    Args:
        clips: Media files, folders of such, and patterns; see `media_files`.
        checkpoint: The model (a checkpoint or an exported .onnx), or the folder of its run; by
            default $AVEMOTION_CHECKPOINT, else runs/latest, else avemotion-1, the model that comes
            with the package.
        modality: ``av``, ``video`` or ``audio``; ``auto`` uses all that a clip and the model have.
        device: ``auto``, ``cpu``, ``cuda``...
        runtime: ``auto`` uses onnx for an exported model, torch for a checkpoint. In the folder of
            a run, ``onnx`` uses checkpoint.onnx, the others checkpoint.safetensors.
        face: ``main``, the largest and most central face, or ``all``.
        parts: Also return the predictions from face and voice alone.
        adapt: Adapt the answers to the setting of these clips, 20 or more, without labels; each
            emotion is taken to be as frequent as any other (see `Classifier.adapt`). All of them
            are answered first.

    Yields:
        For each clip in order, a prediction (with ``all``, one per face) or a `ClipFailure`.

    Raises:
        UsageError: There is no such model, its runtime is not installed, or it does not support
            the modality; or a folder or pattern holds no media file, or there are too few clips to
            adapt to.

    Examples:
        >>> from pathlib import Path
        >>> from avemotion import classify
        >>> [result.modality for result in classify([Path("clip.mp4")], modality="audio")]
        ['audio']
    """
    check_several(clips)
    check_adapts(adapt, face)
    given = media_files(clips).paths
    classifier = Classifier(checkpoint, device, runtime)
    if adapt:
        answers = list(classify_clips(given, classifier, modality, face=face, parts=parts))
        yield from adapted(answers)
        return
    if len(given) != 1:
        yield from classify_clips(given, classifier, modality, face=face, parts=parts)
        return
    try:
        if face == "all":
            yield from classifier.classify_faces(given[0], modality, parts=parts)
        else:
            yield classifier.classify(given[0], modality, parts=parts)
    except (MediaError, MissingModalityError) as error:
        yield ClipFailure(str(given[0]), str(error))
