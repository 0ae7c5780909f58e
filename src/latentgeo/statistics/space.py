"""What statistics ask of a space: geodesics between pairs of points, logarithms, and steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import geoopt
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.geodesics import Solver, Status
from latentgeo.geodesics.spline import velocity_at_start
from latentgeo.metrics import Metric
from latentgeo.metrics.arguments import describe


@dataclass(frozen=True)
class Joined:
    """Geodesics of n pairs: their lengths, the curves, from which a later solve can start, and a word on each."""

    length: Float[Tensor, " n"]
    curves: Float[Tensor, "n k m"]
    status: np.ndarray


class Space(ABC):
    """A Riemannian space whose points are rows of m numbers."""

    @abstractmethod
    def join(
        self,
        start: Float[Tensor, "n m"],
        end: Float[Tensor, "n m"],
        initial: Float[Tensor, "n k m"] | None = None,
    ) -> Joined:
        """Geodesics between pairs, found from curves with the same ends, whose starts may have moved since."""

    @abstractmethod
    def velocity(self, curves: Float[Tensor, "n k m"], length: Float[Tensor, " n"]) -> Float[Tensor, "n m"]:
        """The logarithms of the ends of geodesics at their starts."""

    @abstractmethod
    def retract(self, z: Float[Tensor, "n m"], v: Float[Tensor, "n m"]) -> Float[Tensor, "n m"]:
        """Where steps lead: the exponential map, or what agrees with it to first order."""

    @abstractmethod
    def norm(self, z: Float[Tensor, "n m"], v: Float[Tensor, "n m"]) -> Float[Tensor, " n"]:
        """The lengths of tangent vectors."""

    @abstractmethod
    def check(self, points: Tensor, name: str = "X") -> None:
        """Raises where the points (N, *event) do not lie in the space."""


class LatentSpace(Space):
    """A latent space with a metric, whose geodesics a solver finds."""

    def __init__(self, metric: Metric, solver: Solver) -> None:
        self._metric, self._solver = metric, solver

    def join(
        self,
        start: Float[Tensor, "n m"],
        end: Float[Tensor, "n m"],
        initial: Float[Tensor, "n k m"] | None = None,
    ) -> Joined:
        """See :class:`Space`; a start that moved bends the curve towards it, linearly less towards the end."""
        if initial is not None:
            remaining = torch.linspace(1, 0, initial.shape[1], dtype=initial.dtype, device=initial.device)
            initial = initial + remaining[:, None] * (start - initial[:, 0])[:, None]
        result = self._solver.solve(self._metric, start, end, initial=initial)
        return Joined(result.length, result.points, result.status)

    def velocity(self, curves: Float[Tensor, "n k m"], length: Float[Tensor, " n"]) -> Float[Tensor, "n m"]:
        """See :class:`Space`; the derivative of a spline, as long as the geodesic."""
        velocity = velocity_at_start(curves)
        norm = self.norm(curves[:, 0], velocity)
        return torch.where(norm > 0, length / torch.where(norm > 0, norm, 1), 0)[:, None] * velocity

    def retract(self, z: Float[Tensor, "n m"], v: Float[Tensor, "n m"]) -> Float[Tensor, "n m"]:
        """See :class:`Space`; z + v, which leads to the same end as an integrated geodesic, and sooner."""
        return z + v

    def norm(self, z: Float[Tensor, "n m"], v: Float[Tensor, "n m"]) -> Float[Tensor, " n"]:
        """See :class:`Space`."""
        return self._metric.norm(z, v)

    def check(self, points: Tensor, name: str = "X") -> None:
        """A latent space has no bounds."""


class ManifoldSpace(Space):
    """A geoopt manifold with closed forms for distance, exponential map and logarithm."""

    def __init__(self, manifold: geoopt.Manifold, event: torch.Size) -> None:
        self._manifold, self._event = manifold, event

    def join(
        self,
        start: Float[Tensor, "n m"],
        end: Float[Tensor, "n m"],
        initial: Float[Tensor, "n k m"] | None = None,
    ) -> Joined:
        """See :class:`Space`; the curves are the pairs themselves."""
        length = self._manifold.dist(self._shaped(start), self._shaped(end)).reshape(len(start))
        status = [Status.CONVERGED if finite else Status.NON_FINITE for finite in length.isfinite().tolist()]
        return Joined(length, torch.stack([start, end], 1), np.array(status, dtype=object))

    def velocity(self, curves: Float[Tensor, "n k m"], length: Float[Tensor, " n"]) -> Float[Tensor, "n m"]:
        """See :class:`Space`."""
        return self._manifold.logmap(self._shaped(curves[:, 0]), self._shaped(curves[:, -1])).flatten(1)

    def retract(self, z: Float[Tensor, "n m"], v: Float[Tensor, "n m"]) -> Float[Tensor, "n m"]:
        """See :class:`Space`; the exponential map."""
        return self._manifold.expmap(self._shaped(z), self._shaped(v)).flatten(1)

    def norm(self, z: Float[Tensor, "n m"], v: Float[Tensor, "n m"]) -> Float[Tensor, " n"]:
        """See :class:`Space`."""
        return self._manifold.norm(self._shaped(z), self._shaped(v)).reshape(len(z))

    def check(self, points: Tensor, name: str = "X") -> None:
        """Raises where a point is not on the manifold, in geoopt's own words."""
        try:
            self._manifold.assert_check_point_on_manifold(points)
        except ValueError as error:
            raise ValueError(
                f"{name} must hold points of {self._manifold}, got {describe(points)}: {error}"
            ) from error

    def _shaped(self, rows: Tensor) -> Tensor:
        return rows.reshape(len(rows), *self._event)


def event_ndim(metric: Metric | geoopt.Manifold) -> int:
    """The number of dimensions of one point."""
    return int(metric.ndim or 0) if isinstance(metric, geoopt.Manifold) else 1


def space_of(
    metric: Metric | geoopt.Manifold, solver: Solver | None, default: Solver, event: torch.Size
) -> Space:
    """The space of a metric, with a solver, or of a manifold, which needs none."""
    if isinstance(metric, Metric):
        return LatentSpace(metric, default if solver is None else solver)
    if not isinstance(metric, geoopt.Manifold):
        raise TypeError(f"metric must be a latentgeo Metric or a geoopt.Manifold, got {describe(metric)}")
    if solver is not None:
        raise ValueError(f"solver must be None for {metric}, which has its own geodesics, got {solver!r}")
    return ManifoldSpace(metric, event)
