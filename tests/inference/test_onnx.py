"""`export` and the ONNX runtime: torch's answers, what the file says, what is refused."""

import dataclasses
import json
import os
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from media_maker import without_sound
from network_maker import (
    EXPERIMENTS,
    TASK,
    as_read_by_hand,
    experiment_of,
    metadata_of,
    random_batch,
    untrained,
)
from onnx import TensorProto, helper

import avemotion
from avemotion.cli import main
from avemotion.data.corpora.crema_d import EMOTIONS
from avemotion.errors import AvemotionError, UsageError
from avemotion.inference.runtimes import onnx_graph
from avemotion.inference.runtimes.loading import find_checkpoint
from avemotion.inference.runtimes.onnx_runtime import KIND, OnnxRuntime
from avemotion.models.checkpoint import load_checkpoint, save_checkpoint
from avemotion.models.registry import create


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
        seen.add(tuple(round(p, 4) for p in theirs.probabilities.values()))
    assert len(seen) == len(clips)  # else a model that ignores its clip would pass


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_answers_as_torch_on_real_clips(name: str, exported: Path, real_videos: list[Path]) -> None:
    compare(exported / name, real_videos)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_answers_as_torch_on_synthetic_clips(name: str, exported: Path, small_corpus: Path) -> None:
    compare(exported / name, sorted((small_corpus / "VideoFlash").glob("*.flv"))[:3])


def test_answers_as_torch_where_a_modality_is_missing(
    exported: Path, small_corpus: Path, tmp_path: Path
) -> None:
    whole = next((small_corpus / "VideoFlash").glob("*.flv"))
    (tmp_path / "mute.flv").write_bytes(without_sound(whole.read_bytes()))
    compare(
        exported / "av", [tmp_path / "mute.flv", small_corpus / "AudioWAV" / f"{whole.stem}.wav"]
    )
    for modality in ("video", "audio"):
        compare(exported / "av", [whole], modality)


@pytest.mark.parametrize("clips", [1, 2, 7])
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_any_number_of_clips(name: str, clips: int, exported: Path) -> None:
    path = exported / name / "checkpoint.onnx"
    batch = random_batch(EXPERIMENTS[name], clips, seed=clips)
    found = OnnxRuntime(path.read_bytes(), str(path)).probabilities(batch)
    assert found.dtype == np.float32
    network, _ = load_checkpoint(exported / name / "checkpoint.safetensors")
    with torch.inference_mode():
        expected = network(as_read_by_hand(batch)).softmax(dim=1).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert clips < 7 or np.ptp(found, axis=0).max() > 0.01


def test_the_thesis_configuration_is_exported_as_it_reads(tmp_path: Path) -> None:
    """Faces by the listing, a spectrogram of another shape; `export` compares them with torch."""
    settings = {"spectrogram_rows": 96, "spectrogram_columns": 64, "face_scaling": "listing"}
    experiment = experiment_of("av", spectrogram="power", width=0.25, **settings)
    torch.manual_seed(0)
    network = create(TASK, experiment).eval()
    batch = random_batch(experiment, 5, seed=1)
    tensors = batch.map(torch.from_numpy)
    read = network.read(tensors)
    assert read.inputs["power"].shape == (5, 1, 96, 64)
    assert read.lengths["power"].tolist() == [64 * bool(n) for n in batch.lengths["power"]]
    listing = batch.inputs["faces"] / 255.0 - 0.5
    np.testing.assert_allclose(read.inputs["faces"], listing, atol=1e-6)
    save_checkpoint(tmp_path / "checkpoint.safetensors", network, metadata_of(experiment))
    report = avemotion.export(tmp_path, tmp_path / "checkpoint.onnx")
    assert report.largest_difference < 1e-4
    found = OnnxRuntime((tmp_path / "checkpoint.onnx").read_bytes(), "x").probabilities(batch)
    with torch.inference_mode():
        expected = network(read).softmax(dim=1).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_arrays_of_unequal_length_are_refused(exported: Path) -> None:
    clips = onnx_graph.random_clips(metadata_of(EXPERIMENTS["av"]), 3)
    with pytest.raises(ValueError, match="unequal length"):
        dataclasses.replace(clips, present=clips.present | {"video": clips.present["video"][:1]})


def test_the_temperature_is_applied_by_both_runtimes(tmp_path: Path) -> None:
    experiment = EXPERIMENTS["video"]
    network, batch = untrained(experiment), random_batch(experiment, 5, seed=1)
    metadata = metadata_of(experiment, temperature=2.5)
    save_checkpoint(tmp_path / "checkpoint.safetensors", network, metadata)
    avemotion.export(tmp_path, tmp_path / "checkpoint.onnx")
    with torch.inference_mode():
        expected = (network(as_read_by_hand(batch)) / 2.5).softmax(dim=1).numpy()
    for runtime in ("torch", "onnx"):
        classifier = avemotion.Classifier(tmp_path, device="cpu", runtime=runtime)
        np.testing.assert_allclose(classifier.probabilities(batch), expected, atol=1e-4)
        assert classifier.metadata.temperature == 2.5


class TestTheFile:
    @pytest.mark.parametrize("name", EXPERIMENTS)
    def test_says_what_it_is(self, name: str, exported: Path) -> None:
        model = onnx.load(exported / name / "checkpoint.onnx", load_external_data=False)
        onnx.checker.check_model(model, full_check=True)
        metadata = {p.key: p.value for p in model.metadata_props}
        assert metadata.pop("kind") == KIND
        metadata = {key: json.loads(value) for key, value in metadata.items()}
        assert metadata["task"] == {
            "labels": list(EMOTIONS),
            "units": [],
            "neutral_below": None,
        }
        assert metadata["preprocessing"]["seed"] == 3
        assert metadata["answers"] == (["av", "video", "audio"] if name == "av" else [name])
        assert metadata["experiment"] == EXPERIMENTS[name].to_dict()
        assert bool(metadata["synthetic"]) == (name == "av")
        assert metadata["version"] == avemotion.__version__
        path = exported / name
        again = avemotion.Classifier(path, runtime="onnx")
        assert (
            again.metadata == avemotion.Classifier(path).metadata == metadata_of(EXPERIMENTS[name])
        )

    def test_has_the_inputs_that_are_documented(self, exported: Path) -> None:
        faces = {"faces": (TensorProto.UINT8, [20, 98, 80]), "has_video": (TensorProto.BOOL, [])}
        images = {"av": ("log_mel", [64, 500]), "audio": ("power", [128, 128])}
        for name in EXPERIMENTS:
            graph = onnx.load(exported / name / "checkpoint.onnx").graph
            found = {
                part.name: (kind.elem_type, [d.dim_value for d in kind.shape.dim[1:]])
                for part in graph.input
                if (kind := part.type.tensor_type).shape.dim[0].dim_param
            }
            expected = {} if name == "audio" else dict(faces)
            if name != "video":
                spectrogram, shape = images[name]
                expected |= {
                    spectrogram: (TensorProto.FLOAT, shape),
                    f"{spectrogram}_lengths": (TensorProto.INT64, []),
                    "has_audio": (TensorProto.BOOL, []),
                }
            assert found == expected and len(graph.input) == len(expected)
            assert [part.name for part in graph.output] == ["probabilities"]

    def test_holds_no_paths_of_the_machine_that_wrote_it(self, exported: Path) -> None:
        for name in EXPERIMENTS:
            content = (exported / name / "checkpoint.onnx").read_bytes()
            assert b"ar5.py" not in content and b"site-packages" not in content
            assert str(exported).encode() not in content


def test_an_export_that_answers_otherwise_is_not_written(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The graph of one network for the checkpoint of another: what a wrong exporter would do."""
    other = untrained(EXPERIMENTS["video"], seed=1)
    save_checkpoint(tmp_path / "c.safetensors", other, metadata_of(EXPERIMENTS["video"]))
    graph = onnx.load(exported / "video" / "checkpoint.onnx")
    monkeypatch.setattr(onnx_graph, "graph_of", lambda network, metadata: graph)
    target = tmp_path / "c.onnx"
    with pytest.raises(AvemotionError, match="nothing was written"):
        avemotion.export(tmp_path / "c.safetensors", target)
    assert [path.name for path in tmp_path.iterdir()] == ["c.safetensors"]


def test_onnx_and_its_runtime_may_be_missing(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = exported / "video" / "checkpoint.onnx"
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UsageError, match="pip install onnxruntime"):
        avemotion.Classifier(model)
    # Without it the export cannot be checked, and says so.
    monkeypatch.setattr(onnx_graph, "graph_of", lambda network, metadata: onnx.load(model))
    report = avemotion.export(exported / "video", tmp_path / "new" / "video.onnx")
    assert report.largest_difference is None and report.file.read_bytes() == model.read_bytes()
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UsageError, match=r"needs onnxscript: `pip install '\.\[onnx\]'` in"):
        avemotion.export(exported / "video", tmp_path / "x.onnx")


class TestWhichRuntime:
    def test_the_file_tells(self, exported: Path) -> None:
        for file, runtime in (("checkpoint.onnx", "onnx"), ("checkpoint.safetensors", "torch")):
            path = exported / "av" / file
            assert find_checkpoint(path) == find_checkpoint(path, runtime) == path
            assert find_checkpoint(path.parent, runtime) == path
        assert find_checkpoint(exported / "av") == exported / "av" / "checkpoint.safetensors"

    @pytest.mark.parametrize(
        ("file", "options", "message"),
        [
            ("av/checkpoint.safetensors", {"runtime": "onnx"}, "Export it first: `avemotion exp"),
            ("av/checkpoint.onnx", {"runtime": "torch"}, "--runtime torch cannot read"),
            ("av/checkpoint.onnx", {"runtime": "tpu"}, "must be one of auto, torch, onnx"),
            ("av/checkpoint.onnx", {"device": "cuda"}, "run on the cpu only"),
        ],
    )
    def test_contradictions(
        self, file: str, options: dict[str, str], message: str, exported: Path
    ) -> None:
        with pytest.raises(UsageError, match=message):
            avemotion.Classifier(exported / file, **options)

    def test_a_run_that_is_not_exported(
        self, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
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

    def test_damaged(self, exported: Path, tmp_path: Path) -> None:
        whole = (exported / "video" / "checkpoint.onnx").read_bytes()
        for content in (b"", b"not a model", whole[: len(whole) // 2], whole[1000:]):
            self.refused(tmp_path / "x.onnx", content, "cannot be loaded as an ONNX model|unmarked")

    def test_foreign(self, tmp_path: Path) -> None:
        path = tmp_path / "x.onnx"
        self.refused(path, foreign().SerializeToString(), "another kind .unmarked")
        other = foreign(kind="avemotion/onnx/99").SerializeToString()
        self.refused(path, other, "avemotion/onnx/99.*reads avemotion/onnx/8")
        self.refused(
            path, foreign(kind=KIND).SerializeToString(), "damaged: metadata lacks experiment"
        )

    def test_a_graph_that_does_not_fit_its_metadata(self, exported: Path, tmp_path: Path) -> None:
        model = onnx.load(exported / "video" / "checkpoint.onnx")
        metadata = {p.key: p.value for p in model.metadata_props}
        other = {"labels": ["anger", "fear"], "units": [], "neutral_below": None}
        helper.set_model_props(model, metadata | {"task": json.dumps(other)})
        self.refused(
            tmp_path / "x.onnx", model.SerializeToString(), "outputs are .*but must be .*2"
        )
        self.refused(
            tmp_path / "y.onnx",
            foreign(**metadata).SerializeToString(),
            "inputs are .*x.*but must be .*faces",
        )

    def test_operators_from_elsewhere(self, tmp_path: Path) -> None:
        model = foreign()
        model.graph.node[0].domain = "somewhere.else"
        model.opset_import.append(helper.make_opsetid("somewhere.else", 1))
        self.refused(tmp_path / "x.onnx", model.SerializeToString(), "cannot be loaded")

    @pytest.mark.parametrize("where", ["weights.bin", "../weights.bin", "{folder}/weights.bin"])
    def test_weights_in_other_files_are_not_read(
        self, where: str, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A whole model of ours, but for one tensor that lies beside it."""
        model = onnx.load(exported / "video" / "checkpoint.onnx")
        largest = max(model.graph.initializer, key=lambda t: len(t.raw_data))
        for folder in (tmp_path, tmp_path / "inner"):
            folder.mkdir(exist_ok=True)
            (folder / "weights.bin").write_bytes(largest.raw_data)
        monkeypatch.chdir(tmp_path / "inner")
        onnx.external_data_helper.set_external_data(largest, where.format(folder=os.getcwd()))
        largest.ClearField("raw_data")
        content = model.SerializeToString()
        self.refused(tmp_path / "inner" / "x.onnx", content, "cannot be loaded")
