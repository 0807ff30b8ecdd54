"""The check of arrays: dtype and shape each count alone."""

import numpy as np
import pytest

from avemotion.media.types import check_array

GOOD = np.zeros((3, 2), np.uint8)


def test_an_array_of_the_right_dtype_and_shape_passes() -> None:
    check_array("x", GOOD, np.uint8, (3, 2))
    check_array("x", GOOD, np.uint8, (None, 2))


@pytest.mark.parametrize(
    "array", [GOOD.astype(np.float32), GOOD[:2], GOOD[0], GOOD[None]], ids=lambda a: str(a.shape)
)
def test_one_thing_wrong_is_enough(array: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"x must be uint8 of shape \(3, 2\), got"):
        check_array("x", array, np.uint8, (3, 2))
