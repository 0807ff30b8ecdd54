"""Optimizers, schedules, averaged weights, and what makes an epoch the best."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from conftest import QUICK
from network_maker import TASK
from safetensors.torch import load_file
from torch import nn

import avemotion
from avemotion.config import TrainingSettings
from avemotion.errors import UsageError
from avemotion.models.ar5 import AR5, AR5Settings
from avemotion.training.lightning_module import EmotionModule
from avemotion.training.recorder import RunRecorder

SMALL = AR5Settings(width=0.25, dropout=0.0)


def module(**settings: object) -> EmotionModule:
    torch.manual_seed(0)
    return EmotionModule(AR5(TASK, "video", SMALL), TrainingSettings(**settings))


def test_the_kept_model_is_the_moving_average_of_the_weights() -> None:
    trained = module(weight_averaging=0.3)
    weight = trained.network.classifier[-1].weight
    assert isinstance(weight, nn.Parameter)
    expected = None
    for step in range(5):
        with torch.no_grad():
            weight += float(step)
        trained.on_train_batch_end()
        now = weight.detach().double()
        decay = min(0.3, (1 + step) / (10 + step))  # 2/11, 3/12, 0.3 and so on
        expected = now.clone() if expected is None else decay * expected + (1 - decay) * now
    kept = trained.kept.classifier[-1].weight
    torch.testing.assert_close(kept.double(), expected, rtol=1e-5, atol=1e-5)
    assert module().kept is not trained.kept and module().network is not None
    plain = module()
    assert plain.kept is plain.network


@pytest.mark.parametrize(
    ("settings", "kind"),
    [({"optimizer": "sgd", "weight_decay": 0.01}, torch.optim.SGD), ({}, torch.optim.AdamW)],
)
def test_the_averaged_copy_is_not_trained(settings: dict[str, object], kind: type) -> None:
    trained = module(weight_averaging=0.9, schedule="constant", **settings)
    optimizer = trained.configure_optimizers()
    assert type(optimizer) is kind
    ours = sum(len(group["params"]) for group in optimizer.param_groups)
    assert ours == len(list(trained.network.parameters()))


def test_frozen_weights_are_given_to_no_optimizer() -> None:
    trained = module(schedule="constant")
    for parameter in trained.network.classifier.parameters():
        parameter.requires_grad_(False)
    optimizer = trained.configure_optimizers()
    given = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert not given & {id(p) for p in trained.network.classifier.parameters()}


@pytest.mark.parametrize(
    ("by", "values"), [("loss", [1.0, 1.1, 1.2]), ("accuracy", [0.5, 0.4, 0.3])]
)
def test_a_plateau_lowers_the_rate(by: str, values: list[float]) -> None:
    trained = module(schedule="plateau", patience=6, learning_rate=0.1, choose_by=by)
    optimizer = trained.configure_optimizers()
    rates = []
    for value in values:
        scores = {"loss": torch.tensor(1.0), by: torch.tensor(value)}
        trained.task = SimpleNamespace(scores=lambda *_, found=scores: found)
        trained._validated.append((torch.zeros(1, 6), torch.zeros(1, 6)))
        trained.log_dict = lambda *_, **__: None
        trained.on_validation_epoch_end()
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.1, 0.1, 0.02])
    # Resumed after the first epoch without improvement, the next one lowers the rate as well.
    kept: dict[str, object] = {}
    trained.on_save_checkpoint(kept)
    resumed = module(schedule="plateau", patience=6, learning_rate=0.1, choose_by=by)
    resumed.on_load_checkpoint(kept)
    resumed.configure_optimizers()
    assert resumed._plateau.state_dict() == trained._plateau.state_dict()


def test_all_of_it_together_trains(small_store: Path, tmp_path: Path) -> None:
    training = replace(
        QUICK, schedule="plateau", optimizer="sgd", weight_averaging=0.5, cutout=0.2, shear=0.1,
        choose_by="accuracy",
    )  # fmt: skip
    avemotion.fit(
        data=small_store, modality="video", out=tmp_path, training=training, progress=False
    )
    with (tmp_path / "metrics.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 2


@pytest.mark.parametrize(("by", "best"), [("loss", 2), ("accuracy", 3)])
def test_the_best_epoch_has_the_lowest_loss_or_the_highest_accuracy(
    by: str, best: int, fitted: Path, tmp_path: Path
) -> None:
    from avemotion.models.checkpoint import load_checkpoint

    network, metadata = load_checkpoint(fitted / "ar5" / "audio" / "checkpoint.safetensors")
    experiment = metadata.experiment
    metadata = replace(
        metadata,
        experiment=replace(experiment, training=replace(experiment.training, choose_by=by)),
    )
    recorder = RunRecorder(tmp_path, metadata)
    for epoch, (loss, accuracy) in enumerate([(1.0, 0.5), (0.8, 0.4), (0.9, 0.6), (0.9, 0.6)], 1):
        recorder.record(network, epoch, {"val_loss": loss, "val_accuracy": accuracy})
    path = tmp_path / "checkpoint.safetensors"
    assert load_checkpoint(path)[1].epoch == best
    assert load_file(path) and json.dumps(recorder.state_dict())


def test_a_plateau_without_validation_is_refused() -> None:
    with pytest.raises(UsageError, match="plateau, which needs validation clips"):
        TrainingSettings(schedule="plateau", early_stopping=False)
