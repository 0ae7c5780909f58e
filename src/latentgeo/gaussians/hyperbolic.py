"""Functions of hyperbolic distances that are smooth where points coincide: series there, elementary elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

# arsinh(√x)² = Σ c_n xⁿ, n ≥ 1, with alternating signs and radius of convergence 1.
_SQUARED_ARSINH = [0.0, *((-1) ** (n + 1) * 4**n / (2 * n**2 * math.comb(2 * n, n)) for n in range(1, 9))]
_SLOPE = [n * c for n, c in enumerate(_SQUARED_ARSINH)][1:]
_SINHC = [1 / math.factorial(2 * n + 1) for n in range(11)]
_COSH = [1 / math.factorial(2 * n) for n in range(11)]
# Below, the series are exact to rounding; above, the elementary forms are, with two of their derivatives.
_SMALL = 1e-2
# A unit of length in which single precision holds the squares of all that is far.
FAR = 2.0**30


def arsinh(x: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """The inverse of sinh for x ≥ 0, exact for small x too.

    Through log1p, which is vectorised on CPUs where torch.asinh is not: a third of the time.
    """
    return torch.log1p(x + x * (x / (1 + torch.hypot(x, torch.ones_like(x)))))


def squared_arsinh(
    x: Float[Tensor, "*batch"], far: Float[Tensor, "*batch"] | None = None
) -> Float[Tensor, "*batch"]:
    """arsinh(√x)² for x ≥ 0, analytic at 0; ``far``, x in units of FAR², stands in where x may overflow."""
    small, near, root = _split(x, far)
    return torch.where(small, _series(_SQUARED_ARSINH, near), arsinh(root).square())


def squared_arsinh_slope(
    x: Float[Tensor, "*batch"], far: Float[Tensor, "*batch"] | None = None
) -> Float[Tensor, "*batch"]:
    """arsinh(√x) / √(x (1 + x)), the derivative of :func:`squared_arsinh`.

    It is s / sinh s for x = sinh²(s/2).
    """
    small, near, root = _split(x, far)
    slope = arsinh(root) / torch.hypot(root, torch.ones_like(root)) / root  # not by root², which overflows
    return torch.where(small, _series(_SLOPE, near), slope)


def sinhc(square: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """The quotient sinh(s) / s by its series in s², for s² ≤ 1."""
    return _series(_SINHC, square)


def cosh(square: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """The hyperbolic cosine of s by its series in s², for s² ≤ 1."""
    return _series(_COSH, square)


def sinh_ratio(t: Float[Tensor, "*#batch"], square: Float[Tensor, "*#batch"]) -> Float[Tensor, "..."]:
    """sinh(t s) / sinh(s), given s² and t in [0, 1]: the weight of an end in a point of a geodesic; t where s = 0."""
    t, square = torch.broadcast_tensors(t, square)
    small = square < 1
    near = torch.where(small, square, 0)
    t_near, t_far = torch.where(small, t, 0), torch.where(small, 1, t)
    s = torch.where(small, 1, square).sqrt()
    elementary = ((t_far - 1) * s).exp() * torch.expm1(-2 * t_far * s) / torch.expm1(-2 * s)
    return torch.where(small, t_near * sinhc(t_near.square() * near) / sinhc(near), elementary)


def _split(x: Tensor, far: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Where the series holds, x there, and √x elsewhere."""
    small = x < _SMALL
    root = torch.where(small, 1, x if far is None else far).sqrt()
    return small, torch.where(small, x, 0), root if far is None else FAR * root


def _series(coefficients: Sequence[float], x: Tensor) -> Tensor:
    """Horner's rule."""
    value = torch.full_like(x, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        value = value * x + c
    return value
