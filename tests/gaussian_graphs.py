"""Slow twins of the structured normals: L written entry by entry, everything else from dense matrices."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from latentgeo.models import ChainNormal, GridNormal


def chain_cholesky(q: ChainNormal) -> Tensor:
    """L of a chain, from its definition."""
    k = q.event_shape[0]
    cholesky = q.loc.new_zeros(*q.batch_shape, k, k)
    for i in range(k):
        cholesky[..., i, i] = q.diagonal[..., i]
    for i in range(k - 1):
        cholesky[..., i + 1, i] = q.off_diagonal[..., i]
    return cholesky


def grid_cholesky(q: GridNormal) -> Tensor:
    """L of a grid, from its definition: entries to the right, then below, then obliquely below, row by row."""
    (rows, columns), k = q.shape, q.event_shape[0]
    cholesky = q.loc.new_zeros(*q.batch_shape, k, k)
    for i in range(k):
        cholesky[..., i, i] = q.diagonal[..., i]
    entry = itertools.count()
    for down, right in ((0, 1), (1, 0), (1, 1)):
        for r, j in itertools.product(range(rows - down), range(columns - right)):
            site, neighbour = r * columns + j, (r + down) * columns + j + right
            cholesky[..., neighbour, site] = q.off_diagonal[..., next(entry)]
    return cholesky


def cholesky_of(q: ChainNormal | GridNormal) -> Tensor:
    return grid_cholesky(q) if isinstance(q, GridNormal) else chain_cholesky(q)


def dense_covariance(q: ChainNormal | GridNormal) -> Tensor:
    cholesky = cholesky_of(q)
    return torch.linalg.inv(cholesky @ cholesky.mT)


def dense_kl(mean: Tensor, covariance: Tensor, other_mean: Tensor, other_covariance: Tensor) -> Tensor:
    """Between any two normals, by inverses and log-determinants."""
    precision, shift = torch.linalg.inv(other_covariance), mean - other_mean
    trace = (precision * covariance).sum((-2, -1))
    square = (shift.unsqueeze(-2) @ precision @ shift.unsqueeze(-1))[..., 0, 0]
    return 0.5 * (trace + square - mean.shape[-1] + torch.logdet(other_covariance) - torch.logdet(covariance))


def dense_log_prob(mean: Tensor, covariance: Tensor, z: Tensor) -> Tensor:
    shift = (z - mean).unsqueeze(-1)
    square = (shift.mT @ torch.linalg.solve(covariance, shift))[..., 0, 0]
    return -0.5 * (square + torch.logdet(2 * math.pi * covariance))


def chain(k: int, *batch: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> ChainNormal:
    g = torch.Generator().manual_seed(seed)
    # torch's own check of values does not take empty batches
    return ChainNormal(*parameters(k, k - 1, *batch, dtype=dtype, generator=g), validate_args=0 not in batch)


def grid(
    shape: tuple[int, int], *batch: int, dtype: torch.dtype = torch.float64, seed: int = 0
) -> GridNormal:
    g = torch.Generator().manual_seed(seed)
    k, m = math.prod(shape), GridNormal.num_parameters(shape)
    given = parameters(k, m, *batch, dtype=dtype, generator=g)
    return GridNormal(*given, shape=shape, validate_args=0 not in batch)


def parameters(
    k: int, m: int, *batch: int, dtype: torch.dtype = torch.float64, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Means, diagonals between 1/2 and 2, and entries beside them that leave dense inverses their digits."""
    mean = torch.randn(*batch, k, generator=generator, dtype=torch.float64)
    diagonal = 2 ** (2 * torch.rand(*batch, k, generator=generator, dtype=torch.float64) - 1)
    off_diagonal = 0.5 * torch.randn(*batch, m, generator=generator, dtype=torch.float64)
    return mean.to(dtype), diagonal.to(dtype), off_diagonal.to(dtype)


class CountWork(TorchDispatchMode):
    """Counts operations, and the numbers they write (times the inner dimension, for products of matrices)."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0
        self.work = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        inner = args[0].shape[-1] if "mm" in func.__name__.split(".")[0] else 1
        for out in result if isinstance(result, tuple | list) else (result,):
            if isinstance(out, Tensor):
                self.work += out.numel() * inner
        self.operations += 1
        return result
