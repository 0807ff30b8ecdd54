"""Settings of preprocessing and training, with the best known values as defaults.

A model's own settings stand in its file in `avemotion.models`. An experiment file
(``configs/*.yaml``) holds only what differs from these. The docstring under each field is the
command line's help for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from avemotion.errors import UsageError, require, require_types, settings_from

Modality = Literal["av", "video", "audio"]
"""What a network reads: face and voice, the face alone, the voice alone."""
AskedModality = Literal["auto", "av", "video", "audio"]
"""Modality of a requested prediction; ``auto``: all that the clip and the model have."""
FaceChoice = Literal["main", "all"]
"""Faces that get a prediction: the largest and most central one, or each."""

Stream = Literal["video", "audio"]
"""Part of a clip that a feature is computed from: its face, or its sound."""

MODALITIES: tuple[Modality, ...] = ("av", "video", "audio")

DEFAULT_MODEL = "ar5"
"""The model that is meant where none is named."""

Engine = Literal["local", "ray"]
"""Where work runs: in processes of this machine, or as tasks of a Ray cluster."""

FACE_FRAMES = 20
"""Face frames sampled from a clip (thesis, section 6: its text says 20, its listing 15)."""
FACE_HEIGHT = 98
"""Height of a face crop in pixels (98 is the width in thesis eq. 6.2, but its crops stand up)."""
FACE_WIDTH = 80
"""Width of a face crop in pixels."""
SAMPLE_RATE = 16_000
"""Sample rate of every waveform in Hz: that of CREMA-D's own WAVs."""
SAMPLE_RATES = range(1_000, 768_001)
"""Accepted sample rates of input, in Hz; from a corrupt higher one, resampling could take hours."""
LONGEST_SOUND_SECONDS = 300.0
"""Of a longer sound only the middle is decoded and kept, so that its memory is bounded."""
_SEEDS = range(2**32)  # what NumPy takes


@dataclass(frozen=True)
class PreprocessSettings:
    """Settings of a feature store; a store made with other values is refused."""

    views: int = 4
    """Views stored of a clip: view 0 is plain, others shift the frames and draw new noise."""
    grid: Literal["even", "thesis"] = "even"
    """Frames of a view: `even` is round(i (n - 1) / 19); `thesis` its listing's k + i (n // 20)."""
    seed: int = 0
    """Seed of noise and shifts; each draw also depends on the name of the clip and on the view."""
    face: Literal["find", "whole"] = "find"
    """What is cropped: the face that is found, or the `whole` picture, which is one as in FER2013.
    """
    crop_rows: int = FACE_HEIGHT
    """Rows of a face crop; the feature `faces` needs 98 x 80."""
    crop_columns: int = FACE_WIDTH
    """Columns of a face crop."""
    crop_margin: float = 0.0
    """Margin added on each side of a face crop, as a share of it; below 0 the crop is tighter. With
    `whole`, of a face that is found when a photograph is classified."""
    equalise: bool = False
    """Equalise the histogram of each face crop after it was resized (thesis, chapter 7)."""
    reader: Literal["pyav", "decord"] = "pyav"
    """Library that decodes the video."""
    features: tuple[str, ...] = ("faces", "power", "log_mel", "waveform")
    """Features that are stored: names of `avemotion.features.table.FEATURES`."""

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        require_types(self, "--")
        require(1 <= self.views <= 64, "--views", self.views, "from 1 to 64")
        require(self.seed >= 0, "--seed", self.seed, "0 or more")
        margin = self.crop_margin
        require(-0.25 <= margin <= 1, "--crop_margin", margin, "from -0.25 to 1")
        for name in ("crop_rows", "crop_columns"):
            require(8 <= getattr(self, name) <= 1024, f"--{name}", getattr(self, name), "8 to 1024")
        standard = self.crop_size == (FACE_HEIGHT, FACE_WIDTH)
        if "faces" in self.features and not standard:
            shape = " x ".join(map(str, self.crop_size))
            raise UsageError(
                f"--crop_rows and --crop_columns are {shape}, but the feature `faces` needs "
                f"{FACE_HEIGHT} x {FACE_WIDTH}. Give --features image, or both as 98 and 80."
            )

    @property
    def crop_size(self) -> tuple[int, int]:
        """Rows and columns of a face crop."""
        return self.crop_rows, self.crop_columns


@dataclass(frozen=True)
class TimelineSettings:
    """How a long video is cut into windows, and how their predictions are smoothed.

    Examples:
        >>> from avemotion import TimelineSettings, timeline
        >>> settings = TimelineSettings(window_seconds=1.0, hop_seconds=0.5, smooth_seconds=0.0)
        >>> rows = list(timeline("clip.mp4", settings=settings))
        >>> rows[1].start_seconds, rows[1].end_seconds
        (0.5, 1.5)
    """

    window_seconds: float = 2.5
    """Length of a window; the default is about that of the training clips."""
    hop_seconds: float = 1.0
    """Time from the start of one window to the start of the next."""
    smooth_seconds: float = 3.0
    """Width of the centred moving average over log-probabilities; 0 switches it off."""
    face: FaceChoice = "main"
    """`main`: the largest and most central face; `all`: a row for each face."""

    def __post_init__(self) -> None:
        """Refuse windows that the networks cannot read, or that leave out parts of the video."""
        require_types(self, "--")
        window, hop = self.window_seconds, self.hop_seconds
        allowed = "from 0.5 to 5, the longest audio that a network reads whole"
        require(0.5 <= window <= 5, "--window_seconds", window, allowed)
        allowed = f"from 0.1 to --window_seconds ({window}), so that nothing is left out"
        require(0.1 <= hop <= window, "--hop_seconds", hop, allowed)
        require(
            0 <= self.smooth_seconds <= 60,
            "--smooth_seconds",
            self.smooth_seconds,
            "from 0 (no smoothing) to 60",
        )


@dataclass(frozen=True)
class TrainingSettings:
    """How a model is trained; a model's own recipe may differ from these defaults."""

    epochs: int = 30
    """Largest number of passes over the training clips."""
    batch_size: int = 32
    """Clips in a training step."""
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    """AdamW, plain Adam without weight decay, or SGD with Nesterov momentum of 0.9."""
    learning_rate: float = 2e-3
    """Highest learning rate."""
    schedule: Literal["one_cycle", "constant", "plateau"] = "one_cycle"
    """Warm-up and cosine decay over all steps; one rate throughout; or a rate that falls to a fifth
    after each third of `patience` epochs in a row without improvement."""
    weight_decay: float = 0.05
    """Weight decay: decoupled with AdamW; in the gradient with SGD, for which some 0.0005 is usual;
    Adam takes none."""
    weight_averaging: float = 0.0
    """If above 0, the model that is validated and kept is an exponential moving average of the
    weights with this decay a step, less in the first steps: 0.999 and the like."""
    views: Literal["one", "all"] = "one"
    """Views of a clip in an epoch: one, drawn anew, or each that differs (with the grid `thesis`
    all its phases) as a clip of its own with the same label and sound."""
    labels: Literal["intended", "votes"] = "intended"
    """Training target: the intended emotion, or a mixture of it and the raters' votes."""
    vote_weight: float = 0.25
    """Share of the crowd's votes in that mixture (with `labels` votes); 1 uses them alone."""
    label_smoothing: float = 0.1
    """Share of the target that is spread evenly over all emotions."""
    balance: Literal["none", "weights", "sampling", "oversampling", "undersampling", "smote"] = (
        "none"
    )
    """For unequally many clips of the emotions: `weights` lets rare ones count more in the loss,
    `sampling` draws them more often in as many steps; `oversampling` repeats them until all have as
    many as the commonest, `undersampling` leaves clips out until all have as few as the rarest, and
    `smote` makes pictures between the nearest rare ones."""
    mixup: float = 0.2
    """Both parameters of the Beta distribution of mixup, which blends clips; 0 switches it off."""
    spectrogram_masking: bool = True
    """Mask a random band of frequencies and a random stretch of time (SpecAugment)."""
    sound_noise: float = 0.25
    """Chance that a clip's voice gets noise in a step: white to pink, or babble, 0 to 30 dB SNR."""
    sound_room: float = 0.125
    """Chance that it sounds in a room."""
    sound_channel: float = 0.25
    """Chance that it comes through a narrow channel, as of telephones and codecs."""
    sound_equaliser: float = 0.0
    """Chance that another microphone colours it: a smooth random response of some 6 dB."""
    sound_gain_db: float = 0.0
    """Largest change of its level, up or down, in decibels."""
    modality_dropout: float = 0.15
    """Chance that a clip's face, and likewise its voice, is hidden from an av network in a step."""
    auxiliary_loss_weight: float = 0.0
    """Weight of the losses of two auxiliary classifiers, one on each branch of an av network."""
    mirror: bool = True
    """Mirror half of the clips left to right."""
    rotation_degrees: float = 8.0
    """Largest rotation of a clip's faces."""
    scale: float = 0.1
    """Largest relative change of the faces' size."""
    shift: float = 0.06
    """Largest shift of the faces, as a share of the crop."""
    shear: float = 0.0
    """Largest shear of the faces: how far a row is moved across, as a share of its distance from
    the middle row."""
    cutout: float = 0.0
    """Side of a grey square at a random place on the faces, as a share of the crop; 0 for none."""
    degradation: float = 0.0
    """Chance that a clip's faces are blurred, shown at a lower resolution, or compressed."""
    pixel_noise: float = 0.0
    """Standard deviation of white noise on the normalised faces."""
    clamp_weights: float | None = None
    """If given, keep the weights of convolutions and linear layers within plus and minus this value
    (thesis, section 6.2, which does not give the interval)."""
    early_stopping: bool = True
    """Keep the best epoch on the validation clips; stop `patience` epochs after it."""
    choose_by: Literal["loss", "accuracy"] = "loss"
    """What makes an epoch the best: the loss on the validation clips, or the accuracy."""
    patience: int = 10
    """Epochs without improvement before training stops."""
    holdout: float = 0.2
    """Share of actors that `fit` leaves out, for `evaluate --protocol holdout`."""
    validation: float = 0.15
    """Share of the remaining actors that choose the epoch and are never trained on."""
    neutral: Literal["label", "rest"] = "label"
    """With action units: neutral is a label that is learned, or `rest`: the answer where no other
    emotion is probable. How probable is chosen on the validation clips; 0.5 without them."""
    seed: int = 0
    """Seed of the split, the initial weights and every random draw in training."""
    split: Literal["actors", "official"] = "actors"
    """Who trains: a share of the actors, or the training part of the corpus' official split."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of training: `auto` is bfloat16 where the processor has it, else float32."""

    def __post_init__(self) -> None:
        """Refuse values out of range, and contradictions."""
        require_types(self, "--training.")
        for name, least in (("epochs", 1), ("batch_size", 2), ("patience", 1)):
            value = getattr(self, name)
            require(value >= least, f"--training.{name}", value, f"{least} or more")
        require(self.learning_rate > 0, "--training.learning_rate", self.learning_rate, "above 0")
        require(
            0 < self.vote_weight <= 1,
            "--training.vote_weight",
            self.vote_weight,
            "above 0, at most 1",
        )
        for name in (
            "weight_decay",
            "mixup",
            "auxiliary_loss_weight",
            "rotation_degrees",
            "pixel_noise",
            "shear",
        ):
            value = getattr(self, name)
            require(value >= 0, f"--training.{name}", value, "0 or more")
        allowed = f"from 0 to {_SEEDS[-1]}"
        require(self.seed in _SEEDS, "--training.seed", self.seed, allowed)
        for name in ("label_smoothing", "scale", "shift", "cutout", "weight_averaging"):
            value = getattr(self, name)
            require(0 <= value < 1, f"--training.{name}", value, "at least 0 and below 1")
        chances = ("sound_noise", "sound_room", "sound_channel", "sound_equaliser", "degradation")
        for name in chances:
            value = getattr(self, name)
            require(0 <= value <= 1, f"--training.{name}", value, "from 0 to 1")
        gain_db = self.sound_gain_db
        require(0 <= gain_db <= 60, "--training.sound_gain_db", gain_db, "from 0 to 60")
        for name in ("modality_dropout", "holdout", "validation"):
            value = getattr(self, name)
            require(0 <= value <= 0.5, f"--training.{name}", value, "from 0 to 0.5")
        if self.clamp_weights is not None:
            allowed = "above 0, or null for no clamping"
            require(self.clamp_weights > 0, "--training.clamp_weights", self.clamp_weights, allowed)
        if self.schedule == "plateau" and not self.early_stopping:
            raise UsageError(
                "--training.schedule is plateau, which needs validation clips to tell improvement, "
                "but --training.early_stopping is false. Choose one_cycle or constant."
            )
        if self.early_stopping and not self.validation:
            raise UsageError(
                "--training.early_stopping needs validation actors, but --training.validation is "
                "0. Give a share of actors, or set --training.early_stopping false."
            )


GivenTraining = TrainingSettings | Mapping[str, Any] | None
"""What is said of training: all of it; single settings by name, which count over a model's recipe;
or nothing, which leaves that as it is."""


@dataclass(frozen=True)
class ExperimentSettings:
    """All settings of a trained model."""

    model: str = DEFAULT_MODEL
    """Name of the model: see ``avemotion models``."""
    modality: Modality = "av"
    """What the model reads."""
    settings: dict[str, Any] = field(default_factory=dict)
    """The model's own settings, all of them, as plain values: see `registry.with_settings`."""
    training: TrainingSettings = field(default_factory=TrainingSettings)
    """How the model is trained."""

    def __post_init__(self) -> None:
        """Refuse values of another type."""
        require_types(self, "--")

    @property
    def system(self) -> str:
        """Name of the model with this modality in an evaluation: ``ar5/av``."""
        return f"{self.model}/{self.modality}"

    @property
    def answers(self) -> tuple[Modality, ...]:
        """Modalities it can answer from: an av network also from one if trained with hiding."""
        if self.modality == "av" and self.training.modality_dropout > 0:
            return MODALITIES
        return (self.modality,)

    def to_dict(self) -> dict[str, Any]:
        """Return nested plain values, as JSON and YAML hold them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ExperimentSettings:
        """Rebuild from `to_dict`'s form; see `settings_from`."""
        return settings_from(cls, values, "experiment")


def differences(theirs: Any, ours: Any) -> list[str]:
    """List where two nested settings (`to_dict`'s form) differ, as ``name: theirs -> ours``."""
    theirs = theirs if isinstance(theirs, dict) else {}
    lines: list[str] = []
    for name, value in ours.items():
        if isinstance(value, dict):
            lines += [f"{name}.{line}" for line in differences(theirs.get(name), value)]
        elif theirs.get(name) != value:
            lines.append(f"{name}: {theirs.get(name)!r} -> {value!r}")
    return lines
