"""Batched symmetric block-tridiagonal systems, by cyclic reduction: log₂ n batched steps, no loop over n."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class _Level:
    """One halving: every other unknown, x_e for even e, expressed by its odd neighbours."""

    inverse: Tensor  # (b, m, d, d) inverses of the even diagonal blocks
    after: Tensor  # (b, m, d, d) D_e⁻¹ A[e, e+1]
    before: Tensor  # (b, m, d, d) D_e⁻¹ A[e, e-1]


class BlockTridiagonal:
    """The factorisation of b symmetric positive definite block-tridiagonal matrices with n blocks of size d.

    Cyclic reduction eliminates the even-numbered blocks, which are not coupled to each other; what is left is a
    system of the same form with half as many blocks.

    Args:
        diagonal: the blocks A[i, i], symmetric.
        upper: the blocks A[i, i+1]; A[i+1, i] is their transpose.

    References:
        D. Heller, "Some aspects of the cyclic reduction algorithm for block tridiagonal linear systems", SIAM
        J. Numer. Anal. 13(4), 1976.
    """

    positive_definite: Bool[Tensor, " b"]

    def __init__(self, diagonal: Float[Tensor, "b n d d"], upper: Float[Tensor, "b m d d"]) -> None:
        self._sizes: list[int] = []
        self._levels: list[_Level] = []
        self.positive_definite = torch.ones(diagonal.shape[0], dtype=torch.bool, device=diagonal.device)
        while True:
            n = diagonal.shape[1]
            self._sizes.append(n)
            if n % 2 == 0:  # an uncoupled unit block makes the number of blocks odd
                unit = torch.eye(diagonal.shape[-1], dtype=diagonal.dtype, device=diagonal.device)
                diagonal = torch.cat([diagonal, unit.expand(diagonal.shape[0], 1, -1, -1)], dim=1)
                upper = torch.cat([upper, torch.zeros_like(diagonal[:, :1])], dim=1)
            even = diagonal[:, ::2]
            factor, failed = torch.linalg.cholesky_ex(even)
            self.positive_definite &= (failed == 0).all(dim=1)
            inverse = torch.cholesky_inverse(factor)
            none = torch.zeros_like(even[:, :1])
            after = inverse @ torch.cat([upper[:, ::2], none], dim=1)
            before = inverse @ torch.cat([none, upper[:, 1::2].mT], dim=1)
            self._levels.append(_Level(inverse, after, before))
            if n == 1:
                return
            odd, from_even, to_even = diagonal[:, 1::2], upper[:, ::2], upper[:, 1::2]
            diagonal = odd - from_even.mT @ after[:, :-1] - to_even @ before[:, 1:]
            upper = -(to_even @ after[:, 1:])[:, :-1]

    def solve(self, right: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """The solutions x of A x = right."""
        pending: list[Tensor] = []
        for n, level in zip(self._sizes, self._levels, strict=True):
            if n % 2 == 0:
                right = torch.cat([right, torch.zeros_like(right[:, :1])], dim=1)
            even = right[:, ::2]
            pending.append(even)
            if n > 1:
                right = (
                    right[:, 1::2]
                    - _apply(level.after[:, :-1].mT, even[:, :-1])
                    - _apply(level.before[:, 1:].mT, even[:, 1:])
                )
        x = _apply(self._levels[-1].inverse, pending.pop())
        for n, level in zip(self._sizes[-2::-1], self._levels[-2::-1], strict=True):
            none = torch.zeros_like(x[:, :1])
            even = _apply(level.inverse, pending.pop())
            even = even - _apply(level.after, torch.cat([x, none], dim=1))
            even = even - _apply(level.before, torch.cat([none, x], dim=1))
            woven = even.new_empty(even.shape[0], even.shape[1] + x.shape[1], even.shape[2])
            woven[:, ::2], woven[:, 1::2] = even, x
            x = woven[:, :n]
        return x

    def select(self, keep: Tensor) -> BlockTridiagonal:
        """The factorisation of the matrices that ``keep``, a mask or indices, picks from the batch."""
        chosen = object.__new__(BlockTridiagonal)
        chosen._sizes = self._sizes
        chosen._levels = [_Level(lv.inverse[keep], lv.after[keep], lv.before[keep]) for lv in self._levels]
        chosen.positive_definite = self.positive_definite[keep]
        return chosen


def _apply(blocks: Tensor, vectors: Tensor) -> Tensor:
    return (blocks @ vectors[..., None])[..., 0]
