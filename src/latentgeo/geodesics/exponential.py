"""Geodesics from a point and a velocity: the geodesic equation as an initial value problem."""

from __future__ import annotations

import warnings

import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.geodesics.result import ConvergenceWarning
from latentgeo.geometry import geodesic_acceleration
from latentgeo.metrics import Metric
from latentgeo.metrics.arguments import check_tangent, describe
from latentgeo.metrics.metric import check_metric

# Dormand and Prince 1980, 5(4): stages, and the difference of the two solutions for the error.
_STAGES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
_ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
_FIRST_STEP = 0.05
_SMALLEST_STEP = 1e-9


def expmap(
    metric: Metric,
    z: Float[Tensor, "*#batch d"],
    v: Float[Tensor, "*#batch d"],
    *,
    t: Float[Tensor, " m"] | None = None,
    num_steps: int = 1000,
    rtol: float | None = None,
    atol: float | None = None,
) -> Tensor:
    """The exponential map Exp_z(v): where the geodesic from z with velocity v arrives at time 1.

    Solves γ'' = -Γ(γ', γ'), γ(0) = z, γ'(0) = v by the pair of Dormand and Prince of order 5(4), every geodesic with
    its own steps; in between, the quintic through position, velocity and acceleration at both ends of a step.

    Args:
        metric: the metric G, twice differentiable; that of a ReLU decoder is flat almost everywhere, so that its
            geodesics come out straight here.
        z: (..., d) foot points.
        v: (..., d) velocities, in latent units.
        t: (M,) times at which the geodesic is wanted, of either sign; None for time 1 alone.
        num_steps: the largest number of steps, taken or rejected, of one geodesic.
        rtol: error of a step relative to position and velocity; None for 1e-5 in float32 and 1e-8 in float64.
        atol: absolute error of a step in latent units; None for ``rtol``.

    Returns:
        (..., d) points, or (..., M, d) with ``t``; differentiable in z, v and the parameters of the metric. NaN
        where a geodesic could not be followed so far.

    Raises:
        TypeError: z or v is not a floating-point tensor.
        ValueError: v does not have the coordinates of z, t is not a vector, or an option is not positive.

    Warns:
        ConvergenceWarning: once for the batch, if a geodesic needed more steps, or met a metric that is not finite.

    References:
        J. R. Dormand, P. J. Prince, "A family of embedded Runge-Kutta formulae", J. Comp. Appl. Math. 6(1), 1980.

    Example:
        >>> import torch
        >>> from latentgeo import EuclideanMetric, expmap
        >>> expmap(EuclideanMetric(2), torch.zeros(2), torch.tensor([3.0, 4.0]))
        tensor([3., 4.])
    """
    check_metric(metric)
    check_tangent(z, "v", v)
    if torch.is_inference_mode_enabled() or z.is_inference() or v.is_inference():
        with torch.inference_mode(False), torch.no_grad():
            return expmap(metric, z.clone(), v.clone(), t=t, num_steps=num_steps, rtol=rtol, atol=atol)
    if not isinstance(num_steps, int) or num_steps < 1:
        raise ValueError(f"num_steps must be a positive integer, got {num_steps!r}")
    if rtol is None:
        rtol = 1e-5 if z.dtype == torch.float32 else max(1e-8, 10 * torch.finfo(z.dtype).eps)
    atol = rtol if atol is None else atol
    if not (rtol > 0 and atol > 0):
        raise ValueError(f"rtol and atol must be positive, got {rtol!r} and {atol!r}")
    times = torch.ones(1, dtype=z.dtype, device=z.device) if t is None else t
    if not isinstance(times, Tensor) or times.ndim != 1:
        raise ValueError(f"t must be a vector of times (M,), got {describe(times)}")
    times = times.to(z)
    shape = torch.broadcast_shapes(z.shape, v.shape)
    flat, velocity = (a.expand(shape).reshape(-1, shape[-1]) for a in (z, v))

    path = flat.new_zeros(flat.shape[0], len(times), flat.shape[1])
    for sign, chosen in ((1.0, times >= 0), (-1.0, times < 0)):
        if bool(chosen.any()):
            some = _integrate(metric, flat, sign * velocity, sign * times[chosen], num_steps, rtol, atol)
            path = path.index_copy(1, chosen.nonzero()[:, 0], some)
    failed = int(path.isnan().any(dim=2).any(dim=1).sum())
    if failed:
        warnings.warn(
            f"{failed} of {len(path)} geodesics could not be followed to the end, which is NaN: either num_steps="
            f"{num_steps} is too small, or the metric is singular or not finite on the way; try a shorter velocity",
            ConvergenceWarning,
            stacklevel=2,
        )
    path = path.reshape(*shape[:-1], len(times), shape[-1])
    return path[..., 0, :] if t is None else path


def _integrate(
    metric: Metric, z: Tensor, v: Tensor, times: Tensor, num_steps: int, rtol: float, atol: float
) -> Tensor:
    """Positions (n, m, d) at non-negative times; NaN from where a geodesic was lost."""
    horizon = times.max()
    state = torch.cat([z, v], dim=1)
    slope = torch.cat([v, geodesic_acceleration(metric, z, v)], dim=1)
    now = torch.zeros_like(z[:, 0])
    step = torch.full_like(now, _FIRST_STEP) * horizon
    path = torch.where(times[:, None] == 0, z[:, None], torch.nan)
    for _ in range(num_steps):
        under_way = (now < horizon) & (step > _SMALLEST_STEP * horizon)
        rows = under_way.nonzero()[:, 0]
        if not len(rows):
            break
        y, k1, t0 = state[rows], slope[rows], now[rows]
        h = torch.minimum(step[rows], horizon - t0)
        y1, k7, error = _dormand_prince(metric, y, k1, h)
        scale = atol + rtol * torch.maximum(y.detach().abs(), y1.detach().abs())
        ratio = (error.detach() / scale).square().mean(dim=1).sqrt()
        taken = ratio <= 1  # false where not finite
        factor = torch.where(ratio.isfinite(), (0.9 * ratio.clamp_min(1e-10) ** -0.2).clamp(0.2, 5.0), 0.2)
        t1 = t0 + h
        t1 = torch.where(h >= horizon - t0, horizon, t1)
        inside = taken[:, None] & (times > t0[:, None]) & (times <= t1[:, None])
        if bool(inside.any()):
            between = _quintic(y, k1, y1, k7, h, ((times - t0[:, None]) / h[:, None])[..., None])
            path = path.index_put((rows,), torch.where(inside[..., None], between, path[rows]))
        keep = taken[:, None]
        state = state.index_put((rows,), torch.where(keep, y1, y))
        slope = slope.index_put((rows,), torch.where(keep, k7, k1))
        now = now.index_put((rows,), torch.where(taken, t1, t0))
        step = step.index_put((rows,), h * factor)
    return path


def _dormand_prince(metric: Metric, y: Tensor, k1: Tensor, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One step: the new state, its derivative, and the estimated error."""
    d = y.shape[1] // 2
    stages = [k1]
    at = y
    for row in _STAGES:
        at = y + h[:, None] * sum(weight * k for weight, k in zip(row, stages, strict=True))
        position, velocity = at[:, :d], at[:, d:]
        stages.append(torch.cat([velocity, geodesic_acceleration(metric, position, velocity)], dim=1))
    error = h[:, None] * sum(weight * k for weight, k in zip(_ERROR, stages, strict=True))
    return at, stages[-1], error


def _quintic(y0: Tensor, k0: Tensor, y1: Tensor, k1: Tensor, h: Tensor, s: Tensor) -> Tensor:
    """The quintic with the positions, velocities and accelerations of both ends of a step, at shares s (n, m, 1)."""
    d = y0.shape[1] // 2
    h = h[:, None]
    p0, v0, a0 = y0[:, :d], h * y0[:, d:], h**2 * k0[:, d:]
    p1, v1, a1 = y1[:, :d], h * y1[:, d:], h**2 * k1[:, d:]
    # p0 + s v0 + s²/2 a0 + s³ (c0 + c1 (s - 1) + c2 (s - 1)²) meets position, velocity and acceleration at s = 1
    c0 = p1 - p0 - v0 - a0 / 2
    c1 = v1 - v0 - a0 - 3 * c0
    c2 = (a1 - a0 - 6 * c0 - 6 * c1) / 2
    p0, v0, a0, c0, c1, c2 = (x[:, None] for x in (p0, v0, a0, c0, c1, c2))
    return p0 + s * v0 + s**2 / 2 * a0 + s**3 * (c0 + c1 * (s - 1) + c2 * (s - 1) ** 2)
