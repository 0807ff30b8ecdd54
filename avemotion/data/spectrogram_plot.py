"""A spectrogram as the networks read it, drawn with axes in hertz and seconds.

librosa is given where the cells lie: it then loads neither numba nor its own mel scale, and costs
a tenth of a second beside matplotlib. Both are imported only when something is drawn.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from avemotion.config import SAMPLE_RATE
from avemotion.features.spectrogram import mel_edges

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS_A_SECOND = 100  # of the log-mel
_RANGE_DB = 70.0  # from the darkest to the brightest colour, unless limits are given
_HERTZ = {"log_mel": (0, 1000, 2000, 4000, 8000), "power": (0, 2000, 4000, 6000, 8000)}
_INK = "#808078"  # of the ticks; legible on white and on black
_INCHES, _DOTS_PER_INCH = (6.4, 1.7), 150


def draw_spectrogram(
    axes: Axes,
    spectrogram: NDArray[np.floating[Any]],
    kind: Literal["log_mel", "power"],
    *,
    limits_db: tuple[float, float] | None = None,
) -> None:
    """Draw a spectrogram on axes of matplotlib: time to the right, high frequencies at the top.

    Args:
        axes: Empty axes of any figure.
        spectrogram: float (row, column) as the store has it. Log-mel: 64 bands, low ones first, the
            columns that hold sound. Power: high frequencies first.
        kind: Which of the two it is. Only the log-mel has an axis in seconds: every power
            spectrogram was resized to the same width.
        limits_db: Levels of the darkest and of the brightest colour, in decibels as stored
            (log-mel) or relative to 1 (power). By default the brightest is the loudest value, and
            the darkest 70 dB less.
    """
    import librosa.display

    columns = spectrogram.shape[1]
    if kind == "log_mel":
        levels = spectrogram.astype(np.float64)
        peaks = mel_edges()[1:-1]
        hertz = np.concatenate(([0.0], (peaks[1:] + peaks[:-1]) / 2, [SAMPLE_RATE / 2]))
        end = columns / _COLUMNS_A_SECOND
    else:
        power = spectrogram[::-1].astype(np.float64)
        levels = 10 * np.log10(np.maximum(power, 1e-12))
        hertz = np.linspace(0, SAMPLE_RATE / 2, len(levels) + 1)
        end = 1.0
    top = float(levels.max())
    low, high = limits_db or (top - _RANGE_DB, top)
    librosa.display.specshow(
        levels,
        x_coords=np.linspace(0, end, columns + 1),
        y_coords=hertz,
        x_axis="s",
        y_axis="mel" if kind == "log_mel" else "linear",
        cmap="magma",
        vmin=low,
        vmax=high,
        ax=axes,
    )
    ticks = _HERTZ[kind]
    axes.set_yticks(ticks, [f"{tick / 1000:g} kHz" if tick else "0 Hz" for tick in ticks])
    axes.minorticks_off()
    if kind == "log_mel":
        seconds = np.arange(0, end + 1e-9, 1 if end > 1.5 else 0.5)
        axes.set_xticks(seconds, [f"{second:g} s" for second in seconds])
    else:
        axes.set_xticks([0, 0.5, 1], ["start", "middle", "end"])
    axes.set(xlabel="", ylabel="")


def spectrogram_png(
    spectrogram: NDArray[np.floating[Any]], kind: Literal["log_mel", "power"]
) -> bytes:
    """Return a PNG of a spectrogram with its axes, 960 x 255 pixels, on a transparent ground.

    Args:
        spectrogram: As for `draw_spectrogram`.
        kind: As for `draw_spectrogram`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure  # not pyplot: no display, no global state

    figure = Figure(figsize=_INCHES, dpi=_DOTS_PER_INCH, facecolor="none")
    axes = figure.add_axes((0.075, 0.14, 0.91, 0.8))
    draw_spectrogram(axes, spectrogram, kind)
    axes.tick_params(colors=_INK, labelsize=8)
    axes.spines[:].set_visible(False)
    file = io.BytesIO()
    FigureCanvasAgg(figure).print_png(file)  # type: ignore[no-untyped-call]
    return file.getvalue()
