"""A training that diverges says so, and leaves no network behind."""

import dataclasses
import json
from pathlib import Path

import pytest
from conftest import QUICK

import avemotion
from avemotion.errors import AvemotionError

LAST = dataclasses.replace(QUICK, learning_rate=1e30, validation=0.0, early_stopping=False)
DIVERGING = {
    "last epoch": dataclasses.replace(LAST, validation=QUICK.validation),
    "best epoch": dataclasses.replace(QUICK, learning_rate=1e30),
    # One step: the loss before it and the weights after it are finite, the answers are not.
    "one step": dataclasses.replace(LAST, epochs=1, batch_size=48),
}


@pytest.mark.parametrize("how", DIVERGING)
def test_a_training_that_diverges_is_no_model(how: str, small_store: Path, tmp_path: Path) -> None:
    for _ in range(2):  # the same again where it is run again
        with pytest.raises(AvemotionError, match=r"--training.learning_rate \(it is 1e\+30\)"):
            avemotion.fit(
                data=small_store,
                modality="audio",
                out=tmp_path,
                training=DIVERGING[how],
                progress=False,
            )
        assert not (tmp_path / "checkpoint.safetensors").exists()
        assert not json.loads((tmp_path / "run.json").read_text())["finished"]
