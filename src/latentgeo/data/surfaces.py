"""Synthetic surfaces, whose latent coordinates are known."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from latentgeo.models.arguments import check_count


class Surface(NamedTuple):
    """Noisy points of a surface.

    Attributes:
        latents: the coordinates they were made from, (N, 2).
        points: (N, 3).

    Examples:
        >>> import torch
        >>> latents, points = swiss_roll(10, noise=0.0, generator=torch.Generator().manual_seed(0))
        >>> latents.shape, bool((points[:, 1] == latents[:, 1]).all())
        (torch.Size([10, 2]), True)
    """

    latents: Float[Tensor, "n 2"]
    points: Float[Tensor, "n 3"]


class LabelledSurface(NamedTuple):
    """Noisy points of a surface, and their classes.

    Attributes:
        latents: the coordinates they were made from, (N, 2).
        points: (N, 3).
        labels: int64, (N,).

    Examples:
        >>> import torch
        >>> moons = two_moons(6, generator=torch.Generator().manual_seed(0))
        >>> moons.points[moons.labels == 1].shape, moons.latents.shape
        (torch.Size([3, 3]), torch.Size([6, 2]))
    """

    latents: Float[Tensor, "n 2"]
    points: Float[Tensor, "n 3"]
    labels: Int[Tensor, " n"]


def surface_with_hole(
    num_points: int, *, noise: float = 0.05, generator: torch.Generator | None = None
) -> Surface:
    """Points of a curved surface with a hole in the middle, in three dimensions.

    x = (z1, z2, sin(π z1 / 2) cos(π z2 / 2) / 2) + noise · N(0, I), with z uniform on the annulus ½ <= |z| <= 1: a
    variance that is right must rise in the hole, where geodesics ought not to go.

    Args:
        num_points: how many, N.
        noise: standard deviation of the noise.
        generator: of the draws, on the CPU; None takes torch's global one.

    Raises:
        ValueError: `num_points` below one, or negative noise.

    References:
        Arvanitidis, Hansen and Hauberg, Latent Space Oddity, 2018, arXiv 1710.11379, for the idea.

    Examples:
        >>> import torch
        >>> surface_with_hole(10, generator=torch.Generator().manual_seed(0)).points.shape
        torch.Size([10, 3])
    """
    _check(num_points, noise)
    area, turn = torch.rand(2, num_points, generator=generator)
    z = _polar((0.25 + 0.75 * area).sqrt(), 2 * math.pi * turn)
    return Surface(z, _noisy(_lifted(z), noise, generator))


def two_moons(
    num_points: int, *, noise: float = 0.05, generator: torch.Generator | None = None
) -> LabelledSurface:
    """Points of two interleaved half-rings on a curved surface, in three dimensions.

    The surface is that of `surface_with_hole`, x = (z1, z2, sin(π z1 / 2) cos(π z2 / 2) / 2) + noise · N(0, I).
    With 0.9 <= r <= 1.1 and 0 <= θ <= π, z is uniform on the half-rings

        class 0: r (cos θ, sin θ),    class 1: (1, ½) - r (cos θ, sin θ),

    whose ends lie nearer to the other one than to each other: straight lines mix the classes, paths through the
    data do not.

    Args:
        num_points: N; the classes alternate.
        noise: standard deviation of the noise.
        generator: of the draws, on the CPU; None takes torch's global one.

    Raises:
        ValueError: `num_points` below one, or negative noise.

    References:
        Pedregosa et al., Scikit-learn: Machine Learning in Python, 2011, arXiv 1201.0490, for the two curves.

    Examples:
        >>> import torch
        >>> two_moons(5, generator=torch.Generator().manual_seed(0)).labels
        tensor([0, 1, 0, 1, 0])
    """
    _check(num_points, noise)
    area, turn = torch.rand(2, num_points, generator=generator)
    inner, outer = 0.9**2, 1.1**2
    arc = _polar((inner + (outer - inner) * area).sqrt(), math.pi * turn)
    labels = torch.arange(num_points) % 2
    z = torch.where(labels.unsqueeze(1) == 0, arc, torch.tensor([1.0, 0.5]) - arc)
    return LabelledSurface(z, _noisy(_lifted(z), noise, generator), labels)


def swiss_roll(num_points: int, *, noise: float = 0.05, generator: torch.Generator | None = None) -> Surface:
    """Points of a rolled-up rectangle in three dimensions, with its flat coordinates.

    x = (t cos t, y, t sin t) + noise · N(0, I), with 3π/2 <= t <= 9π/2 and 0 <= y <= 21. The latents are (s, y),
    uniform on their rectangle, where

        s(t) = ½ (t √(1 + t²) + arsinh t) - s(3π/2)

    is the length of the spiral up to t: without noise the map from latents to points is an isometry, so that
    the straight lines between latents are the geodesics of the roll.

    Args:
        num_points: how many, N.
        noise: standard deviation of the noise, where the sheets are 2π apart.
        generator: of the draws, on the CPU; None takes torch's global one.

    Raises:
        ValueError: `num_points` below one, or negative noise.

    References:
        Tenenbaum, de Silva and Langford, A Global Geometric Framework for Nonlinear Dimensionality Reduction, 2000,
        doi 10.1126/science.290.5500.2319.

    Examples:
        >>> import torch
        >>> swiss_roll(10, generator=torch.Generator().manual_seed(0)).points.shape
        torch.Size([10, 3])
    """
    _check(num_points, noise)
    along, across = torch.rand(2, num_points, generator=generator)
    start, end = (float(_spiral_length(torch.tensor(t * math.pi))) for t in (1.5, 4.5))
    s, y = (end - start) * along, 21 * across
    t = _spiral_angle(start + s)
    roll = torch.stack([t * t.cos(), y, t * t.sin()], dim=1)
    return Surface(torch.stack([s, y], dim=1), _noisy(roll, noise, generator))


def _check(num_points: int, noise: float) -> None:
    check_count("num_points", num_points)
    if not 0.0 <= noise < math.inf:
        raise ValueError(f"noise: expected a non-negative finite number, got {noise!r}")


def _polar(radius: Tensor, angle: Tensor) -> Tensor:
    return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)


def _lifted(z: Tensor) -> Tensor:
    """The points (N, 3) of the curved surface over the plane."""
    height = 0.5 * (0.5 * math.pi * z[:, 0]).sin() * (0.5 * math.pi * z[:, 1]).cos()
    return torch.cat([z, height.unsqueeze(1)], dim=1)


def _noisy(points: Tensor, noise: float, generator: torch.Generator | None) -> Tensor:
    return points + noise * torch.randn(points.shape, generator=generator)


def _spiral_length(t: Tensor) -> Tensor:
    """The length ½ (t √(1 + t²) + arsinh t) of the spiral (t cos t, t sin t) from its centre."""
    return 0.5 * (t * (1 + t.square()).sqrt() + t.asinh())


def _spiral_angle(length: Tensor) -> Tensor:
    """The t at a length by Newton's method: from √(2 length) it falls to t, since the length is convex in it."""
    t = (2 * length).sqrt()
    for _ in range(5):
        t = t - (_spiral_length(t) - length) / (1 + t.square()).sqrt()
    return t
