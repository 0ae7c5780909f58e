"""What the diagnosis of latents shows: spectra and correlations."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from latentgeo.plots.palette import COLORS
from latentgeo.plots.plane import Array, array_of


def spectrum_bars(axes: Axes, values: Array, *, threshold: float = 0.01) -> BarContainer:
    """Draws one bar for each latent or component: blue above the threshold, grey at or below it.

    Args:
        axes: where to draw.
        values: (d,) variances of latents, or eigenvalues as of :func:`latentgeo.diagnostics.pca_spectrum`.
        threshold: above which a latent counts as active; drawn as a dashed line.

    Returns:
        The bars.

    Raises:
        ValueError: another shape, or values that are not finite.

    References:
        R. B. Cattell, "The scree test for the number of factors", Multivariate Behav. Res. 1(2), 1966,
        doi:10.1207/s15327906mbr0102_10, for bars of eigenvalues.

    Example:
        >>> import numpy as np
        >>> from matplotlib.figure import Figure
        >>> len(spectrum_bars(Figure().subplots(), np.array([1.0, 0.9, 0.001])))
        3
    """
    heights = _array("values", values, 1)
    colors = [COLORS[0] if height > threshold else "0.7" for height in heights]
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.axhline(threshold, color="black", linestyle="--", linewidth=0.8, zorder=0)
    return axes.bar(np.arange(len(heights)), heights, color=colors)


def correlation_map(axes: Axes, correlation: Array) -> AxesImage:
    """Draws a matrix of correlations, from -1 in blue over 0 in white to 1 in red.

    Args:
        axes: where to draw; the first latent is at the upper left.
        correlation: (d, d), as of :func:`latentgeo.diagnostics.latent_correlation`.

    Returns:
        The image, which :func:`color_bar` takes.

    Raises:
        ValueError: no square matrix, or values that are not finite or beyond 1.

    Example:
        >>> import numpy as np
        >>> from matplotlib.figure import Figure
        >>> correlation_map(Figure().subplots(), np.eye(4)).get_clim()
        (-1.0, 1.0)
    """
    values = _array("correlation", correlation, 2)
    if values.shape[0] != values.shape[1]:
        raise ValueError(f"correlation: expected shape (d, d), got {values.shape}")
    if np.abs(values).max() > 1 + 1e-6:
        raise ValueError(
            f"correlation: expected values from -1 to 1, got {np.abs(values).max()} in absolute value"
        )
    return axes.imshow(values, cmap="RdBu_r", vmin=-1.0, vmax=1.0, interpolation="nearest")


def _array(name: str, values: Array, ndim: int) -> np.ndarray:
    """Finite values with so many dimensions as a NumPy array."""
    array = array_of(values)
    if array.ndim != ndim or not array.size:
        raise ValueError(f"{name}: expected {ndim} dimensions and values, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: expected finite values, got NaN or infinity among them")
    return array
