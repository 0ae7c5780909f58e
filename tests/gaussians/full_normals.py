"""Full normals for the tests, drawn at any distance, and their Fisher-Rao metric in coordinates."""

from __future__ import annotations

import torch
from hypothesis import strategies as st
from torch import Tensor

from strategies import seeds

Normals = tuple[Tensor, Tensor]


def draw_normals(
    generator: torch.Generator, count: int, k: int, *, spread: float = 1.0, condition: float = 10.0
) -> Normals:
    """Means (count, k) of norm `spread` and covariances of scale one with conditions up to `condition`."""
    mean = torch.randn(count, k, dtype=torch.float64, generator=generator)
    mean = spread * mean / mean.norm(dim=-1, keepdim=True)
    axes = torch.linalg.qr(torch.randn(count, k, k, dtype=torch.float64, generator=generator)).Q
    scales = condition ** (torch.rand(count, k, dtype=torch.float64, generator=generator) - 0.5)
    return mean, symmetric((axes * scales[:, None, :]) @ axes.mT)


def symmetric(matrix: Tensor) -> Tensor:
    return (matrix + matrix.mT) / 2


def moved(normals: Normals, matrix: Tensor, shift: Tensor) -> Normals:
    """The distribution of Ax + b."""
    mean, cov = normals
    return (matrix @ mean[..., None])[..., 0] + shift, symmetric(matrix @ cov @ matrix.mT)


@st.composite
def pairs(draw: st.DrawFn, *, max_k: int = 5) -> tuple[Normals, Normals]:
    """Four pairs of normals, 10⁻³ to 100 standard deviations apart, of conditions 1 to 10⁴."""
    generator, k = draw(seeds()), draw(st.integers(1, max_k))
    condition = 10 ** draw(st.floats(0.0, 4.0))
    first = draw_normals(generator, 4, k, spread=1.0, condition=condition)
    relative = draw_normals(generator, 4, k, spread=10 ** draw(st.floats(-3.0, 2.0)), condition=condition)
    return first, moved(relative, torch.linalg.cholesky(first[1]), first[0])


def fisher_norm(cov: Tensor, dmean: Tensor, dcov: Tensor) -> Tensor:
    """√(dμᵀ Σ⁻¹ dμ + ½ tr (Σ⁻¹dΣ)²), by general inverses."""
    precision = torch.linalg.inv(cov)
    turned = precision @ dcov
    square = (dmean[..., None, :] @ precision @ dmean[..., None])[..., 0, 0]
    return (square + (turned * turned.mT).sum((-1, -2)) / 2).sqrt()


# --- Coordinates z = (μ, log of the diagonal of L, rest of L) for Σ = LLᵀ, of which the library knows nothing


def from_coordinates(z: Tensor, k: int) -> Normals:
    root = _root(z, k)
    return z[:, :k], root @ root.mT


def metric_matrix(z: Tensor, k: int) -> Tensor:
    """G(z) (N, d, d): with X = L⁻¹ ∂L + transpose, dμᵀ Σ⁻¹ dμ + ½ tr XᵢXⱼ."""
    n, d = z.shape
    root = _root(z, k)
    i, j = _below(k)
    droot = z.new_zeros(n, d - k, k, k)
    for a in range(k):
        droot[:, a, a, a] = z[:, k + a].exp()
    for b, (r, c) in enumerate(zip(i, j, strict=True)):
        droot[:, k + b, r, c] = 1.0
    x = torch.linalg.solve(root[:, None], droot)
    x = (x + x.mT).flatten(2)
    precision = torch.linalg.inv(root @ root.mT)
    means = torch.nn.functional.pad(precision, (0, d - k))
    return torch.cat([means, torch.nn.functional.pad(x @ x.mT / 2, (k, 0))], 1)


def _root(z: Tensor, k: int) -> Tensor:
    i, j = _below(k)
    root = torch.diag_embed(z[:, k : 2 * k].exp())
    lower = torch.zeros_like(root)
    lower[:, i, j] = z[:, 2 * k :]
    return root + lower


def _below(k: int) -> tuple[Tensor, Tensor]:
    i, j = torch.tril_indices(k, k, -1)
    return i, j
