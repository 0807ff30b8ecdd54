from pathlib import Path

from avemotion.config import ExperimentSettings, TrainingSettings
from avemotion.data.splits import Fold
from avemotion.evaluation.cross_validation import FoldTask


def test_each_network_of_an_evaluation_has_files_of_its_own() -> None:
    tasks = [
        FoldTask(
            Path("features"), Path("out"), Fold(fold, (fold,)),
            ExperimentSettings(model, modality, training=TrainingSettings(seed=seed)), frozenset(),
            False,
        )
        for seed in (0, 1) for model in ("ar5", "other") for modality in ("av", "audio")
        for fold in ("1001", "1002")
    ]  # fmt: skip
    assert tasks[1].run == Path("out/runs/seed-0/ar5/av/1002")
    for kind in ("run", "predictions", "corrupted"):
        assert len({getattr(task, kind) for task in tasks}) == 16
