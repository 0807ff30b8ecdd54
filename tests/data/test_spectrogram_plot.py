"""A drawn spectrogram: its levels, where they stand on the axes, and what drawing loads."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from media_maker import sine

from avemotion.data.spectrogram_plot import draw_spectrogram, spectrogram_png
from avemotion.features.spectrogram import log_mel, power_spectrogram

TONE_HERTZ = 2_000
QUIET = np.random.default_rng(0).standard_normal(3 * 16_000)
HEARD = QUIET + np.pad(sine(TONE_HERTZ, 1, 16_000)[: 16_000 // 2], (32_000, 8_000))


def drawn(spectrogram: np.ndarray, name: str, **limits: tuple[float, float]) -> QuadMesh:
    axes = Figure().add_subplot()
    draw_spectrogram(axes, spectrogram, name, **limits)
    (mesh,) = axes.collections
    assert isinstance(mesh, QuadMesh)
    return mesh


def test_a_tone_stands_at_its_frequency_and_time():
    image, length = log_mel(HEARD)
    for mesh, to_seconds in (
        (drawn(image[:, :length], "log_mel"), 1),
        (drawn(power_spectrogram(HEARD), "power"), 3),
    ):
        levels, corners = mesh.get_array(), mesh.get_coordinates()
        row, column = np.unravel_index(levels.argmax(), levels.shape)
        (start, low), (end, high) = corners[row, column], corners[row + 1, column + 1]
        assert low - 70 <= TONE_HERTZ <= high + 70
        assert 1.99 <= start * to_seconds < end * to_seconds <= 2.52
        assert corners[0, 0].tolist() == [0, 0] and corners[-1, -1, 1] == 8_000
        assert corners[-1, -1, 0] * to_seconds == pytest.approx(3)


def test_the_axes_are_in_hertz_and_seconds():
    image, length = log_mel(HEARD)
    axes = drawn(image[:, :length], "log_mel").axes
    assert axes is not None
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0 s", "1 s", "2 s", "3 s"]
    hertz = [label.get_text() for label in axes.get_yticklabels()]
    assert hertz == ["0 Hz", "1 kHz", "2 kHz", "4 kHz", "8 kHz"]
    assert axes.get_yticks().tolist() == [0, 1_000, 2_000, 4_000, 8_000]
    axes = drawn(power_spectrogram(HEARD), "power").axes
    assert axes is not None
    assert [label.get_text() for label in axes.get_xticklabels()] == ["start", "middle", "end"]


def test_colours_span_seventy_decibels_below_the_loudest_or_what_is_given():
    image, length = log_mel(HEARD)
    loudest = float(image.max())
    assert drawn(image[:, :length], "log_mel").get_clim() == pytest.approx((loudest - 70, loudest))
    assert drawn(image[:, :length], "log_mel", limits_db=(30, 105)).get_clim() == (30, 105)
    assert drawn(power_spectrogram(HEARD), "power").get_clim()[1] == pytest.approx(0, abs=3)
    assert np.isfinite(drawn(np.zeros((128, 128), np.float32), "power").get_array()).all()


def test_a_png_on_a_transparent_ground():
    image, length = log_mel(HEARD)
    png = spectrogram_png(image[:, :length], "log_mel")
    pixels = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    assert pixels.shape == (255, 960, 4)
    assert pixels[0, 0, 3] == 0 and pixels[100, 500, 3] == 255
    assert png == spectrogram_png(image[:, :length], "log_mel")


def test_drawing_does_not_wait_for_numba():
    code = (
        "import sys, numpy as np\n"
        "from avemotion.data.spectrogram_plot import spectrogram_png\n"
        "assert not {'librosa', 'matplotlib'} & sys.modules.keys()\n"
        "spectrogram_png(np.eye(64, 500), 'log_mel')\n"
        "assert 'librosa' in sys.modules and 'numba' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
