"""How far generated images are from data, as a classifier sees both."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def frechet_distance(x: Float[Tensor, "n f"], y: Float[Tensor, "m f"]) -> float:
    """The Fréchet distance of the normals that have the means and covariances of two sets of features.

    √(|μ - ν|² + tr(A + B - 2 (A^½ B A^½)^½)) with means μ, ν and covariances A, B. It is 0 where both agree, and in
    the units of the features.

    Args:
        x: features of n > f images.
        y: of m > f others.

    References:
        Dowson, Landau 1982, The Fréchet distance between multivariate normal distributions.
        Heusel et al. 2017, arXiv 1706.08500, on images and a classifier's features.

    Example:
        >>> import torch
        >>> x = torch.randn(100, 3, generator=torch.Generator().manual_seed(0))
        >>> round(frechet_distance(x, x + torch.tensor([3.0, 4.0, 0.0])), 3)
        5.0
    """
    x, y = x.double(), y.double()
    a, b = x.T.cov(), y.T.cov()
    values, vectors = torch.linalg.eigh(a)
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T  # rounding alone makes them negative
    cross = torch.linalg.eigvalsh(root @ b @ root).clamp_min(0).sqrt().sum()
    square = (x.mean(0) - y.mean(0)).square().sum() + a.trace() + b.trace() - 2 * cross
    return float(square.clamp_min(0).sqrt())
