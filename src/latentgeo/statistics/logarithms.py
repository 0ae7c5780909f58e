"""Logarithms of points at feet that move, and their derivatives by the feet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.geodesics import Solver
from latentgeo.geodesics.energy import curve_energy
from latentgeo.metrics import Metric
from latentgeo.statistics.space import LatentSpace

_SHIFT = 0.1  # of a foot, in standard deviations, for difference quotients


@dataclass(frozen=True)
class Logarithms:
    """Log_{μ_k}(y_kn) of n points at each of k feet.

    Attributes:
        feet: the μ_k.
        points: the y_kn.
        values: the tangents in float64; NaN where the metric is not finite along the geodesic.
        curves: the geodesics.
        status: (k, n) of :class:`Status`.
    """

    feet: Float[Tensor, "k d"]
    points: Float[Tensor, "k n d"]
    values: Float[Tensor, "k n d"]
    curves: Float[Tensor, "k n t d"]
    status: np.ndarray

    def of(self, k: int) -> Logarithms:
        """Those of one foot."""
        values = (a[k, None] for a in (self.feet, self.points, self.values, self.curves))
        return Logarithms(*values, status=self.status[k, None])


@torch.no_grad()
def logarithms(
    metric: Metric,
    solver: Solver,
    feet: Float[Tensor, "k d"],
    points: Float[Tensor, "k n d"],
    curves: Float[Tensor, "k n t d"] | None = None,
) -> Logarithms:
    """Solves the geodesics from all feet to their points in one batch, going on from curves if there are any."""
    k, n, d = points.shape
    start, end = feet[:, None].expand_as(points).reshape(-1, d), points.reshape(-1, d)
    space = LatentSpace(metric, solver)
    joined = space.join(start, end, None if curves is None else curves.flatten(0, 1))
    values = joined.logarithms().double().reshape(k, n, d)
    return Logarithms(feet, points, values, joined.curves.unflatten(0, (k, n)), joined.status.reshape(k, n))


@torch.no_grad()
def guided(metric: Metric, solver: Solver, guides: Logarithms, points: Float[Tensor, "k n d"]) -> Logarithms:
    """Logarithms of other points at the same feet, each from the better of two starts.

    One is the straight line, the other the geodesic to the nearest point of the guides, bent towards its new end:
    where data are bent, the straight line leads to geodesics that are not the shortest.
    """
    k, n = points.shape[:2]
    straight = _lines(guides.feet, points, guides.curves.shape[2])
    nearest = torch.cdist(points, guides.points).argmin(dim=2)
    known = guides.curves.gather(1, nearest[..., None, None].expand(-1, -1, *guides.curves.shape[2:]))
    share = torch.linspace(0, 1, known.shape[2], dtype=points.dtype, device=points.device)[:, None]
    bent = known + share * (points - known[:, :, -1])[:, :, None]
    ends = straight[:, :, 0].flatten(0, 1), points.flatten(0, 1)
    objective = curve_energy(metric, *ends)
    blocks = objective.curves_at_once(known.shape[2], 4)
    energies = [
        torch.cat([objective.energy(some) for some in curves.flatten(0, 1).split(blocks)])
        for curves in (straight, bent)
    ]
    better = (energies[1] < energies[0]).reshape(k, n, 1, 1)  # false where not finite
    return logarithms(metric, solver, guides.feet, points, torch.where(better, bent, straight))


def differences(
    metric: Metric, solver: Solver, logs: Logarithms, frames: Float[Tensor, "k d d"]
) -> Float[Tensor, "k n d d"]:
    """The derivatives of logarithms by their feet, [k, n, i, j] = ∂ Logⁱ / ∂ μʲ, by difference quotients.

    Args:
        metric: the metric.
        solver: for the geodesics.
        logs: the logarithms.
        frames: d directions at each foot, as columns, each as long as the scale of what is fitted.

    Returns:
        The derivatives; minus the identity, that of flat space, where there is no quotient.
    """
    columns = []
    for direction in frames.unbind(dim=2):
        feet = logs.feet + (_SHIFT * direction).to(logs.feet)
        moved = logarithms(metric, solver, feet, logs.points, logs.curves)
        columns.append((moved.values - logs.values) / _SHIFT)
    slopes = torch.stack(columns, dim=3) @ torch.linalg.inv(frames)[:, None]
    flat = -torch.eye(slopes.shape[-1], dtype=slopes.dtype, device=slopes.device)
    return torch.where(slopes.isfinite().all(dim=3, keepdim=True).all(dim=2, keepdim=True), slopes, flat)


def secant(
    slopes: Float[Tensor, "k n d d"],
    step: Float[Tensor, "k d"],
    change: Float[Tensor, "k n d"],
    precision: Float[Tensor, "k d d"],
) -> Float[Tensor, "k n d d"]:
    """Broyden's update: the nearest derivatives that explain how the logarithms changed along a step of the feet.

    Nearest in the norm of the precision Γ, so that it does not depend on the coordinates:
    D + (Δ - D s) (Γ s)ᵀ / (sᵀ Γ s).

    References:
        C. G. Broyden, "A class of methods for solving nonlinear simultaneous equations", Math. Comp. 19, 1965.
    """
    weighted = (precision @ step[..., None])[..., 0]
    square = (step * weighted).sum(dim=1)[:, None, None]
    missing = change - torch.einsum("knij,kj->kni", slopes, step)
    update = missing[..., None] * (weighted / torch.where(square > 0, square, 1)[:, 0])[:, None, None]
    return slopes + torch.where(update.isfinite() & (square > 0)[..., None], update, 0)


def _lines(feet: Tensor, points: Tensor, count: int) -> Float[Tensor, "k n t d"]:
    """Straight lines from the feet to the points, of so many points."""
    share = torch.linspace(0, 1, count, dtype=points.dtype, device=points.device)[:, None]
    start = feet[:, None, None]
    lines = start + share * (points[:, :, None] - start)
    return torch.cat([lines[:, :, :-1], points[:, :, None]], dim=2)
