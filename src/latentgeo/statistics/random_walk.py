"""Random walks on a latent space, Brownian motion among them."""

from __future__ import annotations

import math
import numbers
import warnings
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from tqdm.auto import tqdm

from latentgeo.geodesics import ConvergenceWarning
from latentgeo.geometry import geodesic_acceleration
from latentgeo.metrics import Metric
from latentgeo.metrics.arguments import check_points, describe
from latentgeo.metrics.metric import check_metric

Kind = Literal["brownian", "inverse-metric", "euclidean"]


@torch.no_grad()
def random_walk(
    metric: Metric,
    start: Float[Tensor, "*batch d"],
    num_steps: int,
    step_size: float,
    *,
    kind: Kind = "brownian",
    generator: torch.Generator | None = None,
    progress: bool = False,
) -> Float[Tensor, "steps *batch d"]:
    """Random walks from latent points, of which one step takes the time s² for s = ``step_size``.

    A step draws v and goes from z to

        "brownian":        z + v - 1/2 Γ(v, v),   v ~ N(0, s² G(z)⁻¹)
        "inverse-metric":  z + v,                 v ~ N(0, s² G(z)⁻¹)
        "euclidean":       z + v,                 v ~ N(0, s² I)

    The first becomes Brownian motion as s -> 0, the diffusion whose generator is half the Laplace-Beltrami operator,
    1/2 Δf = 1/2 |G|^(-1/2) ∂_i(|G|^(1/2) Gⁱʲ ∂_j f). In coordinates that is dz = b dt + G^(-1/2) dB, with the drift
    bⁱ = 1/2 |G|^(-1/2) ∂_j(|G|^(1/2) Gⁱʲ) = -1/2 Gʲᵏ Γⁱ_jk, which is the mean of -1/2 Γ(v, v) in a unit of time: the
    parabola that a geodesic from z with velocity v is to second order carries the drift by itself, for one second
    directional derivative, where b needs d of them. Expectations of functions at a fixed time are in error by
    O(s²), as they are with b, or with geodesics in place of parabolas. It is the same motion in all coordinates, and
    spends time where the Riemannian volume is. The second kind has no drift: it depends on the coordinates and
    stays longer where G is large.

    Nothing here is differentiable.

    Args:
        metric: the metric G; "euclidean" takes it only to be like the others.
        start: (..., d) where each walker starts.
        num_steps: how many steps each takes.
        step_size: s, in ambient units, and in latent units for "euclidean": the standard deviation of a step in
            every direction.
        kind: which of the three.
        generator: of the draws, on the device of ``start`` or on the CPU; None takes torch's global one.
        progress: show a bar over the steps.

    Returns:
        (num_steps + 1, ..., d) the walks, ``start`` first.

    Raises:
        TypeError: start is not a floating-point tensor, or the metric not a Metric.
        ValueError: start is not finite, ``kind`` is not one of the three, or a number is out of range.

    Warns:
        ConvergenceWarning: once, if walkers were led to where G is singular or not finite, and stay where they last
            were. Where G is nearly singular steps are as long as G⁻¹ makes them.

    References:
        E. P. Hsu, "Stochastic Analysis on Manifolds", 2002, chapter 3. S. Schwarz, M. Herrmann, A. Sturm,
        M. Wardetzky, "Efficient random walks on Riemannian manifolds", Found. Comput. Math., 2023, arXiv:2202.00959,
        for steps of second order. Arvanitidis, Hansen, Hauberg 2018, arXiv:1710.11379, for "inverse-metric".

    Example:
        >>> import torch
        >>> from latentgeo import EuclideanMetric, random_walk
        >>> walks = random_walk(EuclideanMetric(2), torch.zeros(500, 2), 100, 0.1)
        >>> walks.shape
        torch.Size([101, 500, 2])
        >>> 0.8 < walks[-1].var() < 1.2  # time 100 · 0.1²
        tensor(True)
    """
    check_metric(metric)
    check_points("start", start)
    _check_options(start, num_steps, step_size, kind)
    if torch.is_inference_mode_enabled() or start.is_inference():
        with torch.inference_mode(False):  # derivatives need tensors that record versions
            return random_walk(
                metric, start.clone(), num_steps, step_size, kind=kind, generator=generator, progress=progress
            )
    source = start.device if generator is None else generator.device
    z = start.detach().reshape(-1, start.shape[-1])
    walks = z.new_empty(num_steps + 1, *z.shape)
    walks[0] = z
    factor, walking = _cholesky(metric, z, kind)
    for k in tqdm(range(num_steps), unit="step", disable=not progress):
        noise = torch.randn(z.shape, generator=generator, dtype=z.dtype, device=source).to(z.device)
        v = torch.linalg.solve_triangular(factor.mT, step_size * noise[:, :, None], upper=True)[:, :, 0]
        arrival = z + v + geodesic_acceleration(metric, z, v) / 2 if kind == "brownian" else z + v
        walking = walking & arrival.isfinite().all(dim=1)
        arrival = torch.where(walking[:, None], arrival, z)
        ahead, regular = _cholesky(metric, arrival, kind)
        walking = walking & regular
        z = torch.where(walking[:, None], arrival, z)
        factor = torch.where(walking[:, None, None], ahead, factor)
        walks[k + 1] = z
    stopped = int((~walking).sum())
    if stopped:
        warnings.warn(
            f"{stopped} of {len(walking)} walkers were led to where the metric is singular or not finite, and stay "
            "where they last were; look at the decoder there, or take a smaller step_size",
            ConvergenceWarning,
            stacklevel=3,  # past torch.no_grad
        )
    return walks.reshape(num_steps + 1, *start.shape)


def _cholesky(
    metric: Metric, z: Float[Tensor, "n d"], kind: Kind
) -> tuple[Float[Tensor, "n d d"], Bool[Tensor, " n"]]:
    """L with G = L Lᵀ, so that L⁻ᵀ makes N(0, G⁻¹) of N(0, I), and where there is one; the identity elsewhere.

    There is no ridge, which would invent directions to walk in.
    """
    identity = torch.eye(z.shape[1], dtype=z.dtype, device=z.device).expand(*z.shape, -1)
    if kind == "euclidean":
        return identity, torch.ones_like(z[:, 0], dtype=torch.bool)
    factor, failed = torch.linalg.cholesky_ex(metric(z))
    regular = (failed == 0) & factor.isfinite().flatten(1).all(dim=1)
    return torch.where(regular[:, None, None], factor, identity), regular


def _check_options(start: Tensor, num_steps: int, step_size: float, kind: str) -> None:
    if not bool(start.isfinite().all()):
        raise ValueError(f"start must be finite, but holds NaN or infinity, in {describe(start)}")
    if not isinstance(num_steps, numbers.Integral) or isinstance(num_steps, bool) or num_steps < 0:
        raise ValueError(f"num_steps must be a non-negative integer, got {num_steps!r}")
    if not isinstance(step_size, numbers.Real) or isinstance(step_size, bool) or not 0 < step_size < math.inf:
        raise ValueError(f"step_size must be a positive number, got {step_size!r}")
    if kind not in get_args(Kind):
        raise ValueError(f"kind must be one of {', '.join(map(repr, get_args(Kind)))}, got {kind!r}")
