"""k-means with geodesic distances and Riemannian means."""

from __future__ import annotations

import warnings
from typing import Literal, get_args

import geoopt
import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor
from tqdm.auto import tqdm

from latentgeo.geodesics import ConvergenceWarning, MinimizeEnergy, Solver
from latentgeo.geodesics.options import check_counts
from latentgeo.metrics import Metric
from latentgeo.metrics.arguments import describe
from latentgeo.statistics.arrays import Array, check_event, like, points_of, tensor_of, weights_of
from latentgeo.statistics.lloyd import Lloyd
from latentgeo.statistics.medoids import medoids
from latentgeo.statistics.space import Space, event_ndim, space_of
from latentgeo.statistics.without_graph import without_graph

_Init = Literal["k-means++", "k-medoids", "random"]

# Sixteen segments of fourth order and a residual of 1e-3 give distances to about 1e-5, more than labels can show.
_DEFAULT_SOLVER = MinimizeEnergy(num_segments=16, tol=1e-3)


class GeodesicKMeans(ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin, BaseEstimator):
    """k-means clustering of latent points by geodesic distance, in scikit-learn's conventions.

    Minimizes Σ_i d(x_i, μ_{l(i)})² over centres μ_k and labels l: each point goes to the nearest centre, each centre
    takes a step μ <- Exp_μ(η mean Log_μ(x_i)) towards the Riemannian mean of its points, in a latent space with
    Exp_μ(v) = μ + v - 1/2 Γ(v, v) to second order, and with η = 1 unless the sum of squares of its cluster grew,
    which takes the step back and halves η. The geodesics of an iteration are solved in batches, from the curves of
    the iteration before, and only where no lower bound rules out that another centre is nearer: the chord between
    the images of the two, as no curve is shorter, and the triangle inequality.

    Args:
        metric: the metric; or a ``geoopt.Manifold`` with closed forms, such as ``DiagonalNormal()``, of which the
            points then are (N, *event), for DiagonalNormal (N, 2, d).
        n_clusters: the number K of clusters.
        init: "k-means++" (centres far apart in geodesic distance), "k-medoids" (points in the middle of clusters
            by the (N, N) shortest paths through a graph of nearest neighbours, which outliers do not draw and which
            takes no geodesic), "random" (points drawn at random), or an array (K, d) of centres.
        n_init: how many times to start; the result of the smallest inertia is kept, of those that reach most points.
        max_iter: the largest number of iterations of one start.
        tol: the iterations end when the labels stay and no centre moves by more than ``tol`` times the root mean
            square distance of points to their centres.
        solver: the solver for geodesics of a metric; None for ``MinimizeEnergy(num_segments=16, tol=1e-3)``.
        random_state: seed or ``numpy.random.RandomState`` of the starts.
        progress: show a bar over the iterations of all starts.

    Attributes:
        cluster_centers_: (K, d) centres, an array or tensor like the data.
        labels_: (N,) cluster of each point; -1 where no centre is at a finite distance.
        inertia_: (weighted) sum of squared geodesic distances to the centres.
        n_iter_: iterations of the start that was kept.
        n_features_in_: the number d of latent coordinates.

    References:
        Arvanitidis, Hansen, Hauberg 2018, arXiv:1710.11379, section 5. D. Arthur, S. Vassilvitskii, "k-means++: the
        advantages of careful seeding", SODA 2007. X. Pennec, "Intrinsic statistics on Riemannian manifolds",
        J. Math. Imaging Vis. 25, 2006, for the mean.

    Example:
        >>> import torch
        >>> from latentgeo import EuclideanMetric, GeodesicKMeans
        >>> points = torch.tensor([[0.0, 0.0], [0.1, 0.0], [5.0, 5.0], [5.1, 5.0]])
        >>> labels = GeodesicKMeans(EuclideanMetric(2), 2, random_state=0).fit_predict(points)
        >>> bool(labels[0] == labels[1] != labels[2] == labels[3])
        True
    """

    cluster_centers_: Array
    labels_: Array

    def __init__(
        self,
        metric: Metric | geoopt.Manifold,
        n_clusters: int,
        *,
        init: _Init | Array = "k-means++",
        n_init: int = 1,
        max_iter: int = 30,
        tol: float = 1e-3,
        solver: Solver | None = None,
        random_state: int | np.random.RandomState | None = None,
        progress: bool = False,
    ) -> None:
        self.metric = metric
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.solver = solver
        self.random_state = random_state
        self.progress = progress

    @without_graph
    def fit(self, X: Array, y: object = None, sample_weight: Array | None = None) -> GeodesicKMeans:
        """Finds the clusters.

        Args:
            X: (N, d) latent points, a floating-point tensor or array.
            y: ignored.
            sample_weight: (N,) weights of the points; equal, if None.

        Returns:
            The estimator itself.

        Raises:
            TypeError: the metric is neither Metric nor geoopt.Manifold, or X is not an array of numbers.
            ValueError: X is not (N, d), is not finite, or has fewer points than clusters; an option is out of range.

        Warns:
            ConvergenceWarning: the iterations or some geodesics did not converge, or a point is out of reach.
        """
        self._check_options()
        points = points_of(X, event_ndim(self.metric))
        event = points.shape[1:]
        space = self._space(event)
        space.check(points)
        if len(points) < self.n_clusters:
            raise ValueError(f"X must have at least n_clusters={self.n_clusters} points, got {len(points)}")
        weights = weights_of(sample_weight, points, "sample_weight")
        random = check_random_state(self.random_state)
        with tqdm(total=self.n_init * self.max_iter, unit="iteration", disable=not self.progress) as bar:
            runs = (self._run(space, points, weights, random, bar) for _ in range(self.n_init))
            best = min(runs, key=lambda run: (run.lost, run.inertia))
        self._centers = best.centers.unflatten(1, event)
        self.cluster_centers_ = like(self._centers, X)
        self.labels_ = like(best.labels, X)
        self.inertia_ = best.inertia
        self.n_iter_ = best.iterations
        self.n_features_in_ = event.numel()
        if not best.converged:
            warnings.warn(
                f"the centres were still moving after max_iter={self.max_iter} iterations; raise max_iter, or tol",
                ConvergenceWarning,
                stacklevel=3,  # past without_graph
            )
        best.warn_of_failures(stacklevel=3)
        return self

    def predict(self, X: Array) -> Array:
        """The nearest cluster (N,) of each point, -1 where none is at a finite distance.

        Args:
            X: (N, d) latent points, a floating-point tensor or array.

        Returns:
            (N,), like X.

        Raises:
            NotFittedError: before ``fit``.
            ValueError: X does not have the shape of ``fit``, or is not finite.

        Warns:
            ConvergenceWarning: some geodesics did not converge, or a point is out of reach.
        """
        return like(self._to_centers(X).labels, X)

    def transform(self, X: Array) -> Array:
        """The geodesic distances (N, K) of points to the centres; infinite where the metric is not finite.

        Args:
            X: (N, d) latent points, a floating-point tensor or array.

        Returns:
            (N, K), like X, in ambient units.

        Raises:
            NotFittedError: before ``fit``.
            ValueError: X does not have the shape of ``fit``, or is not finite.

        Warns:
            ConvergenceWarning: some geodesics did not converge, or a point is out of reach.
        """
        return like(self._to_centers(X, every=True).distances, X)

    @property
    def _n_features_out(self) -> int:
        return self.n_clusters  # what scikit-learn's get_feature_names_out names

    def _run(
        self, space: Space, points: Tensor, weights: Tensor, random: np.random.RandomState, bar: tqdm
    ) -> Lloyd:
        rows = points.flatten(1)
        run = Lloyd(space, rows, self.n_clusters, weights=weights)
        if not isinstance(self.init, str):
            run.place(self._given_centers(space, points))
        elif self.init == "random":
            order = random.permutation(len(rows))
            last = space.mass(rows, weights)[order] == 0
            run.place(rows[torch.from_numpy(order[last.argsort(kind="stable")][: self.n_clusters])])
        elif self.init == "k-medoids":
            chosen = medoids(space.rough_distances(rows), space.mass(rows, weights), self.n_clusters, random)
            run.place(rows[torch.from_numpy(chosen)])
        else:
            run.spread(random)
        run.iterate(self.max_iter, self.tol, bar)
        return run

    @without_graph
    def _to_centers(self, X: Array, *, every: bool = False) -> Lloyd:
        """The points at the fitted centres: the nearest alone, or the distances to every centre."""
        check_is_fitted(self, "cluster_centers_")
        points = points_of(X, event_ndim(self.metric))
        event = self._centers.shape[1:]
        check_event(points, event, self)
        space = self._space(event)
        space.check(points)
        found = Lloyd(space, points.flatten(1), self.n_clusters)
        found.place(self._centers.to(points).flatten(1), moving=False)
        if every:
            found.complete()
        found.warn_of_failures(stacklevel=4)
        return found

    def _space(self, event: torch.Size) -> Space:
        return space_of(self.metric, self.solver, _DEFAULT_SOLVER, event)

    def _given_centers(self, space: Space, points: Tensor) -> Tensor:
        centers = tensor_of(self.init if isinstance(self.init, Tensor) else np.asarray(self.init)).to(points)
        if centers.shape != (self.n_clusters, *points.shape[1:]) or not bool(centers.isfinite().all()):
            raise ValueError(
                f"init must hold {self.n_clusters} finite centres of {_coordinates(points.shape[1:])}, "
                f"got {describe(centers)}"
            )
        space.check(centers, "init")
        return centers.flatten(1)

    def _check_options(self) -> None:
        if not isinstance(self.metric, Metric | geoopt.Manifold):
            raise TypeError(
                f"metric must be a latentgeo Metric or a geoopt.Manifold, got {describe(self.metric)}"
            )
        check_counts(self, "n_clusters", "n_init", "max_iter")
        if not self.tol >= 0:
            raise ValueError(f"tol must be a non-negative number, got {self.tol!r}")
        if isinstance(self.init, str) and self.init not in get_args(_Init):
            raise ValueError(
                f"init must be {', '.join(map(repr, get_args(_Init)))} or an array of centres, got {self.init!r}"
            )


def _coordinates(event: torch.Size) -> str:
    return " x ".join(map(str, event)) + " coordinates"
