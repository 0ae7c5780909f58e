"""What the estimators of one and of several locally adaptive normals share."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable
from typing import Literal, TypeVar

import numpy as np
import torch
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor
from tqdm.auto import tqdm

from latentgeo.geodesics import ConvergenceWarning, MinimizeEnergy, Solver
from latentgeo.geodesics.options import check_counts
from latentgeo.geodesics.solve import solver_or_default
from latentgeo.geometry import log_volume_element
from latentgeo.metrics import Metric
from latentgeo.metrics.arguments import check_count
from latentgeo.metrics.metric import check_metric
from latentgeo.statistics.arrays import Array, check_event, like, points_of, weights_of
from latentgeo.statistics.land_density import LandDensity, failures, joint_of
from latentgeo.statistics.land_fit import LandFit
from latentgeo.statistics.land_likelihood import Parameters
from latentgeo.statistics.medoids import medoids
from latentgeo.statistics.normalizing_constant import Constant
from latentgeo.statistics.space import LatentSpace

# Logarithms by the derivative of the energy are no better with a smaller residual.
_DEFAULT_SOLVER = MinimizeEnergy(num_segments=16, tol=1e-2)
_SEEDS = 2**31 - 2

Measure = Literal["lebesgue", "riemannian"]
E = TypeVar("E", bound="LandEstimator")


class LandEstimator(DensityMixin, BaseEstimator):
    """Fit, densities and draws of mixtures of locally adaptive normals, in scikit-learn's conventions."""

    metric: Metric
    n_samples: int
    max_iter: int
    tol: float
    reg_covar: float
    n_components: int = 1
    n_init: int = 1
    solver: Solver | None
    random_state: int | np.random.RandomState | None
    progress: bool

    def fit(self: E, X: Array, y: object = None, sample_weight: Array | None = None) -> E:
        """Finds the density of greatest likelihood.

        Args:
            X: (N, d) latent points, N > d and no fewer than components, a floating-point tensor or array.
            y: ignored.
            sample_weight: (N,) weights of the points; equal, if None.

        Returns:
            The estimator itself.

        Raises:
            TypeError: the metric is not a Metric, or X is not an array of numbers.
            ValueError: X is not (N, d), is not finite, or has too few points where the metric is regular; an option
                is out of range.

        Warns:
            ConvergenceWarning: the steps or some geodesics did not converge, or points or draws are out of reach.
        """
        with torch.inference_mode(False):
            self._fit(X, sample_weight)
        dtype = self._density.guides.points.dtype
        self._leave(self._density.parameters, self._constant, lambda values: like(values.to(dtype), X))
        return self

    @abstractmethod
    def _leave(
        self, parameters: Parameters, constant: Constant, like_data: Callable[[Tensor], Array]
    ) -> None:
        """Leaves the attributes of a fit."""

    def score_samples(self, X: Array, *, measure: Measure = "lebesgue") -> Array:
        """The log-density (N,) of points.

        Args:
            X: (N, d) latent points.
            measure: the density with respect to Lebesgue measure dz on the latent coordinates, or with "riemannian"
                to the Riemannian volume dM = sqrt(det G) dz.

        Returns:
            (N,), like X; -inf at points that no geodesic reaches.

        Raises:
            NotFittedError: before ``fit``.
            ValueError: another measure, or X does not have the shape of ``fit``, or is not finite.

        Warns:
            ConvergenceWarning: some geodesics did not converge.
        """
        if measure not in ("lebesgue", "riemannian"):
            raise ValueError(f"measure must be 'lebesgue' or 'riemannian', got {measure!r}")
        points, joint = self._joint(X)
        log_density = torch.logsumexp(joint, dim=0)
        if measure == "lebesgue":
            log_density = log_density + self._density.log_volume(points)
        return like(log_density.to(points), X)

    def score(self, X: Array, y: object = None) -> float:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The mean log-density of points with respect to Lebesgue measure; higher is better.

        Raises and warns like :meth:`score_samples`.
        """
        return float(np.mean(np.asarray(self.score_samples(X))))

    def sample(self, n_samples: int = 1) -> Array:
        """Draws (n_samples, d) of the fitted density, by rejection of draws of a kernel density about them.

        Each takes a few geodesics, and more in many coordinates; draws in one call are cheaper than one by one. An
        integer ``random_state`` makes every call give the same draws.

        Args:
            n_samples: how many.

        Raises:
            NotFittedError: before ``fit``.
            ValueError: ``n_samples`` is not a positive integer.
        """
        check_is_fitted(self, "lower_bound_")
        check_count("n_samples", n_samples)
        drawn = self._density.sample(int(n_samples), check_random_state(self.random_state))
        return drawn if self._torch else drawn.cpu().numpy()

    def _fit(self, X: Array, sample_weight: Array | None) -> None:
        """Fits the best of several starts, and leaves the attributes that one and several components share."""
        self._check_options()
        points = points_of(X, 1)
        weights = weights_of(sample_weight, points, "sample_weight")
        n, d = int((weights > 0).sum()), points.shape[1]
        with torch.no_grad():
            regular = log_volume_element(self.metric, points).isfinite()
        weights = torch.where(regular, weights, 0)  # no density reaches the others
        left, fewest = int((weights > 0).sum()), max(d + 1, self.n_components)
        if left < fewest:
            raise ValueError(
                f"X must hold at least {fewest} points of positive weight, one more than coordinates and as many as "
                f"components, got n_samples = {n}"
                + (f", of which the metric is regular at {left}" if left < n else "")
            )
        random = check_random_state(self.random_state)
        solver = solver_or_default(_DEFAULT_SOLVER if self.solver is None else self.solver)
        mass = weights.double().cpu().numpy()
        distances = LatentSpace(self.metric, solver).rough_distances(points)
        fits = []
        with tqdm(total=self.n_init * self.max_iter, unit="step", disable=not self.progress) as bar:
            for _ in range(self.n_init):
                chosen = medoids(distances, mass, self.n_components, random)
                labels = torch.from_numpy(distances[chosen].argmin(axis=0)).to(points.device)
                fit = LandFit(
                    self.metric, solver, points, weights / weights.sum(), n_samples=self.n_samples,
                    reg_covar=self.reg_covar, seed=int(random.randint(_SEEDS)),
                )  # fmt: skip
                state = fit.start(points[torch.from_numpy(chosen)], labels)
                fits.append((fit, fit.run(state, self.max_iter, self.tol, bar)))
        fit, state = max(fits, key=lambda pair: pair[0].bounds[-1])
        state, constant, self.lower_bound_ = fit.finish(state)
        self.lower_bounds_, self.n_iter_, self.converged_ = fit.bounds, fit.iterations, fit.converged
        self.n_features_in_ = d
        self._torch, self._constant = isinstance(X, Tensor), constant
        self._density = LandDensity.of(self.metric, solver, state, constant)
        self._warn(failures(state.data.status, joint_of(state)))
        self._warn_of_draws(state.draws.logs.values)
        if not fit.converged:
            self._warn(
                f"the fit was still getting better after max_iter={self.max_iter} steps; raise it, or tol"
            )

    def _joint(self, X: Array) -> tuple[Tensor, Tensor]:
        """The points and log π_k p_k (K, N), with respect to dM."""
        check_is_fitted(self, "lower_bound_")
        points = points_of(X, 1)
        check_event(points, torch.Size([self.n_features_in_]), self)
        joint, status = self._density.joint(points)
        self._warn(failures(status, joint))
        return points, joint

    def _warn_of_draws(self, values: Tensor) -> None:
        lost = int((~values.isfinite()).any(dim=2).sum())
        if lost:
            self._warn(
                f"{lost} of {values.shape[0] * values.shape[1]} draws for the normalizing constant lie where the "
                "metric is not finite, and count as density zero"
            )

    def _warn(self, words: str) -> None:
        if words:
            warnings.warn(words, ConvergenceWarning, stacklevel=4)

    def _check_options(self) -> None:
        check_metric(self.metric)
        check_counts(self, "n_components", "n_init", "n_samples", "max_iter")
        for name in ("tol", "reg_covar"):
            value = getattr(self, name)
            if not value >= 0:
                raise ValueError(f"{name} must be a non-negative number, got {value!r}")

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "lower_bound_")
