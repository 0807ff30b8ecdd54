"""Settings: what is refused, and their form in files."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from avemotion.cli import main
from avemotion.config import (
    ExperimentSettings,
    PreprocessSettings,
    TimelineSettings,
    TrainingSettings,
)
from avemotion.errors import UsageError, settings_from
from avemotion.models.ar5 import AR5Settings


def test_settings_survive_a_round_trip() -> None:
    training = TrainingSettings(epochs=3)
    experiment = ExperimentSettings("ar5", "video", {"width": 0.5}, training)
    assert ExperimentSettings.from_dict(experiment.to_dict()) == experiment
    assert experiment.system == "ar5/video"
    preprocessing = PreprocessSettings(features=("faces", "image"))
    written = json.loads(json.dumps(asdict(preprocessing)))
    assert settings_from(PreprocessSettings, written, "preprocessing") == preprocessing


FLOATS = [
    (kind, name)
    for kind in (AR5Settings, TrainingSettings, TimelineSettings)
    for name, hint in get_type_hints(kind).items()
    if float in (hint, *get_args(hint))
]


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize(("kind", "name"), FLOATS)
def test_no_setting_is_infinite(kind: type, name: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"{name} is {value}, but must be a finite number"):
        kind(**{name: value})


@pytest.mark.parametrize("text", [".inf", "-.inf", ".nan"])
@pytest.mark.parametrize("in_file", [True, False])
def test_infinity_is_refused_in_words(
    text: str, in_file: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.yaml").write_text(f"training:\n  learning_rate: {text}\n")
    given = f"--config={tmp_path / 'x.yaml'}" if in_file else f"--training.learning_rate={text}"
    assert main(["fit", given]) == 2
    message = f"--training.learning_rate is {text.replace('.', '')}, but must be a finite number"
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong", [{"batch_size": 1}, {"modality_dropout": 0.6}, {"holdout": 0.8}, {"epochs": 0}]
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        TrainingSettings(**wrong)


def test_noise_is_a_chance() -> None:
    with pytest.raises(UsageError, match="--training.sound_noise is 1.5, but must be from 0 to 1"):
        TrainingSettings(sound_noise=1.5)
