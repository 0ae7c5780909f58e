"""What statistics ask of a space: geodesics between pairs of points, logarithms, and steps."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import geoopt
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.geodesics import Solver, Status, expmap
from latentgeo.geodesics.first_variation import logarithms_of
from latentgeo.geodesics.graph import NeighborGraph
from latentgeo.geodesics.solve import solver_or_default
from latentgeo.geometry import geodesic_acceleration
from latentgeo.metrics import Metric
from latentgeo.metrics.arguments import describe

_CHORDS = 2**24  # ambient numbers of images held at once
_SLACK = 1e-3  # relative, of chords: what a solver's tolerance may take off a length
_ROUNDING = 16.0  # machine epsilons of an image, of chords
_NEIGHBORS = 10  # of each point in the graph of rough distances


@dataclass(frozen=True)
class Joined:
    """Geodesics of n pairs: their lengths, the curves, from which a later solve can start, and a word on each.

    ``logarithms`` gives those of the ends at the starts (n, m), from curves as fine as they were solved.
    """

    length: Float[Tensor, " n"]
    curves: Float[Tensor, "n k m"]
    status: np.ndarray
    logarithms: Callable[[], Float[Tensor, "n m"]]


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
    def exponential(self, z: Float[Tensor, "n m"], v: Float[Tensor, "n m"]) -> Float[Tensor, "n m"]:
        """Where geodesics lead."""

    @abstractmethod
    def matrix(self, z: Float[Tensor, " m"]) -> Float[Tensor, "m m"]:
        """The inner products of the basis vectors at a point."""

    @abstractmethod
    def retract(self, z: Float[Tensor, "n m"], v: Float[Tensor, "n m"]) -> Float[Tensor, "n m"]:
        """Where steps lead: the exponential map, or what agrees with it to second order."""

    @abstractmethod
    def norm(self, z: Float[Tensor, "n m"], v: Float[Tensor, "n m"]) -> Float[Tensor, " n"]:
        """The lengths of tangent vectors."""

    @abstractmethod
    def lower_bounds(self, start: Float[Tensor, "n m"], end: Float[Tensor, "k m"]) -> Float[Tensor, "n k"]:
        """What distances between all pairs are not below, as far as is known without a geodesic; zero, if nothing."""

    @abstractmethod
    def needs_pivots(self, points: Float[Tensor, "n m"]) -> bool:
        """Whether distances are dear and nothing bounds them."""

    @abstractmethod
    def rough_distances(self, points: Float[Tensor, "n m"]) -> np.ndarray:
        """Distances (n, n) between all pairs in float64, rather too long than too short, infinite where unknown."""

    @abstractmethod
    def check(self, points: Tensor, name: str = "X") -> None:
        """Raises where the points (N, *event) do not lie in the space."""

    def mass(self, points: Float[Tensor, "n m"], weights: Float[Tensor, " n"]) -> np.ndarray:
        """The weights (n,) of points at which a centre may start; zero where tangents have no finite lengths.

        Nothing reaches such a point. The weights as they are, where there is no other.
        """
        regular = self.norm(points, torch.ones_like(points)).isfinite()
        found = torch.where(regular, weights, 0) if bool((weights[regular] > 0).any()) else weights
        return found.double().cpu().numpy()


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
        tangents = functools.partial(logarithms_of, self._metric, result)
        return Joined(result.length, result.points, result.status, tangents)

    def exponential(self, z: Float[Tensor, "n m"], v: Float[Tensor, "n m"]) -> Float[Tensor, "n m"]:
        """See :class:`Space`."""
        return expmap(self._metric, z, v)

    def matrix(self, z: Float[Tensor, " m"]) -> Float[Tensor, "m m"]:
        """See :class:`Space`; G(z)."""
        return self._metric(z)

    def retract(self, z: Float[Tensor, "n m"], v: Float[Tensor, "n m"]) -> Float[Tensor, "n m"]:
        """See :class:`Space`; z + v - 1/2 Γ(v, v), or z + v where that is not finite.

        A step to a mean ends where the steps vanish, so that this order will do; the first will not, where
        coordinates bend: the steps then leave the geodesics, and have to be short.
        """
        bend = geodesic_acceleration(self._metric, z, v) / 2
        return z + v + torch.where(bend.isfinite().all(dim=1, keepdim=True), bend, 0)

    def norm(self, z: Float[Tensor, "n m"], v: Float[Tensor, "n m"]) -> Float[Tensor, " n"]:
        """See :class:`Space`."""
        return self._metric.norm(z, v)

    def lower_bounds(self, start: Float[Tensor, "n m"], end: Float[Tensor, "k m"]) -> Float[Tensor, "n k"]:
        """See :class:`Space`; the chord between the images under an immersion, as no curve is shorter."""
        bounds = start.new_zeros(len(start), len(end))
        if not bounds.numel():
            return bounds
        immersion = self._metric.resolved(start).immersion
        if immersion is None:
            return bounds
        rows = max(1, _CHORDS // immersion(start[:1]).shape[1])
        for some, columns in zip(end.split(rows), bounds.split(rows, dim=1), strict=True):
            images = immersion(some)
            for others, block in zip(start.split(rows), columns.split(rows), strict=True):
                theirs = immersion(others)
                chord = torch.cdist(theirs, images, compute_mode="donot_use_mm_for_euclid_dist")
                size = theirs.norm(dim=1)[:, None] + images.norm(dim=1)
                bound = (1 - _SLACK) * chord - _ROUNDING * torch.finfo(size.dtype).eps * size
                block.copy_(torch.where(bound > 0, bound, 0))  # also where an image is not finite
        return torch.where(bounds.isfinite(), bounds, 0)

    def needs_pivots(self, points: Float[Tensor, "n m"]) -> bool:
        """See :class:`Space`; where there is no immersion."""
        return self._metric.resolved(points).immersion is None

    def rough_distances(self, points: Float[Tensor, "n m"]) -> np.ndarray:
        """See :class:`Space`; shortest paths in the graph of nearest neighbours."""
        return NeighborGraph(self._metric, points, _NEIGHBORS).distances(points, points)

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
        return Joined(
            length,
            torch.stack([start, end], 1),
            np.array(status, dtype=object),
            lambda: self._manifold.logmap(self._shaped(start), self._shaped(end)).flatten(1),
        )

    def exponential(self, z: Float[Tensor, "n m"], v: Float[Tensor, "n m"]) -> Float[Tensor, "n m"]:
        """See :class:`Space`."""
        return self._manifold.expmap(self._shaped(z), self._shaped(v)).flatten(1)

    def matrix(self, z: Float[Tensor, " m"]) -> Float[Tensor, "m m"]:
        """See :class:`Space`."""
        basis = torch.eye(len(z), dtype=z.dtype, device=z.device)
        u, v = basis.repeat_interleave(len(z), dim=0), basis.repeat(len(z), 1)
        products = self._manifold.inner(self._shaped(z[None]), self._shaped(u), self._shaped(v))
        return products.reshape(len(z), len(z))

    def retract(self, z: Float[Tensor, "n m"], v: Float[Tensor, "n m"]) -> Float[Tensor, "n m"]:
        """See :class:`Space`; the exponential map."""
        return self.exponential(z, v)

    def norm(self, z: Float[Tensor, "n m"], v: Float[Tensor, "n m"]) -> Float[Tensor, " n"]:
        """See :class:`Space`."""
        return self._manifold.norm(self._shaped(z), self._shaped(v)).reshape(len(z))

    def lower_bounds(self, start: Float[Tensor, "n m"], end: Float[Tensor, "k m"]) -> Float[Tensor, "n k"]:
        """See :class:`Space`; nothing, since a distance costs no more than a bound."""
        return start.new_zeros(len(start), len(end))

    def needs_pivots(self, points: Float[Tensor, "n m"]) -> bool:
        """See :class:`Space`; never."""
        return False

    def rough_distances(self, points: Float[Tensor, "n m"]) -> np.ndarray:
        """See :class:`Space`; the distances themselves, row by row."""
        rows = [
            self._manifold.dist(self._shaped(z[None]).expand(len(points), *self._event), self._shaped(points))
            for z in points
        ]
        return torch.stack(rows).reshape(len(points), len(points)).cpu().double().numpy()

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
        return LatentSpace(metric, solver_or_default(default if solver is None else solver))
    if not isinstance(metric, geoopt.Manifold):
        raise TypeError(f"metric must be a latentgeo Metric or a geoopt.Manifold, got {describe(metric)}")
    if solver is not None:
        raise ValueError(f"solver must be None for {metric}, which has its own geodesics, got {solver!r}")
    return ManifoldSpace(metric, event)
