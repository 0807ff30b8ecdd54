"""Networks of the library timm, on one face picture: ResNet, Inception, VGG, MobileNet, ViT.

timm is imported when a network is built, not before: it takes seconds. The layers are timm's; what
replaces its classifier is ours, and each class says which.

Weights of others are taken over before the first step of training, and then only: a checkpoint
holds all weights, and loading it asks for no file and no network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from avemotion.compat import import_torchvision
from avemotion.config import Modality
from avemotion.data.task import Task
from avemotion.errors import UsageError, require, require_types
from avemotion.features.table import feature
from avemotion.models import publications
from avemotion.models.base import About, Reported
from avemotion.models.pictures import (
    FER_SIZE,
    FIVE_NETWORKS,
    FN1,
    PRIVATE_TEST,
    THESIS,
    THESIS_SIZE,
    PictureModel,
)

if TYPE_CHECKING:
    from avemotion.data.dataset import ClipDataset

for _package in ("timm", "torchvision"):  # sought, not imported: `avemotion models` is quick
    if find_spec(_package) is None:
        raise ModuleNotFoundError(f"No module named {_package!r}", name=_package)

WIDTHS = (1, 0.5, 0.25, 0.125, 0.0625)
"""Widths at which the channels of every layer stay whole numbers."""
VGG_HIDDEN = 4096
"""Units of each of the two dense layers of VGG-16."""
DENSE = 512
"""Units of the dense layer of the ResNet-101 with an extra convolution; the report gives none."""
VIT_EMBEDDINGS = {
    "vit_tiny_patch16_224": 192,
    "vit_small_patch16_224": 384,
    "vit_base_patch16_224": 768,
}
"""timm's name -> length of the vision transformer's embedding at width 1."""

_HUB = "hub"
_NONE = "none"


@dataclass(frozen=True)
class TimmSettings:
    """Weights to begin with, and size."""

    pretrained: str = _NONE
    """What training begins with: `none` for random weights; `hub` for those trained on ImageNet,
    which timm downloads; or a file of them, safetensors or a state dict of PyTorch. Pictures are
    then scaled as those were that timm's weights of that name learned."""
    width: float = 1.0
    """Factor on the channels of every layer: 1, 0.5, 0.25, 0.125 or 0.0625."""

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        require_types(self, "")
        allowed = ", ".join(f"{width:g}" for width in WIDTHS)
        require(self.width in WIDTHS, "width", self.width, f"one of {allowed}")
        allowed = "none, hub or the name of a file"
        require(bool(self.pretrained.strip()), "pretrained", self.pretrained, allowed)
        if self.pretrained == _HUB:
            require(self.width == 1, "width", self.width, "1 with pretrained hub")


class TimmModel(PictureModel):
    """Base of networks whose layers, but for the last, are timm's.

    They see values as the weights to begin with have learned them: `mean` is subtracted, and what
    is left divided by `std`.
    """

    Settings = TimmSettings
    name: str
    """timm's name of the network."""
    options: ClassVar[Mapping[str, Any]] = {}
    """Further arguments that timm builds it with."""
    average: ClassVar[bool] = False
    """Whether the first kernels of weights for three channels are averaged for one, or summed; of a
    sum, a grey picture gets the same answer as it does in three channels."""
    mean: Tensor
    std: Tensor

    def __init__(self, task: Task, modality: Modality, settings: Any) -> None:
        """Build the network with random weights."""
        super().__init__(task, modality, settings)
        channels = self.channels(settings)
        self.register_buffer("mean", torch.zeros(channels, 1, 1))
        self.register_buffer("std", torch.ones(channels, 1, 1))
        self.stem: nn.Module = nn.Identity()
        self.trunk, features = self.trunk_of(settings)
        self.head = self.head_of(features, len(task.outputs))

    def trunk_of(self, settings: Any) -> tuple[nn.Module, int]:
        """Build timm's layers; return them, and the length of their features."""
        return _convolutional(
            self.name, settings.width, in_chans=self.channels(settings), **self.options
        )

    def head_of(self, features: int, labels: int) -> nn.Module:
        """Build what maps float (clip, features) to logits."""
        return nn.Linear(features, labels)

    def answer(self, pictures: Tensor) -> Tensor:
        """Map float (clip, channel, row, column) to logits, float (clip, output)."""
        logits: Tensor = self.head(self.trunk(self.stem((pictures - self.mean) / self.std)))
        return logits

    def prepare(self, dataset: ClipDataset) -> None:
        """Take over the weights to begin with, if any, and how they see pictures.

        Raises:
            UsageError: They cannot be had, or are those of another network.
        """
        if self.settings.pretrained == _NONE:
            return
        found = _weights(self.name, self.settings.pretrained)
        self._take_over(found)
        about = _timm().get_pretrained_cfg(self.name)
        picture = feature("image")  # read as (value - offset) / scale, learned from 0 to 1
        mean, std = (torch.tensor(values)[:, None, None] for values in (about.mean, about.std))
        self.mean.copy_(_grey((mean * 255 - picture.offset) / picture.scale, len(self.mean)))
        self.std.copy_(_grey(std * 255 / picture.scale, len(self.std)))

    def _take_over(self, found: Mapping[str, Tensor]) -> None:
        """Load weights into `trunk`; those of a classifier are left out."""
        own, fitting = self.trunk.state_dict(), {}
        for name, values in own.items():
            given = found.get(name)
            if given is None and name.endswith("num_batches_tracked"):  # older files have none
                given = values
            if given is not None and given.ndim == 4 and values.shape[1] == 1 != given.shape[1]:
                given = given.sum(dim=1, keepdim=True) / (given.shape[1] if self.average else 1)
            if given is None or given.shape != values.shape:
                shape = "missing" if given is None else f"of the shape {tuple(given.shape)}"
                raise UsageError(
                    f"The weights in {self.settings.pretrained} are none of {self.name} at width "
                    f"{self.settings.width:g}: {name} is {shape}, but must be of the shape "
                    f"{tuple(values.shape)}. Give a file of timm's weights for {self.name}, or "
                    "pretrained none."
                )
            fitting[name] = given
        self.trunk.load_state_dict(fitting)


def _grey(values: Tensor, channels: int) -> Tensor:
    """Return float (channel, 1, 1) for one channel or for three."""
    return values.mean(dim=0, keepdim=True) if channels == 1 else values


def _timm() -> Any:
    """Import timm, which imports torchvision."""
    import_torchvision()
    import timm

    return timm


def _weights(name: str, pretrained: str) -> Mapping[str, Tensor]:
    """Return weights from a file or from timm's hub, by timm's names.

    Raises:
        UsageError: They cannot be had.
    """
    if pretrained == _HUB:
        try:
            downloaded: nn.Module = _timm().create_model(name, pretrained=True)
        except Exception as error:  # timm, huggingface_hub and their parts raise what they like
            raise UsageError(
                f"The weights of {name} cannot be downloaded: {' '.join(str(error).split())} "
                "Connect to the internet; or download them elsewhere, and give the file's name "
                "as pretrained; or train from random weights: pretrained none."
            ) from error
        return downloaded.state_dict()
    path = Path(pretrained)
    if not path.is_file():
        raise UsageError(
            f"pretrained is {pretrained}, but must be none, hub or a file: no such file"
        )
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and safetensors raise what their parts raise
        raise UsageError(
            f"{path} holds no weights: {' '.join(str(error).split())} Give a safetensors file, or "
            "a state dict that torch.save wrote."
        ) from error
    if not (isinstance(found, dict) and all(isinstance(v, Tensor) for v in found.values())):
        raise UsageError(
            f"{path} holds no state dict: it must map names to tensors. Save that of a network: "
            "torch.save(network.state_dict(), FILE)."
        )
    return found


def _convolutional(name: str, width: float, **options: Any) -> tuple[nn.Module, int]:
    """Build a network of convolutions and batch norms without its classifier, at a width.

    Returns:
        The network, and the channels of its last maps.
    """
    build = _timm().create_model
    if width == 1 and "vgg" not in name:
        network = build(name, num_classes=0, **options)
        return network, network.num_features
    with torch.device("meta"):  # no memory yet: VGG-16 has 100 million weights that are not used
        network = build(name, num_classes=0, **options)
    if "vgg" in name:
        network.pre_logits = nn.Identity()
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            _resize_convolution(layer, width)
        elif isinstance(layer, nn.BatchNorm2d):
            _resize_norm(layer, width)
    if hasattr(network, "init_weights"):  # ResNet: each block begins as the identity
        network.init_weights()
    return network, round(network.num_features * width)


def _resize_convolution(layer: nn.Conv2d, width: float) -> None:
    """Give a convolution a share of its channels, and new weights (He's)."""
    if layer.in_channels > 3:  # the first reads the picture
        layer.in_channels = round(layer.in_channels * width)
    if layer.groups > 1:
        layer.groups = round(layer.groups * width)
    layer.out_channels = round(layer.out_channels * width)
    shape = layer.out_channels, layer.in_channels // layer.groups, *layer.kernel_size
    layer.weight = nn.Parameter(nn.init.kaiming_normal_(torch.empty(shape)))
    if layer.bias is not None:
        layer.bias = nn.Parameter(torch.zeros(layer.out_channels))


def _resize_norm(layer: nn.BatchNorm2d, width: float) -> None:
    """Give a batch norm a share of its channels, and new weights and statistics."""
    layer.num_features = round(layer.num_features * width)
    layer.weight = nn.Parameter(torch.ones(layer.num_features))
    layer.bias = nn.Parameter(torch.zeros(layer.num_features))
    layer.running_mean = torch.zeros(layer.num_features)
    layer.running_var = torch.ones(layer.num_features)
    layer.num_batches_tracked = torch.tensor(0)


def _about(title: str, source: str, parameters: int, *reported: Reported) -> About:
    return About(
        title=title,
        source=source,
        bibtex=publications.THESIS if source == THESIS else "",
        modalities=("video",),
        units="optional",
        reported=reported,
        extra="images",
        parameters=parameters,
    )


class ResNet18(TimmModel):
    """ResNet-18 at 98 x 80 x 1; global average pooling and a dense layer."""

    about = _about(
        "ResNet-18", THESIS, 11_173_318, Reported("ResNet-18", "video", 0.7540, FN1, "fn1")
    )
    name = "resnet18"
    size = THESIS_SIZE


class InceptionV4(TimmModel):
    """Inception-v4 at 98 x 80 x 1; adaptive average pooling and a dense layer.

    The thesis lists it with a pooling of 8 x 8, and cannot run so: at 98 x 80 its last maps are
    1 x 1. They are pooled as large as they are.
    """

    about = _about(
        "Inception-v4", THESIS, 41_151_462, Reported("Inception-v4", "video", 0.6847, FN1, "fn1")
    )
    name = "inception_v4"
    size = THESIS_SIZE


class InceptionResNetV2(TimmModel):
    """Inception-ResNet-v2 at 98 x 80 x 1; global average pooling and a dense layer.

    The thesis says Inception-ResNet, without a version.
    """

    about = _about(
        "Inception-ResNet-v2",
        THESIS,
        54_315_110,
        Reported("Inception-ResNet", "video", 0.8672, FN1, "fn1"),
    )
    name = "inception_resnet_v2"
    size = THESIS_SIZE


class VGG16(TimmModel):
    """VGG-16 with batch norm at 48 x 48 x 1; dense layers of 4096 and 4096, dropout 0.5."""

    about = _about(
        "VGG-16 (batch norm)",
        FIVE_NETWORKS,
        33_629_126,
        Reported("VGG-16", "video", 0.6801, PRIVATE_TEST, "fer2013"),
    )
    name = "vgg16_bn"
    size = FER_SIZE

    def head_of(self, features: int, labels: int) -> nn.Module:
        """Build the dense layers; their width is that of the convolutions."""
        units = round(VGG_HIDDEN * self.settings.width)
        layers: list[nn.Module] = []
        for inputs in (features, units):
            layers += [nn.Linear(inputs, units), nn.ReLU(inplace=True), nn.Dropout(0.5)]
        return nn.Sequential(*layers, nn.Linear(units, labels))


@dataclass(frozen=True)
class ResNet101Settings(TimmSettings):
    """Weights to begin with, size, and what comes before the first layer."""

    stem: Literal["averaged", "extra_convolution"] = "averaged"
    """How a grey picture enters layers made for three channels: into first kernels that are
    averaged over them, and 48 x 48 x 1; or as 48 x 48 x 3 through a convolution more, and then with
    a dense layer more at the end (512 units, our choice)."""


class ResNet101(TimmModel):
    """ResNet-101 at 48 x 48, in the two variants of its source; global average pooling.

    The report gives one figure for both; one of them began with weights of ImageNet.
    """

    Settings = ResNet101Settings
    about = _about(
        "ResNet-101",
        FIVE_NETWORKS,
        42_506_182,
        Reported("ResNet-101", "video", 0.5497, PRIVATE_TEST, "fer2013"),
    )
    name = "resnet101"
    size = FER_SIZE
    average = True

    def __init__(self, task: Task, modality: Modality, settings: ResNet101Settings) -> None:
        """Build the network with random weights."""
        super().__init__(task, modality, settings)
        if settings.stem == "extra_convolution":
            self.stem = nn.Conv2d(3, 3, 3, padding=1)

    @classmethod
    def channels(cls, settings: ResNet101Settings) -> int:
        """Return 1, or 3 with an extra convolution."""
        return 1 if settings.stem == "averaged" else 3

    def head_of(self, features: int, labels: int) -> nn.Module:
        """Build the last layer, or both."""
        if self.settings.stem == "averaged":
            return super().head_of(features, labels)
        return nn.Sequential(
            nn.Linear(features, DENSE), nn.ReLU(inplace=True), nn.Linear(DENSE, labels)
        )


class MobileNet(TimmModel):
    """MobileNet at 224 x 224 x 3, all of it frozen; its maps of 7 x 7 x 1024 and a dense layer.

    Frozen are its statistics, too: it stays in evaluation mode. Its source begins with weights of
    ImageNet; with `pretrained` none it is a random projection.
    """

    about = _about(
        "MobileNet", "a student report on FER2013 with a frozen MobileNet", 50_176 * 6 + 6
    )
    name = "mobilenetv1_100"
    options = {"global_pool": ""}
    size = (224, 224)

    def __init__(self, task: Task, modality: Modality, settings: TimmSettings) -> None:
        """Build the network with random weights."""
        super().__init__(task, modality, settings)
        self.trunk.requires_grad_(False).eval()  # Lightning sets no mode

    @classmethod
    def channels(cls, settings: TimmSettings) -> int:
        """Return 3."""
        return 3

    def head_of(self, features: int, labels: int) -> nn.Module:
        """Build the dense layer over the values of all maps."""
        return nn.Sequential(nn.Flatten(), nn.Linear(features * 7 * 7, labels))

    def train(self, mode: bool = True) -> MobileNet:
        """Set the mode of the dense layer alone."""
        super().train(mode)
        self.trunk.eval()
        return self


@dataclass(frozen=True)
class ViTSettings(TimmSettings):
    """Weights to begin with, and size."""

    name: Literal["vit_tiny_patch16_224", "vit_small_patch16_224", "vit_base_patch16_224"] = (
        "vit_tiny_patch16_224"
    )
    """timm's name of the network; the source of the figure does not say which it was."""


class ViT(TimmModel):
    """A vision transformer at 224 x 224 x 3, all of it trained; a dense layer over its token."""

    Settings = ViTSettings
    about = _about(
        "Vision transformer",
        FIVE_NETWORKS,
        5_525_574,
        Reported("Vision transformer", "video", 0.5621, PRIVATE_TEST, "fer2013"),
    )
    size = (224, 224)

    def __init__(self, task: Task, modality: Modality, settings: ViTSettings) -> None:
        """Build the network with random weights."""
        self.name = settings.name
        super().__init__(task, modality, settings)

    @classmethod
    def channels(cls, settings: ViTSettings) -> int:
        """Return 3."""
        return 3

    def trunk_of(self, settings: ViTSettings) -> tuple[nn.Module, int]:
        """Build the transformer; its width is the length of its embeddings."""
        length = round(VIT_EMBEDDINGS[settings.name] * settings.width)
        return _timm().create_model(settings.name, num_classes=0, embed_dim=length), length
