"""Principal components of points about their Riemannian mean."""

from __future__ import annotations

import warnings

import geoopt
import numpy as np
import torch
from jaxtyping import Float
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from latentgeo.geodesics import ConvergenceWarning, MinimizeEnergy, Solver
from latentgeo.geodesics.result import advice, failures_of
from latentgeo.metrics import Metric
from latentgeo.metrics.arguments import describe
from latentgeo.statistics.arrays import Array, check_event, like, points_of
from latentgeo.statistics.frechet_mean import frechet_mean
from latentgeo.statistics.space import Space, event_ndim, space_of
from latentgeo.statistics.without_graph import without_graph


class PrincipalGeodesicAnalysis(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Principal component analysis of the logarithms at the mean, in scikit-learn's conventions.

    With the Riemannian mean μ, u_i = Log_μ(x_i) and the inner product G = G(μ), the components are the tangent
    vectors that are orthonormal in G, cᵢᵀ G cⱼ = δᵢⱼ, and diagonalize the covariance S = Σ_i u_i u_iᵀ / (N - 1):

        S G c_k = λ_k c_k,   λ_1 >= λ_2 >= ...

    λ_k is the variance along c_k in squared ambient units. The geodesics Exp_μ(t c_k) are the principal ones to
    first order in the spread of the points; all is exact in flat space, where this is ``sklearn.decomposition.PCA``,
    and independent of the coordinates in any.

    Args:
        metric: the metric; or a ``geoopt.Manifold`` with closed forms, such as ``DiagonalNormal()``, of which the
            points then are (N, *event), for DiagonalNormal (N, 2, d).
        n_components: the number K of components, at most min(N, d), which it is if None.
        solver: the solver for geodesics of a metric; None for :class:`MinimizeEnergy` with its defaults.

    Attributes:
        mean_: (d,) the mean μ.
        components_: (K, d) the tangent vectors c_k; the entry of G^(1/2) c_k of largest magnitude is positive.
        explained_variance_: (K,) the variances λ_k.
        explained_variance_ratio_: (K,) their shares in the sum of all.
        singular_values_: (K,) sqrt((N - 1) λ_k).
        n_components_: the number K of components.
        n_samples_: the number N of points.
        n_features_in_: the number d of latent coordinates.

    References:
        P. T. Fletcher, C. Lu, S. M. Pizer, S. Joshi, "Principal geodesic analysis for the study of nonlinear
        statistics of shape", IEEE Trans. Med. Imaging 23, 2004, doi:10.1109/TMI.2004.831793.

    Example:
        >>> import torch
        >>> from latentgeo import EuclideanMetric, PrincipalGeodesicAnalysis
        >>> points = torch.tensor([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]])
        >>> fitted = PrincipalGeodesicAnalysis(EuclideanMetric(2), 1).fit(points)
        >>> fitted.components_, fitted.explained_variance_.round()
        (tensor([[0.6000, 0.8000]]), tensor([25.]))
    """

    mean_: Array
    components_: Array

    def __init__(
        self,
        metric: Metric | geoopt.Manifold,
        n_components: int | None = None,
        *,
        solver: Solver | None = None,
    ) -> None:
        self.metric = metric
        self.n_components = n_components
        self.solver = solver

    @without_graph
    def fit(self, X: Array, y: object = None) -> PrincipalGeodesicAnalysis:
        """Finds the mean and the components.

        Args:
            X: (N, d) latent points, a floating-point tensor or array, at least two.
            y: ignored.

        Returns:
            The estimator itself.

        Raises:
            TypeError: the metric is neither Metric nor geoopt.Manifold.
            ValueError: X is not (N, d), is not finite, or has fewer points than two or than components; the metric
                is singular at the mean.

        Warns:
            ConvergenceWarning: the mean or some geodesics did not converge, or a point is out of reach; such points
                do not count.
        """
        points = points_of(X, event_ndim(self.metric))
        event = points.shape[1:]
        space = self._space(event)
        if len(points) < 2:
            raise ValueError(
                f"X must hold at least 2 points, got {describe(points)}: n_samples = {len(points)}"
            )
        count = self._count(len(points), event.numel())
        mean = frechet_mean(self.metric, points, solver=self.solver).point.flatten()
        logs = _logarithms(space, mean, points.flatten(1))
        logs = logs[logs.isfinite().all(dim=1)]
        factor, failed = torch.linalg.cholesky_ex(space.matrix(mean))
        if bool(failed) or len(logs) < 2:
            raise ValueError(
                "the metric must be regular and finite at the mean, where components are orthonormal in it, and at "
                f"least 2 points within reach of it; {len(logs)} are within reach of {mean.tolist()}"
            )
        # Lᵀ maps tangents at the mean to vectors whose scalar product is that of G = L Lᵀ
        _, singular, axes = torch.linalg.svd(logs @ factor, full_matrices=False)
        axes = axes * axes.gather(1, axes.abs().argmax(dim=1, keepdim=True)).sign()
        variance = singular.square() / (len(logs) - 1)
        total = variance.sum()
        self._mean, self._axes, self._factor = mean, axes[:count], factor
        components = torch.linalg.solve_triangular(factor.mT, self._axes.mT, upper=True).mT
        self._components = components
        self.mean_ = like(mean.reshape(event), X)
        self.components_ = like(components.reshape(-1, *event), X)
        self.explained_variance_ = like(variance[:count], X)
        self.explained_variance_ratio_ = like((variance / torch.where(total > 0, total, 1))[:count], X)
        self.singular_values_ = like(singular[:count], X)
        self.n_components_ = len(components)
        self.n_samples_ = len(points)
        self.n_features_in_ = event.numel()
        self._event = event
        return self

    @without_graph
    def transform(self, X: Array) -> Array:
        """The coordinates (N, K) of Log_μ(x) in the components, c_kᵀ G Log_μ(x); NaN where x is out of reach.

        With all components their norm is the distance to the mean.

        Args:
            X: (N, d) latent points, a floating-point tensor or array.

        Raises:
            NotFittedError: before ``fit``.
            ValueError: X does not have the shape of ``fit``, or is not finite.

        Warns:
            ConvergenceWarning: some geodesics did not converge.
        """
        check_is_fitted(self, "components_")
        points = points_of(X, event_ndim(self.metric))
        check_event(points, self._event, self)
        space = self._space(self._event)
        logs = _logarithms(space, self._mean.to(points), points.flatten(1))
        return like(logs @ (self._factor @ self._axes.mT).to(logs), X)

    @without_graph
    def inverse_transform(self, X: Array) -> Array:
        """The points Exp_μ(Σ_k x_k c_k), (N, *event), for coordinates (N, K).

        Args:
            X: (N, K) coordinates in the components, a floating-point tensor or array.

        Raises:
            NotFittedError: before ``fit``.
            ValueError: X does not have K columns, or is not finite.

        Warns:
            ConvergenceWarning: a geodesic could not be followed to its end, which then is NaN.
        """
        check_is_fitted(self, "components_")
        coordinates = points_of(X, 1)
        if coordinates.shape[1] != self.n_components_:
            raise ValueError(
                f"X must have shape (N, {self.n_components_}), a column for each component, "
                f"got {describe(coordinates)}"
            )
        mean = self._mean.to(coordinates).expand(len(coordinates), -1)
        found = self._space(self._event).exponential(mean, coordinates @ self._components.to(coordinates))
        return like(found.reshape(-1, *self._event), X)

    @property
    def _n_features_out(self) -> int:
        return self.n_components_  # what get_feature_names_out names

    def _space(self, event: torch.Size) -> Space:
        return space_of(self.metric, self.solver, MinimizeEnergy(), event)

    def _count(self, points: int, coordinates: int) -> int:
        most = min(points, coordinates)
        if self.n_components is None:
            return most
        count = self.n_components
        if not isinstance(count, int | np.integer) or isinstance(count, bool) or not 1 <= count <= most:
            raise ValueError(
                f"n_components must be an integer from 1 to min(N, d) = {most}, or None, got {count!r}"
            )
        return int(count)


def _logarithms(
    space: Space, mean: Float[Tensor, " m"], points: Float[Tensor, "n m"]
) -> Float[Tensor, "n m"]:
    """The logarithms of points at the mean, NaN where out of reach; a warning of those that did not converge."""
    joined = space.join(mean.expand_as(points), points)
    failed = failures_of(joined.status)
    if failed:
        warnings.warn(
            f"{failed.total()} of {len(points)} geodesics from the mean did not converge. {advice(failed)}",
            ConvergenceWarning,
            stacklevel=4,  # past without_graph
        )
    logs = joined.logarithms()
    return torch.where(joined.length.isfinite()[:, None], logs, torch.nan)
