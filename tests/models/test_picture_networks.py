"""Networks of one face picture: sizes, shapes, what is frozen, what weights they begin with.

Counts of parameters are derived from published ones, or by hand.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from avemotion.config import ExperimentSettings, TrainingSettings
from avemotion.data.batch import Batch
from avemotion.data.task import Task
from avemotion.errors import UsageError
from avemotion.models import timm_networks
from avemotion.models.base import EmotionModel
from avemotion.models.inputs import Input
from avemotion.models.registry import MODELS, create, inputs_of, model_class, settings_of

SEVEN = Task(tuple("abcdefg"))
UNITS = Task(tuple("abcdefg"), ("AU1", "AU2", "AU4"))
SMALL: dict[str, dict[str, Any]] = {
    "ar1": {"width": 0.25},
    "ar2": {"width": 0.25},
    "ar3": {"width": 0.25},
    "ar4": {"width": 0.25},
    "cnn3": {"width": 0.25, "units": 32},
    "cnn5": {"width": 0.25},
    "bilstm": {"units": 16},
    "resnet18": {"width": 0.125},
    "inception_v4": {"width": 0.125},
    "inception_resnet_v2": {"width": 0.125},
    "units_perceptron": {"width": 0.125},
    "vgg16_bn": {"width": 0.125},
    "resnet101": {"width": 0.125},
    "mobilenet": {"width": 0.25},
    "vit": {"width": 0.25},
}
"""Every network that reads faces, and settings that make it small."""
TIMM = [name for name, home in MODELS.items() if "timm_networks" in home]


def network_of(model: str, task: Task = SEVEN, /, **settings: Any) -> Any:
    torch.manual_seed(0)
    return create(task, ExperimentSettings(model, "video", settings))


def size_of(name: str, task: Task = SEVEN, **settings: Any) -> int:
    """Parameters that are trained; no memory is taken for them."""
    with torch.device("meta"):
        network = network_of(name, task, **settings)
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def clips_of(network: EmotionModel, clips: int, seed: int = 0) -> Batch[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    (part,) = network.inputs
    shape = {"image": (98, 80), "faces": (20, 98, 80)}[part.name]
    drawn = torch.randint(256, (clips, *shape), generator=generator, dtype=torch.uint8)
    there = torch.ones(clips, dtype=torch.bool)
    targets = torch.arange(clips) % len(network.task.labels)
    return Batch({part.name: drawn}, {"video": there, "audio": there}, targets=targets)


def dense(inputs: int, outputs: int) -> int:
    return (inputs + 1) * outputs


def convolution(inputs: int, outputs: int, kernel: int = 9) -> int:
    return (inputs * kernel + 1) * outputs


class TestSizes:
    """Where ours reads one channel in place of three, its first kernels are a third."""

    def test_of_timm(self) -> None:
        # torchvision documents 11,689,512; 138,365,992; 44,549,160, with 1000 classes.
        assert size_of("resnet18") == 11_689_512 - dense(512, 1000) - 2 * 64 * 49 + dense(512, 7)
        classifier = dense(512 * 7 * 7, 4096) + dense(4096, 4096) + dense(4096, 1000)
        ours = dense(512, 4096) + dense(4096, 4096) + dense(4096, 7)
        assert size_of("vgg16_bn") == 138_365_992 - classifier - 2 * 64 * 9 + ours
        trunk = 44_549_160 - dense(2048, 1000)
        assert size_of("resnet101") == trunk - 2 * 64 * 49 + dense(2048, 7)
        extra = convolution(3, 3) + dense(2048, 512) + dense(512, 7)
        assert size_of("resnet101", stem="extra_convolution") == trunk + extra
        # timm documents 42.68 and 55.84 million.
        rest = dense(1536, 1000) + 2 * 32 * 9
        assert size_of("inception_v4") == 42_679_816 - rest + dense(1536, 7)
        assert size_of("inception_resnet_v2") == 55_843_464 - rest + dense(1536, 7)
        # A ViT: an embedding of patches, a token, positions, 12 blocks, a norm.
        block = 4 * dense(192, 192) + dense(192, 768) + dense(768, 192) + 4 * 192
        trunk = dense(3 * 16 * 16, 192) + 192 + 197 * 192 + 12 * block + 2 * 192
        assert size_of("vit") == trunk + dense(192, 7)

    def test_of_a_frozen_network(self) -> None:
        assert size_of("mobilenet") == dense(7 * 7 * 1024, 7)
        with torch.device("meta"):
            trunk = network_of("mobilenet").trunk
        # Keras documents 4,231,976 trained parameters, with 1000 classes.
        assert sum(p.numel() for p in trunk.parameters()) == 4_231_976 - dense(1024, 1000)

    def test_of_ours(self) -> None:
        ar1 = (
            convolution(1, 32) + convolution(32, 64) + convolution(64, 128) + convolution(128, 128)
        )
        assert size_of("ar1") == ar1 + dense(128 * 6 * 5, 256) + dense(256, 7)
        ar2 = convolution(1, 16) + convolution(16, 32) + convolution(32, 64)
        assert size_of("ar2") == ar2 + dense(64 * 12 * 10, 64) + dense(64, 7)
        ar3 = convolution(1, 16, 3 * 5 * 5) + convolution(16, 32, 27)
        ar3 += convolution(32, 64, 27) + convolution(64, 128, 27)
        # 20 faces of 49 x 40 after the first stride; 5 of 3 x 2 after the poolings.
        assert size_of("ar3") == ar3 + dense(128 * 5 * 3 * 2, 256) + dense(256, 7)
        perceptron = dense(256, 128) + dense(128, 7)
        assert size_of("ar4") == ar1 + dense(128 * 6 * 5, 256) + perceptron

    def test_of_the_reports(self) -> None:
        cnn3 = convolution(1, 32) + convolution(32, 64) + convolution(64, 128)
        assert size_of("cnn3") == cnn3 + dense(128 * 6 * 6, 1024) + dense(1024, 7)
        channels = (1, 32, 64, 128, 256, 512)
        stages = sum(
            convolution(before, after) + convolution(after, after) + 2 * 2 * after
            for before, after in zip(channels, channels[1:], strict=False)
        )
        assert size_of("cnn5") == stages + dense(512, 256) + dense(256, 7)
        first, second = (2 * 4 * 64 * (inputs + 64 + 2) for inputs in (48, 2 * 64))
        assert size_of("bilstm") == first + second + dense(128, 64) + dense(64, 7)

    @pytest.mark.parametrize("name", TIMM)
    def test_as_listed(self, name: str) -> None:
        assert size_of(name, Task(tuple("abcdef"))) == model_class(name).about.parameters

    def test_of_the_perceptron_behind_units(self) -> None:
        six = Task(tuple("abcdef"), tuple(f"AU{unit}" for unit in range(1, 16)))
        trunk = size_of("resnet18", SEVEN) - dense(512, 7)
        found = size_of("units_perceptron", six)
        assert found == trunk + dense(512, 15) + dense(15, 32) + dense(32, 6)
        assert found == model_class("units_perceptron").about.parameters


def test_the_emotions_do_not_teach_the_network_that_finds_units() -> None:
    network = network_of("units_perceptron", UNITS, width=0.125).train()
    clips = clips_of(network, 3)
    network(network.read(clips))[:, : len(UNITS.labels)].sum().backward()
    assert all(p.grad is None or not p.grad.any() for p in network.trunk.parameters())
    assert not network.head.units.weight.grad.any()
    assert all(p.grad.any() for p in network.head.perceptron[-1].parameters())
    network(network.read(clips))[:, len(UNITS.labels) :].sum().backward()
    assert any(p.grad is not None and p.grad.any() for p in network.trunk.parameters())


@pytest.mark.parametrize("name", SMALL)
def test_it_answers_labels_and_units_from_a_face(name: str) -> None:
    for task in (SEVEN, UNITS) if name != "units_perceptron" else (UNITS,):
        network = network_of(name, task, **SMALL[name]).eval()
        clips = clips_of(network, 3)
        clips.present["video"][1] = False
        with torch.inference_mode():
            logits = network(network.read(clips))
        assert logits.shape == (3, len(task.outputs)) and logits.isfinite().all()
        assert (logits[1] == 0).all(), "what cannot be seen has an effect"
        assert not torch.allclose(logits[0], logits[2]), "what is seen has none"


def test_they_read_what_their_sources_say() -> None:
    def read(name: str, **settings: Any) -> tuple[Input, ...]:
        return inputs_of(ExperimentSettings(name, "video", settings))

    for name in ("ar1", "ar2", "ar4", "resnet18", "inception_v4", "inception_resnet_v2"):
        assert read(name) == (Input("image", (98, 80), 1),)
    for name in ("cnn3", "cnn5", "bilstm", "vgg16_bn", "resnet101"):
        assert read(name) == (Input("image", (48, 48), 1),)
    assert read("resnet101", stem="extra_convolution") == (Input("image", (48, 48), 3),)
    for name in ("mobilenet", "vit"):
        assert read(name) == (Input("image", (224, 224), 3),)
    assert read("ar3") == (Input("faces"),)


def test_settings_change_the_layers() -> None:
    elu = network_of("cnn5", width=0.25, activation="elu", dropout=0.3)
    kinds = [type(layer) for layer in elu.layers]
    assert nn.ReLU not in kinds and kinds.count(nn.ELU) == 11
    assert [layer.p for layer in elu.layers if isinstance(layer, nn.Dropout)] == [0.3] * 5
    deviation = network_of("cnn5").layers[3].weight.std().item()
    assert deviation == pytest.approx((2 / (32 * 9)) ** 0.5, rel=0.05), "not He's start"
    assert network_of("cnn3", dropout=0.2).layers[4].p == 0.2
    head = network_of("vgg16_bn", width=0.125).head
    assert [layer.p for layer in head if isinstance(layer, nn.Dropout)] == [0.5] * 2
    assert network_of("vit", name="vit_small_patch16_224", width=0.25).head.in_features == 96
    layers = network_of("ar4").layers
    kinds = [type(layer) for layer in layers]
    assert kinds[-4:] == [nn.Linear, nn.Linear, nn.ReLU, nn.Linear], "AR4's features are activated"


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("ar1", {"width": 0.01}, "width is 0.01, but must be from 0.1 to 4"),
        ("cnn3", {"dropout": 1.0}, "--cnn3.dropout is 1.0"),
        ("cnn3", {"units": 1}, "--cnn3.units is 1"),
        ("cnn5", {"activation": "tanh"}, "--cnn5.activation is 'tanh', but must be relu or elu"),
        ("bilstm", {"units": 2}, "--bilstm.units is 2"),
        ("resnet18", {"width": 0.3}, "width is 0.3, but must be one of 1, 0.5, 0.25"),
        ("resnet18", {"pretrained": " "}, "pretrained is ' ', but must be none, hub or"),
        ("resnet18", {"pretrained": "hub", "width": 0.5}, "width is 0.5, .* 1 with pretrained hub"),
        ("resnet101", {"stem": "none"}, "--resnet101.stem is 'none'"),
        ("vit", {"name": "vit_huge"}, "--vit.name is 'vit_huge'"),
    ],
)
def test_settings_out_of_range_are_refused(name: str, settings: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        settings_of(name, settings)


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_they_are_listed_and_cited_without_timm() -> None:
    code = """
import sys, avemotion
found = {m.name: m for m in avemotion.list_models()}
assert not {"timm", "torchvision", "sklearn", "skimage"} & set(sys.modules), "takes seconds"
assert all(m.installed for m in found.values())
assert found["resnet18"].needs == "images" and found["resnet18"].parameters > 11_000_000
assert found["vgg16_bn"].reported[0].value == 0.6801
assert "The model vgg16_bn has no BibTeX entry: a student report" in avemotion.cite()
assert not {"timm", "torchvision"} & set(sys.modules)
"""
    run(code)


@pytest.mark.parametrize("package", ["timm", "torchvision"])
def test_a_package_that_is_missing_is_named(package: str) -> None:
    code = f"""
import sys
sys.modules[{package!r}] = None
import avemotion
found = {{m.name: m for m in avemotion.list_models()}}
assert found["ar1"].installed and found["knn"].installed
assert not found["resnet18"].installed and not found["resnet18"].source
print(found["resnet18"].needs)
"""
    assert run(code).strip() == (
        f"The model resnet18 needs {package}, which is not installed: "
        "`pip install '.[images]'` in the checkout of avemotion."
    )


def test_what_is_frozen_stays_frozen() -> None:
    """Weights and statistics, through a step with decay and clamping."""
    from avemotion.training.lightning_module import EmotionModule

    network = network_of("mobilenet", width=0.25)
    assert network.head.training and not network.trunk.training, "wrong before any mode is set"
    module = EmotionModule(network, TrainingSettings(clamp_weights=0.01, mixup=0.0)).train()
    assert network.training and network.head.training and not network.trunk.training
    before = {name: values.clone() for name, values in network.state_dict().items()}
    optimizer = torch.optim.AdamW(module.parameters(), 0.01, weight_decay=0.5)
    module.loss(clips_of(network, 4)).backward()
    optimizer.step()
    module.on_train_batch_end()
    changed = {n for n, v in network.state_dict().items() if not torch.equal(v, before[n])}
    assert changed == {"head.1.weight", "head.1.bias"}
    assert network.head[1].weight.abs().max() <= 0.01


class TestWeightsToBeginWith:
    def weights(self, name: str = "resnet18", **settings: Any) -> dict[str, Tensor]:
        """Those of another start: three channels, statistics, and a classifier, as in timm's."""
        trunk = network_of(name, **settings).trunk
        generator = torch.Generator().manual_seed(1)
        found = {
            key: torch.rand(values.shape, generator=generator) if values.ndim else values + 5
            for key, values in trunk.state_dict().items()
        }
        if name != "mobilenet":
            shape = (len(found["conv1.weight"]), 3, 7, 7)
            found["conv1.weight"] = torch.rand(shape, generator=generator)
        return found | {"fc.weight": torch.ones(1000, 4), "fc.bias": torch.ones(1000)}

    @pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
    def test_are_read_from_a_file(self, suffix: str, tmp_path: Path) -> None:
        weights, path = self.weights(width=0.25), tmp_path / f"weights{suffix}"
        save_file(weights, path) if suffix == ".safetensors" else torch.save(weights, path)
        network = network_of("resnet18", width=0.25, pretrained=str(path))
        assert not torch.equal(network.trunk.bn1.weight, weights["bn1.weight"]), "read too early"
        head = network.head.weight.clone()
        network.prepare(None)
        taken = network.trunk.state_dict()
        for name in taken:
            wanted = weights[name]
            if name == "conv1.weight":  # of three equal channels, the same answer
                wanted = wanted.sum(dim=1, keepdim=True)
            torch.testing.assert_close(taken[name], wanted)
        assert torch.equal(network.head.weight, head)

    def test_are_averaged_over_the_channels(self, tmp_path: Path) -> None:
        weights = self.weights("resnet101", width=0.125)
        save_file(weights, tmp_path / "w.safetensors")
        network = network_of("resnet101", width=0.125, pretrained=str(tmp_path / "w.safetensors"))
        network.prepare(None)
        wanted = weights["conv1.weight"].mean(dim=1, keepdim=True)
        torch.testing.assert_close(network.trunk.conv1.weight.detach(), wanted)

    def test_older_files_lack_the_number_of_batches(self, tmp_path: Path) -> None:
        weights = self.weights(width=0.25)
        old = {n: v for n, v in weights.items() if "num_batches" not in n}
        save_file(old, tmp_path / "old.safetensors")
        network = network_of("resnet18", width=0.25, pretrained=str(tmp_path / "old.safetensors"))
        network.prepare(None)
        assert torch.equal(network.trunk.bn1.running_var, weights["bn1.running_var"])

    @pytest.mark.parametrize(
        ("name", "mean", "std"),
        [
            ("resnet101", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
            ("mobilenet", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ],
    )
    def test_see_pictures_as_those_that_they_learned(
        self, name: str, mean: tuple, std: tuple, tmp_path: Path
    ) -> None:
        small: dict[str, Any] = {"width": 0.125}
        if name == "resnet101":
            small["stem"] = "extra_convolution"
        path = tmp_path / "w.safetensors"
        save_file(self.weights(name, **small), path)
        network = network_of(name, **small, pretrained=str(path)).eval()
        seen: list[Tensor] = []
        network.stem.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        grey = Batch({"image": torch.full((1, 98, 80), 51, dtype=torch.uint8)}, {})  # a fifth
        grey.present["video"] = torch.ones(1, dtype=torch.bool)
        with torch.inference_mode():
            network(network.read(grey))
            network.prepare(None)
            network(network.read(grey))
        torch.testing.assert_close(seen[0][0, :, 0, 0], torch.full((3,), (51 - 127) / 128))
        wanted = [(0.2 - m) / s for m, s in zip(mean, std, strict=True)]
        torch.testing.assert_close(seen[1][0, :, 9, 9], torch.tensor(wanted))

    def test_of_another_network_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "w.safetensors"
        for weights, reason in (
            (self.weights(width=0.5), r"conv1.weight is of the shape \(32, 1, 7, 7\)"),
            ({"fc.weight": torch.ones(3)}, "conv1.weight is missing"),
        ):
            save_file(weights, path)
            network = network_of("resnet18", width=0.25, pretrained=str(path))
            before = network.trunk.bn1.weight.clone()
            with pytest.raises(UsageError, match=f"none of resnet18 at width 0.25: {reason}"):
                network.prepare(None)
            assert torch.equal(network.trunk.bn1.weight, before)

    def test_are_never_executed(self, tmp_path: Path) -> None:
        class Bomb:
            def __reduce__(self) -> tuple[object, tuple[str]]:
                return os.mkdir, (str(tmp_path / "executed"),)

        torch.save(Bomb(), tmp_path / "bomb.pth")
        torch.save([torch.ones(3)], tmp_path / "list.pth")
        torch.save({"epoch": 3}, tmp_path / "numbers.pth")
        (tmp_path / "text.safetensors").write_text("no weights")
        (tmp_path / "text.pth").write_text("no weights")
        for file, reason in (
            ("bomb.pth", "holds no weights"),
            ("list.pth", "holds no state dict"),
            ("numbers.pth", "holds no state dict"),
            ("text.safetensors", "holds no weights"),
            ("text.pth", "holds no weights"),
            ("none.pth", "must be none, hub or a file: no such file"),
        ):
            network = network_of("resnet18", width=0.25, pretrained=str(tmp_path / file))
            with pytest.raises(UsageError, match=f"{file}.*{reason}"):
                network.prepare(None)
        assert not (tmp_path / "executed").exists()

    def test_come_from_the_hub(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As far as can be seen without it: what timm returns is taken over."""
        timm = timm_networks._timm()
        asked, build = [], timm.create_model

        def download(name: str, pretrained: bool = False, **options: Any) -> nn.Module:
            if pretrained:
                asked.append((name, options))
            return build(name, **options)

        network = network_of("mobilenet", pretrained="hub")
        monkeypatch.setattr(timm, "create_model", download)
        before = network.trunk.conv_stem.weight.clone()
        network.prepare(None)
        assert asked == [("mobilenetv1_100", {})]
        assert not torch.equal(network.trunk.conv_stem.weight, before)

    def test_need_the_internet(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        timm_networks._timm()
        from huggingface_hub import constants

        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        network = network_of("mobilenet", pretrained="hub")
        with pytest.raises(UsageError, match="mobilenetv1_100 cannot be downloaded: .*elsewhere"):
            network.prepare(None)
