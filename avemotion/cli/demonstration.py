"""A real photograph, then all steps on a small synthetic corpus: the command `demo`.

Real settings scaled down, so that it takes minutes on two cores; each step can be interrupted, and
a second run goes on where the first stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from avemotion.cli.text_output import (
    answers_text,
    evaluate_text,
    fit_text,
    prediction_text,
    preprocess_text,
    synth_text,
)
from avemotion.config import DEFAULT_MODEL, MODALITIES
from avemotion.data.corpora.crema_d import VIDEO_FOLDER, VIDEO_SUFFIX
from avemotion.data.corpora.synthetic import synth
from avemotion.data.preprocessing import preprocess
from avemotion.evaluation.evaluate import evaluate
from avemotion.evaluation.predictions import read_records
from avemotion.evaluation.report.results import EvaluationResults
from avemotion.inference.classifier import Classifier
from avemotion.inference.one_clip import classify_image
from avemotion.inference.prediction import Prediction
from avemotion.models.packaged import PACKAGED
from avemotion.training.fit import fit

ACTORS, CLIPS_PER_ACTOR = 12, 30
TRAINING = {"epochs": 24, "patience": 24, "batch_size": 12, "holdout": 0.25}
OPTIONS = (
    "--training.epochs 24 --training.patience 24 --training.batch_size 12 --training.holdout 0.25"
)
"""`TRAINING` as it is typed."""


@dataclass(frozen=True, slots=True)
class DemoReport:
    """What the demonstration ends with."""

    evaluation: EvaluationResults
    """Networks, people and ceiling on the held-out actors."""
    predictions: tuple[Prediction, ...]
    """The predictions for a clip of each emotion, of these actors."""
    targets: tuple[str, ...]
    """The emotions that these clips were meant to show."""


def demo(
    out: Path = Path("demo"), *, progress: bool = True, echo: Callable[[str], None] = print
) -> DemoReport:
    """Classify a photograph, then run synth, preprocess, fit, evaluate and classify in one folder.

    Args:
        out: Folder of the photograph, the corpus, the features and the runs.
        progress: Show progress bars.
        echo: Called with the text that each step prints.

    Returns:
        The evaluation on the held-out actors, and predictions for a few of their clips.

    Raises:
        UsageError: The folder holds something else.

    Examples:
        >>> from avemotion import demo
        >>> report = demo(echo=lambda text: None, progress=False)
        >>> report.targets == report.evaluation.labels
        True
    """
    corpus, features, runs = out / "crema", out / "features", out / "runs"
    _classify_photograph(out, echo)

    echo(f"\n$ avemotion synth {corpus} --actors {ACTORS} --clips-per-actor {CLIPS_PER_ACTOR}")
    written = synth(corpus, actors=ACTORS, clips_per_actor=CLIPS_PER_ACTOR, progress=progress)
    echo(synth_text(written))

    echo(f"\n$ avemotion preprocess {corpus} --out {features}")
    echo(preprocess_text(preprocess(corpus, out=features, progress=progress)))

    for modality in MODALITIES:
        echo(
            f"\n$ avemotion fit --modality {modality} --data {features} "
            f"--out {runs / DEFAULT_MODEL / modality} {OPTIONS}"
        )
        echo(
            fit_text(
                fit(
                    data=features,
                    modality=modality,
                    out=runs / DEFAULT_MODEL / modality,
                    training=TRAINING,
                    progress=progress,
                )
            )
        )

    scores = out / "evaluation"
    echo(f"\n$ avemotion evaluate --data {features} --runs {runs} --out {scores}")
    report = evaluate(data=features, runs=runs, out=scores, progress=progress)
    echo(evaluate_text(report))

    clips = _unseen_clips(corpus, report)
    run = runs / DEFAULT_MODEL / "av"
    classifier = Classifier(run)
    predictions = tuple(map(classifier.classify, clips.values()))
    echo(f"\n$ avemotion classify {next(iter(clips.values()))} --checkpoint {run}")
    echo(prediction_text(predictions[0]))
    system = classifier.metadata.experiment.system
    echo("\n" + answers_text(tuple(clips), predictions, report, system))
    echo(
        f"\nNow open {scores / 'report' / 'index.html'}. To ask {PACKAGED} about your own "
        "photographs, videos and camera: avemotion classify FILE, and avemotion app. To ask the "
        f"model that was just trained, which knows drawn faces alone: add --checkpoint {run}"
    )
    return DemoReport(report, predictions, tuple(clips))


def _classify_photograph(out: Path, echo: Callable[[str], None]) -> None:
    """Ask the model that comes with the package about a real face."""
    try:
        from skimage import data
    except ImportError:  # it comes with an extra
        return
    import cv2

    path = out / "astronaut.png"
    out.mkdir(parents=True, exist_ok=True)
    photograph = data.astronaut()  # NASA, in the public domain; RGB
    cv2.imwrite(str(path), photograph[..., ::-1])
    echo(f"$ avemotion classify {path} --checkpoint {PACKAGED}")
    echo(prediction_text(classify_image(path, PACKAGED)))


def _unseen_clips(corpus: Path, report: EvaluationResults) -> dict[str, Path]:
    """Return the video of the first clip of each emotion whose actor no network saw."""
    tested = read_records(Path(report.out)).clips
    first = {label: next(c for c in tested if c.target == label) for label in report.labels}
    return {label: corpus / VIDEO_FOLDER / f"{c.clip}{VIDEO_SUFFIX}" for label, c in first.items()}
