"""Decoders with kinks, such as ReLU networks, whose geodesic equation does not see where their images bend."""

from __future__ import annotations

import warnings

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from latentgeo.metrics import Metric
from latentgeo.metrics.directional import inside_transform
from latentgeo.metrics.immersion import Immersion

_LINES = 4  # pairs that are looked at ...
_PIECES = 3  # ... and pieces of the line between each, in all of which kinks are looked for
_HALVINGS = 14  # at most; the last piece is 2⁻¹⁴ of the first
_WITNESSES = 5  # halvings, the last ones, that must find the same jump ...
_STAYS = 0.75  # ... hardly smaller than before (that of a continuous slope halves) ...
_ALONE = 0.25  # ... and in one half only (rounding is in both)
_STEEP = (
    32.0  # times the mean slope of g, which no slope of g exceeds: a ramp is lower than that, a jump higher
)
_ROUNDINGS = 64.0  # machine epsilons, of derivatives that are the same and of points that are not


class PiecewiseLinearWarning(UserWarning):
    """The derivative of the decoder jumps, so that the geodesic equation does not describe shortest paths."""


def warn_if_piecewise_linear(
    metric: Metric, start: Float[Tensor, "b d"], end: Float[Tensor, "b d"], *, stacklevel: int = 2
) -> int:
    """Warns where the Jacobian of the immersion of a metric jumps on the way between some of the pairs.

    The metric JᵀJ of a ReLU decoder is constant between its kinks, so that d²F = 0, every geodesic of the equation
    γ'' = -(JᵀJ)⁻¹ Jᵀ d²F(γ', γ') is a straight line, and all the bending is in kinks that no solver of differential
    equations meets. Metrics without immersion pass, and so do calls inside a transform of torch.func, where no value
    can be looked at.

    Args:
        metric: the metric.
        start: (B, d) first points.
        end: (B, d) last points.
        stacklevel: of the warning, as in :func:`warnings.warn`; 2 names the caller of this function.

    Returns:
        The number of points at which the decoder was evaluated: below four hundred.

    Warns:
        PiecewiseLinearWarning: once, if there is such a jump.

    Example:
        >>> import torch, warnings
        >>> from latentgeo import pullback_metric
        >>> a, b = torch.zeros(1, 2), torch.ones(1, 2)
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     _ = warn_if_piecewise_linear(pullback_metric(lambda z: torch.relu(z - 0.3)), a, b)
        ...     _ = warn_if_piecewise_linear(pullback_metric(lambda z: z.square()), a, b)
        >>> [w.category.__name__ for w in caught]
        ['PiecewiseLinearWarning']
    """
    if inside_transform():
        return 0
    immersion = metric.resolved(start).immersion
    if immersion is None:
        return 0
    with torch.inference_mode(False), torch.no_grad():
        start, end = start.detach().clone(), end.detach().clone()
        usable = (start.isfinite() & end.isfinite()).all(dim=1) & (start != end).any(dim=1)
        rows = usable.nonzero()[:, 0]
        if not len(rows):
            return 0
        rows = rows[torch.linspace(0, len(rows) - 1, min(_LINES, len(rows)), device=rows.device).long()]
        kinked, evaluations = _kinks(immersion, start[rows], end[rows])
    if bool(kinked.any()):
        warnings.warn(
            "the decoder is piecewise linear, or has kinks as one with ReLU or LeakyReLU activations: its derivative "
            "jumps between the points, and the geodesic equation, which knows second derivatives only, misses the "
            "bending that is in the jumps. Use MinimizeEnergy or GraphSearch, which look at distances of decoded "
            "points alone, or a decoder with a smooth activation (Softplus, SiLU, ELU)",
            PiecewiseLinearWarning,
            stacklevel=stacklevel + 1,
        )
    return evaluations


def _kinks(
    immersion: Immersion, start: Float[Tensor, "n d"], end: Float[Tensor, "n d"]
) -> tuple[Bool[Tensor, " k"], int]:
    """Jumps of the slope g = J(z) v, v = end - start, on the lines: true ones are kinks; and how many points it took.

    In a piece of width h the second difference |g(a) - 2 g((a + b)/2) + g(b)| is O(h²) where g is smooth, O(h) where
    its derivative jumps, and as large as the jump, whatever h, where g itself does. Each piece is halved again and
    again, on the side where the second difference is larger, until it holds one kink or nothing. (A jump of g' close
    to the end of a piece keeps its second difference for long, but that is no larger than h times a slope of g.)
    """
    foot, v = start.repeat(_PIECES, 1), (end - start).repeat(_PIECES, 1)
    left = (
        torch.arange(_PIECES, dtype=start.dtype, device=start.device).repeat_interleave(len(start)) / _PIECES
    )
    width = 1 / _PIECES
    evaluations = 0

    def slope(at: Tensor) -> Tensor:
        nonlocal evaluations
        evaluations += len(at)
        return immersion.pushforward(foot + at[:, None] * v, v[None])[:, 0]

    g = [slope(left + width * s) for s in (0, 0.5, 1)]
    eps = torch.finfo(start.dtype).eps
    if immersion.decoder is not None and immersion.decoder.output_dtype is not None:
        eps = max(eps, torch.finfo(immersion.decoder.output_dtype).eps)
    # halving ends before rounding moves the points: line by line, by the largest coordinate of its ends
    extent = v.abs().amax(dim=1) / torch.maximum(start.abs(), end.abs()).amax(dim=1).repeat(_PIECES)
    halvings = (extent * width / (_ROUNDINGS * eps)).log2().floor().clamp(0, _HALVINGS)
    jump = _second_difference(*g)
    slope_times_width = torch.maximum((g[1] - g[0]).norm(dim=1), (g[2] - g[1]).norm(dim=1))
    streak = torch.zeros_like(left)
    for level in range(int(halvings.max())):
        width, slope_times_width = width / 2, slope_times_width / 2
        first, third = slope(left + width / 2), slope(left + 1.5 * width)
        before, after = _second_difference(g[0], first, g[1]), _second_difference(g[1], third, g[2])
        right = after > before
        larger, smaller = torch.maximum(before, after), torch.minimum(before, after)
        rounding = _ROUNDINGS * eps * torch.stack([x.norm(dim=1) for x in g]).amax(dim=0)
        floor = torch.maximum(rounding, _STEEP * slope_times_width)
        seen = (larger > floor) & (larger > _STAYS * jump) & (smaller < _ALONE * larger)
        open_ = level < halvings
        streak = torch.where(open_, torch.where(seen, streak + 1, 0), streak)
        jump = larger
        left = torch.where(right, left + width, left)
        pick = right[:, None]
        g = [torch.where(pick, g[1], g[0]), torch.where(pick, third, first), torch.where(pick, g[2], g[1])]
    found = (streak >= _WITNESSES).nonzero()[:, 0]
    if not len(found):
        return found.bool(), evaluations
    beside = torch.cat([foot[found] + (left[found] + width * s)[:, None] * v[found] for s in (0, 1)])
    finite = immersion(beside).isfinite().all(dim=1).view(2, -1).all(dim=0)  # the border of a hole is no kink
    return finite, evaluations + len(beside)


def _second_difference(a: Tensor, middle: Tensor, b: Tensor) -> Tensor:
    return (a - 2 * middle + b).norm(dim=1)
