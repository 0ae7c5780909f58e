"""Heat maps of a metric over a rectangle of the latent plane."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Colormap, LogNorm
from matplotlib.image import AxesImage
from torch import Tensor

from latentgeo.geometry import log_volume_element
from latentgeo.metrics import Metric

_ROWS_AT_ONCE = 4096
_SHOWN = (0.01, 0.995)  # quantiles at the ends of the scale: one sharp ridge does not darken all the rest


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
    if bounds.shape != (2, 2) or not bool((bounds[1] > bounds[0]).all()):
        raise ValueError(f"bounds: expected a lower left and an upper right corner, got {bounds.tolist()}")
    if resolution < 2:
        raise ValueError(f"resolution: expected at least 2, got {resolution!r}")
    area = _area(metric, bounds, resolution)
    positive = area[np.isfinite(area) & (area > 0)]
    if not len(positive):
        raise ValueError("metric: expected sqrt(det G) > 0 somewhere within bounds, got none")
    low, high = np.quantile(positive, _SHOWN)
    (left, bottom), (right, top) = bounds.tolist()
    return axes.imshow(
        np.ma.masked_where(~(np.isfinite(area) & (area > 0)), area),
        norm=LogNorm(low, max(high, 1.001 * low)),  # a constant metric has a scale too
        cmap=cmap,
        origin="lower",
        extent=(left, right, bottom, top),
        interpolation="bilinear",
        aspect="equal",
    )


def color_bar(axes: Axes, image: AxesImage, *, label: str = "$\\sqrt{\\det G}$") -> Colorbar:
    """Draws the scale of a heat map beside its axes.

    Args:
        axes: the axes of the map.
        image: the map.
        label: what the colours mean.

    Returns:
        The colour bar.
    """
    return axes.figure.colorbar(image, ax=axes, label=label, extend="both", fraction=0.046, pad=0.03)


def _area(metric: Metric, bounds: Tensor, resolution: int) -> np.ndarray:
    """sqrt(det G) at the centres of square cells, (rows, columns) from the bottom up."""
    sides = bounds[1] - bounds[0]
    columns, rows = (resolution * sides / sides.amax()).round().clamp_min(2).long().tolist()
    x, y = (
        low + side * (torch.arange(n, device=bounds.device, dtype=bounds.dtype) + 0.5) / n
        for low, side, n in zip(bounds[0], sides, (columns, rows), strict=True)
    )
    cells = torch.cartesian_prod(y, x).flip(1)
    with torch.no_grad():
        parts = [log_volume_element(metric, part) for part in cells.split(_ROWS_AT_ONCE)]
    return torch.cat(parts).double().exp().reshape(rows, columns).cpu().numpy()
