"""The locally adaptive normal distribution."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor

from latentgeo.geodesics import Solver
from latentgeo.metrics import Metric
from latentgeo.statistics.arrays import Array
from latentgeo.statistics.land_estimator import LandEstimator
from latentgeo.statistics.land_likelihood import Parameters
from latentgeo.statistics.normalizing_constant import Constant


class LocallyAdaptiveNormal(LandEstimator):
    """The normal distribution of a learned metric (LAND), fitted by maximum likelihood.

    With respect to the Riemannian volume dM = sqrt(det G(z)) dz its density is

        p(z) = exp(-½ Log_μ(z)ᵀ Σ⁻¹ Log_μ(z)) / C,    C = ∫ exp(-½ Log_μ(z)ᵀ Σ⁻¹ Log_μ(z)) sqrt(det G(z)) dz,

    where the logarithm Log_μ(z) is the velocity at μ of the shortest geodesic to z: densities fall along curves
    that follow the data. The published constant lacks the Jacobian of the exponential map; here the density
    integrates to one as it is scored, and C is estimated by importance sampling in latent coordinates, exactly where
    the metric is flat in them.

    Geodesics are solved in batches, from the start at the medoid of the data and at a few feet from there; in between
    their logarithms are taken linear. The same draws make the constant of all feet, so that a fit with a
    ``random_state`` is deterministic. A fit takes some twenty times as long as the logarithms of its points.

    With respect to Lebesgue measure the density has the factor sqrt(det G), which is small where data make a metric
    cheap, as :class:`LocalPCAMetric` does.

    Args:
        metric: the metric.
        n_samples: the number of draws for the constant, from which μ and Σ have about the noise of as many data.
        max_iter: the largest number of steps.
        tol: the fit ends when a step adds less to the mean log-likelihood.
        reg_covar: added to the diagonal of the covariance.
        solver: for geodesics; None for ``MinimizeEnergy(num_segments=16, tol=1e-2)``.
        random_state: seed or ``numpy.random.RandomState`` of the draws.
        progress: show a bar over the steps.

    Attributes:
        mean_: (d,) μ.
        covariance_: (d, d) Σ, in latent coordinates of the tangent space at μ: where G(μ) = I, in ambient units.
        log_constant_: log C.
        log_constant_error_: standard error of ``log_constant_``, as if the draws were independent; they are
            Sobol' points, and it is rather less.
        effective_samples_: the effective number of draws.
        lower_bound_: the mean log-likelihood of the data with respect to Lebesgue measure.
        lower_bounds_: that after each step, by the draws of the fit.
        n_iter_: the number of steps, taken or not.
        converged_: whether they came to an end.
        n_features_in_: the number d of latent coordinates.

    References:
        G. Arvanitidis, L. K. Hansen, S. Hauberg, "A Locally Adaptive Normal Distribution", NIPS 2016,
        arXiv:1606.02518. X. Pennec, "Intrinsic statistics on Riemannian manifolds", J. Math. Imaging Vis. 25, 2006,
        doi:10.1007/s10851-006-6228-4.

    Example:
        >>> import torch
        >>> from latentgeo import EuclideanMetric, LocallyAdaptiveNormal
        >>> points = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]])
        >>> fitted = LocallyAdaptiveNormal(EuclideanMetric(2), random_state=0).fit(points)
        >>> print(f"{fitted.mean_[0]:.2f}, {fitted.covariance_[0, 0]:.2f}")
        1.00, 1.00
    """

    mean_: Array
    covariance_: Array

    def __init__(
        self,
        metric: Metric,
        *,
        n_samples: int = 512,
        max_iter: int = 30,
        tol: float = 1e-3,
        reg_covar: float = 1e-6,
        solver: Solver | None = None,
        random_state: int | np.random.RandomState | None = None,
        progress: bool = False,
    ) -> None:
        self.metric = metric
        self.n_samples = n_samples
        self.max_iter = max_iter
        self.tol = tol
        self.reg_covar = reg_covar
        self.solver = solver
        self.random_state = random_state
        self.progress = progress

    def _leave(
        self, parameters: Parameters, constant: Constant, like_data: Callable[[Tensor], Array]
    ) -> None:
        self.mean_ = like_data(parameters.feet[0])
        self.covariance_ = like_data(parameters.covariances[0])
        self.log_constant_ = float(constant.log_value[0])
        self.log_constant_error_ = float(constant.error[0])
        self.effective_samples_ = float(constant.effective[0]) * self.n_samples
