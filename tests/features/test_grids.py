from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avemotion.features.frame_sampling import GRIDS, even_grid, thesis_grid


def nearest(fraction: Fraction) -> int:
    """Round to the nearest whole number; there are no ties here."""
    below = fraction.numerator // fraction.denominator
    rest = fraction - below
    assert rest != Fraction(1, 2)
    return below + (rest > Fraction(1, 2))


@pytest.mark.parametrize("n", [1, 2, 7, 19, 20, 21, 56, 67, 1800, 10**6])
def test_even_grid_is_the_closed_form(n):
    expected = [nearest(Fraction(i * (n - 1), 19)) for i in range(20)]
    for draw in (0.0, 0.7):
        assert even_grid(n, 0, draw).tolist() == expected


@pytest.mark.parametrize("n", [20, 39, 40, 56, 67, 1800])
def test_thesis_grid_is_the_listing(n):
    expected = [i * (n // 20) for i in range(20)]
    assert thesis_grid(n, 0, 0.5).tolist() == expected
    phases = n % 20 + 1
    for view in range(5):
        assert thesis_grid(n, view, 0.5).tolist() == [e + view % phases for e in expected]


def test_thesis_grid_leaves_out_the_end():
    assert thesis_grid(56, 0, 0.0)[-1] == 38
    assert even_grid(56, 0, 0.0)[-1] == 55


@given(
    st.sampled_from(sorted(GRIDS)),
    st.integers(1, 5000),
    st.integers(0, 63),
    st.floats(0, 1, exclude_max=True),
)
def test_every_grid_is_sorted_and_within_the_clip(policy, n, view, draw):
    grid = GRIDS[policy](n, view, draw)
    assert grid.shape == (20,) and grid.dtype == np.intp
    assert grid[0] >= 0 and grid[-1] <= n - 1
    assert (np.diff(grid) >= 0).all()
    if n >= 20 and (policy == "thesis" or view == 0):
        assert (np.diff(grid) > 0).all()


@given(st.integers(1, 5000), st.floats(0, 1, exclude_max=True))
def test_even_grid_reaches_both_ends_and_shifts_by_half_a_step(n, draw):
    plain = even_grid(n, 0, draw)
    assert plain[0] == 0 and plain[-1] == n - 1
    half_step = Fraction(n - 1, 38)
    shift = np.abs(even_grid(n, 1, draw) - plain).max()
    assert shift <= half_step + 1


def test_views_differ():
    drawn = {tuple(even_grid(60, 1, draw)) for draw in (0.01, 0.3, 0.7, 0.99)}
    assert len(drawn) == 4


@pytest.mark.parametrize("n", [1, 7, 19])
def test_short_clips_repeat_frames_under_either_policy(n):
    assert set(thesis_grid(n, 3, 0.9)) == set(range(n))
    assert set(even_grid(n, 0, 0.9)) == set(range(n))
