"""From a media file to its emotion: `classify_clip`, `Classifier`, and the command `classify`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from avemotion.config import FACE_FRAMES, Modality, TimelineSettings
from avemotion.errors import MediaError, MissingModalityError, UsageError
from avemotion.extraction import Extraction, extract
from avemotion.models.facts import CheckpointFacts
from avemotion.runtimes.interface import ClipArrays, RuntimeName
from avemotion.runtimes.loading import find_checkpoint, load_runtime
from avemotion.spectrogram import MEL_FRAMES
from avemotion.timeline_rows import TimelineRow, most_probable, smoothed
from avemotion.types import Prediction
from avemotion.window_rows import Answer, window_rows

LONG_CLIP_SECONDS = 10.0
"""Clips longer than this are unlike those of CREMA-D (about 2.5 s), and the prediction says so."""

_HEARD_SECONDS = MEL_FRAMES / 100
"""Of a longer sound the log-mel holds the middle."""

_HEARS_SEES: dict[str, tuple[str, ...]] = {
    "av": ("av", "video", "audio"),
    "video": ("video",),
    "audio": ("audio",),
}
"""What a clip offers -> what can be answered from it, best first."""


_WINDOWS = TimelineSettings()


class Classifier:
    """A loaded model, to classify many clips; reading from several threads is safe."""

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
    def facts(self) -> CheckpointFacts:
        """What the model says of itself."""
        return self._runtime.facts

    @property
    def labels(self) -> tuple[str, ...]:
        """The emotions in the order of the probabilities."""
        return self.facts.labels

    def classify(
        self, path: Path | str, modality: Modality | Literal["auto"] = "auto"
    ) -> Prediction:
        """Tell the emotion of one clip.

        Args:
            path: A media file.
            modality: What to answer from; ``auto`` takes all that the clip and the model have.

        Returns:
            The prediction; what was missing is in its warnings.

        Raises:
            MediaError: The file cannot be read.
            MissingModalityError: The clip lacks the face or the sound that the answer needs.
            UsageError: The model cannot answer from that modality.
        """
        return self.predict(path, self.read(path, modality), modality)

    def read(self, path: Path | str, modality: Modality | Literal["auto"] = "auto") -> Extraction:
        """Read what `predict` needs of a clip; arguments and errors are those of `classify`."""
        path, wanted = Path(path), self._wanted(modality)
        return extract(
            path.stem,
            path if wanted != "audio" else None,
            path if wanted != "video" else None,
            replace(self.facts.preprocessing, views=1),
        )

    def predict(
        self, path: Path | str, clip: Extraction, modality: Modality | Literal["auto"] = "auto"
    ) -> Prediction:
        """Tell the emotion of a clip that was read.

        Args:
            path: Names the clip; nothing is opened.
            clip: What was read of it.
            modality: As for `classify`.

        Raises:
            MissingModalityError: The clip lacks the face or the sound that the answer needs.
            UsageError: The model cannot answer from that modality.
        """
        path = Path(path)
        answer = self._answer(path, clip, self._wanted(modality))
        return Prediction(
            clip=str(path),
            label=most_probable(answer.probabilities),
            probabilities=answer.probabilities,
            modality=answer.modality,
            faces_found=clip.faces_found,
            frames_sampled=FACE_FRAMES if clip.frames_decoded else 0,
            face_box=clip.box,
            checkpoint=str(self.checkpoint),
            warnings=answer.warnings,
        )

    def timeline(
        self,
        path: Path | str,
        modality: Modality | Literal["auto"] = "auto",
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
            UsageError: The model cannot answer from that modality.
            MediaError: The file cannot be read; rows until then have been given.
            MissingModalityError: The file has none of the streams that the answer needs.
        """
        path, wanted = Path(path), self._wanted(modality)
        answer = partial(self._answer, path, wanted=wanted)
        windows = window_rows(path, wanted, settings, self.facts.preprocessing, answer)
        return smoothed(windows, settings.smooth_seconds)

    def _answer(self, path: Path, clip: Extraction, wanted: str) -> Answer:
        """Tell the emotion, or raise why that cannot be."""
        used = self._choose(path, clip, wanted)
        scores = self._runtime.probabilities(self._arrays(clip, used))[0].tolist()
        by_emotion = dict(zip(self.labels, scores, strict=True))
        warnings = _warnings(clip, wanted, used, self.facts.synthetic is not None)
        return Answer(used, by_emotion, tuple(warnings))

    def _wanted(self, modality: str) -> str:
        """Return the modality asked for, or the model's own where none is."""
        if modality == "auto":
            return self.facts.experiment.modality
        if modality not in self.facts.answers:
            raise UsageError(
                f"{self.checkpoint} cannot answer with modality {modality!r}; it answers with "
                f"{', '.join(self.facts.answers)}. Choose one of these, or another checkpoint."
            )
        return modality

    def _choose(self, path: Path, clip: Extraction, wanted: str) -> str:
        """Return what the answer rests on: what is wanted, or what of it the clip has."""
        possible = _HEARS_SEES.get(clip.status, ())
        if wanted in possible:
            return wanted
        missing = "; ".join(why for why in (clip.no_face, clip.no_sound) if why)
        for modality in possible:
            if modality in self.facts.answers and wanted == "av":
                return modality
        if wanted == "av" and possible:
            raise MissingModalityError(
                f"{path} has only one modality ({missing}), and {self.checkpoint} was trained "
                "without hiding modalities: it needs both. Train with modality dropout."
            )
        raise MissingModalityError(f"{path} cannot be classified by {wanted}: {missing}.")

    def _arrays(self, clip: Extraction, used: str) -> ClipArrays:
        """Put view 0 of a clip into a batch of one."""
        features = clip.features
        if self.facts.experiment.network.spectrogram == "log_mel":
            picture, length = features.log_mels[:1].astype(np.float32), features.log_mel_length
        else:
            picture = features.spectrograms[:1]
            length = picture.shape[-1] if features.log_mel_length else 0
        return ClipArrays(
            faces=features.faces[:1],
            spectrograms=picture[:, None],
            lengths=np.array([length], np.int64),
            has_face=np.array([used != "audio"]),
            has_sound=np.array([used != "video"]),
        )


def _warnings(clip: Extraction, wanted: str, used: str, synthetic: bool) -> list[str]:
    """Say what was missing or unusual."""
    warnings = []
    if synthetic:
        warnings.append(
            "the model was trained on synthetic data: its answer says nothing about people"
        )
    if used != wanted:
        missing = clip.no_face if used == "audio" else clip.no_sound
        warnings.append(f"answered from {used} alone: {missing}")
    if used != "audio" and clip.faces_found * 2 < FACE_FRAMES:
        warnings.append(f"a face was found on only {clip.faces_found} of {FACE_FRAMES} frames")
    seconds = max(
        clip.video_seconds if used != "audio" else 0.0,
        clip.sound_seconds if used != "video" else 0.0,
    )
    if seconds > LONG_CLIP_SECONDS:
        warnings.append(
            f"the clip lasts {seconds:.1f} s, unlike those of training: it is judged by "
            f"{FACE_FRAMES} frames spread over it and by the middle {_HEARD_SECONDS:.0f} s of its "
            "sound"
        )
    elif used != "video" and clip.sound_seconds > _HEARD_SECONDS:
        warnings.append(
            f"of {clip.sound_seconds:.1f} s of sound, the middle {_HEARD_SECONDS:.0f} s are heard"
        )
    return warnings


def classify_clip(
    path: Path | str,
    checkpoint: Path | str | None = None,
    modality: Modality | Literal["auto"] = "auto",
    device: str = "auto",
    runtime: RuntimeName = "auto",
) -> Prediction:
    """Tell the emotion of one clip; to classify many, keep a `Classifier`.

    Args:
        path: A media file.
        checkpoint: The model; see `find_checkpoint`.
        modality: What to answer from; ``auto`` takes all that the clip and the model have.
        device: ``auto``, ``cpu``, ``cuda``...
        runtime: See `find_checkpoint`.

    Returns:
        The prediction; what was missing is in its warnings.

    Raises:
        MediaError: The file cannot be read.
        MissingModalityError: The clip lacks the face or the sound that the answer needs.
        UsageError: There is no such model, its runtime is not installed, or it cannot answer from
            that modality.
    """
    return Classifier(checkpoint, device, runtime).classify(path, modality)


@dataclass(frozen=True, slots=True)
class ClipFailure:
    """A clip without an answer."""

    clip: str
    """The file, as it was given."""
    reason: str
    """Why there is none."""


def classify(
    clips: Sequence[Path],
    *,
    checkpoint: Path | None = None,
    modality: Modality | Literal["auto"] = "auto",
    device: str = "auto",
    runtime: RuntimeName = "auto",
) -> Iterator[Prediction | ClipFailure]:
    """Tell the emotion of each clip as it is asked for; one without an answer stops no other.

    Args:
        clips: Media files.
        checkpoint: The model (a checkpoint or an exported .onnx), or the folder of its run; by
            default $AVEMOTION_CHECKPOINT, else runs/latest.
        modality: What to answer from; ``auto`` takes all that the clip and the model have.
        device: ``auto``, ``cpu``, ``cuda``...
        runtime: ``auto``: an exported model is for ``onnx``, a checkpoint for ``torch``; of a run's
            folder, ``onnx`` takes checkpoint.onnx, the others checkpoint.safetensors.

    Yields:
        In the order of the clips, a prediction or the reason why there is none.

    Raises:
        UsageError: There is no such model, its runtime is not installed, or it cannot answer from
            that modality.
    """
    classifier = Classifier(checkpoint, device, runtime)
    for clip in clips:
        try:
            yield classifier.classify(clip, modality)
        except (MediaError, MissingModalityError) as error:
            yield ClipFailure(str(clip), str(error))
