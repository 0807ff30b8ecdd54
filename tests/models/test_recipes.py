"""A model's own recipe of training: what it says counts, unless something else is given."""

import json
import shlex
import shutil
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest

import avemotion
from avemotion.cli import main
from avemotion.config import ExperimentSettings, GivenTraining, TrainingSettings
from avemotion.data.store import FeatureStore
from avemotion.errors import UsageError
from avemotion.evaluation import systems
from avemotion.evaluation.plan import EvaluationPlan
from avemotion.models.ar5 import AR5, AR5Settings
from avemotion.models.checkpoint import load_checkpoint
from avemotion.models.registry import (
    MODELS,
    model_class,
    settings_of,
    training_for,
    with_settings,
)
from avemotion.training.provenance import changed_options

FUSION = {
    "epochs": 20, "learning_rate": 0.003, "weight_decay": 0.01, "mixup": 0.3,
    "auxiliary_loss_weight": 0.5,
}  # fmt: skip
"""What Fusion learns best with, beside the defaults."""
QUICK = {"epochs": 1, "batch_size": 16, "holdout": 0.25}
OF_TABLE = {"fusion": settings_of("fusion", {"voice": "audio-table.mine"})}


@pytest.fixture(scope="module")
def table(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a table of the voice."""
    folder = tmp_path_factory.mktemp("recipes")
    data = Path(shutil.copytree(small_store, folder / "features"))
    store = FeatureStore(data)
    lines = [f"{row.clip},{store.labels.index(row.emotion)},1" for row in store.rows]
    (folder / "mine.csv").write_text("\n".join(["clip,x,y", *lines]))
    avemotion.embed(data, f"audio-table:{folder / 'mine.csv'}", progress=False)
    return data


@pytest.mark.parametrize("name", MODELS)
def test_a_recipe_holds_only_what_differs(name: str) -> None:
    recipe, plain = model_class(name).recipe, asdict(TrainingSettings())
    assert all(plain[field] != value for field, value in recipe.items())
    assert not recipe.keys() & {"seed", "split", "holdout", "precision"}
    assert training_for(name) == TrainingSettings(**recipe)


def test_the_default_models_recipe_is_the_defaults() -> None:
    """It is not asked, so that its module need not be loaded."""
    assert AR5.recipe == {}


def test_what_is_given_counts_over_the_recipe() -> None:
    assert training_for("fusion") == TrainingSettings(**FUSION)
    assert training_for("fusion", {"epochs": 5, "seed": 3}) == TrainingSettings(
        **FUSION | {"epochs": 5, "seed": 3}
    )
    assert training_for("fusion", {"learning_rate": 0.002}).learning_rate == 0.002  # AR5's
    whole = TrainingSettings(epochs=5)
    assert training_for("fusion", whole) is whole
    miene = training_for("miene", {"validation": 0.0})  # which AR5's recipe does not allow
    assert (miene.optimizer, miene.learning_rate, miene.epochs) == ("sgd", 0.12, 45)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epoch": 5}, "training has no setting 'epoch'. Its settings: epochs, batch_size, "),
        ({"epochs": "5"}, "--training.epochs is '5', but must be a whole number"),
        ({"epochs": 0}, "--training.epochs is 0, but must be 1 or more"),
        ({"validation": 0.0}, "--training.early_stopping needs validation actors"),
        (5, "training is 5, but must be a mapping of single settings"),
    ],
)
def test_wrong_training_is_refused(given: Any, message: str, table: Path, tmp_path: Path) -> None:
    words = {"data": table, "training": given, "out": tmp_path / "out", "progress": False}
    with pytest.raises(UsageError, match=message):
        avemotion.fit(model="fusion", modality="audio", settings=OF_TABLE["fusion"], **words)
    with pytest.raises(UsageError, match=message):
        avemotion.evaluate(models=("fusion",), settings=OF_TABLE, protocol="loso", **words)
    assert not (tmp_path / "out").exists()


def test_nothing_is_trained_with_settings_of_training(fitted: Path, small_store: Path) -> None:
    words = {"data": small_store, "runs": fitted, "progress": False}
    with pytest.raises(UsageError, match="trains nothing, so it takes no settings"):
        avemotion.evaluate(**words, training={"epochs": 30})


def test_fit_takes_the_recipe_and_what_is_typed_over_it(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["fit", "--data", str(table), "--model", "fusion", "--modality", "audio"]
    words += ["--fusion.voice", "audio-table.mine", "--out", str(tmp_path / "run")]
    (tmp_path / "x.yaml").write_text("training: {epochs: 3, batch_size: 16}\n")
    typed = ["--config", str(tmp_path / "x.yaml"), "--training.epochs=1", "--training.holdout"]
    assert main([*words, *typed, "0.25"]) == 0, capsys.readouterr().err
    model, metadata = load_checkpoint(tmp_path / "run" / "checkpoint.safetensors")
    training = metadata.experiment.training
    expected = FUSION | QUICK | {"precision": training.precision}
    assert training == TrainingSettings(**expected)
    assert len((tmp_path / "run" / "metrics.csv").read_text().splitlines()) == 1 + 1
    card = (tmp_path / "run" / "model_card.md").read_text()
    assert "| `training.epochs` | 20 | 1 |" in card and "learning_rate" not in card
    (fit,) = [line for line in card.splitlines() if line.startswith("avemotion fit")]
    assert "--training.epochs 1" in fit and "mixup" not in fit
    again = avemotion.fit(
        data=table, model="fusion", modality="audio", settings=model.settings, training=QUICK,
        out=tmp_path / "run", progress=False,
    )  # fmt: skip
    assert again.was_finished


def test_each_model_of_an_evaluation_has_its_own_recipe(table: Path, tmp_path: Path) -> None:
    avemotion.evaluate(
        data=table, protocol="loso", models=("ar5", "fusion"), modalities=("audio",),
        settings=OF_TABLE | {"ar5": AR5Settings(width=0.25)}, robustness=False, out=tmp_path,
        training={"epochs": 1, "batch_size": 16, "seed": 7}, progress=False,
    )  # fmt: skip
    given = {"epochs": 1, "batch_size": 16, "seed": 7}
    found = json.loads((tmp_path / "evaluation.json").read_text())
    for name, recipe in (("ar5", {}), ("fusion", FUSION)):
        expected = TrainingSettings(**recipe | given)
        (run, *others) = (tmp_path / "runs" / "seed-7" / name / "audio").iterdir()
        _, metadata = load_checkpoint(run / "checkpoint.safetensors")
        assert replace(metadata.experiment.training, precision="auto") == expected and others
        assert found["training"][name] | {"precision": "auto"} == asdict(expected)


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], Any]:
    """Return what an evaluation would train; it stops there."""
    find, seen = systems.find_systems, []

    def stopped(*words: Any) -> None:
        seen.append(find(*words).experiments)
        raise KeyboardInterrupt

    monkeypatch.setattr(systems, "find_systems", stopped)

    def plan(evaluate: Callable[[], object]) -> dict[str, ExperimentSettings]:
        try:
            assert evaluate() == 130  # the command's exit code; the function raises
        except KeyboardInterrupt:
            pass
        return seen.pop()  # type: ignore[no-any-return]

    return plan


@pytest.mark.parametrize(
    "given",
    [
        None,
        {"epochs": 5, "seed": 3},
        {"epochs": 30, "learning_rate": 0.002},  # AR5's recipe, not Fusion's
        FUSION,
        TrainingSettings(),
        TrainingSettings(**FUSION),
        TrainingSettings(epochs=20, mixup=0.1, clamp_weights=0.5, optimizer="sgd"),
    ],
    ids=["nothing", "some", "as ar5", "as fusion", "defaults", "whole fusion", "another"],
)
def test_the_command_repeats_the_evaluation(
    given: GivenTraining, table: Path, tmp_path: Path, planned: Callable[..., Any]
) -> None:
    """With models of two recipes, and a learner."""
    settings = OF_TABLE | {"probe": settings_of("probe", {"voice": "audio-table.mine"})}
    experiments = planned(
        lambda: avemotion.evaluate(
            data=table, protocol="loso", models=("ar5", "fusion", "probe"), settings=settings,
            modalities=("audio",), training=given, progress=False,
        )
    )  # fmt: skip
    assert len(experiments) == 3
    plan = EvaluationPlan("loso", "intended", experiments, seeds=1, robustness=True)
    name, *words = shlex.split(plan.command(table, tmp_path / "runs", tmp_path / "out"))
    assert name == "avemotion"
    assert planned(lambda: main(words)) == experiments
    if given is None:
        typed = [word for word in words if word.startswith("--training.")]
        assert typed == ["--training.precision"]  # which depends on the machine


@pytest.mark.parametrize("given", [None, TrainingSettings(), {"epochs": 3}])
def test_options_are_those_that_differ_from_the_recipe(given: GivenTraining) -> None:
    experiment = ExperimentSettings("fusion", "audio", training=training_for("fusion", given))
    words = changed_options(replace(experiment, settings=asdict(OF_TABLE["fusion"])))
    options = dict(zip(words[::2], words[1::2], strict=True))
    assert options.pop("--fusion.voice") == "audio-table.mine"
    plain = {f.name: f.default for f in fields(TrainingSettings)}
    expected = dict(given) if isinstance(given, dict) else {}
    if isinstance(given, TrainingSettings):
        expected = {name: plain[name] for name in FUSION}
    assert options == {f"--training.{name}": str(value) for name, value in expected.items()}


def test_that_nothing_is_hidden_from_a_learner_is_no_option() -> None:
    """It would count for the networks of the same evaluation."""
    experiment = with_settings(ExperimentSettings("knn", "video"))
    assert experiment.training.modality_dropout == 0.0
    assert changed_options(experiment) == []


def test_help_and_list_show_the_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    for words, rate in (
        (["fit", "--model", "fusion"], "0.003"),
        (["fit"], "0.002"),
        (["evaluate", "--models", "ar5,fusion"], "0.002"),
    ):
        with pytest.raises(SystemExit):
            main([*words, "--help"])
        text = " ".join(capsys.readouterr().out.split())
        assert f"Highest learning rate. (default: {rate})" in text
        assert "a model's own recipe may differ from these defaults" in text
    (entry,) = [one for one in avemotion.list_models() if one.name == "fusion"]
    assert entry.recipe == FUSION
