"""An evaluation goes on only with the arithmetic and the splits that it was begun with."""

import json
from pathlib import Path
from typing import Any

import pytest

import avemotion
from avemotion.config import TrainingSettings
from avemotion.errors import UsageError
from avemotion.training.precision import uses_bfloat16


def test_other_precision_and_versions_are_refused(
    small_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks: list[Any] = []

    def interrupt(given: list[Any], *_: object) -> None:
        tasks[:] = given
        raise KeyboardInterrupt

    monkeypatch.setattr("avemotion.evaluation.systems.train_and_test", interrupt)

    def evaluate() -> None:
        avemotion.evaluate(data=small_store, protocol="loso", out=tmp_path, progress=False)

    with pytest.raises(KeyboardInterrupt):
        evaluate()
    used = "bfloat16" if uses_bfloat16(TrainingSettings()) else "float32"
    assert {task.experiment.training.precision for task in tasks} == {used}  # on every machine
    path = tmp_path / "asked.json"
    begun = path.read_text()
    for here, there, message in (
        (f'"precision": "{used}"', '"precision": "half"', "'half' -> (?s:.*)--training.precision"),
        ('"numpy": "', '"numpy": "0.', r"numpy: '0\.(?s:.*)Install those versions to go on"),
        ('"scikit-learn": "', '"scikit-learn": "0.', r"scikit-learn: '0\."),
    ):
        assert here in begun
        path.write_text(begun.replace(here, there))
        with pytest.raises(UsageError, match=message):
            evaluate()
    path.write_text(begun)
    with pytest.raises(KeyboardInterrupt):
        evaluate()
    assert set(json.loads(begun)["versions"]) == {"numpy", "scikit-learn"}
