"""How far one comes from a point at one cost: a geodesic ball, and the fan of geodesics that leave it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.explorer.clusters import spread
from latentgeo.explorer.plane import Plane
from latentgeo.explorer.tasks import Remarks
from latentgeo.geodesics import expmap
from latentgeo.metrics import Metric
from latentgeo.plots.eikonal import distance_field

_DIRECTIONS = 24
_POINTS = 49  # on a geodesic of the fan
_PACED = 32  # latents at which the pace of the metric is looked at
_RTOL = 1e-3  # of its steps


@dataclass(frozen=True)
class Ball:
    """A ball {z : d(centre, z) <= radius} and the fan of Exp at its centre.

    Attributes:
        radius: in ambient units.
        distances: (rows, columns) from the centre to the cells of the view, by ways within the plane; None on a line.
        fan: (n, m, d) geodesics of that length which leave the centre in directions of the plane; none of them yet,
            where ``under_way``.
        left_out: how many geodesics could not be followed so far.
        remarks: what was warned of on the way.
    """

    radius: float
    distances: Float[Tensor, "rows columns"] | None
    fan: Float[Tensor, "n m d"]
    left_out: int
    remarks: tuple[str, ...]
    under_way: bool = False

    def words(self) -> str:
        """What is drawn."""
        where = "" if self.fan.shape[2] <= 2 else " by ways within the plane"
        missing = f" {self.left_out} of them could not be followed so far." if self.left_out else ""
        fan = f"{len(self.fan) + self.left_out} geodesics of that length leave its centre.{missing}"
        told = "the geodesics that leave its centre are being followed." if self.under_way else fan
        return " ".join([f"Ball of radius {self.radius:.4g} ambient units{where}; {told}", *self.remarks])


def ball(
    metric: Metric,
    plane: Plane,
    center: Float[Tensor, " d"],
    radius: float,
    bounds: Float[Tensor, "2 k"],
    *,
    resolution: int = 96,
) -> Iterator[Ball]:
    """The ball and the fan around a latent point.

    With L Lᵀ = A G Aᵀ at the centre, L⁻ᵀ takes the circle of the radius to the velocities of that norm in the plane.

    Args:
        metric: the metric of the latent space.
        plane: what is looked at.
        center: (d,); the ball is drawn around the place of the plane that is nearest to it.
        radius: in ambient units.
        bounds: (2, 2) what is seen of the plane, or (2, 1).
        resolution: cells along a side.

    Yields:
        The ball, and the ball with the fan; the geodesics are followed to a thousandth of a step, to be seen.

    Raises:
        ValueError: the radius is not positive, the centre out of view, or G singular at the centre.

    Example:
        >>> import torch
        >>> from latentgeo import EuclideanMetric
        >>> plane = Plane(torch.zeros(2), torch.eye(2), ("x", "y"))
        >>> square = torch.tensor([[-2.0, -2.0], [2.0, 2.0]])
        >>> _, found = ball(EuclideanMetric(2), plane, torch.zeros(2), 1.0, square, resolution=8)
        >>> found.fan[:, -1].norm(dim=1).max()
        tensor(1.0000)
    """
    if not 0 < radius < float("inf"):
        raise ValueError(f"the radius: expected a positive number, got {radius:g}")
    place = plane.project(center)
    if not bool(((place >= bounds[0]) & (place <= bounds[1])).all()):
        raise ValueError("the centre of the ball: expected a point in view")
    restricted = plane.restrict(metric)
    with torch.no_grad():
        factor, failed = torch.linalg.cholesky_ex(restricted(place[None])[0])
        if failed or not bool(factor.isfinite().all()):
            raise ValueError(
                "the centre of the ball: the metric is singular or not finite there; choose another"
            )
        velocity = torch.linalg.solve_triangular(factor.mT, radius * _directions(plane).mT, upper=True).mT
    is_plane = len(plane.axes) == 2
    distances = distance_field(restricted, place[None], bounds, resolution)[0] if is_plane else None
    yield Ball(radius, distances, center.new_empty(0, _POINTS, len(center)), 0, (), under_way=True)
    with torch.no_grad(), Remarks() as remarks:
        times = torch.linspace(0, 1, _POINTS).to(center)
        paths = expmap(metric, center, velocity @ plane.axes, t=times, rtol=_RTOL)
        followed = paths.isfinite().flatten(1).all(1)
    yield Ball(radius, distances, paths[followed], int((~followed).sum()), remarks())


def visible_radius(
    metric: Metric, plane: Plane, bounds: Float[Tensor, "2 k"], latents: Float[Tensor, "n d"]
) -> float:
    """A radius of balls that are seen well: a sixth of the view, at the metric's pace at the median latent.

    Example:
        >>> import torch
        >>> from latentgeo import EuclideanMetric
        >>> plane = Plane(torch.zeros(2), torch.eye(2), ("x", "y"))
        >>> visible_radius(EuclideanMetric(2), plane, torch.tensor([[0.0, 0.0], [6.0, 6.0]]), torch.ones(3, 2))
        1.0
    """
    some = plane.project(latents[spread(len(latents), _PACED).to(latents.device)])
    with torch.no_grad():
        squares = torch.linalg.eigvalsh(plane.restrict(metric)(some).double())[:, -1]
    side = float((bounds[1] - bounds[0]).amax())
    return side / 6 * float(squares[squares > 0].sqrt().nanmedian())


def _directions(plane: Plane) -> Tensor:
    """(n, k) unit vectors: both ways on a line, all round in a plane."""
    if len(plane.axes) == 1:
        return torch.tensor([[-1.0], [1.0]]).to(plane.axes)
    angle = torch.arange(_DIRECTIONS).to(plane.axes) * (2 * torch.pi / _DIRECTIONS)
    return torch.stack([angle.cos(), angle.sin()], 1)
