"""Mixtures of locally adaptive normal distributions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from latentgeo.geodesics import Solver
from latentgeo.metrics import Metric
from latentgeo.statistics.arrays import Array, like
from latentgeo.statistics.land_estimator import LandEstimator
from latentgeo.statistics.land_likelihood import Parameters, responsibilities
from latentgeo.statistics.normalizing_constant import Constant


class LocallyAdaptiveNormalMixture(LandEstimator):
    """A mixture Σ_k π_k p_k of locally adaptive normals, fitted by expectation and maximization.

    The components are those of :class:`LocallyAdaptiveNormal`. They begin at medoids of the data, by shortest paths
    through a graph of nearest neighbours, as k-means with geodesic distances would but without its geodesics.

    Args:
        metric: the metric.
        n_components: the number K of components.
        n_init: how many times to start; the result of the greatest likelihood is kept.
        n_samples: the number of draws for the constant of each component.
        max_iter: the largest number of steps of one start.
        tol: the fit ends when a step adds less to the mean log-likelihood.
        reg_covar: added to the diagonals of the covariances.
        solver: for geodesics; None for ``MinimizeEnergy(num_segments=16, tol=1e-2)``.
        random_state: seed or ``numpy.random.RandomState`` of starts and draws.
        progress: show a bar over the steps of all starts.

    Attributes:
        weights_: (K,) π.
        means_: (K, d) μ.
        covariances_: (K, d, d) Σ, each in latent coordinates of the tangent space at its mean.
        log_constants_: (K,) log C.
        log_constant_errors_: (K,) their standard errors, as if the draws were independent; they are Sobol' points.
        effective_samples_: (K,) the effective numbers of draws.
        lower_bound_: the mean log-likelihood of the data with respect to Lebesgue measure.
        lower_bounds_: that after each step, by the draws of the fit; it grows but where they had to be drawn anew.
        n_iter_: the number of steps, taken or not, of the start that was kept.
        converged_: whether they came to an end.
        n_features_in_: the number d of latent coordinates.

    References:
        G. Arvanitidis, L. K. Hansen, S. Hauberg, "A Locally Adaptive Normal Distribution", NIPS 2016,
        arXiv:1606.02518, section 3.2. A. P. Dempster, N. M. Laird, D. B. Rubin, "Maximum likelihood from incomplete
        data via the EM algorithm", J. R. Stat. Soc. B 39, 1977.

    Example:
        >>> import torch
        >>> from latentgeo import EuclideanMetric, LocallyAdaptiveNormalMixture
        >>> square = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]])
        >>> points = torch.cat([square, square + 10])
        >>> fitted = LocallyAdaptiveNormalMixture(EuclideanMetric(2), 2, random_state=0).fit(points)
        >>> labels = fitted.predict(points)
        >>> bool((labels[:4] == labels[0]).all() and (labels[4:] == 1 - labels[0]).all())
        True
    """

    weights_: Array
    means_: Array
    covariances_: Array

    def __init__(
        self,
        metric: Metric,
        n_components: int = 1,
        *,
        n_init: int = 1,
        n_samples: int = 512,
        max_iter: int = 50,
        tol: float = 1e-3,
        reg_covar: float = 1e-6,
        solver: Solver | None = None,
        random_state: int | np.random.RandomState | None = None,
        progress: bool = False,
    ) -> None:
        self.metric = metric
        self.n_components = n_components
        self.n_init = n_init
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
        self.weights_ = like_data(parameters.weights)
        self.means_ = like_data(parameters.feet)
        self.covariances_ = like_data(parameters.covariances)
        self.log_constants_ = like_data(constant.log_value)
        self.log_constant_errors_ = like_data(constant.error)
        self.effective_samples_ = like_data(constant.effective * self.n_samples)

    def predict_proba(self, X: Array) -> Array:
        """The responsibilities (N, K) of the components; zeros at points that no geodesic reaches.

        Raises and warns like :meth:`score_samples`.
        """
        points, joint = self._joint(X)
        return like(responsibilities(joint).T.to(points), X)

    def predict(self, X: Array) -> Array:
        """The most probable component (N,) of each point; -1 at points that no geodesic reaches.

        Raises and warns like :meth:`score_samples`.
        """
        _, joint = self._joint(X)
        largest, labels = joint.max(dim=0)
        return like(torch.where(largest.isfinite(), labels, -1), X)

    def fit_predict(self, X: Array, y: object = None, sample_weight: Array | None = None) -> Array:
        """The most probable component (N,) of each point of the data fitted.

        Arguments are those of :meth:`fit`, and it raises and warns like it.
        """
        return self.fit(X, sample_weight=sample_weight).predict(X)
