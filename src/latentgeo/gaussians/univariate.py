"""The Fisher-Rao geometry of univariate normals N(mean, std²), element by element of any tensors.

    ds² = (dμ² + 2 dσ²) / σ²,

which is the upper half-plane with u = μ/√2, v = σ and ds² = 2 (du² + dv²) / v², of curvature -1/2. Below, s is the
length in the half-plane of curvature -1, so that distances are √2 s, and every formula is written such that it loses
no digits to equal means, equal deviations, or deviations of very different size.

Standard deviations must be positive; nothing here looks at values, see :mod:`latentgeo.gaussians.arguments`.

References:
    C. Atkinson, A. F. S. Mitchell, "Rao's distance measure", Sankhyā A 43, 1981. S. I. R. Costa, S. A. Santos,
    J. E. Strapasson, "Fisher information distance: a geometrical reading", 2015, arXiv:1210.2354.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.gaussians.hyperbolic import (
    FAR,
    arsinh,
    cosh,
    sinh_ratio,
    sinhc,
    squared_arsinh,
    squared_arsinh_slope,
)
from latentgeo.metrics.directional import inside_transform

CURVATURE = -0.5
_ROOT2 = math.sqrt(2)

Element = Float[Tensor, "*#batch"]
Elements = Float[Tensor, "..."]


def inner(std: Element, dmean1: Element, dstd1: Element, dmean2: Element, dstd2: Element) -> Elements:
    """The inner product (dμ₁ dμ₂ + 2 dσ₁ dσ₂) / σ² of two tangents.

    Example:
        >>> import torch
        >>> std, one = torch.tensor(2.0), torch.tensor(1.0)
        >>> inner(std, one, one, one, one)
        tensor(0.7500)
    """
    return (dmean1 / std) * (dmean2 / std) + 2 * (dstd1 / std) * (dstd2 / std)


def distance(mean1: Element, std1: Element, mean2: Element, std2: Element) -> Elements:
    """The Fisher-Rao distance √2 s, with sinh(s/2) = hypot(Δμ/√2, Δσ) / (2 √(σ₁σ₂)).

    The half chord is relatively exact for every pair, unlike 1 + 2 sinh²(s/2) inside an arcosh.

    Args:
        mean1: means, of any shape.
        std1: standard deviations, positive.
        mean2: the same of the other normals; all four broadcast.
        std2: likewise.

    Returns:
        One distance an element; differentiable, with gradient zero where two normals coincide.

    Example:
        >>> import torch
        >>> zero, std = torch.tensor(0.0), torch.tensor(1e-6)
        >>> (distance(zero, std, zero, 1e12 * std) / (2**0.5 * torch.tensor(1e12).log())).round(decimals=5)
        tensor(1.)
    """
    du, dv = (mean2 - mean1) / _ROOT2, std2 - std1
    same = (du == 0) & (dv == 0)
    chord = torch.hypot(torch.where(same, 1, du), dv)
    half = torch.where(same, 0, chord / (2 * std1.sqrt()) / std2.sqrt())
    return 2 * _ROOT2 * arsinh(half)


def squared_distance(mean1: Element, std1: Element, mean2: Element, std2: Element) -> Elements:
    """The square 2 s² of :func:`distance`, smooth also where two normals coincide.

    Example:
        >>> import torch
        >>> mean = torch.tensor(0.0, requires_grad=True)
        >>> one = torch.tensor(1.0)
        >>> gradient = torch.func.grad(lambda mean: squared_distance(mean, one, one, one) / 2)
        >>> torch.func.grad(gradient)(one)  # the Hessian of half the square is the metric, 1/σ²
        tensor(1.)
    """
    return 8 * squared_arsinh(*_squared_half_chord(mean1, std1, mean2, std2))


def geodesic(
    mean1: Element, std1: Element, mean2: Element, std2: Element, t: Element
) -> tuple[Elements, Elements]:
    """The point at time t of the geodesic from the first normal, t = 0, to the second, t = 1.

        1/σ(t) = α/σ₁ + β/σ₂,   μ(t) = (α μ₁/σ₁ + β μ₂/σ₂) σ(t),
        α = sinh((1 - t) s) / sinh s,   β = sinh(t s) / sinh s.

    These are the straight combinations α X₁ + β X₂ on the hyperboloid of matrices [[u² + v², u], [u, 1]] / v, the
    half circle without its centre, which goes to infinity as the means approach each other. For t in [0, 1] nothing
    cancels. Beyond, where the weights have different signs, it is the exponential from the nearer end.

    Returns:
        Means and standard deviations.

    Example:
        >>> import torch
        >>> zero, one = torch.tensor(0.0), torch.tensor(1.0)
        >>> geodesic(-one, one, one, one, torch.tensor(0.5))  # the deviation rises to √(1 + 1/2)
        (tensor(0.), tensor(1.2247))
    """
    before, after = t < 0, t > 1
    outside = before | after
    mean, std = _between(mean1, std1, mean2, std2, torch.where(outside, 0.5, t))
    if not inside_transform() and not bool(outside.any()):
        return mean, std
    # times within stand still at N(0, 1), so that their derivatives are finite
    ends = ((0, mean1, mean2), (1, std1, std2), (0, mean2, mean1), (1, std2, std1))
    foot = [torch.where(before, a, torch.where(after, b, still)) for still, a, b in ends]
    time = torch.where(before, t, torch.where(after, 1 - t, 0))
    beyond = expmap(*foot[:2], *(time * velocity for velocity in logmap(*foot)))
    return torch.where(outside, beyond[0], mean), torch.where(outside, beyond[1], std)


def expmap(mean: Element, std: Element, dmean: Element, dstd: Element) -> tuple[Elements, Elements]:
    """The exponential map: where the geodesic with velocity (dμ, dσ) arrives at time 1.

    With a = dμ/(√2 σ), b = dσ/σ, s = hypot(a, b):

        D = cosh s - b sinh(s)/s,   σ' = σ / D,   μ' = μ + √2 σ a sinh(s)/s / D.

    For s ≥ 1 the two terms of D are (1 - b/s) eˢ/2 and (1 + b/s) e⁻ˢ/2, and that factor of both which vanishes as the
    direction becomes vertical is (a/s)² / (1 + |b/s|). Exponentials overflow for s beyond 88 in float32, beyond 709
    in float64.

    Returns:
        Means and standard deviations; differentiable, twice, also for zero velocities.

    Example:
        >>> import torch
        >>> zero, one = torch.tensor(0.0), torch.tensor(1.0)
        >>> expmap(zero, one, zero, one)  # straight up: σ' = σ exp(dσ/σ)
        (tensor(0.), tensor(2.7183))
    """
    a, b = torch.broadcast_tensors(dmean / (_ROOT2 * std), dstd / std)
    square = a.square() + b.square()
    near = square < 1
    # both branches are finite everywhere, also in their gradients
    a0, b0, square0 = (torch.where(near, x, 0) for x in (a, b, square))
    a1, b1, square1 = torch.where(near, 1, a), torch.where(near, 0, b), torch.where(near, 1, square)
    ratio0 = sinhc(square0)
    denominator0 = cosh(square0) - b0 * ratio0

    s = square1.sqrt()
    cos, sin = a1 / s, b1 / s
    down = torch.where(sin > 0, cos.square() / (1 + sin.abs()), 1 - sin)
    up = torch.where(sin < 0, cos.square() / (1 + sin.abs()), 1 + sin)
    denominator1 = (down * s.exp() + up * (-s).exp()) / 2

    denominator = torch.where(near, denominator0, denominator1)
    shift = torch.where(near, a0 * ratio0, cos * s.sinh()) / denominator
    return mean + _ROOT2 * std * shift, std / denominator


def logmap(mean1: Element, std1: Element, mean2: Element, std2: Element) -> tuple[Elements, Elements]:
    """The logarithm: the velocity at the first normal of the geodesic that reaches the second at time 1.

    dμ = (s / sinh s) (σ₁/σ₂) Δμ,   dσ = (s / sinh s) (Δμ²/2 + Δσ (σ₁ + σ₂)) / (2 σ₂).

    Returns:
        Velocities of means and of standard deviations; differentiable, twice, also where two normals coincide.

    Example:
        >>> import torch
        >>> zero, one = torch.tensor(0.0), torch.tensor(1.0)
        >>> logmap(zero, one, zero, 4 * one)  # straight up: dσ = σ log(σ'/σ)
        (tensor(0.), tensor(1.3863))
    """
    factor = squared_arsinh_slope(*_squared_half_chord(mean1, std1, mean2, std2)) / std2
    dmean, dstd = mean2 - mean1, std2 - std1
    return factor * std1 * dmean, factor * (dmean.square() / 2 + dstd * (std1 + std2)) / 2


def transport(
    mean1: Element, std1: Element, mean2: Element, std2: Element, dmean: Element, dstd: Element
) -> tuple[Elements, Elements]:
    """Parallel transport of a tangent (dμ, dσ) at the first normal along the geodesic to the second.

    In the half-plane z = u + iv, w ↦ -(ζ/|ζ|)² (v₂/v₁) w with ζ = z₂ - z̄₁: along the half circle tangents turn by
    twice the angle of ζ with the vertical, and ζ never vanishes.

    Returns:
        The tangent at the second normal, with the length of the first.

    Example:
        >>> import torch
        >>> zero, one = torch.tensor(0.0), torch.tensor(1.0)
        >>> transport(zero, one, zero, 2 * one, zero, one)
        (tensor(0.), tensor(2.))
    """
    across, along = (mean2 - mean1) / _ROOT2, std1 + std2
    size = torch.hypot(across, along)
    across, along = across / size, along / size
    cos, sin = (along - across) * (along + across), 2 * across * along
    scale = std2 / std1
    du, dv = scale * dmean / _ROOT2, scale * dstd
    return _ROOT2 * (cos * du + sin * dv), cos * dv - sin * du


def _between(mean1: Tensor, std1: Tensor, mean2: Tensor, std2: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """The point of the geodesic at a time in [0, 1]."""
    square = 4 * squared_arsinh(*_squared_half_chord(mean1, std1, mean2, std2))
    first, second = sinh_ratio(1 - t, square) / std1, sinh_ratio(t, square) / std2
    precision = first + second
    # weighed from the nearer end, so that both ends are met
    from1 = mean1 + second / precision * (mean2 - mean1)
    from2 = mean2 + first / precision * (mean1 - mean2)
    return torch.where(t < 0.5, from1, from2), 1 / precision


def _squared_half_chord(
    mean1: Tensor, std1: Tensor, mean2: Tensor, std2: Tensor
) -> tuple[Tensor, Tensor | None]:
    """sinh²(s/2) = (Δμ²/2 + Δσ²) / (4 σ₁σ₂); and in units of FAR², in single precision, where it may overflow."""
    scale = 0.5 * std1.rsqrt() * std2.rsqrt()
    dmean, dstd = (mean2 - mean1) * scale, (std2 - std1) * scale
    square = dmean.square() / 2 + dstd.square()
    if square.dtype == torch.float64:
        return square, None
    return square, (dmean / (_ROOT2 * FAR)).square() + (dstd / FAR).square()
