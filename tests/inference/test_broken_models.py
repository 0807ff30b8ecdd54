"""Models whose numbers are broken: refused when they are loaded, or before they answer."""

import json
import math
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from network_maker import EXPERIMENTS, metadata_of, untrained
from onnx import numpy_helper

import avemotion
from avemotion.cli import main
from avemotion.data.store import FeatureStore
from avemotion.data.task import Task
from avemotion.errors import AvemotionError, UsageError
from avemotion.evaluation.predict import predict
from avemotion.inference.runtimes.loading import find_checkpoint
from avemotion.models.checkpoint import load_checkpoint, save_checkpoint

NO_PROBABILITIES = "probabilities must be finite and sum to 1"


@pytest.mark.parametrize(
    "name", ["classifier.0.weight", "classifier.3.bias", "video.features.2.running_var"]
)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_checkpoint_with_one_broken_number_is_refused(
    name: str, value: float, tmp_path: Path
) -> None:
    network = untrained(EXPERIMENTS["video"])
    network.state_dict()[name].flatten()[-1:] = value
    save_checkpoint(tmp_path / "x.safetensors", network, metadata_of(EXPERIMENTS["video"]))
    with pytest.raises(UsageError, match=f"numbers of {name} are not finite"):
        load_checkpoint(tmp_path / "x.safetensors")


@pytest.fixture(scope="module")
def overflowing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every number of it is finite, no answer is."""
    network = untrained(EXPERIMENTS["av"])
    with torch.no_grad():
        network.classifier[-1].weight *= 1e37
        network.classifier[0].weight *= 1e10
    path = tmp_path_factory.mktemp("overflowing") / "checkpoint.safetensors"
    save_checkpoint(path, network, metadata_of(EXPERIMENTS["av"]))
    return path


@pytest.fixture(scope="module")
def broken_export(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported model with one weight that is no number."""
    model = onnx.load(exported / "av" / "checkpoint.onnx")
    bias = next(t for t in model.graph.initializer if t.name.endswith("classifier.3.bias"))
    values = numpy_helper.to_array(bias).copy()
    values[2] = np.nan
    bias.CopyFrom(numpy_helper.from_array(values, bias.name))
    path = tmp_path_factory.mktemp("broken") / "checkpoint.onnx"
    onnx.save(model, path)
    return path


@pytest.fixture(params=["overflowing", "broken_export"])
def broken(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


def test_no_way_of_asking_gets_an_answer(
    broken: Path, small_corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = sorted((small_corpus / "VideoFlash").glob("*.flv"))[:2]
    classifier = avemotion.Classifier(broken)
    for ask in (
        lambda: classifier.classify(clips[0]),
        lambda: classifier.classify_faces(clips[0]),
        lambda: list(classifier.timeline(clips[0])),
        lambda: list(avemotion.classify_clips(clips, classifier)),
    ):
        with pytest.raises(AvemotionError, match=NO_PROBABILITIES):
            ask()
    for more in ([], ["--timeline"]):
        words = ["classify", str(clips[0]), "--checkpoint", str(broken), "--json", *more]
        assert main(words) == 1
        out, err = capsys.readouterr()
        assert out == "" and NO_PROBABILITIES in err


def test_an_evaluation_gets_none_either(overflowing: Path, small_store: Path) -> None:
    store = FeatureStore(small_store)
    network, metadata = load_checkpoint(overflowing)
    with pytest.raises(AvemotionError, match=NO_PROBABILITIES):
        predict(store, store.rows[-3:], network, metadata, "fold")


@pytest.mark.parametrize("row", [[0.5, math.nan], [math.inf, 0], [-0.5, 1.5], [0.5, 0.4], [0, 0]])
def test_what_are_no_probabilities(row: list[float]) -> None:
    right, task = [0.25, 0.75], Task(("calm", "happy"))
    with pytest.raises(AvemotionError, match=NO_PROBABILITIES):
        task.checked(np.array([right, row], np.float32))
    answers = np.array([right], np.float32)
    assert task.checked(answers) is answers and json.loads(json.dumps(answers.tolist())) == [right]


def test_an_empty_name_of_a_model_is_no_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AVEMOTION_CHECKPOINT", "")
    assert main(["classify", "x.flv"]) == 2
    assert "variable AVEMOTION_CHECKPOINT, or unset" in capsys.readouterr().err
    assert find_checkpoint("x.safetensors") == Path("x.safetensors")
