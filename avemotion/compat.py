"""The one place that imports torchaudio.

Its Linux wheels are built against CUDA and raise OSError (libc10_cuda.so) beside a CPU build of
torch, though the transforms that we use are pure torch. There, its compiled part is stood in for.
"""

from __future__ import annotations

import sys
import types
from typing import Any


def _without_extension() -> Any:
    """Import torchaudio with its compiled parts declared absent."""
    for name in [n for n in sys.modules if n.split(".")[0] == "torchaudio"]:
        del sys.modules[name]
    stand_in: Any = types.ModuleType("torchaudio._extension")
    stand_in._IS_TORCHAUDIO_EXT_AVAILABLE = False
    stand_in._IS_ALIGN_AVAILABLE = False
    stand_in.fail_if_no_align = lambda function: function
    sys.modules["torchaudio._extension"] = stand_in
    import torchaudio

    return torchaudio


try:
    import torchaudio
except OSError:
    torchaudio = _without_extension()

__all__ = ["torchaudio"]
