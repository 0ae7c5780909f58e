"""Where a distance matrix breaks the triangle inequality: pairs with a shorter curve through other points.

A geodesic that a solver finds need not be the shortest. The matrix knows better: where for points l and k

    d(i, j) > d(i, l) + d(l, k) + d(k, j),

the curve through l and k is shorter than the one that was found, and a solve that starts there ends lower still.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

_GAIN = 1e-3  # share of the distance that a detour must save; lengths are known better
_NUMBERS = 2**22  # sums held at once


@dataclass(frozen=True, eq=False)
class Detours:
    """Pairs that may be nearer than they seem.

    Attributes:
        number: of the job.
        chains: (n, 4) numbers i, l, k, j: from the row i by the column l and the row k to the column j.
    """

    number: int
    chains: Int[np.ndarray, "n 4"] = field(repr=False)

    def __len__(self) -> int:
        return len(self.chains)


def shorter_chains(distances: Float[np.ndarray, "n m"], *, symmetric: bool) -> Int[np.ndarray, "k 4"]:
    """For each pair (i, j) that chains of three known distances undercut, the best of them: i, l, k, j.

    The least sums over l and k are two products of matrices in which sums are minima and products sums,
    D ⊗ Dᵀ ⊗ D, in N M (N + M) steps. A distance that is not known (NaN) is undercut by any. Of a symmetric matrix
    each pair is looked at once, and chains through one other point have l = i or k = l.

    Args:
        distances: (N, M).
        symmetric: whether rows and columns are the same points.
    """
    d = torch.from_numpy(np.where(np.isnan(distances), np.inf, distances))
    found = [np.zeros((0, 4), dtype=np.int64)]
    for rows in torch.arange(len(d), device=d.device).split(max(1, _NUMBERS // max(1, *d.shape) // 16)):
        back, ell = _least_sums(d[rows], d.mT)
        through, k = _least_sums(back, d)
        shorter = through < (1 - _GAIN) * d[rows]
        if symmetric:
            shorter &= torch.arange(d.shape[1], device=d.device) > rows[:, None]
        i, j = shorter.nonzero(as_tuple=True)
        k = k[i, j]
        found.append(torch.stack([rows[i], ell[i, k], k, j], dim=1).numpy())
    chains = np.concatenate(found)
    return chains[np.lexsort(chains.T[[0, 3, 1, 2]])]  # those that share a leg together


def _least_sums(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """The (n, m) least a_ik + b_kj over k, and the k at which they are reached."""
    least = a.new_full((len(a), b.shape[1]), torch.inf)
    at = torch.zeros_like(least, dtype=torch.int64)
    some = max(1, _NUMBERS // max(1, least.numel()))
    for first in range(0, len(b), some):
        sums, k = (a[:, first : first + some, None] + b[None, first : first + some]).min(dim=1)
        lower = sums < least
        least, at = torch.where(lower, sums, least), torch.where(lower, k + first, at)
    return least, at
