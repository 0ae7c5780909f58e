"""The half-plane in 150 digits: textbook formulas with the centre of the half circle, one pair at a time."""

from __future__ import annotations

import math

import mpmath
import torch
from torch import Tensor

mpmath.mp.dps = 150
_ROOT2 = mpmath.sqrt(2)

# (mean1, std1, mean2, std2) at every scale: coincident, nearly so, far apart, narrow, wide, vertical and not.
_STDS = (1e-6, 3e-3, 1.0, 1 + 1e-15, 1 + 1e-9, 2.0, 1e6)
_OFFSETS = (0.0, 1e-30, 1e-12, 1e-8, 1e-3, 0.1, 1.0, 30.0, 1e3)
PAIRS = torch.tensor(
    [
        (base + off, std1, base, std2)
        for base in (0.0, 1e3)
        for off in _OFFSETS
        for std1 in _STDS
        for std2 in _STDS
    ],
    dtype=torch.float64,
)


def numbers(*values: float | Tensor) -> list[mpmath.mpf]:
    return [mpmath.mpf(float(v)) for v in values]


def to_float(rows: list) -> Tensor:
    return torch.tensor(
        [[float(x) for x in r] if isinstance(r, tuple) else float(r) for r in rows], dtype=torch.float64
    )


def distance(mean1, std1, mean2, std2) -> mpmath.mpf:
    m1, s1, m2, s2 = numbers(mean1, std1, mean2, std2)
    return _ROOT2 * mpmath.acosh(1 + ((m1 - m2) ** 2 / 2 + (s1 - s2) ** 2) / (2 * s1 * s2))


def geodesic(mean1, std1, mean2, std2, t) -> tuple:
    """The point (mean, std) at time t."""
    m1, s1, m2, s2, t = numbers(mean1, std1, mean2, std2, t)
    if m1 == m2:
        return m1, s1 ** (1 - t) * s2**t
    c, r, a, b = _circle(m1, s1, m2, s2)
    at = a + t * (b - a)
    return _ROOT2 * (c + r * mpmath.tanh(at)), r / mpmath.cosh(at)


def logmap(mean1, std1, mean2, std2) -> tuple:
    """The velocity (dmean, dstd) at time 0."""
    m1, s1, m2, s2 = numbers(mean1, std1, mean2, std2)
    if m1 == m2:
        return mpmath.mpf(0), s1 * mpmath.log(s2 / s1)
    _, r, a, b = _circle(m1, s1, m2, s2)
    return _ROOT2 * r * (b - a) / mpmath.cosh(a) ** 2, -r * mpmath.tanh(a) / mpmath.cosh(a) * (b - a)


def transport(mean1, std1, mean2, std2, dmean, dstd) -> tuple:
    """Angles with the tangents of the geodesic, and lengths, are kept."""
    start = logmap(mean1, std1, mean2, std2)
    end = logmap(mean2, std2, mean1, std1)
    s1, s2, a, b = numbers(std1, std2, dmean, dstd)
    frame = [(x / s / _ROOT2, y / s) for (x, y), s in ((start, s1), (end, s2))]
    turn = mpmath.atan2(-frame[1][1], -frame[1][0]) - mpmath.atan2(frame[0][1], frame[0][0])
    u, v = a / s1 / _ROOT2, b / s1
    cos, sin = mpmath.cos(turn), mpmath.sin(turn)
    return _ROOT2 * s2 * (cos * u - sin * v), s2 * (sin * u + cos * v)


def size(std, dmean, dstd) -> float:
    """The length of a tangent."""
    return math.hypot(float(dmean), math.sqrt(2) * float(dstd)) / float(std)


def _circle(m1, s1, m2, s2) -> tuple:
    u1, u2 = m1 / _ROOT2, m2 / _ROOT2
    c = (u1**2 + s1**2 - u2**2 - s2**2) / (2 * (u1 - u2))
    r = mpmath.sqrt((u1 - c) ** 2 + s1**2)
    return c, r, mpmath.asinh((u1 - c) / s1), mpmath.asinh((u2 - c) / s2)
