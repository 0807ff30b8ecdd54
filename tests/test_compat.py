"""Imports whose compiled part does not match torch, each in a process of its own; silence."""

import logging
import os
import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest

from avemotion.compat import quiet

AS_TORCHVISION = """
import torch
from torchvision import ops

@torch.library.register_fake("torchvision::nms")
def nms(dets, scores, iou_threshold): ...

@torch.library.register_fake("torchvision::qnms")
def qnms(dets, scores, iou_threshold): ...
"""
"""What torchvision does when it is imported; the compiled part has the operators, and is absent."""


def run(code: str, *path: Path) -> str:
    """Run Python code with more folders to import from; return what it printed."""
    where = os.pathsep.join([*map(str, path), os.environ.get("PYTHONPATH", "")])
    process = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": where},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout.strip()


def package(folder: Path, name: str, **modules: str) -> None:
    (folder / name).mkdir()
    for module, content in modules.items():
        (folder / name / f"{module}.py").write_text(content)


def test_a_package_is_imported_only_when_it_is_asked_for() -> None:
    code = """
import sys
from avemotion import compat
assert not {"torch", "torchaudio", "torchvision"} & set(sys.modules)
assert compat.import_torchaudio() is compat.import_torchaudio() is sys.modules["torchaudio"]
assert "torchvision" not in sys.modules
"""
    run(code)


def test_torchaudio_is_imported_without_its_compiled_part(tmp_path: Path) -> None:
    package(
        tmp_path,
        "torchaudio",
        __init__="from torchaudio import _extension, transforms",
        _extension="raise OSError('Could not load this library: _torchaudio.so')",
        transforms="from torchaudio._extension import fail_if_no_align\nwidest = 10",
    )
    code = "from avemotion import compat; print(compat.import_torchaudio().transforms.widest)"
    assert run(code, tmp_path) == "10"


def test_torchvision_is_imported_without_its_compiled_part(tmp_path: Path) -> None:
    """Also where somebody tried before, and through a package that imports it."""
    package(tmp_path, "torchvision", __init__=AS_TORCHVISION, ops="size = 7")
    package(tmp_path, "timm", __init__="import torchvision\nsize = torchvision.ops.size")
    code = """
try:
    import torchvision
except RuntimeError as error:
    assert str(error) == "operator torchvision::nms does not exist"
else:
    raise AssertionError("the stand-in is like no torchvision")
from avemotion import compat
assert compat.import_torchvision() is compat.import_torchvision()
import timm
print(timm.size)
"""
    assert run(code, tmp_path) == "7"


@pytest.mark.parametrize(
    ("error", "package_of_it"),
    [
        ("RuntimeError('operator torchvision::roi_align does not exist')", "torchvision"),
        ("RuntimeError('operator other::nms does not exist')", "torchvision"),
        ("ImportError('operator torchvision::nms does not exist')", "torchvision"),
        ("RuntimeError('operator torchvision::nms does not exist')", "torchaudio"),
    ],
)
def test_other_errors_are_raised_and_nothing_is_tried_again(
    tmp_path: Path, error: str, package_of_it: str
) -> None:
    package(tmp_path, package_of_it, __init__=f"print('tried')\nraise {error}")
    code = f"""
from avemotion import compat
try:
    compat.import_{package_of_it}()
except Exception as found:
    print(repr(found))
"""
    assert run(code, tmp_path).split("\n") == ["tried", error]


@pytest.mark.skipif(find_spec("torchvision") is None, reason="torchvision is not installed")
def test_the_installed_torchvision_builds_a_network() -> None:
    code = """
import torch
from avemotion import compat
network = compat.import_torchvision().models.resnet18(num_classes=6)
print(tuple(network(torch.zeros(2, 3, 64, 64)).shape))
"""
    assert run(code) == "(2, 6)"


@pytest.mark.skipif(
    find_spec("torchvision") is None or find_spec("timm") is None, reason="timm is not installed"
)
def test_the_installed_timm_builds_a_network() -> None:
    code = """
import torch
from avemotion import compat
compat.import_torchvision()
import timm
network = timm.create_model("resnet18", num_classes=6, in_chans=1)
print(tuple(network(torch.zeros(2, 1, 64, 64)).shape))
"""
    assert run(code) == "(2, 6)"


def test_quiet_silences_one_package_and_only_inside(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("chatty.advice")
    with quiet("chatty", "chatty"), warnings.catch_warnings(record=True) as found:
        for module in ("chatty.advice", "other"):
            warnings.warn_explicit("unwise", UserWarning, f"{module}.py", 1, module=module)
        logger.warning("hidden")
        logger.error("shown inside")
    assert [w.filename for w in found] == ["other.py"]
    logger.warning("shown after")
    assert caplog.messages == ["shown inside", "shown after"]
    with pytest.raises(ValueError, match="wrong"), quiet("chatty"):
        raise ValueError("wrong")


@pytest.mark.skipif(not find_spec("torchvision"), reason="torchvision is not installed")
def test_training_works_beside_an_installed_torchvision() -> None:
    """Lightning imports it, and by itself fails beside a torch of another build."""
    assert run("from avemotion.training.trainer import pl; print(pl.__name__)") == (
        "pytorch_lightning"
    )
