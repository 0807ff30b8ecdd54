"""From a clip to its emotion: `classify_clip` and `Classifier`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, overload

import numpy as np
from numpy.typing import NDArray

from avemotion.config import AskedModality, FaceChoice, TimelineSettings
from avemotion.errors import UsageError
from avemotion.inference.isolated_preparation import prepare_isolated
from avemotion.inference.prediction import Prediction
from avemotion.inference.preparation import InferenceRequest, PreparedClip, prepare_clip
from avemotion.inference.runtimes.interface import ClipArrays, RuntimeName
from avemotion.inference.runtimes.loading import find_checkpoint, load_runtime
from avemotion.inference.timeline_rows import TimelineRow, most_probable, smoothed
from avemotion.inference.timeline_windows import window_rows
from avemotion.media.sources import Source
from avemotion.models.metadata import CheckpointMetadata

_WINDOWS = TimelineSettings()

_NO_PARTS = (
    "what face and voice alone would say is not known: the model was trained without hiding "
    "modalities"
)


class Classifier:
    """A loaded model, to classify many clips; asking it from several threads is safe."""

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

    @property
    def metadata(self) -> CheckpointMetadata:
        """What the model says of itself."""
        return self._runtime.metadata

    @property
    def labels(self) -> tuple[str, ...]:
        """The emotions in the order of the probabilities."""
        return self.metadata.labels

    @overload
    def classify(
        self,
        source: Source,
        modality: AskedModality = "auto",
        *,
        face: Literal["main"] = "main",
        parts: bool = False,
        isolated: bool = False,
    ) -> Prediction: ...

    @overload
    def classify(
        self,
        source: Source,
        modality: AskedModality = "auto",
        *,
        face: Literal["all"],
        parts: bool = False,
        isolated: bool = False,
    ) -> list[Prediction]: ...

    def classify(
        self,
        source: Source,
        modality: AskedModality = "auto",
        *,
        face: FaceChoice = "main",
        parts: bool = False,
        isolated: bool = False,
    ) -> Prediction | list[Prediction]:
        """Tell the emotion of one clip; see `classify_clip`."""
        request = self.request(modality, face)
        prepare = prepare_isolated if isolated else prepare_clip
        predictions = self.answer(prepare(source, request), parts)
        return predictions if face == "all" else predictions[0]

    def timeline(
        self,
        path: Path | str,
        modality: AskedModality = "auto",
        settings: TimelineSettings = _WINDOWS,
    ) -> Iterator[TimelineRow]:
        """Tell the emotion in each window of a video of any length, in memory that does not grow.

        Args:
            path: A media file.
            modality: What to answer from; ``auto`` takes all that the window and the model have.
            settings: Windows, smoothing and faces.

        Returns:
            The rows as they come, by time; each is delayed by half the width of smoothing.

        Raises:
            UsageError: The model cannot answer from that modality, or this is no path.
            MediaError: The file cannot be read; rows until then have been given.
            MissingModalityError: The file has none of the streams that the answer needs.
        """
        if not isinstance(path, str | os.PathLike):
            raise UsageError(
                f"a timeline is of a file, but {type(path).__name__} is given. Give its path."
            )
        request = self.request(modality, settings.face)
        windows = window_rows(Path(path), request, settings, lambda clip: self.answer([clip])[0])
        return smoothed(windows, settings.smooth_seconds)

    def request(
        self, modality: AskedModality = "auto", face: FaceChoice = "main"
    ) -> InferenceRequest:
        """Return what `prepare_clip` needs to know of this model.

        Raises:
            UsageError: The model cannot answer from that modality.
        """
        return InferenceRequest(self.metadata, str(self.checkpoint), modality, face)

    def prepare(
        self,
        source: Source,
        modality: AskedModality = "auto",
        face: FaceChoice = "main",
    ) -> list[PreparedClip]:
        """Return what the network reads of a clip: crops, spectrogram, and the evidence."""
        return prepare_clip(source, self.request(modality, face))

    def answer(self, clips: Sequence[PreparedClip], parts: bool = False) -> list[Prediction]:
        """Tell the emotions of prepared clips, in one call of the network.

        Args:
            clips: Of `prepare`, or of `prepare_clip` in another process.
            parts: Also say what each modality alone would have said.
        """
        if not clips:
            return []
        scores = self.probabilities(_joined([clip.arrays for clip in clips]))
        alone: dict[str, NDArray[np.float32]] = {}
        is_av = self.metadata.experiment.modality == "av"
        can = set(self.metadata.answers) >= {"video", "audio"}
        if parts and not is_av:
            alone = {self.metadata.experiment.modality: scores}
        elif parts and can:
            alone = {
                modality: self.probabilities(_joined([_alone(c.arrays, modality) for c in clips]))
                for modality in ("video", "audio")
            }
        return [
            self._prediction(
                clip,
                scores[place],
                {m: alone[m][place] for m in alone if clip.modality in ("av", m)},
                (_NO_PARTS,) if parts and is_av and not can else (),
            )
            for place, clip in enumerate(clips)
        ]

    def probabilities(self, clips: ClipArrays) -> NDArray[np.float32]:
        """Return the probability of each emotion, float32 (clip, emotion)."""
        return self._runtime.probabilities(clips)

    def _prediction(
        self,
        clip: PreparedClip,
        scores: NDArray[np.float32],
        parts: dict[str, NDArray[np.float32]],
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
            checkpoint=str(self.checkpoint),
            warnings=clip.warnings + more_warnings,
            parts={modality: self._by_emotion(part) for modality, part in parts.items()},
        )

    def _by_emotion(self, scores: NDArray[np.float32]) -> dict[str, float]:
        return dict(zip(self.labels, scores.tolist(), strict=True))


def _joined(clips: Sequence[ClipArrays]) -> ClipArrays:
    """Put clips into one batch."""
    return ClipArrays(
        *(
            np.concatenate([getattr(clip, part) for clip in clips])
            for part in ("faces", "spectrograms", "lengths", "has_face", "has_sound")
        )
    )


def _alone(clip: ClipArrays, modality: str) -> ClipArrays:
    """Hide the other modality."""
    hidden = np.zeros_like(clip.has_face)
    return ClipArrays(
        clip.faces,
        clip.spectrograms,
        clip.lengths,
        clip.has_face if modality == "video" else hidden,
        clip.has_sound if modality == "audio" else hidden,
    )


@overload
def classify_clip(
    source: Source,
    checkpoint: Path | str | None = None,
    modality: AskedModality = "auto",
    device: str = "auto",
    runtime: RuntimeName = "auto",
    *,
    face: Literal["main"] = "main",
    parts: bool = False,
    isolated: bool = False,
) -> Prediction: ...


@overload
def classify_clip(
    source: Source,
    checkpoint: Path | str | None = None,
    modality: AskedModality = "auto",
    device: str = "auto",
    runtime: RuntimeName = "auto",
    *,
    face: Literal["all"],
    parts: bool = False,
    isolated: bool = False,
) -> list[Prediction]: ...


def classify_clip(
    source: Source,
    checkpoint: Path | str | None = None,
    modality: AskedModality = "auto",
    device: str = "auto",
    runtime: RuntimeName = "auto",
    *,
    face: FaceChoice = "main",
    parts: bool = False,
    isolated: bool = False,
) -> Prediction | list[Prediction]:
    """Tell the emotion of one clip; to classify many, keep a `Classifier`.

    The 20 frames are spread evenly over the clip's time, also at a variable frame rate.

    Args:
        source: A media file's path, its content as bytes, an open binary file (read from its
            beginning; a pipe is read whole), or a `DecodedClip` of arrays.
        checkpoint: The model; see `find_checkpoint`.
        modality: What to answer from; ``auto`` takes all that the clip and the model have.
        device: ``auto``, ``cpu``, ``cuda``...
        runtime: See `find_checkpoint`.
        face: Of several faces, answer for the largest and most central one (``main``), or for each
            (``all``).
        parts: Also say what each modality alone would have said.
        isolated: Decode in a process of its own, which may crash, hang, or run out of memory.

    Returns:
        The prediction; what was missing is in its warnings. With ``face="all"`` a list: one for
        each face, or one from the voice alone where there is none.

    Raises:
        MediaError: The clip cannot be read.
        MissingModalityError: It lacks the face or the sound that the answer needs.
        UsageError: There is no such model, its runtime is not installed, it cannot answer from
            that modality, or the source is no clip.
    """
    classifier = Classifier(checkpoint, device, runtime)
    if face == "all":
        return classifier.classify(source, modality, face="all", parts=parts, isolated=isolated)
    return classifier.classify(source, modality, face=face, parts=parts, isolated=isolated)
