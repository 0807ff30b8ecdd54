"""Models by name: those of the package, and those that another package brings."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skops.io
import torch
from network_maker import TASK
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from sklearn.base import clone

import avemotion
from avemotion.cli import main
from avemotion.config import ExperimentSettings, TrainingSettings
from avemotion.data.task import Task
from avemotion.errors import UsageError
from avemotion.models import registry
from avemotion.models.ar5 import AR5Settings
from avemotion.models.checkpoint import load_checkpoint
from avemotion.models.registry import create, model_class, settings_of, with_settings

ROOT = Path(__file__).parents[2]
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
QUICK = TrainingSettings(epochs=2, batch_size=8, holdout=0.5, validation=0.5)

PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "othermodels"
version = "1.0"
[project.entry-points."avemotion.models"]
tinynet = "othermodels.tinynet:TinyNet"
logistic = "othermodels.logistic:Logistic"
unlucky = "othermodels.unlucky:Unlucky"
"""


@pytest.fixture(scope="module")
def other_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a package is installed that brings the models of docs/models.md."""
    network, learner = PYTHON.findall((ROOT / "docs" / "models.md").read_text(encoding="utf-8"))
    source = tmp_path_factory.mktemp("source")
    (source / "othermodels").mkdir()
    (source / "pyproject.toml").write_text(PROJECT)
    for name, code in (
        ("__init__", ""),
        ("tinynet", network),
        ("logistic", learner),
        ("unlucky", "import timm\n"),
    ):
        (source / "othermodels" / f"{name}.py").write_text(code, encoding="utf-8")
    site = tmp_path_factory.mktemp("site")
    words = ["pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run(
        [sys.executable, "-m", *words, "--target", str(site), str(source)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return site


@pytest.fixture
def installed(other_package: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, importable here."""
    monkeypatch.syspath_prepend(other_package)
    registry.models_of_other_packages.cache_clear()
    yield other_package
    registry.models_of_other_packages.cache_clear()
    for name in [name for name in sys.modules if name.split(".")[0] == "othermodels"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def runs(other_package: Path, small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of AR5, of the network and of the learner, on the same actors."""
    folder = tmp_path_factory.mktemp("runs") / "runs"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(other_package)
        registry.models_of_other_packages.cache_clear()
        for model, modality, settings in (
            ("ar5", "av", AR5Settings(width=0.1)),
            ("tinynet", "av", None),
            ("logistic", "audio", None),
        ):
            avemotion.fit(
                data=small_store,
                model=model,
                modality=modality,
                out=folder / model / modality,
                settings=settings,
                training=QUICK,
                progress=False,
            )
    return folder


def test_a_model_of_another_package_is_listed(other_package: Path, tmp_path: Path) -> None:
    code = "import sys; from avemotion.cli import main; sys.exit(main(['models', '--json']))"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(other_package)!r})\n{code}"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    found = {model["name"]: model for model in map(json.loads, done.stdout.splitlines())}
    assert list(found) == ["ar5", "tinynet", "logistic", "unlucky"] or list(found)[0] == "ar5"
    assert found["ar5"]["inputs"]["av"] == ["faces", "log_mel"]
    assert found["ar5"]["reported"][0]["value"] == 0.6942
    assert found["tinynet"]["inputs"] == {"av": ["faces", "log_mel"], "video": ["faces"]}
    # 140 values of a face and 64 of a spectrum, 16 units over each, 6 emotions.
    assert found["tinynet"]["parameters"] == (140 + 64 + 2) * 16 + 2 * (16 + 1) * 6
    assert found["logistic"]["parameters"] is None
    if "timm" not in sys.modules:
        assert not found["unlucky"]["installed"] or found["unlucky"]["needs"] == ""


def test_a_missing_package_is_named_with_its_extra(installed: Path) -> None:
    with pytest.raises(UsageError, match=r"unlucky needs timm.*pip install '\.\[images\]'"):
        sys.modules["timm"] = None  # type: ignore[assignment]
        try:
            model_class("unlucky")
        finally:
            del sys.modules["timm"]


def test_two_packages_may_not_bring_one_name(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.MODELS, "tinynet", "avemotion.models.ar5:AR5")
    with pytest.raises(UsageError, match="Two packages bring a model named 'tinynet'"):
        model_class("tinynet")


def test_networks_of_two_packages_are_compared_actor_by_actor(
    installed: Path, runs: Path, small_store: Path, tmp_path: Path
) -> None:
    how = {"data": small_store, "runs": runs, "robustness": False, "progress": False}
    results = avemotion.evaluate(**how, out=tmp_path / "both", models=("ar5", "tinynet"))
    assert list(results.scores) == ["ar5/av", "tinynet/av"]
    pair = results.differences["ar5/av - tinynet/av"]
    assert pair.actors == results.actors == 2 and pair.p is not None
    assert results.settings["models"]["tinynet"] == {"units": 16}
    page = (tmp_path / "both" / "report" / "index.html").read_text(encoding="utf-8")
    assert "tinynet/av" in page


def test_the_network_of_the_page_classifies_and_is_exported(
    installed: Path, runs: Path, small_corpus: Path, tmp_path: Path
) -> None:
    clip = min((small_corpus / "VideoFlash").iterdir())
    ours = avemotion.classify_clip(clip, runs / "tinynet" / "av", device="cpu")
    assert ours.modality == "av" and abs(sum(ours.probabilities.values()) - 1) < 1e-5
    report = avemotion.export(runs / "tinynet" / "av", tmp_path / "tiny.onnx")
    assert report.largest_difference is not None and report.largest_difference < 1e-5
    theirs = avemotion.classify_clip(clip, tmp_path / "tiny.onnx")
    np.testing.assert_allclose(
        list(theirs.probabilities.values()), list(ours.probabilities.values()), atol=1e-5
    )
    mute = avemotion.classify_clip(clip, runs / "tinynet" / "av", "video", device="cpu")
    assert mute.modality == "video" and mute.probabilities != ours.probabilities


def test_a_learner_goes_the_same_road(
    installed: Path, runs: Path, small_store: Path, small_corpus: Path, tmp_path: Path
) -> None:
    how = {"data": small_store, "runs": runs, "robustness": False, "progress": False}
    results = avemotion.evaluate(**how, out=tmp_path / "learner", models=("logistic", "ar5"))
    assert list(results.scores) == ["logistic/audio", "ar5/av"]
    clip = min((small_corpus / "AudioWAV").iterdir())
    found = avemotion.classify_clip(clip, runs / "logistic" / "audio")
    assert found.modality == "audio" and abs(sum(found.probabilities.values()) - 1) < 1e-5
    with pytest.raises(UsageError, match="logistic cannot be exported"):
        avemotion.export(runs / "logistic" / "audio", tmp_path / "logistic.onnx")


class Hostile:
    """A type that no estimator may bring along."""

    def fit(self) -> None: ...


def test_an_estimator_of_another_type_is_refused(
    installed: Path, runs: Path, tmp_path: Path
) -> None:
    path = runs / "logistic" / "audio" / "checkpoint.safetensors"
    network, metadata = load_checkpoint(path)
    assert metadata.answers == ("audio",) and metadata.experiment.training.modality_dropout == 0
    weights = load_file(path)
    assert list(weights) == ["_extra_state"]
    with safe_open(path, "pt") as file:
        header = file.metadata()
    other_labels = clone(network.estimator()).fit(np.eye(3, 128), [0, 1, 2])
    for estimator, reason in (
        (Hostile(), "Untrusted types"),
        ({"a": 1}, r"\['dict'\], but must be \['Pipeline', 'StandardScaler', 'Logistic"),
        (network.estimator(), "not fitted to the model's labels"),
        (other_labels, "not fitted to the model's labels"),
    ):
        content = bytearray(skops.io.dumps(estimator))
        save_file(
            {"_extra_state": torch.frombuffer(content, dtype=torch.uint8).clone()},
            tmp_path / "other.safetensors",
            header,
        )
        with pytest.raises(UsageError, match=f"(?s)damaged.*{reason}"):
            load_checkpoint(tmp_path / "other.safetensors")


def test_wrong_settings_in_a_checkpoint_are_damage(
    installed: Path, runs: Path, tmp_path: Path
) -> None:
    """The models of the page check nothing themselves."""
    for model, modality, values in (
        ("tinynet", "av", {"units": "many"}),
        ("tinynet", "av", {"units": -1}),
        ("logistic", "audio", {"strength": 0.0}),
    ):
        path = runs / model / modality / "checkpoint.safetensors"
        with safe_open(path, "pt") as file:
            header = file.metadata()
        metadata = json.loads(header["metadata"])
        metadata["experiment"]["settings"] = values
        header["metadata"] = json.dumps(metadata)
        save_file(load_file(path), tmp_path / "other.safetensors", header)
        with pytest.raises(UsageError, match="other.safetensors is damaged"):
            load_checkpoint(tmp_path / "other.safetensors")


def test_a_learner_learns_intended_emotions_on_the_cpu(
    installed: Path, runs: Path, small_corpus: Path
) -> None:
    votes = TrainingSettings(labels="votes")
    with pytest.raises(UsageError, match="logistic learns intended emotions alone"):
        with_settings(ExperimentSettings("logistic", "audio", training=votes))
    card = (runs / "logistic" / "audio" / "model_card.md").read_text(encoding="utf-8")
    assert " 0 parameters" not in card and "chose the epoch" not in card
    assert "hidden at times" not in card
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="--device cuda cannot be used"):
            avemotion.Classifier(runs / "logistic" / "audio", device="cuda")


def test_a_faulty_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "raising.py").write_text("raise RuntimeError('an operator is missing')")
    monkeypatch.syspath_prepend(tmp_path)
    for home, reason in (
        ("raising:Net", "an operator is missing"),
        ("avemotion.models.ar5:AR6", "has no attribute 'AR6'"),
        ("avemotion.models.ar5:AR5Settings", "is no subclass of EmotionModel"),
    ):
        monkeypatch.setitem(registry.MODELS, "faulty", home)
        with pytest.raises(UsageError, match=f"The model faulty.*{reason}"):
            model_class("faulty")
        (found,) = [model for model in avemotion.list_models() if model.name == "faulty"]
        assert not found.installed and reason in found.needs


def test_settings_are_checked_and_completed() -> None:
    assert settings_of("ar5", {"width": 0.5}) == AR5Settings(width=0.5)
    complete = with_settings(ExperimentSettings("ar5", "audio", {"width": 0.5}))
    assert complete.settings["dropout"] == 0.4 and complete.settings["width"] == 0.5
    with pytest.raises(UsageError, match="ar5 has no setting 'depth'"):
        settings_of("ar5", {"depth": 3})
    with pytest.raises(UsageError, match="--ar5.width is 9.0"):
        create(TASK, ExperimentSettings("ar5", "av", {"width": 9.0}))
    with pytest.raises(UsageError, match="There is no model 'ar6'. Models: ar5"):
        model_class("ar6")
    with pytest.raises(UsageError, match="settings are int, but ar5 takes AR5Settings"):
        with_settings(ExperimentSettings(), 3)


def test_a_model_refuses_what_it_cannot_read(installed: Path) -> None:
    with pytest.raises(UsageError, match="--modality is audio, but tinynet reads av or video"):
        with_settings(ExperimentSettings("tinynet", "audio"))
    units = Task(("fear", "neutral"), ("AU1", "AU2"))
    with pytest.raises(UsageError, match="tinynet learns no action units.* has AU1, AU2"):
        create(units, ExperimentSettings("tinynet", "av"))
    assert create(units, ExperimentSettings("ar5", "video")).task is units
    with pytest.raises(UsageError, match="units_perceptron learns emotions from action units"):
        create(TASK, ExperimentSettings("units_perceptron", "video"))


def test_help_lists_the_settings_of_the_model_that_is_named(
    installed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["fit", "--model", "tinynet", "--help"])
    shown = capsys.readouterr().out
    assert "--tinynet.units" in shown and "--ar5.width" not in shown
    with pytest.raises(SystemExit):
        main(["evaluate", "--models", "ar5,tinynet", "--help"])
    shown = capsys.readouterr().out
    assert "--tinynet.units" in shown and "--ar5.width" in shown
    assert main(["fit", "--model", "nothing"]) == 2
    assert "There is no model 'nothing'" in capsys.readouterr().err
