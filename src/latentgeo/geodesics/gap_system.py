"""The linear system of multiple shooting, by orthogonal elimination: log₂ S batched steps, no loop over shots."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def close_gaps(
    derivatives: Float[Tensor, "b s n n"], gaps: Float[Tensor, "b s n"]
) -> Float[Tensor, "b s_plus_1 n"]:
    """Corrections x_0, ..., x_S of states with x_{i+1} = A_i x_i + g_i, the first and the last position kept.

    Two neighbouring relations C x_i + D x_{i+1} = r share a state. The QR decomposition of its 2n x n column
    [D_i; C_{i+1}] splits them into n equations that give it from its neighbours, and n that relate these two: half as
    many relations as before. The last relation is solved for the two end velocities. Orthogonal elimination keeps
    what the product A_{S-1} ... A_0 would drown, directions in which the flow grows beside some in which it shrinks.

    Args:
        derivatives: the A_i; S a power of two, n = 2d coordinates, positions before velocities.
        gaps: the g_i.

    Returns:
        The corrections; NaN for a system that is singular or not finite.

    References:
        S. J. Wright, "Stable parallel algorithms for two-point boundary value problems", SIAM J. Sci. Stat. Comput.
        13(3), 1992.
    """
    n = gaps.shape[2]
    d = n // 2
    finite = derivatives.isfinite().all(dim=3).all(dim=2).all(dim=1) & gaps.isfinite().all(dim=2).all(dim=1)
    unit = torch.eye(n, dtype=gaps.dtype, device=gaps.device).expand_as(derivatives)
    relations = torch.cat([-derivatives, unit, gaps[..., None]], dim=3)  # [C D r]
    relations = torch.where(finite[:, None, None, None], relations, 0)
    eliminated: list[tuple[Tensor, Tensor]] = []
    while relations.shape[1] > 1:
        (c0, d0, r0), (c1, d1, r1) = (relations[:, i::2].split([n, n, 1], dim=3) for i in (0, 1))
        q, triangle = torch.linalg.qr(torch.cat([d0, c1], dim=2), mode="complete")
        none = torch.zeros_like(c0)
        rest = torch.cat([torch.cat([c0, none, r0], dim=3), torch.cat([none, d1, r1], dim=3)], dim=2)
        rest = q.mT @ rest
        eliminated.append((triangle[..., :n, :], rest[..., :n, :]))
        relations = rest[..., n:, :]
    relation = relations[:, 0]
    matrix = torch.cat([relation[..., d:n], relation[..., n + d : 2 * n]], dim=2)
    velocities, singular = torch.linalg.solve_ex(matrix, relation[..., -1])
    x = torch.zeros_like(gaps[:, :1]).repeat(1, 2, 1)
    x[:, 0, d:], x[:, 1, d:] = velocities[:, :d], velocities[:, d:]
    for triangle, rest in reversed(eliminated):
        before, after, right = rest.split([n, n, 1], dim=3)
        right = right - before @ x[:, :-1, :, None] - after @ x[:, 1:, :, None]
        middle = torch.linalg.solve_triangular(triangle, right, upper=True)[..., 0]
        woven = x.new_empty(x.shape[0], 2 * x.shape[1] - 1, n)
        woven[:, ::2], woven[:, 1::2] = x, middle
        x = woven
    return torch.where((finite & (singular == 0))[:, None, None], x, torch.nan)
