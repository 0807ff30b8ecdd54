"""A spectrogram as the networks read it, drawn with axes in hertz and seconds.

librosa is given where the cells lie: it then loads neither numba nor its own mel scale, and costs
a tenth of a second beside matplotlib. Both are imported only when something is drawn.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from avemotion.features.table import feature

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_RANGE_DB = 70.0  # from the darkest to the brightest colour, unless limits are given
_MEL_TICKS, _LINEAR_TICKS = (0, 1000, 2000, 4000, 8000), (0, 2000, 4000, 6000, 8000)  # Hz
_INK = "#808078"  # of the ticks; legible on white and on black
_INCHES, _DOTS_PER_INCH = (6.4, 1.7), 150


def draw_spectrogram(
    axes: Axes,
    spectrogram: NDArray[np.floating[Any]],
    name: str,
    *,
    limits_db: tuple[float, float] | None = None,
) -> None:
    """Draw a spectrogram on axes of matplotlib: time to the right, high frequencies at the top.

    Args:
        axes: Empty axes of any figure.
        spectrogram: float (row, column) as the store has it: the columns that hold sound.
        name: The feature. One that is stretched to its shape has no axis in seconds.
        limits_db: Levels of the darkest and of the brightest colour, in decibels as
            `SpectrogramAxes.to_decibels` gives them. By default the brightest is the loudest value,
            and the darkest 70 dB less.
    """
    import librosa.display

    about = feature(name).axes
    assert about

    columns = spectrogram.shape[1]
    levels, hertz = about.to_decibels(spectrogram), about.hertz()
    if hertz[0] > hertz[-1]:
        levels, hertz = levels[::-1], hertz[::-1]
    end = columns / about.columns_a_second if about.columns_a_second else 1.0
    top = float(levels.max())
    low, high = limits_db or (top - _RANGE_DB, top)
    librosa.display.specshow(
        levels,
        x_coords=np.linspace(0, end, columns + 1),
        y_coords=hertz,
        x_axis="s",
        y_axis="mel" if about.mel else "linear",
        cmap="magma",
        vmin=low,
        vmax=high,
        ax=axes,
    )
    ticks = _MEL_TICKS if about.mel else _LINEAR_TICKS
    axes.set_yticks(ticks, [f"{tick / 1000:g} kHz" if tick else "0 Hz" for tick in ticks])
    axes.minorticks_off()
    if about.columns_a_second:
        seconds = np.arange(0, end + 1e-9, 1 if end > 1.5 else 0.5)
        axes.set_xticks(seconds, [f"{second:g} s" for second in seconds])
    else:
        axes.set_xticks([0, 0.5, 1], ["start", "middle", "end"])
    axes.set(xlabel="", ylabel="")


def spectrogram_png(spectrogram: NDArray[np.floating[Any]], name: str) -> bytes:
    """Return a PNG of a spectrogram with its axes, 960 x 255 pixels, on a transparent ground.

    Args:
        spectrogram: As for `draw_spectrogram`.
        name: The feature.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure  # not pyplot: no display, no global state

    figure = Figure(figsize=_INCHES, dpi=_DOTS_PER_INCH, facecolor="none")
    axes = figure.add_axes((0.075, 0.14, 0.91, 0.8))
    draw_spectrogram(axes, spectrogram, name)
    axes.tick_params(colors=_INK, labelsize=8)
    axes.spines[:].set_visible(False)
    file = io.BytesIO()
    FigureCanvasAgg(figure).print_png(file)  # type: ignore[no-untyped-call]
    return file.getvalue()
