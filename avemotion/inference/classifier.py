"""From clips to their emotions: `Classifier`, a loaded model."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avemotion.config import AskedModality, FaceChoice, TimelineSettings
from avemotion.data.batch import STREAMS, Arrays, concatenate, only
from avemotion.encoders.registry import encoder
from avemotion.errors import AvemotionError, MediaError, MissingModalityError, UsageError
from avemotion.inference.adaptation import Adaptation
from avemotion.inference.isolated_preparation import ClipTask, prepare_all, task_of
from avemotion.inference.long_clips import announces_length, is_large, predict_long
from avemotion.inference.prediction import Prediction
from avemotion.inference.preparation import LONG_CLIP_SECONDS, PreparedClip, prepare_clip
from avemotion.inference.request import InferenceRequest
from avemotion.inference.runtimes.interface import RuntimeName
from avemotion.inference.runtimes.loading import find_checkpoint, load_runtime
from avemotion.inference.timeline_rows import TimelineRow, most_probable, smoothed
from avemotion.inference.timeline_windows import window_rows
from avemotion.media.sources import DecodedClip, MediaFile, Source, as_media, source_name
from avemotion.models.metadata import CheckpointMetadata
from avemotion.models.packaged import model_name
from avemotion.models.reliability import reliability_of
from avemotion.parallel.processes import cores

_WINDOWS = TimelineSettings()

Outcome = Sequence[PreparedClip] | Sequence[Prediction]
"""A short clip, prepared (with all faces, each of them); or the predictions of a long one."""

_NO_PARTS = "per-modality predictions unavailable: the model was trained with modality_dropout=0"


class Classifier:
    """A loaded model, to classify many clips; several threads may use it at once.

    Examples:
        >>> from avemotion import Classifier
        >>> classifier = Classifier("runs/latest")
        >>> [classifier.classify(path).modality for path in ["clip.mp4", "clip.mp4"]]
        ['av', 'av']
    """

    def __init__(
        self,
        checkpoint: Path | str | None = None,
        device: str = "auto",
        runtime: RuntimeName = "auto",
    ) -> None:
        """Load a model.

        Args:
            checkpoint: See `find_checkpoint`.
            device: ``auto`` (a GPU where there is one), ``cpu``, ``cuda``...
            runtime: See `find_checkpoint`.

        Raises:
            UsageError: There is no such model or device, or its runtime is not installed.
        """
        self.checkpoint = find_checkpoint(checkpoint, runtime)
        self._runtime = load_runtime(self.checkpoint, device)
        self._adaptation: Adaptation | None = None
        _check_encoders(self.checkpoint, self.metadata)

    @property
    def metadata(self) -> CheckpointMetadata:
        """Metadata stored with the model: settings, labels, training and test actors."""
        return self._runtime.metadata

    @property
    def labels(self) -> tuple[str, ...]:
        """The emotions, in the order of the probabilities."""
        return self.metadata.labels

    def classify(
        self,
        source: Source,
        modality: AskedModality = "auto",
        *,
        parts: bool = False,
        isolated: bool = False,
    ) -> Prediction:
        """Predict the emotion of one clip; see `classify_clip`."""
        return self._classify(source, self.request(modality), parts, isolated)[0]

    def classify_faces(
        self,
        source: Source,
        modality: AskedModality = "auto",
        *,
        parts: bool = False,
        isolated: bool = False,
    ) -> list[Prediction]:
        """Predict the emotion of every face in one clip; see `avemotion.classify_faces`."""
        return self._classify(source, self.request(modality, "all"), parts, isolated)

    def adapt(self, sources: Iterable[Source], modality: AskedModality = "auto") -> None:
        """Adapt all later answers to a setting, from unlabelled clips of it.

        What the model says of all these clips alike is taken out of its answers (see
        `avemotion.inference.adaptation`), of which each says so. An earlier adaptation is replaced.

        Args:
            sources: 20 or more clips of one setting: a camera, a microphone, a speaker. Each
                emotion is taken to be as frequent as any other: where one is not, the commonest is
                underrated. Clips that fail are left out.
            modality: As for `classify_clip`.

        Raises:
            UsageError: Fewer than 20 could be answered, or the model does not support the modality.

        Examples:
            >>> from avemotion import Classifier
            >>> classifier = Classifier()
            >>> classifier.adapt(["clip.mp4"] * 20)
            >>> classifier.classify("clip.mp4").warnings[-1]
            'adapted to 20 unlabelled clips, each emotion taken to be as frequent as any other'
        """
        check_several(sources)
        request = self.request(modality)
        parts = {"video", "audio"} <= set(self.metadata.answers)
        tasks = [task_of(source, request, parts) for source in sources]
        plain: list[Prediction] = []
        with closing(prepare_all(answer_or_prepare, tasks, cores())) as outcomes:
            for outcome in outcomes:
                if not isinstance(outcome, AvemotionError):
                    plain += self._plain([outcome], parts)[0]
        self._adaptation = Adaptation.to(plain)

    def _classify(
        self, source: Source, request: InferenceRequest, parts: bool, isolated: bool
    ) -> list[Prediction]:
        if isolated:
            (outcome,) = prepare_all(answer_or_prepare, [task_of(source, request, parts)], 1)
            if isinstance(outcome, AvemotionError):
                raise outcome
        else:
            media, name = as_media(source), source_name(source)
            outcome = _last(_answer_or_prepare(media, name, request, parts, lambda: self))
        return self.complete([outcome], parts)[0]

    def complete(self, outcomes: Sequence[Outcome], parts: bool = False) -> list[list[Prediction]]:
        """Predict what workers prepared; what they predicted themselves stays as it is.

        Args:
            outcomes: Results of `answer_or_prepare`, none of them an error.
            parts: Also return the predictions from each modality alone.

        Returns:
            The predictions of each clip.
        """
        return [[self._adapted(one) for one in clip] for clip in self._plain(outcomes, parts)]

    def _plain(self, outcomes: Sequence[Outcome], parts: bool) -> list[list[Prediction]]:
        """Predict what workers prepared, without adaptation."""
        prepared = [one for clip in outcomes for one in clip if isinstance(one, PreparedClip)]
        answers = iter(self._plain_answers(prepared, parts))
        return [
            [one if isinstance(one, Prediction) else next(answers) for one in clip]
            for clip in outcomes
        ]

    def _adapted(self, prediction: Prediction) -> Prediction:
        return self._adaptation.applied(prediction) if self._adaptation else prediction

    def timeline(
        self,
        path: Path | str,
        modality: AskedModality = "auto",
        settings: TimelineSettings = _WINDOWS,
        known: Mapping[int, Sequence[TimelineRow]] | None = None,
    ) -> Iterator[TimelineRow]:
        """Predict the emotion in each window of a video of any length, in constant memory.

        Args:
            path: A media file.
            modality: ``av``, ``video`` or ``audio``; ``auto`` uses all that the window and the
                model have.
            settings: Windows, smoothing and faces.
            known: Rows of the first windows by their number, from an earlier run, which are not
                answered again.

        Returns:
            Rows in the order of time, each delayed by half the smoothing width.

        Raises:
            UsageError: The model does not support the modality, or `path` is not a path.
            MediaError: The file cannot be read; the rows before the error were yielded.
            MissingModalityError: The file has none of the streams that the prediction needs.
        """
        if not isinstance(path, str | os.PathLike):
            raise UsageError(f"a timeline needs the path of a file, not {type(path).__name__}.")
        request = self.request(modality, settings.face)
        windows = window_rows(
            Path(path), request, settings, lambda clip: self.answer([clip])[0], known
        )
        return smoothed(windows, settings.smooth_seconds)

    def request(
        self, modality: AskedModality = "auto", face: FaceChoice = "main"
    ) -> InferenceRequest:
        """Return the request that `prepare_clip` needs to prepare clips for this model.

        Raises:
            UsageError: The model does not support the modality.
        """
        return InferenceRequest(self.metadata, str(self.checkpoint), modality, face)

    def prepare(
        self,
        source: Source,
        modality: AskedModality = "auto",
        face: FaceChoice = "main",
    ) -> list[PreparedClip]:
        """Return what the model reads of a clip: face crops and spectrogram, say, and the evidence.

        Args:
            source: As for `classify_clip`.
            modality: As for `classify_clip`.
            face: ``main``, or ``all`` for one prepared clip per face.

        Returns:
            One `PreparedClip`, or one per face. The `arrays` of each are a batch of one clip, with
            the features that the model reads: see `PreparedClip`.

        Raises:
            MediaError, MissingModalityError, UsageError: As for `classify_clip`.
        """
        return prepare_clip(source, self.request(modality, face))

    def answer(self, clips: Sequence[PreparedClip], parts: bool = False) -> list[Prediction]:
        """Predict the emotions of prepared clips, as one batch.

        Args:
            clips: Results of `prepare`, or of `prepare_clip` in another process.
            parts: Also return the predictions from each modality alone.

        Returns:
            One prediction per clip, in the same order.
        """
        return [self._adapted(one) for one in self._plain_answers(clips, parts)]

    def _plain_answers(self, clips: Sequence[PreparedClip], parts: bool) -> list[Prediction]:
        """Predict as the model does, without adaptation."""
        if not clips:
            return []
        batch = concatenate([clip.arrays for clip in clips])
        scores, units = self.metadata.task.split(self._runtime.probabilities(batch))
        alone: dict[str, NDArray[np.floating]] = {}
        own, answers = self.metadata.experiment.modality, self.metadata.answers
        no_parts = parts and own == "av" and not {"video", "audio"} <= set(answers)
        if parts and own != "av":
            alone = {own: scores}
        elif parts and not no_parts:
            alone = {stream: self.probabilities(only(batch, stream)) for stream in STREAMS}
        return [
            self._prediction(
                clip,
                scores[index],
                units[index],
                {m: alone[m][index] for m in alone if clip.modality in ("av", m)},
                (_NO_PARTS,) if no_parts else (),
            )
            for index, clip in enumerate(clips)
        ]

    def probabilities(self, clips: Arrays) -> NDArray[np.floating]:
        """Return the probabilities of the emotions, float32 (clip, emotion); each row sums to 1.

        They are calibrated where the model carries a temperature.
        """
        shares, _ = self.metadata.task.split(self._runtime.probabilities(clips))
        return shares

    def _prediction(
        self,
        clip: PreparedClip,
        scores: NDArray[np.floating],
        units: NDArray[np.floating],
        parts: dict[str, NDArray[np.floating]],
        more_warnings: tuple[str, ...],
    ) -> Prediction:
        by_emotion = self._by_emotion(scores)
        return Prediction(
            clip=clip.clip,
            label=most_probable(by_emotion),
            probabilities=by_emotion,
            modality=clip.modality,
            faces_found=clip.faces_found,
            frames_sampled=clip.frames_sampled,
            face_box=clip.face_box,
            face=clip.face,
            checkpoint=model_name(self.checkpoint),
            warnings=clip.warnings + more_warnings,
            units=dict(zip(self.metadata.task.units, units.tolist(), strict=True)),
            parts={modality: self._by_emotion(part) for modality, part in parts.items()},
            reliability=reliability_of(
                self.metadata.reliability,
                clip.modality,
                clip.departures,
                is_picture=clip.frames_sampled == 1,
            ),
        )

    def _by_emotion(self, scores: NDArray[np.floating]) -> dict[str, float]:
        return dict(zip(self.labels, scores.tolist(), strict=True))


def check_several(sources: Iterable[Source]) -> None:
    """Refuse a single clip: a string would be taken letter by letter.

    Raises:
        UsageError: It is one, or no list of clips.
    """
    is_one = isinstance(sources, str | bytes | os.PathLike | DecodedClip)
    if is_one or hasattr(sources, "read") or not isinstance(sources, Iterable):
        raise UsageError(
            f"clips must be a list, not {type(sources).__name__}. Put a single clip in a list, too."
        )


def _check_encoders(checkpoint: Path, metadata: CheckpointMetadata) -> None:
    """Load the encoders of a model, and refuse others than those that it learned from.

    Raises:
        UsageError: One is not installed, is a table, or has other weights.
    """
    for theirs in metadata.encoders:
        ours = encoder(theirs.name).identity
        if ours != theirs:
            raise UsageError(
                f"{checkpoint} learned from other weights of {theirs.name} than are installed:\n"
                f"  model:     {theirs.revision}, {theirs.precision}, SHA-256 "
                f"{theirs.weights_sha256}\n"
                f"  installed: {ours.revision}, {ours.precision}, SHA-256 {ours.weights_sha256}\n"
                "Get those weights, or train the model anew."
            )


def answer_or_prepare(task: ClipTask) -> Iterator[Outcome | AvemotionError | float]:
    """Run in a worker: prepare a short clip; predict from a long one, whose windows are many.

    Yields:
        The end of each window of a long clip, last the outcome, or the error, which so keeps its
        class.
    """
    try:
        if isinstance(task.clip, AvemotionError):
            raise task.clip
        model = partial(_of_worker, task.request.checkpoint)
        yield from _answer_or_prepare(task.clip, task.name, task.request, task.parts, model)
    except AvemotionError as error:
        yield error


@cache
def _of_worker(checkpoint: str) -> Classifier:
    return Classifier(checkpoint, "cpu")


def _answer_or_prepare(
    media: MediaFile | DecodedClip,
    name: str,
    request: InferenceRequest,
    parts: bool,
    model: Callable[[], Classifier],
) -> Iterator[Outcome | float]:
    """Prepare a clip, or predict from the windows of a long one; the outcome is yielded last."""
    prepared: list[PreparedClip] = []
    if isinstance(media, DecodedClip) or not (is_large(media) and announces_length(media)):
        try:
            prepared = prepare_clip(media, request)
        except (MediaError, MissingModalityError):  # of 20 frames; there are others in a long clip
            if isinstance(media, DecodedClip) or not announces_length(media):
                raise
    is_long = not prepared or prepared[0].seconds > LONG_CLIP_SECONDS
    if is_long and not isinstance(media, DecodedClip):
        classifier = model()
        found = yield from predict_long(
            media, name, request, lambda window: classifier._plain_answers([window], parts)[0]
        )
        if found:
            yield found
            return
    prepared = prepared or prepare_clip(media, request)
    yield [replace(clip, clip=name) for clip in prepared]


def _last(steps: Iterator[Any]) -> Any:
    """Return what is yielded last."""
    return deque(steps, maxlen=1).pop()
