"""Indicatrices: how long a step of one length is in each direction."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection
from torch import Tensor

from latentgeo.metrics import Metric
from latentgeo.plots.palette import GEODESIC
from latentgeo.plots.plane import bounds_of, planar

_SHARE = 0.35  # of the mean spacing of the points, that an ellipse of median size has for its radius


def indicatrices(
    axes: Axes,
    metric: Metric,
    points: Float[Tensor, "n 2"],
    *,
    radius: float | None = None,
    color: str = GEODESIC,
) -> EllipseCollection:
    """Draws the ellipses {z + v : vᵀ G(z) v = r²}, the latent steps that are r long in data space.

    Where the metric is large the ellipse is small. An axis along which G nearly vanishes is drawn no longer than the
    diagonal of the rectangle around the points.

    Args:
        axes: where to draw; its aspect becomes equal.
        metric: a metric on the plane.
        points: (N, 2) centres of the ellipses.
        radius: r, in ambient units; None for one at which neighbouring ellipses rarely touch.
        color: of the rims.

    Returns:
        The ellipses.

    Raises:
        ValueError: the points are not (N, 2), or G is not finite at one of them.

    References:
        N. A. Tissot, "Mémoire sur la représentation des surfaces et les projections des cartes géographiques", 1881.

    Example:
        >>> import torch
        >>> from matplotlib.figure import Figure
        >>> from latentgeo import EuclideanMetric
        >>> len(indicatrices(Figure().subplots(), EuclideanMetric(2), torch.rand(5, 2)).get_offsets())
        5
    """
    centers = planar("points", points, 2)
    with torch.no_grad():
        matrix = metric(points).double()
    if not bool(matrix.isfinite().all()):
        raise ValueError("metric: expected finite values at the points, got NaN or infinity")
    values, vectors = torch.linalg.eigh(matrix)
    low, high = bounds_of(points, margin=0.0).double()
    diagonal = float((high - low).norm()) or 1.0
    # half axes of the ellipse with r = 1, infinite where the metric vanishes
    axes_of_unit = values.clamp_min(0).rsqrt()
    if radius is None:
        typical = float(axes_of_unit.prod(1).sqrt().median())
        radius = _SHARE * diagonal / max(len(centers), 2) ** 0.5 / typical if 0 < typical < np.inf else 1.0
    half = (radius * axes_of_unit).clamp_max(diagonal / 2).cpu().numpy()
    direction = vectors[:, :, 0].cpu().numpy()  # of the smaller eigenvalue: the longer axis
    ellipses = EllipseCollection(
        widths=2 * half[:, 0],
        heights=2 * half[:, 1],
        angles=np.degrees(np.arctan2(direction[:, 1], direction[:, 0])),
        units="xy",
        offsets=centers,
        offset_transform=axes.transData,
        facecolors="none",
        edgecolors=color,
        linewidths=0.9,
        zorder=3,
    )
    axes.add_collection(ellipses)
    axes.set_aspect("equal")
    axes.autoscale_view()
    return ellipses
