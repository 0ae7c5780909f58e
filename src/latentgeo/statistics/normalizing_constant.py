"""The normalizing constant of a locally adaptive normal distribution."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Constant:
    """Estimates of log C, one for each component.

    Attributes:
        log_value: log C.
        error: standard error of ``log_value``, as if the draws were independent; Sobol' points do better.
        effective: effective number of draws, as a share of all of them.
        shares: the self-normalized weights of the draws: expectations under the distribution are sums with them.
    """

    log_value: Float[Tensor, " k"]
    error: Float[Tensor, " k"]
    effective: Float[Tensor, " k"]
    shares: Float[Tensor, "k s"]


def normalizing_constant(log_weights: Float[Tensor, "k s"], log_control: Float[Tensor, "k s"]) -> Constant:
    """C = ∫ exp(-½ |Log_μ(z)|²_Γ) sqrt(det G(z)) dz by importance sampling in latent coordinates.

    With draws z_s ~ q, a_s = exp(-½ |Log_μ(z_s)|²_Γ) sqrt(det G(z_s)) / q(z_s) and b_s = N(z_s; μ, Γ⁻¹) / q(z_s), of
    which the mean is known to be 1,

        C ≈ mean a / (mean b)^λ,   λ = ρ² cov(a, b) mean b / (var(b) mean a),

    with ρ the correlation of a and b: of first order the regression on the control b, but positive, and less of it
    where b says little about a. Where the metric is flat in latent coordinates a and b are proportional, and C is
    exact.

    The papers write C = sqrt((2π)^d |Σ|) E_{v ~ N(0, Σ)} sqrt(det G(Exp_μ v)). The change of variables z = Exp_μ(v)
    has a Jacobian, and reaches points beyond the cut locus more than once; exact is

        C = sqrt((2π)^d |Σ|) E_{v ~ N(0, Σ)} [ sqrt(det G(Exp_μ v)) |det d(Exp_μ)_v| 1{v before the cut locus} ].

    On the unit sphere, in an orthonormal frame at μ, the product of the two roots is (sin r / r)^(d-1) for
    r = |v| < π, in curvature -1 it is (sinh r / r)^(d-1). Over v the expectation takes Jacobi fields, which grow
    exponentially along the geodesics of learned metrics, and shortest geodesics besides, to know the cut locus; over
    z it takes the geodesics alone, the same by which densities are evaluated.

    Args:
        log_weights: log a; -inf where the metric is not finite on the way.
        log_control: log b.

    References:
        G. Arvanitidis, L. K. Hansen, S. Hauberg, "A Locally Adaptive Normal Distribution", 2016, arXiv:1606.02518.
        X. Pennec, "Intrinsic statistics on Riemannian manifolds", J. Math. Imaging Vis. 25, 2006,
        doi:10.1007/s10851-006-6228-4. A. Owen, Y. Zhou, "Safe and effective importance sampling", JASA 95, 2000,
        for the control.
    """
    # in units of the largest, as exponentials of components that their draws miss vanish
    tops = [x.detach().amax(dim=1, keepdim=True) for x in (log_weights, log_control)]
    top_a, top_b = (torch.where(top.isfinite(), top, 0) for top in tops)
    a, b = (log_weights - top_a).exp(), (log_control - top_b).exp()
    mean_a, mean_b = a.mean(dim=1), b.mean(dim=1)
    # in units of the means, which may vanish where all of a distribution is far from the draws
    away_a, away_b = (x / _positive(x.mean(dim=1, keepdim=True)) - 1 for x in (a, b))
    variances = away_a.square().mean(dim=1), away_b.square().mean(dim=1)
    covariance = (away_a * away_b).mean(dim=1)
    share = covariance**3 / _positive(variances[0] * variances[1] ** 2)
    log_control_mean = top_b[:, 0] + _positive(mean_b).log()
    left = (away_a - share[:, None] * away_b).square().mean(dim=1)
    return Constant(
        top_a[:, 0] + mean_a.log() - share * log_control_mean,
        (left / a.shape[1]).sqrt().detach(),
        1 / (1 + variances[0]),
        a / _positive(a.sum(dim=1, keepdim=True)),
    )


def _positive(x: Tensor) -> Tensor:
    """One where zero."""
    return torch.where(x > 0, x, 1)
