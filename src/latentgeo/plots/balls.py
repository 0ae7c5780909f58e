"""What is how far from a point: maps of the distance, geodesic balls, and the geodesics that leave a point."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap, Normalize
from matplotlib.contour import QuadContourSet
from matplotlib.image import AxesImage
from torch import Tensor

from latentgeo.geodesics import expmap
from latentgeo.metrics import Metric
from latentgeo.plots.curves import curves
from latentgeo.plots.eikonal import distance_field
from latentgeo.plots.maps import heat_map
from latentgeo.plots.palette import GEODESIC
from latentgeo.plots.plane import array_of, cells

_SHOWN = 0.98  # quantile of distances at the end of the scale
_POINTS = 65  # on a drawn geodesic


def distance_map(
    axes: Axes,
    metric: Metric,
    center: Float[Tensor, "2"],
    bounds: Float[Tensor, "2 2"],
    *,
    resolution: int = 160,
    num_levels: int = 12,
    cmap: str | Colormap = "cividis_r",
) -> AxesImage:
    """Draws the distance d(centre, ·) as a heat map with contours at equal steps of distance.

    It is that of :func:`latentgeo.plots.eikonal.distance_field`: the shortest of all the ways within the rectangle.

    Args:
        axes: where to draw; its aspect becomes equal.
        metric: a metric on the plane.
        center: (2,) the point, within bounds.
        bounds: (2, 2) lower left and upper right corner, as from :func:`bounds_of`. Ways that leave it are not seen.
        resolution: cells along the longer side.
        num_levels: contours; 0 for none.
        cmap: matplotlib's colour map.

    Returns:
        The image, which :func:`color_bar` takes.

    Raises:
        ValueError: ``bounds`` is no rectangle, ``resolution`` is below 2, the centre does not lie within bounds, or
            no distance is finite.

    References:
        F. Bornemann, C. Rasch, "Finite-element discretization of static Hamilton-Jacobi equations based on a local
        variational principle", Comput. Vis. Sci. 9, 2006, arXiv:math/0403517.

    Example:
        >>> import torch
        >>> from matplotlib.figure import Figure
        >>> from latentgeo import EuclideanMetric
        >>> square = torch.tensor([[-1.0, -1.0], [1.0, 1.0]])
        >>> image = distance_map(Figure().subplots(), EuclideanMetric(2), torch.zeros(2), square, resolution=20)
        >>> round(float(image.get_array().max()), 2)  # of the corner's cell
        1.34
    """
    field = distance_field(metric, center[None], bounds, resolution)[0].numpy()
    finite = field[np.isfinite(field)]
    if not len(finite):
        raise ValueError("metric: expected finite values around center, got NaN or infinity")
    end = float(np.quantile(finite, _SHOWN)) or 1.0  # a metric that vanishes has a scale too
    image = heat_map(axes, field, bounds, norm=Normalize(0, end), cmap=cmap)
    if num_levels:
        levels = np.linspace(0, end, num_levels + 1)[1:]
        _contour(axes, field, bounds, levels, colors="white", linewidths=0.6, zorder=1)
    return image


def geodesic_balls(
    axes: Axes,
    metric: Metric,
    centers: Float[Tensor, "k 2"],
    radii: float | Float[Tensor, " k"],
    bounds: Float[Tensor, "2 2"],
    *,
    resolution: int = 160,
    color: str = GEODESIC,
    filled: bool = True,
) -> list[QuadContourSet]:
    """Draws the balls {z : d(centre, z) <= r}: as far as one comes in each direction at one cost.

    The rim is a level of the distance, of :func:`latentgeo.plots.eikonal.distance_field`, and not where the
    exponential map takes a circle, which is beyond cut points no longer at the distance r. A ball is right as far as
    no shortest way to its points leaves the rectangle. A dot marks each centre.

    Args:
        axes: where to draw.
        metric: a metric on the plane.
        centers: (K, 2) within bounds.
        radii: of all balls, or (K,) of each, in ambient units.
        bounds: (2, 2) lower left and upper right corner of where balls are looked for. Rims end there.
        resolution: cells along the longer side; balls of a few cells come out rough.
        color: of the balls.
        filled: whether the balls are tinted, or their rims alone are drawn.

    Returns:
        The rims, one set of contours a ball.

    Raises:
        ValueError: ``bounds`` is no rectangle, ``resolution`` is below 2, a centre does not lie within bounds, a
            radius is not positive, or radii are not one or K.

    References:
        F. Bornemann, C. Rasch, "Finite-element discretization of static Hamilton-Jacobi equations based on a local
        variational principle", Comput. Vis. Sci. 9, 2006, arXiv:math/0403517.

    Example:
        >>> import torch
        >>> from matplotlib.figure import Figure
        >>> from latentgeo import EuclideanMetric
        >>> square = torch.tensor([[-1.0, -1.0], [1.0, 1.0]])
        >>> axes, centers = Figure().subplots(), torch.zeros(3, 2)
        >>> len(geodesic_balls(axes, EuclideanMetric(2), centers, 0.5, square, resolution=20))
        3
    """
    wanted = torch.as_tensor(radii, dtype=torch.float64).cpu()
    if wanted.ndim > 1 or (wanted.ndim == 1 and len(wanted) != len(centers)):
        raise ValueError(f"radii: expected one, or {len(centers)} of them, got shape {tuple(wanted.shape)}")
    if not bool(((wanted > 0) & wanted.isfinite()).all()):
        raise ValueError(f"radii: expected positive finite numbers, got {wanted.tolist()}")
    fields = distance_field(metric, centers, bounds, resolution).numpy()
    rims = []
    for field, radius in zip(fields, wanted.expand(len(centers)).tolist(), strict=True):
        if filled:
            _contour(axes, field, bounds, [-1.0, radius], fill=True, colors=[color], alpha=0.25, zorder=1)
        rims.append(_contour(axes, field, bounds, [radius], colors=[color], linewidths=1.2, zorder=3))
    axes.plot(*array_of(centers).T, ".", color=color, markeredgecolor="white", zorder=4)
    axes.set_aspect("equal")
    return rims


def geodesic_fan(
    axes: Axes,
    metric: Metric,
    center: Float[Tensor, "2"],
    radius: float,
    *,
    num_geodesics: int = 24,
    color: str = GEODESIC,
    width: float = 0.8,
) -> LineCollection:
    """Draws the geodesics of one length that leave a point at equal angles of its tangent plane.

    They end on the rim of the ball of that radius as long as they are shortest; those that end within the ball have
    met a shorter way, and show where the cut locus is.

    Args:
        axes: where to draw.
        metric: a twice differentiable metric on the plane; see :func:`latentgeo.expmap`.
        center: (2,) the point.
        radius: how long they are, in ambient units.
        num_geodesics: how many.
        color: of the lines.
        width: of the lines, in points.

    Returns:
        The lines.

    Raises:
        ValueError: the centre is not (2,), ``radius`` or ``num_geodesics`` is not positive, or G is singular at the
            centre.

    Warns:
        ConvergenceWarning: once, if a geodesic could not be followed so far; it is left out.

    References:
        M. P. do Carmo, "Riemannian Geometry", 1992, chapter 13, for the cut locus.

    Example:
        >>> import torch
        >>> from matplotlib.figure import Figure
        >>> from latentgeo import EuclideanMetric
        >>> len(geodesic_fan(Figure().subplots(), EuclideanMetric(2), torch.zeros(2), 1.0).get_segments())
        24
    """
    if center.shape != (2,):
        raise ValueError(f"center: expected shape (2,), got {tuple(center.shape)}")
    if not radius > 0 or num_geodesics < 1:
        raise ValueError(f"radius, num_geodesics: expected positive, got {radius} and {num_geodesics}")
    with torch.no_grad():
        factor, failed = torch.linalg.cholesky_ex(metric(center[None])[0])
        if failed or not bool(factor.isfinite().all()):
            raise ValueError(f"metric: expected it to be positive definite at center {center.tolist()}")
        angle = torch.arange(num_geodesics).to(center) * (2 * torch.pi / num_geodesics)
        circle = radius * torch.stack([angle.cos(), angle.sin()])
        # G = L Lᵀ, so that L⁻ᵀ maps the circle to velocities of that norm
        velocity = torch.linalg.solve_triangular(factor.mT, circle, upper=True).mT
        paths = expmap(metric, center, velocity, t=torch.linspace(0, 1, _POINTS).to(center))
    followed = paths.isfinite().flatten(1).all(1)
    return curves(axes, paths[followed], color=color, width=width)


def _contour(
    axes: Axes,
    field: np.ndarray,
    bounds: Tensor,
    levels: Sequence[float] | np.ndarray,
    *,
    fill: bool = False,
    **look: Any,
) -> QuadContourSet:
    """Levels of values at the cells; none, without matplotlib's warning, where the values do not reach them."""
    x, y = cells(bounds, max(field.shape)).cpu().movedim(2, 0).numpy()
    draw = axes.contourf if fill else axes.contour
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No contour levels were found", UserWarning)
        return draw(x, y, np.ma.masked_invalid(field), levels=levels, **look)
