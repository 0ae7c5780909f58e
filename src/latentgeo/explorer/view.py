"""What is seen of a latent space: the rectangle around its points and the map of the metric on it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.explorer.plane import Plane
from latentgeo.geometry import log_volume_element
from latentgeo.metrics import Metric
from latentgeo.plots.plane import cells

_MARGIN = 0.15  # of the longer side, around the points
_ROWS_AT_ONCE = 2048
_SHOWN = (0.01, 0.995)  # quantiles at the ends of the scale: one sharp ridge does not darken all the rest


def square_around(places: Float[Tensor, "n k"]) -> Float[Tensor, "2 k"]:
    """The square around places of the plane (an interval on a line), with a margin.

    Example:
        >>> import torch
        >>> square_around(torch.tensor([[0.0, 0.0], [10.0, 2.0]]))
        tensor([[-1.5000, -5.5000],
                [11.5000,  7.5000]])
    """
    low, high = places.amin(0), places.amax(0)
    side = (high - low).amax()
    side = torch.where(side > 0, side, 1)  # all the points may be one
    half = (0.5 + _MARGIN) * side
    middle = (low + high) / 2
    return torch.stack([middle - half, middle + half])


def map_places(bounds: Float[Tensor, "2 k"], resolution: int) -> Float[Tensor, "..."]:
    """The middles of the cells of the map, (rows, columns, 2), or (resolution, 1) on a line."""
    if bounds.shape[1] == 2:
        return cells(bounds, resolution)
    share = (torch.arange(resolution).to(bounds) + 0.5) / resolution
    return torch.lerp(bounds[0], bounds[1], share[:, None])


def volume_map(
    metric: Metric, plane: Plane, bounds: Float[Tensor, "2 k"], resolution: int
) -> Iterator[Float[Tensor, "..."] | None]:
    """The map log √det A G Aᵀ of the metric restricted to the plane, piece by piece.

    It says how much area in data space a unit of the plane's area has; for d = 2 it is log √det G. On a line it is
    log √G, of length.

    Args:
        metric: the metric of the latent space.
        plane: what is looked at.
        bounds: (2, 2) lower left and upper right corner in the plane, or (2, 1).
        resolution: cells along a side.

    Yields:
        None after each piece, and at last the values (rows, columns), or (resolution,) on a line, in float64 on the
        CPU; -inf where G is singular, NaN where it is not finite.

    Example:
        >>> import torch
        >>> from latentgeo import metric_from_function
        >>> half_plane = metric_from_function(lambda z: torch.eye(2) / z[:, 1, None, None] ** 2)
        >>> plane = Plane(torch.zeros(2), torch.eye(2), ("x", "y"))
        >>> *_, values = volume_map(half_plane, plane, torch.tensor([[0.0, 1.0], [1.0, 2.0]]), 2)
        >>> values.exp().round(decimals=2)  # 1 / y²
        tensor([[0.6400, 0.6400],
                [0.3300, 0.3300]], dtype=torch.float64)
    """
    places = map_places(bounds, resolution)
    restricted = plane.restrict(metric)
    parts = []
    for part in places.reshape(-1, places.shape[-1]).split(_ROWS_AT_ONCE):
        with torch.no_grad():
            parts.append(log_volume_element(restricted, part))
        yield None
    yield torch.cat(parts).cpu().double().reshape(places.shape[:-1])


def smoothed(
    values: Float[Tensor, "rows columns"], times: int = 3
) -> Float[Tensor, "more_rows more_columns"]:
    """The map on cells so many times smaller, linear in between; NaN beside what is not finite.

    Example:
        >>> import torch
        >>> smoothed(torch.tensor([[0.0, 1.0], [0.0, 1.0]]), 2)[0]
        tensor([0.0000, 0.2500, 0.7500, 1.0000])
    """
    known = torch.where(values.isfinite(), values, torch.nan)
    return torch.nn.functional.interpolate(
        known[None, None], scale_factor=times, mode="bilinear", align_corners=False
    )[0, 0]


def scale_of(values: Float[Tensor, "..."]) -> tuple[float, float]:
    """The ends of the colour scale: quantiles of the finite values, apart from each other.

    Raises:
        ValueError: no value is finite.

    Example:
        >>> import torch
        >>> scale_of(torch.tensor([0.0, 0.0, -torch.inf]))
        (0.0, 0.001)
    """
    finite = values[values.isfinite()].double()
    if not len(finite):
        raise ValueError("the metric is singular or not finite everywhere in view: there is no map to draw")
    low, high = torch.quantile(finite, torch.tensor(_SHOWN, dtype=torch.float64)).tolist()
    return low, max(high, low + 1e-3)  # a constant metric has a scale too
