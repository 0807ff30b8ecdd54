"""`export` and the ONNX runtime: torch's answers, what the file says, what is refused."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from media_maker import without_sound
from onnx import TensorProto, helper

import avemotion
from avemotion import onnx_export
from avemotion.cli import main
from avemotion.config import ExperimentSettings, NetworkSettings, PreprocessSettings
from avemotion.emotions import EMOTIONS
from avemotion.errors import AvemotionError, UsageError
from avemotion.models.ar5 import AR5, ClipInputs
from avemotion.models.checkpoint import load_checkpoint, save_checkpoint
from avemotion.models.facts import CheckpointFacts
from avemotion.runtimes.interface import ClipArrays
from avemotion.runtimes.loading import find_checkpoint
from avemotion.runtimes.onnx_runtime import KIND, OnnxRuntime
from avemotion.types import Split

EXPERIMENTS = {
    "av": ExperimentSettings("av"),
    "video": ExperimentSettings("video", NetworkSettings(width=0.5, video_features=40)),
    "audio": ExperimentSettings("audio", NetworkSettings(spectrogram="power", audio_features=33)),
}


def untrained(experiment: ExperimentSettings, seed: int = 0) -> AR5:
    """A network whose answers depend on its clip, with statistics that are not the initial ones."""
    torch.manual_seed(seed)
    network = AR5(experiment.modality, len(EMOTIONS), experiment.network)
    for module in network.modules():
        if isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            for tensor in (module.running_mean, module.bias):
                torch.nn.init.normal_(tensor, std=0.2)
            for tensor in (module.running_var, module.weight):
                torch.nn.init.uniform_(tensor, 0.5, 2.0)
    if network.audio is not None and experiment.network.spectrogram == "log_mel":
        torch.nn.init.uniform_(network.audio.mean, 20, 40)
        torch.nn.init.uniform_(network.audio.deviation, 10, 20)
    with torch.no_grad():
        network.classifier[-1].weight *= 3
    return network.eval()


def facts_of(experiment: ExperimentSettings) -> CheckpointFacts:
    split = Split(("1001", "1002"), ("1003",), ())
    scores = {"val_accuracy": 0.5}
    synthetic = {"tables": "unit"} if experiment.modality == "av" else None
    return CheckpointFacts(
        experiment, EMOTIONS, PreprocessSettings(seed=3), split, 7, scores, synthetic
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a run of each experiment: its checkpoint, and the same exported."""
    folder = tmp_path_factory.mktemp("runs")
    for name, experiment in EXPERIMENTS.items():
        run = folder / name
        run.mkdir()
        save_checkpoint(run / "checkpoint.safetensors", untrained(experiment), facts_of(experiment))
        if name == "av":  # the command itself, in a process of its own: what it prints, too
            words = ["export", str(run), str(run / "checkpoint.onnx")]
            command = [sys.executable, "-m", "avemotion", *words]
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0 and done.stderr == "", done.stderr
            assert "answers from av, video, audio" in done.stdout and "SYNTHETIC" in done.stdout
        else:
            (run / "checkpoint.onnx").write_text("an older file of this name is replaced")
            avemotion.export(run, run / "checkpoint.onnx")
        assert {path.name for path in run.iterdir()} == {
            "checkpoint.safetensors",
            "checkpoint.onnx",
        }
    return folder


def compare(run: Path, clips: list[Path], modality: str = "auto") -> None:
    """Both runtimes classify the clips: everything but the model's name must be alike."""
    by_torch = avemotion.Classifier(run, device="cpu", runtime="torch")
    by_onnx = avemotion.Classifier(run, runtime="onnx")
    seen = set()
    for clip in clips:
        ours, theirs = (c.classify(clip, modality) for c in (by_torch, by_onnx))
        assert theirs.probabilities == pytest.approx(ours.probabilities, abs=1e-4)
        assert theirs.checkpoint == str(run / "checkpoint.onnx")
        like = {"probabilities": {}, "checkpoint": ""}
        assert dataclasses.replace(theirs, **like) == dataclasses.replace(ours, **like)
        seen.add(round(theirs.probabilities["anger"], 5))
    assert len(seen) == len(clips)  # else a model that ignores its clip would pass


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_answers_as_torch_on_real_clips(name: str, runs: Path, real_videos: list[Path]) -> None:
    compare(runs / name, real_videos)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_answers_as_torch_on_synthetic_clips(name: str, runs: Path, small_corpus: Path) -> None:
    compare(runs / name, sorted((small_corpus / "VideoFlash").glob("*.flv"))[:3])


def test_answers_as_torch_where_a_modality_is_missing(
    runs: Path, small_corpus: Path, tmp_path: Path
) -> None:
    whole = next((small_corpus / "VideoFlash").glob("*.flv"))
    (tmp_path / "mute.flv").write_bytes(without_sound(whole.read_bytes()))
    compare(runs / "av", [tmp_path / "mute.flv", small_corpus / "AudioWAV" / f"{whole.stem}.wav"])
    for modality in ("video", "audio"):
        compare(runs / "av", [whole], modality)


@pytest.mark.parametrize("clips", [1, 2, 7])
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_any_number_of_clips(name: str, clips: int, runs: Path) -> None:
    path = runs / name / "checkpoint.onnx"
    runtime = OnnxRuntime(path.read_bytes(), str(path))
    rng = np.random.default_rng(clips)
    shape = (128, 128) if name == "audio" else (64, 500)
    batch = ClipArrays(
        faces=rng.integers(0, 256, (clips, 20, 98, 80), np.uint8),
        spectrograms=60 * rng.random((clips, 1, *shape), np.float32),
        lengths=rng.integers(0, shape[1] + 1, clips),
        has_face=rng.random(clips) < 0.7,
        has_sound=rng.random(clips) < 0.7,
    )
    network, _ = load_checkpoint(runs / name / "checkpoint.safetensors")
    faces = (batch.faces.astype(np.float32) - 127) / 128
    others = (getattr(batch, f.name) for f in dataclasses.fields(batch) if f.name != "faces")
    inputs = ClipInputs(*map(torch.from_numpy, (faces, *others)))
    with torch.inference_mode():
        expected = network(inputs).softmax(dim=1).numpy()
    found = runtime.probabilities(batch)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert clips == 1 or np.abs(found[0] - found[1]).max() > 1e-3


def test_parts_of_unequal_length_are_refused(runs: Path) -> None:
    clips = onnx_export.random_clips(facts_of(EXPERIMENTS["av"]), 3)
    with pytest.raises(ValueError, match="unequal length"):
        dataclasses.replace(clips, has_face=clips.has_face[:1])


class TestTheFile:
    @pytest.mark.parametrize("name", EXPERIMENTS)
    def test_says_what_it_is(self, name: str, runs: Path) -> None:
        model = onnx.load(runs / name / "checkpoint.onnx", load_external_data=False)
        onnx.checker.check_model(model, full_check=True)
        said = {p.key: p.value for p in model.metadata_props}
        assert said.pop("kind") == KIND
        said = {key: json.loads(value) for key, value in said.items()}
        assert said["labels"] == list(EMOTIONS) and said["preprocessing"]["seed"] == 3
        assert said["answers"] == (["av", "video", "audio"] if name == "av" else [name])
        assert said["experiment"] == EXPERIMENTS[name].to_dict()
        assert bool(said["synthetic"]) == (name == "av")
        assert said["version"] == avemotion.__version__
        path = runs / name
        exported = avemotion.Classifier(path, runtime="onnx")
        assert exported.facts == avemotion.Classifier(path).facts == facts_of(EXPERIMENTS[name])

    def test_has_the_inputs_that_are_documented(self, runs: Path) -> None:
        faces = {"faces": (TensorProto.UINT8, [20, 98, 80]), "has_face": (TensorProto.BOOL, [])}
        sound = {"lengths": (TensorProto.INT64, []), "has_sound": (TensorProto.BOOL, [])}
        pictures = {"av": [1, 64, 500], "audio": [1, 128, 128]}
        for name in EXPERIMENTS:
            graph = onnx.load(runs / name / "checkpoint.onnx").graph
            found = {
                part.name: (kind.elem_type, [d.dim_value for d in kind.shape.dim[1:]])
                for part in graph.input
                if (kind := part.type.tensor_type).shape.dim[0].dim_param
            }
            expected = faces if name != "audio" else {}
            if name != "video":
                expected |= sound | {"spectrograms": (TensorProto.FLOAT, pictures[name])}
            assert found == expected and len(graph.input) == len(expected)
            assert [part.name for part in graph.output] == ["probabilities"]

    def test_holds_no_paths_of_the_machine_that_wrote_it(self, runs: Path) -> None:
        for name in EXPERIMENTS:
            content = (runs / name / "checkpoint.onnx").read_bytes()
            assert b"ar5.py" not in content and b"site-packages" not in content
            assert str(runs).encode() not in content


def test_an_export_that_answers_otherwise_is_not_written(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The graph of one network for the checkpoint of another: what a wrong exporter would do."""
    other = untrained(EXPERIMENTS["video"], seed=1)
    save_checkpoint(tmp_path / "c.safetensors", other, facts_of(EXPERIMENTS["video"]))
    graph = onnx.load(runs / "video" / "checkpoint.onnx")
    monkeypatch.setattr(onnx_export, "_graph", lambda network, facts: graph)
    target = tmp_path / "c.onnx"
    with pytest.raises(AvemotionError, match="nothing was written"):
        avemotion.export(tmp_path / "c.safetensors", target)
    assert [path.name for path in tmp_path.iterdir()] == ["c.safetensors"]


def test_onnx_and_its_runtime_may_be_missing(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = runs / "video" / "checkpoint.onnx"
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UsageError, match="pip install onnxruntime"):
        avemotion.Classifier(model)
    # Without it the export cannot be checked, and says so.
    monkeypatch.setattr(onnx_export, "_graph", lambda network, facts: onnx.load(model))
    report = avemotion.export(runs / "video", tmp_path / "new" / "video.onnx")
    assert report.largest_difference is None and report.file.read_bytes() == model.read_bytes()
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UsageError, match=r"needs onnxscript: pip install 'avemotion\[onnx\]'"):
        avemotion.export(runs / "video", tmp_path / "x.onnx")


class TestWhichRuntime:
    def test_the_file_tells(self, runs: Path) -> None:
        for file, runtime in (("checkpoint.onnx", "onnx"), ("checkpoint.safetensors", "torch")):
            path = runs / "av" / file
            assert find_checkpoint(path) == find_checkpoint(path, runtime) == path
            assert find_checkpoint(path.parent, runtime) == path
        assert find_checkpoint(runs / "av") == runs / "av" / "checkpoint.safetensors"

    @pytest.mark.parametrize(
        ("file", "options", "message"),
        [
            ("av/checkpoint.safetensors", {"runtime": "onnx"}, "Export it first: `avemotion exp"),
            ("av/checkpoint.onnx", {"runtime": "torch"}, "--runtime torch cannot read"),
            ("av/checkpoint.onnx", {"runtime": "tpu"}, "must be one of auto, torch, onnx"),
            ("av/checkpoint.onnx", {"device": "cuda"}, "the cpu alone"),
        ],
    )
    def test_contradictions(
        self, file: str, options: dict[str, str], message: str, runs: Path
    ) -> None:
        with pytest.raises(UsageError, match=message):
            avemotion.Classifier(runs / file, **options)

    def test_a_run_that_is_not_exported(
        self, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "checkpoint.safetensors").touch()
        words = ["classify", "x.flv", "--checkpoint", str(tmp_path), "--runtime", "onnx"]
        assert main(words) == 2
        wanted = tmp_path / "checkpoint.onnx"
        assert f"`avemotion export CHECKPOINT {wanted}`" in capsys.readouterr().err


def foreign(**metadata: str) -> onnx.ModelProto:
    """A sum of two numbers."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["probabilities"])],
        "sum",
        [value("x", TensorProto.FLOAT, [1, 4])],
        [value("probabilities", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor("w", TensorProto.FLOAT, [4], [0.0] * 4)],
    )
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    helper.set_model_props(model, metadata)
    return model


class TestFilesThatAreNoModelsOfOurs:
    def refused(self, path: Path, content: bytes, message: str) -> None:
        path.write_bytes(content)
        with pytest.raises(UsageError, match=message) as caught:
            avemotion.Classifier(path)
        assert str(path) in str(caught.value) and "avemotion export" in str(caught.value)

    def test_damaged(self, runs: Path, tmp_path: Path) -> None:
        whole = (runs / "video" / "checkpoint.onnx").read_bytes()
        for content in (b"", b"not a model", whole[: len(whole) // 2], whole[1000:]):
            self.refused(tmp_path / "x.onnx", content, "cannot be loaded as an ONNX model|unmarked")

    def test_foreign(self, tmp_path: Path) -> None:
        path = tmp_path / "x.onnx"
        self.refused(path, foreign().SerializeToString(), "another kind .unmarked")
        other = foreign(kind="avemotion/onnx/99").SerializeToString()
        self.refused(path, other, "avemotion/onnx/99.*reads avemotion/onnx/1")
        self.refused(path, foreign(kind=KIND).SerializeToString(), "damaged: KeyError")

    def test_a_graph_that_does_not_fit_its_metadata(self, runs: Path, tmp_path: Path) -> None:
        model = onnx.load(runs / "video" / "checkpoint.onnx")
        said = {p.key: p.value for p in model.metadata_props}
        helper.set_model_props(model, said | {"labels": '["anger"]'})
        self.refused(tmp_path / "x.onnx", model.SerializeToString(), "1 labels")
        self.refused(tmp_path / "y.onnx", foreign(**said).SerializeToString(), "unknown inputs")

    def test_operators_from_elsewhere(self, tmp_path: Path) -> None:
        model = foreign()
        model.graph.node[0].domain = "somewhere.else"
        model.opset_import.append(helper.make_opsetid("somewhere.else", 1))
        self.refused(tmp_path / "x.onnx", model.SerializeToString(), "cannot be loaded")

    @pytest.mark.parametrize("where", ["weights.bin", "../weights.bin", "{folder}/weights.bin"])
    def test_weights_in_other_files_are_not_read(
        self, where: str, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A whole model of ours, but for one tensor that lies beside it."""
        model = onnx.load(runs / "video" / "checkpoint.onnx")
        largest = max(model.graph.initializer, key=lambda t: len(t.raw_data))
        for folder in (tmp_path, tmp_path / "inner"):
            folder.mkdir(exist_ok=True)
            (folder / "weights.bin").write_bytes(largest.raw_data)
        monkeypatch.chdir(tmp_path / "inner")
        onnx.external_data_helper.set_external_data(largest, where.format(folder=os.getcwd()))
        largest.ClearField("raw_data")
        content = model.SerializeToString()
        self.refused(tmp_path / "inner" / "x.onnx", content, "External data path validation failed")
