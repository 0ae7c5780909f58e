"""A quadratic model of curve energies by blocks of latent size, one for each point of a curve and its neighbour."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.geodesics.block_tridiagonal import BlockTridiagonal


@dataclass(frozen=True)
class BlockModel:
    """A positive semi-definite, block-tridiagonal model of the Hessian.

    Args:
        diagonal: (b, n, d, d) blocks of the n inner points.
        upper: (b, n-1, d, d) blocks of neighbours.
    """

    diagonal: Float[Tensor, "b n d d"]
    upper: Float[Tensor, "b m d d"]

    # of the mean eigenvalue of the metric along the curve: the ridge to begin with, and its bounds
    ridge = 1e-3
    ridges = (1e-6, 1e-1)

    def select(self, keep: Tensor) -> BlockModel:
        """The models of the curves that ``keep`` picks from the batch."""
        return BlockModel(self.diagonal[keep], self.upper[keep])

    def factorised(self, ridge: Float[Tensor, " b"]) -> BlockTridiagonal:
        """The model with G + ridge · tr(G)/d · I, the trace a mean along the curve, for G; factorised."""
        segments, d = self.diagonal.shape[1] + 1, self.diagonal.shape[2]
        scale = self.diagonal.diagonal(dim1=-2, dim2=-1).mean(dim=(1, 2)) / (2 * segments)
        scale = torch.where(scale > 0, scale, 1)[:, None, None, None]
        unit = torch.eye(d, dtype=self.diagonal.dtype, device=self.diagonal.device)
        extra = segments * ridge[:, None, None, None] * scale * unit
        return BlockTridiagonal(self.diagonal + 2 * extra, self.upper - extra)
