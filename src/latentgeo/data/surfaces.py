"""Synthetic surfaces, whose latent coordinates are known."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Surface(NamedTuple):
    """Noisy points of a surface.

    Attributes:
        latents: the coordinates they were made from, (N, 2).
        points: (N, 3).
    """

    latents: Float[Tensor, "n 2"]
    points: Float[Tensor, "n 3"]


def surface_with_hole(
    num_points: int, *, noise: float = 0.05, generator: torch.Generator | None = None
) -> Surface:
    """Points of a curved surface with a hole in the middle, in three dimensions.

    x = (z1, z2, sin(π z1 / 2) cos(π z2 / 2) / 2) + noise · N(0, I), with z uniform on the annulus ½ <= |z| <= 1: a
    variance that is right must rise in the hole, where geodesics ought not to go.

    Args:
        num_points: N.
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
    if num_points < 1:
        raise ValueError(f"num_points: expected a positive integer, got {num_points!r}")
    if not noise >= 0.0:
        raise ValueError(f"noise: expected a non-negative number, got {noise!r}")
    area, turn = torch.rand(2, num_points, generator=generator)
    radius = (0.25 + 0.75 * area).sqrt()
    angle = 2 * math.pi * turn
    z = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)
    height = 0.5 * (0.5 * math.pi * z[:, 0]).sin() * (0.5 * math.pi * z[:, 1]).cos()
    surface = torch.cat([z, height.unsqueeze(1)], dim=1)
    return Surface(z, surface + noise * torch.randn(surface.shape, generator=generator))
