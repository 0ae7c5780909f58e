"""The geodesic flow: second-order equations for a batch of points and velocities, each row with its own steps."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

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

Acceleration = Callable[[Tensor, Tensor], Tensor]


def follow(
    acceleration: Acceleration,
    z: Float[Tensor, "n k d"],
    v: Float[Tensor, "n k d"],
    times: Float[Tensor, " m"],
    *,
    num_steps: int,
    rtol: float,
    atol: float | Float[Tensor, " n"],
    first_step: float = _FIRST_STEP,
) -> tuple[Float[Tensor, "n m k d"], Float[Tensor, "n k d"]]:
    """Solves z'' = a(z, z') by the pair of Dormand and Prince of order 5(4), every row with its own steps.

    The k companions of a row take the same steps, so that differences between neighbouring ones are those of a
    smooth map and make its derivative. In between steps: the quintic through position, velocity and acceleration
    at both ends of a step.

    Args:
        acceleration: a, of positions and velocities (N, d).
        z: positions at time 0.
        v: velocities at time 0.
        times: non-negative times at which positions are wanted; the last of them ends the flow.
        num_steps: the largest number of steps, taken or rejected, of a row.
        rtol: error of a step relative to position and velocity.
        atol: absolute error of a step; for every row, or for each its own.
        first_step: the first step that is tried, as a share of the whole time.

    Returns:
        Positions at the times, and velocities at the end; NaN from where a row was lost. Differentiable.

    References:
        J. R. Dormand, P. J. Prince, "A family of embedded Runge-Kutta formulae", J. Comp. Appl. Math. 6(1), 1980.
        H. G. Bock, "Recent advances in parameter identification techniques for ODE", 1983, for the derivative of a
        flow by differences along the same steps.
    """
    horizon = times.max()
    atol = torch.as_tensor(atol, dtype=z.dtype, device=z.device).expand(len(z))
    slopes = _slopes(acceleration)
    state = torch.cat([z, v], dim=2)
    (slope,) = _without_lost_rows(lambda y: (slopes(y),), state)
    now = torch.zeros_like(z[:, 0, 0])
    begun = slope.flatten(1).isfinite().all(dim=1)  # others are lost where they are
    step = torch.where(begun, first_step * horizon, 0)
    path = torch.where(times[:, None, None] == 0, z[:, None], torch.nan)
    for _ in range(num_steps):
        under_way = (now < horizon) & (step > _SMALLEST_STEP * horizon)
        rows = under_way.nonzero()[:, 0]
        if not len(rows):
            break
        y, k1, t0 = state[rows], slope[rows], now[rows]
        h = torch.minimum(step[rows], horizon - t0)
        y1, k7, error = _without_lost_rows(functools.partial(_dormand_prince, slopes), y, k1, h)
        scale = atol[rows, None, None] + rtol * torch.maximum(y.detach().abs(), y1.detach().abs())
        ratio = (error.detach() / scale).square().mean(dim=(1, 2)).sqrt()
        taken = ratio <= 1  # false where not finite
        factor = torch.where(ratio.isfinite(), (0.9 * ratio.clamp_min(1e-10) ** -0.2).clamp(0.2, 5.0), 0.2)
        t1 = t0 + h
        t1 = torch.where(h >= horizon - t0, horizon, t1)
        inside = taken[:, None] & (times > t0[:, None]) & (times <= t1[:, None])
        if bool(inside.any()):
            between = _quintic(y, k1, y1, k7, h, (times - t0[:, None]) / h[:, None])
            path = path.index_put((rows,), torch.where(inside[..., None, None], between, path[rows]))
        keep = taken[:, None, None]
        state = state.index_put((rows,), torch.where(keep, y1, y))
        slope = slope.index_put((rows,), torch.where(keep, k7, k1))
        now = now.index_put((rows,), torch.where(taken, t1, t0))
        step = step.index_put((rows,), h * factor)
    arrived = (now >= horizon)[:, None, None]
    return path, torch.where(arrived, state[..., z.shape[2] :], torch.nan)


def _slopes(acceleration: Acceleration) -> Callable[[Tensor], Tensor]:
    """The derivative (v, a(z, v)) of states (z, v) of shape (n, k, 2d)."""

    def slopes(state: Tensor) -> Tensor:
        z, v = state.chunk(2, dim=2)
        d = z.shape[2]
        return torch.cat([v, acceleration(z.reshape(-1, d), v.reshape(-1, d)).reshape(z.shape)], dim=2)

    return slopes


def _without_lost_rows(function: Callable[..., tuple[Tensor, ...]], *rows: Tensor) -> tuple[Tensor, ...]:
    """The function of rows, where one that is not finite takes no part in the derivatives of its mates.

    A step into where the metric is not finite is rejected, and zero times its derivative would be NaN for the
    parameters, which all rows share.
    """
    values = function(*rows)
    if not torch.is_grad_enabled():
        return values
    finite = torch.stack([x.flatten(1).isfinite().all(dim=1) for x in values]).all(dim=0)
    if bool(finite.all()):
        return values
    lost = tuple(torch.full_like(x, torch.nan) for x in values)
    if not bool(finite.any()):
        return lost
    again = function(*(x[finite] for x in rows))
    return tuple(x.index_put((finite,), y) for x, y in zip(lost, again, strict=True))


def _dormand_prince(
    slopes: Callable[[Tensor], Tensor], y: Tensor, k1: Tensor, h: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """One step: the new state, its derivative, and the estimated error."""
    stages, at, width = [k1], y, h[:, None, None]
    for row in _STAGES:
        at = y + width * sum(weight * k for weight, k in zip(row, stages, strict=True))
        stages.append(slopes(at))
    error = width * sum(weight * k for weight, k in zip(_ERROR, stages, strict=True))
    return at, stages[-1], error


def _quintic(y0: Tensor, k0: Tensor, y1: Tensor, k1: Tensor, h: Tensor, s: Tensor) -> Tensor:
    """The quintic with positions, velocities and accelerations of both ends of a step, at shares s (n, m) of it."""
    d = y0.shape[2] // 2
    h = h[:, None, None]
    p0, v0, a0 = y0[..., :d], h * y0[..., d:], h**2 * k0[..., d:]
    p1, v1, a1 = y1[..., :d], h * y1[..., d:], h**2 * k1[..., d:]
    # p0 + s v0 + s²/2 a0 + s³ (c0 + c1 (s - 1) + c2 (s - 1)²) meets position, velocity and acceleration at s = 1
    c0 = p1 - p0 - v0 - a0 / 2
    c1 = v1 - v0 - a0 - 3 * c0
    c2 = (a1 - a0 - 6 * c0 - 6 * c1) / 2
    p0, v0, a0, c0, c1, c2 = (x[:, None] for x in (p0, v0, a0, c0, c1, c2))
    s = s[..., None, None]
    return p0 + s * v0 + s**2 / 2 * a0 + s**3 * (c0 + c1 * (s - 1) + c2 * (s - 1) ** 2)
