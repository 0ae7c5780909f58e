"""Geodesics from a point and a velocity: the geodesic equation as an initial value problem."""

from __future__ import annotations

import warnings

import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.geodesics.flow import follow
from latentgeo.geodesics.rectified import warn_if_piecewise_linear
from latentgeo.geodesics.result import ConvergenceWarning
from latentgeo.geometry import geodesic_acceleration
from latentgeo.metrics import Metric
from latentgeo.metrics.arguments import check_count, check_precision, check_tangent, describe
from latentgeo.metrics.metric import check_metric


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
        TypeError: z or v is not a tensor of float32 or float64.
        ValueError: v does not have the coordinates of z, t is not a vector of finite times, or an option is not
            positive.

    Warns:
        ConvergenceWarning: once for the batch, if a geodesic needed more steps, or met a metric that is not finite.
        PiecewiseLinearWarning: if the decoder has kinks between z and z + v.

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
    check_precision("z", z)
    if torch.is_inference_mode_enabled() or z.is_inference() or v.is_inference():
        with torch.inference_mode(False), torch.no_grad():
            return expmap(metric, z.clone(), v.clone(), t=t, num_steps=num_steps, rtol=rtol, atol=atol)
    check_count("num_steps", num_steps)
    if rtol is None:
        rtol = 1e-5 if z.dtype == torch.float32 else 1e-8
    atol = rtol if atol is None else atol
    if not (rtol > 0 and atol > 0):
        raise ValueError(f"rtol and atol must be positive, got {rtol!r} and {atol!r}")
    times = torch.ones(1, dtype=z.dtype, device=z.device) if t is None else t
    if not isinstance(times, Tensor) or times.ndim != 1:
        raise ValueError(f"t must be a vector of times (M,), got {describe(times)}")
    lost = times[~times.isfinite()]
    if len(lost):
        raise ValueError(f"t must be finite, got {float(lost[0])}")
    times = times.to(z)
    shape = torch.broadcast_shapes(z.shape, v.shape)
    flat, velocity = (a.expand(shape).reshape(-1, shape[-1]) for a in (z, v))

    warn_if_piecewise_linear(metric, flat, flat + velocity, stacklevel=3)
    path = flat.new_full((flat.shape[0], len(times), flat.shape[1]), torch.nan)
    for sign, chosen in ((1.0, times >= 0), (-1.0, times < 0)):
        if bool(chosen.any()):
            some, _ = follow(
                lambda x, u: geodesic_acceleration(metric, x, u),
                flat[:, None],
                sign * velocity[:, None],
                sign * times[chosen],
                num_steps=num_steps,
                rtol=rtol,
                atol=atol,
            )
            path = path.index_copy(1, chosen.nonzero()[:, 0], some[:, :, 0])
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
