"""What it takes to work with other packages: imports that need help, and silence.

The Linux wheels of torchaudio and torchvision are built for the CUDA build of torch. Beside a CPU
build their compiled parts do not load, and importing the packages fails, though what we use of them
is plain torch. Their functions here import them as usual; only if that fails in the known way do
they import them again, without the compiled part. Nothing is imported before it is asked for.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from avemotion.errors import UsageError

EXTRAS = {
    "imblearn": "images",
    "skimage": "images",
    "timm": "images",
    "torchvision": "images",
    "moonshine_voice": "speech",
    "transformers": "speech",
    "starlette": "app",
    "uvicorn": "app",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
    "pandas": "pandas",
    "ray": "ray",
}
"""Package as it is imported -> the extra of avemotion that installs it."""

_INSTALLED_FROM, _WHERE = ".", " in the checkout of avemotion"
"""What pip is given, and where: once the package is published, ``avemotion``, and nothing."""

_kept_alive: list[object] = []


def install_line(extra: str = "") -> str:
    """Return how avemotion is installed, with one of its extras or without.

    >>> install_line("app")
    "`pip install '.[app]'` in the checkout of avemotion"
    """
    what = f"'{_INSTALLED_FROM}[{extra}]'" if extra else _INSTALLED_FROM
    return f"`pip install {what}`{_WHERE}"


def missing_package(what: str, error: ModuleNotFoundError) -> UsageError:
    """Return the error to raise where a package is not installed: it says how to install it.

    Args:
        what: What needs it: begins the sentence.
        error: From the import.
    """
    name = (error.name or "a package").split(".")[0]
    install = install_line(EXTRAS[name]) if name in EXTRAS else f"`pip install {name}`"
    return UsageError(f"{what} needs {name}, which is not installed: {install}.")


def import_torchaudio() -> ModuleType:
    """Import torchaudio, without its compiled part where that does not load."""
    try:
        return importlib.import_module("torchaudio")
    except OSError:  # "Could not load this library: .../_torchaudio.so"
        _forget("torchaudio")
    # A private module of torchaudio, but there is no public way to leave its compiled part out.
    stand_in: Any = ModuleType("torchaudio._extension")
    stand_in._IS_TORCHAUDIO_EXT_AVAILABLE = False
    stand_in._IS_ALIGN_AVAILABLE = False
    stand_in.fail_if_no_align = lambda function: function
    sys.modules["torchaudio._extension"] = stand_in
    return importlib.import_module("torchaudio")


def import_torchvision() -> ModuleType:
    """Import torchvision, without its compiled operators where they do not load.

    Then its own `nms`, `roi_align` and the like raise when they are called; models and transforms
    work. Packages that import torchvision themselves (timm) work after this call.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if str(error) != "operator torchvision::nms does not exist":
            raise
        _forget("torchvision")
    import torch

    # torchvision describes these two operators when it is imported, so they must be declared.
    operators = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _kept_alive.append(operators)  # the declarations go with this object
    return importlib.import_module("torchvision")


def mend_torchvision() -> None:
    """Make torchvision importable where it is installed, for packages that import it themselves.

    Lightning and torchmetrics do: call this before they are imported.
    """
    if importlib.util.find_spec("torchvision"):
        import_torchvision()


def _forget(package: str) -> None:
    """Remove what a failed import of a package left behind."""
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        del sys.modules[name]


@contextmanager
def quiet(logger_name: str, modules: str = "") -> Iterator[None]:
    """Silence a package's warnings, and what it logs below errors; exceptions are still raised.

    Args:
        logger_name: The package's logger.
        modules: Regular expression of the modules whose warnings are silenced; by default all.
    """
    logger = logging.getLogger(logger_name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=modules)
            yield
    finally:
        logger.setLevel(level)
