"""Roots R of the Fisher information I = RᵀR of families without a Euclidean immersion, applied to tangents dθ.

Each takes the parameters θ and as many tangents of them, which broadcast, and gives tensors whose squares add up to
dθᵀ I(θ) dθ: whatever is formed of them is positive semi-definite, and nothing is subtracted that nearly cancels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_SHIFT = 8  # steps of the recurrence of ψ', after which its asymptotic series is exact in float64
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6)


def normal(loc: Tensor, scale: Tensor, d_loc: Tensor, d_scale: Tensor) -> tuple[Tensor, ...]:
    """(dμ² + 2 dσ²) / σ²: a half-plane of curvature -1/2.

    References:
        Atkinson, Mitchell, "Rao's distance measure", 1981.
    """
    return d_loc / scale, math.sqrt(2) * d_scale / scale


def multivariate_normal(
    loc: Tensor, scale_tril: Tensor, d_loc: Tensor, d_scale_tril: Tensor
) -> tuple[Tensor, ...]:
    """dμᵀ Σ⁻¹ dμ + 1/2 tr(Σ⁻¹ dΣ Σ⁻¹ dΣ), by A = L⁻¹ dL of Σ = L Lᵀ: the second term is 1/2 |A + Aᵀ|².

    References:
        L. T. Skovgaard, "A Riemannian geometry of the multivariate normal model", Scand. J. Statist. 11, 1984.
    """
    mean = torch.linalg.solve_triangular(scale_tril, d_loc[..., None], upper=False)
    a = torch.linalg.solve_triangular(scale_tril, d_scale_tril, upper=False)  # lower triangular like L
    return mean, a.tril(-1), math.sqrt(2) * a.diagonal(dim1=-2, dim2=-1)


def gamma(concentration: Tensor, rate: Tensor, d_concentration: Tensor, d_rate: Tensor) -> tuple[Tensor, ...]:
    """ψ'(α) dα² - 2 dα dβ/β + α dβ²/β² = α (d log β - d log α)² + κ(α) (d log α)², κ of :func:`trigamma_excess`.

    References:
        S. Amari, H. Nagaoka, "Methods of Information Geometry", 2000, section 2.
    """
    a, b = d_concentration / concentration, d_rate / rate
    return concentration.sqrt() * (b - a), trigamma_excess(concentration).sqrt() * a


def beta(
    concentration1: Tensor, concentration0: Tensor, d_concentration1: Tensor, d_concentration0: Tensor
) -> tuple[Tensor, ...]:
    """The Dirichlet family of two categories."""
    return dirichlet(
        torch.stack([concentration1, concentration0], -1),
        torch.stack([d_concentration1, d_concentration0], -1),
    )


def dirichlet(concentration: Tensor, d_concentration: Tensor) -> tuple[Tensor, ...]:
    """Σ ψ'(α_i) dα_i² - ψ'(α_0) (Σ dα_i)², with α_0 = Σ α_i.

    With D_i = α_i² ψ'(α_i) = α_i + κ(α_i), w_i = sqrt(D_i) d log α_i and the unit vector u along α/sqrt(D), this is
    |w|² - s (u·w)² = |w - (1 - sqrt(1 - s)) u (u·w)|², where 1 - s = Σ p_i (κ(α_i) - p_i κ(α_0)) / D_i with
    p_i = α_i/α_0: no term is negative, because κ falls.

    References:
        G. Lebanon, "Riemannian Geometry and Statistical Machine Learning", 2005. A. Le Brigant, S. Preston,
        S. Puechmorel, "Fisher-Rao geometry of Dirichlet distributions", 2021, arXiv:2005.05608.
    """
    total = concentration.sum(-1, keepdim=True)
    excess, share = trigamma_excess(concentration), concentration / total
    squared = concentration + excess  # D
    left = share * (excess - share * trigamma_excess(total)) / squared
    left = left.sum(-1, keepdim=True)  # 1 - s
    w = squared.sqrt() * d_concentration / concentration
    u = concentration * squared.rsqrt()
    u = u * u.square().sum(-1, keepdim=True).rsqrt()  # F.normalize cannot be differentiated so often
    return (w - (1 - left.sqrt()) * u * (u * w).sum(-1, keepdim=True),)


def trigamma_excess(x: Tensor) -> Tensor:
    """κ(x) = x² ψ'(x) - x for x > 0, which falls from 1 at 0 to 1/2 at infinity, to machine precision.

    By the recurrence of ψ'(x) - 1/x, whose terms are all positive, and the asymptotic series at y = x + 8:

        κ(x) = Σ_{i<8} (x/(x+i))² / (x+i+1) + (x/y)² [1/2 + Σ_k B_2k y^(1-2k)].

    Made of elementary operations, because torch's own ψ' is good to 5e-10 in float64, and ζ(2, x) lacks forward mode.

    References:
        NIST Digital Library of Mathematical Functions, 5.15.5 and 5.15.8.
    """
    y = x + _SHIFT
    inverse = 1 / y
    square = inverse.square()
    series = torch.zeros_like(x)
    for coefficient in reversed(_BERNOULLI):
        series = coefficient + square * series
    excess = (x * inverse).square() * (0.5 + inverse * series)
    for i in range(_SHIFT):
        excess = excess + (x / (x + i)).square() / (x + (i + 1))
    return excess
