"""The plane through a latent space that is looked at: p in the plane is z = o + pA in the latent space."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.metrics import Metric, metric_from_function
from latentgeo.metrics.immersion import Immersion
from latentgeo.metrics.pullback import ImmersedMetric


@dataclass(frozen=True)
class Plane:
    """A plane with orthonormal axes through a latent space; a line, where the space is one-dimensional.

    Attributes:
        origin: (d,) the point o.
        axes: (k, d) the rows of A, k = 2, or 1 for a line.
        names: of the axes.
    """

    origin: Float[Tensor, " d"]
    axes: Float[Tensor, "k d"]
    names: tuple[str, ...]

    def latent(self, places: Float[Tensor, "*batch k"]) -> Float[Tensor, "*batch d"]:
        """The latent points o + pA."""
        return self.origin + places @ self.axes

    def project(self, points: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch k"]:
        """The places (z - o)Aᵀ nearest to latent points, in latent units."""
        return (points - self.origin) @ self.axes.mT

    def restrict(self, metric: Metric) -> Metric:
        """The metric A G(o + pA) Aᵀ of the plane: curves in it are as long as in the latent space."""
        immersion = metric.resolved(self.origin[None]).immersion
        if immersion is None:
            return metric_from_function(functools.partial(_restricted, metric, self))
        lifted = functools.partial(_lifted, immersion.function, self)
        return ImmersedMetric(Immersion(lifted, decoder=immersion.decoder, chunk_size=immersion.chunk_size))


def coordinate_plane(latents: Float[Tensor, "n d"], *axes: int) -> Plane:
    """The plane of two latent coordinates (or the line of one) through the mean of the points in the others.

    Its places are the values of these coordinates.

    Raises:
        ValueError: an axis is none of the latent space, or they are the same.

    Example:
        >>> import torch
        >>> coordinate_plane(torch.ones(4, 3), 0, 2).latent(torch.tensor([5.0, 7.0]))
        tensor([5., 1., 7.])
    """
    d = latents.shape[1]
    if len(set(axes)) < len(axes) or not all(0 <= axis < d for axis in axes):
        raise ValueError(
            f"axes: expected different numbers from 0 to {d - 1}, got {', '.join(map(str, axes))}"
        )
    origin = latents.mean(0)
    origin[list(axes)] = 0
    unit = torch.eye(d, dtype=latents.dtype, device=latents.device)[list(axes)]
    return Plane(origin, unit, tuple(f"latent {axis}" for axis in axes))


def principal_plane(latents: Float[Tensor, "n d"]) -> Plane:
    """The plane through the mean of the points along their two principal directions.

    Raises:
        ValueError: the points have fewer than two coordinates.

    Example:
        >>> import torch
        >>> cross = torch.tensor([[0.0, 3.0, 0.0], [0.0, -3.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, -1.0]])
        >>> principal_plane(cross).project(cross).abs()
        tensor([[3., 0.],
                [3., 0.],
                [0., 1.],
                [0., 1.]])
    """
    if latents.shape[1] < 2:
        raise ValueError(f"latents: expected two coordinates or more, got {latents.shape[1]}")
    mean = latents.mean(0)
    covariance = (latents - mean).mT @ (latents - mean)
    axes = torch.linalg.eigh(covariance.double()).eigenvectors[:, [-1, -2]].mT
    signs = axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()  # the largest entry is positive
    return Plane(mean, (signs * axes).to(latents), ("first principal axis", "second principal axis"))


def plane_through(points: Float[Tensor, "3 d"]) -> Plane:
    """The plane through three points: the first is its origin, the second lies on the first axis.

    Raises:
        ValueError: the points are on one line.

    Example:
        >>> import torch
        >>> corners = torch.tensor([[0.0, 0.0, 1.0], [2.0, 0.0, 1.0], [0.0, 3.0, 1.0]])
        >>> plane_through(corners).project(corners)
        tensor([[0., 0.],
                [2., 0.],
                [0., 3.]])
    """
    first, second = (points[1:] - points[0]).double()
    along = first / first.norm()
    across = second - (second @ along) * along
    if not float(across.norm()) > 1e-6 * float(
        second.norm()
    ):  # also where the first two are one, and it is NaN
        raise ValueError("the plane: expected three latents that are not on one line; choose others")
    axes = torch.stack([along, across / across.norm()]).to(points)
    return Plane(points[0], axes, ("from the first latent to the second", "towards the third"))


def _lifted(function: Callable[[Tensor], Tensor], plane: Plane, places: Tensor) -> Tensor:
    return function(plane.latent(places))


def _restricted(metric: Metric, plane: Plane, places: Tensor) -> Tensor:
    return plane.axes @ metric(plane.latent(places)) @ plane.axes.mT
