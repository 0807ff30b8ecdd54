"""What dataclasses that hold arrays share: their check, and how they are shown."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray


def check_array(name: str, array: NDArray[Any], dtype: type, shape: tuple[int | None, ...]) -> None:
    """Refuse an array of another dtype or shape (None stands for any length)."""
    fits = array.ndim == len(shape) and all(
        want in (None, have) for want, have in zip(shape, array.shape, strict=True)
    )
    if array.dtype != dtype or not fits:
        wanted = ", ".join("*" if n is None else str(n) for n in shape)
        raise ValueError(
            f"{name} must be {np.dtype(dtype)} of shape ({wanted}), "
            f"got {array.dtype} of shape {array.shape}"
        )


class ShapeRepr:
    """Shows arrays by dtype and shape, not by content."""

    def __repr__(self) -> str:
        """Return the fields."""
        parts = []
        for f in fields(self):  # type: ignore[arg-type]
            value = getattr(self, f.name)
            if isinstance(value, np.ndarray):
                parts.append(f"{f.name}={value.dtype}{list(value.shape)}")
            else:
                parts.append(f"{f.name}={value!r}")
        return f"{type(self).__name__}({', '.join(parts)})"
