"""Heat maps over a rectangle of the latent plane: how much area is worth, and how the metric curves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.image import AxesImage
from torch import Tensor

from latentgeo.geometry import log_volume_element, sectional_curvature
from latentgeo.metrics import Metric
from latentgeo.plots.plane import cells

_ROWS_AT_ONCE = 4096
_SHOWN = (0.01, 0.995)  # quantiles at the ends of the scale: one sharp ridge does not darken all the rest
_CURVATURE_SHOWN = 0.95  # quantile of |K|, which has longer tails


def metric_map(
    axes: Axes,
    metric: Metric,
    bounds: Float[Tensor, "2 2"],
    *,
    resolution: int = 160,
    cmap: str | Colormap = "cividis",
) -> AxesImage:
    """Draws sqrt(det G), the area that a unit of latent area has in data space, on a logarithmic scale.

    The scale ends at the 1% and 99.5% quantiles of the map. Where G is singular there is no colour.

    Args:
        axes: where to draw; its aspect becomes equal.
        metric: a metric on the plane.
        bounds: (2, 2) lower left and upper right corner, as from :func:`bounds_of`; its dtype and device are used.
        resolution: cells along the longer side.
        cmap: matplotlib's colour map.

    Returns:
        The image, which :func:`color_bar` takes.

    Raises:
        ValueError: ``bounds`` is no rectangle, ``resolution`` is below 2, or sqrt(det G) is positive nowhere.

    References:
        C. Bishop, M. Svensén, C. Williams, "Magnification factors for the GTM algorithm", 1997.

    Example:
        >>> import torch
        >>> from matplotlib.figure import Figure
        >>> from latentgeo import metric_from_function
        >>> half_plane = metric_from_function(lambda z: torch.eye(2) / z[:, 1, None, None] ** 2)
        >>> bounds = torch.tensor([[-1.0, 0.5], [1.0, 2.0]])
        >>> metric_map(Figure().subplots(), half_plane, bounds, resolution=20).get_array().shape
        (15, 20)
    """
    area = np.exp(_values(lambda z: log_volume_element(metric, z), bounds, resolution))
    positive = area[np.isfinite(area) & (area > 0)]
    if not len(positive):
        raise ValueError("metric: expected sqrt(det G) > 0 somewhere within bounds, got none")
    low, high = np.quantile(positive, _SHOWN)
    norm = LogNorm(low, max(high, 1.001 * low))  # a constant metric has a scale too
    return heat_map(axes, np.where(area > 0, area, np.nan), bounds, norm=norm, cmap=cmap)


def curvature_map(
    axes: Axes,
    metric: Metric,
    bounds: Float[Tensor, "2 2"],
    *,
    resolution: int = 120,
    cmap: str | Colormap = "RdBu_r",
) -> AxesImage:
    """Draws the Gaussian curvature K, positive in red, negative in blue and zero in white.

    Where K > 0 geodesics that leave a point in different directions draw together, and may meet again; where K < 0
    they draw apart. The scale ends at the 95% quantile of |K| on both sides. Where G is singular there is no colour.

    Args:
        axes: where to draw; its aspect becomes equal.
        metric: a twice differentiable metric on the plane; that of a ReLU decoder is flat almost everywhere.
        bounds: (2, 2) lower left and upper right corner, as from :func:`bounds_of`; its dtype and device are used.
        resolution: cells along the longer side.
        cmap: matplotlib's colour map, with its neutral colour in the middle.

    Returns:
        The image, which :func:`color_bar` takes, best with ``label="Gaussian curvature"``.

    Raises:
        ValueError: ``bounds`` is no rectangle, ``resolution`` is below 2, or K is finite nowhere.

    References:
        M. P. do Carmo, "Riemannian Geometry", 1992, chapter 5 (how geodesics spread).

    Example:
        >>> import torch
        >>> from matplotlib.figure import Figure
        >>> from latentgeo import metric_from_function
        >>> half_plane = metric_from_function(lambda z: torch.eye(2) / z[:, 1, None, None] ** 2)
        >>> bounds = torch.tensor([[-1.0, 0.5], [1.0, 2.0]])
        >>> round(float(curvature_map(Figure().subplots(), half_plane, bounds, resolution=8).get_array().mean()), 3)
        -1.0
    """
    first, second = torch.eye(2).to(bounds)
    curvature = _values(lambda z: sectional_curvature(metric, z, first, second), bounds, resolution)
    size = np.abs(curvature[np.isfinite(curvature)])
    if not len(size):
        raise ValueError("metric: expected a finite curvature somewhere within bounds, got none")
    end = float(np.quantile(size, _CURVATURE_SHOWN)) or 1.0  # a flat metric has a scale too
    norm = Normalize(-end, end)
    return heat_map(axes, curvature, bounds, norm=norm, cmap=cmap)


def heat_map(
    axes: Axes,
    values: np.ndarray,
    bounds: Float[Tensor, "2 2"],
    *,
    norm: Normalize,
    cmap: str | Colormap,
) -> AxesImage:
    """Draws values (rows, columns) at the cells of a rectangle; no colour where they are not finite."""
    (left, bottom), (right, top) = bounds.tolist()
    return axes.imshow(
        np.ma.masked_invalid(values),
        norm=norm,
        cmap=cmap,
        origin="lower",
        extent=(left, right, bottom, top),
        interpolation="bilinear",
        aspect="equal",
    )


def color_bar(axes: Axes, image: AxesImage, *, label: str = "$\\sqrt{\\det G}$") -> Colorbar:
    """Draws the scale of a heat map beside its axes, pointed at an end that values go beyond.

    Args:
        axes: the axes of the map.
        image: the map.
        label: what the colours mean.

    Returns:
        The colour bar.

    Example:
        >>> import torch
        >>> from matplotlib.figure import Figure
        >>> from latentgeo import EuclideanMetric
        >>> axes, square = Figure().subplots(), torch.tensor([[-1.0, -1.0], [1.0, 1.0]])
        >>> image = metric_map(axes, EuclideanMetric(2), square, resolution=20)
        >>> color_bar(axes, image, label="area in data space").ax.get_ylabel()
        'area in data space'
    """
    values = np.ma.asarray(image.get_array())
    low, high = image.get_clim()
    below, above = (bool(past.any()) for past in (values < low, values > high))
    extend = {(True, True): "both", (True, False): "min", (False, True): "max"}.get((below, above), "neither")
    return axes.figure.colorbar(image, ax=axes, label=label, extend=extend, fraction=0.046, pad=0.03)


def _values(
    at: Callable[[Tensor], Tensor], bounds: Float[Tensor, "2 2"], resolution: int
) -> Float[np.ndarray, "rows columns"]:
    """What a function of points (N, 2) is at the cells."""
    grid = cells(bounds, resolution)
    with torch.no_grad():
        parts = [at(part) for part in grid.reshape(-1, 2).split(_ROWS_AT_ONCE)]
    return torch.cat(parts).cpu().double().reshape(grid.shape[:2]).numpy()
