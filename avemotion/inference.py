"""From a media file to its emotion: `classify_clip`, `Classifier`, and the command `classify`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from avemotion.config import FACE_FRAMES, Modality
from avemotion.errors import MediaError, MissingModalityError, UsageError
from avemotion.extraction import Extraction, extract
from avemotion.models.ar5 import ClipInputs, normalise_faces, probabilities
from avemotion.models.checkpoint import CHECKPOINT_NAME, LATEST, load_checkpoint
from avemotion.spectrogram import MEL_FRAMES
from avemotion.types import Prediction

CHECKPOINT_VARIABLE = "AVEMOTION_CHECKPOINT"
"""Environment variable that names the model to use."""

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


def find_checkpoint(checkpoint: Path | str | None = None) -> Path:
    """Return the model that answers: the argument, ``AVEMOTION_CHECKPOINT``, or ``runs/latest``.

    Args:
        checkpoint: A checkpoint, or the folder of a run that holds one.

    Raises:
        UsageError: There is none.
    """
    named = checkpoint or os.environ.get(CHECKPOINT_VARIABLE)
    if named is None and not LATEST.exists():
        raise UsageError(
            "No model to answer with: avemotion comes without trained weights. Train one with "
            "`avemotion fit` (it is then found in runs/latest), or name one with --checkpoint or "
            f"the environment variable {CHECKPOINT_VARIABLE}."
        )
    path = Path(named or LATEST)
    return path / CHECKPOINT_NAME if path.is_dir() else path


class Classifier:
    """A loaded model, to classify many clips; reading from several threads is safe."""

    def __init__(self, checkpoint: Path | str | None = None, device: str = "auto") -> None:
        """Load a model.

        Args:
            checkpoint: See `find_checkpoint`.
            device: ``auto`` (a GPU where there is one), ``cpu``, ``cuda``...

        Raises:
            UsageError: There is no such model or device.
        """
        self.checkpoint = find_checkpoint(checkpoint)
        network, self.facts = load_checkpoint(self.checkpoint)
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            self.device = torch.device(device)
            self._network = network.to(self.device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise UsageError(f"--device {device} cannot be used: {reason}") from error

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
        path = Path(path)
        wanted = self._wanted(modality)
        clip = extract(
            path.stem,
            path if wanted != "audio" else None,
            path if wanted != "video" else None,
            replace(self.facts.preprocessing, views=1),
        )
        used = self._choose(path, clip, wanted)
        scores = probabilities(self._network, self._inputs(clip, used))[0].tolist()
        by_emotion = dict(zip(self.labels, scores, strict=True))
        return Prediction(
            clip=str(path),
            label=max(by_emotion, key=by_emotion.__getitem__),
            probabilities=by_emotion,
            modality=used,
            faces_found=clip.faces_found,
            frames_sampled=FACE_FRAMES if clip.frames_decoded else 0,
            face_box=clip.box,
            checkpoint=str(self.checkpoint),
            warnings=tuple(_warnings(clip, wanted, used, self.facts.synthetic is not None)),
        )

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

    def _inputs(self, clip: Extraction, used: str) -> ClipInputs:
        """Put view 0 of a clip into a batch of one."""
        features, network = clip.features, self.facts.experiment.network
        faces = normalise_faces(torch.from_numpy(features.faces[:1]))
        if network.spectrogram == "log_mel":
            picture = torch.from_numpy(features.log_mels[:1])
            length = features.log_mel_length
        else:
            picture = torch.from_numpy(features.spectrograms[:1])
            length = picture.shape[-1] if features.log_mel_length else 0
        tensors = (
            faces,
            picture.float().unsqueeze(1),
            torch.tensor([length]),
            torch.tensor([used != "audio"]),
            torch.tensor([used != "video"]),
        )
        return ClipInputs(*(tensor.to(self.device) for tensor in tensors))


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
) -> Prediction:
    """Tell the emotion of one clip; to classify many, keep a `Classifier`.

    Args:
        path: A media file.
        checkpoint: The model; see `find_checkpoint`.
        modality: What to answer from; ``auto`` takes all that the clip and the model have.
        device: ``auto``, ``cpu``, ``cuda``...

    Returns:
        The prediction; what was missing is in its warnings.

    Raises:
        MediaError: The file cannot be read.
        MissingModalityError: The clip lacks the face or the sound that the answer needs.
        UsageError: There is no such model, or it cannot answer from that modality.
    """
    return Classifier(checkpoint, device).classify(path, modality)


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
) -> Iterator[Prediction | ClipFailure]:
    """Tell the emotion of each clip as it is asked for; one without an answer stops no other.

    Args:
        clips: Media files.
        checkpoint: The model, or the folder of its run; by default $AVEMOTION_CHECKPOINT, else
            runs/latest.
        modality: What to answer from; ``auto`` takes all that the clip and the model have.
        device: ``auto``, ``cpu``, ``cuda``...

    Yields:
        In the order of the clips, a prediction or the reason why there is none.

    Raises:
        UsageError: There is no such model, or it cannot answer from that modality.
    """
    classifier = Classifier(checkpoint, device)
    for clip in clips:
        try:
            yield classifier.classify(clip, modality)
        except (MediaError, MissingModalityError) as error:
            yield ClipFailure(str(clip), str(error))
