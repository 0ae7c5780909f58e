"""Classification by the nearest points in geodesic distance."""

from __future__ import annotations

import warnings
from typing import Literal

import geoopt
import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils import assert_all_finite, check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from latentgeo.geodesics import ConvergenceWarning, MinimizeEnergy, Solver
from latentgeo.geodesics.result import advice, failures_of
from latentgeo.metrics import Metric
from latentgeo.metrics.arguments import check_count
from latentgeo.statistics.arrays import Array, check_event, like, points_of
from latentgeo.statistics.neighbor_search import Neighbors, NeighborSearch
from latentgeo.statistics.space import event_ndim, space_of

# Distances to about 1e-5, more than an order of neighbours can show.
_DEFAULT_SOLVER = MinimizeEnergy(num_segments=16, tol=1e-3)


class GeodesicKNeighborsClassifier(ClassifierMixin, BaseEstimator):
    """Classifies latent points by the classes of the nearest in geodesic distance, in scikit-learn's conventions.

    Geodesics from every query to every one of N points would be N a query. Only those are solved that a lower bound
    of the distance does not rule out, in the order of the bounds: with an immersion F, as pull-back metrics have,
    the chord |F(x) - F(y)|, as no curve is shorter: few geodesics more than neighbours, on the digits of
    ``reference_model("digits")``, and the neighbours are those that all N would find. A metric without an
    immersion is bounded by the triangle inequality with pivots, whose distances to all points are found by ``fit``;
    this is exact as far as the solver's geodesics are the shortest.

    Args:
        metric: the metric; or a ``geoopt.Manifold`` with closed forms, such as ``DiagonalNormal()``, of which the
            points then are (N, *event), for DiagonalNormal (N, 2, d).
        n_neighbors: the number k of neighbours.
        weights: "uniform", or "distance" for votes in inverse proportion to the distance; points at distance zero
            then outvote all others.
        solver: the solver for geodesics of a metric; None for ``MinimizeEnergy(num_segments=16, tol=1e-3)``.
        candidates: None for the nearest among all points; or a number C >= k, for those among the C points nearest
            to the query in latent coordinates. That is an approximation, which misses neighbours where the metric
            stretches some directions much more than others; it bounds the work at C geodesics a query.
        n_pivots: how many pivots there are for a metric without an immersion, where all points are candidates; with 0
            all pairs are solved.

    Attributes:
        classes_: the classes, sorted.
        n_features_in_: the number d of latent coordinates.

    References:
        T. M. Cover, P. E. Hart, "Nearest neighbor pattern classification", IEEE Trans. Inf. Theory 13, 1967,
        doi:10.1109/TIT.1967.1053964. T. Seidl, H.-P. Kriegel, "Optimal multi-step k-nearest neighbor search",
        SIGMOD 1998, doi:10.1145/276304.276319.

    Example:
        >>> import torch
        >>> from latentgeo import EuclideanMetric, GeodesicKNeighborsClassifier
        >>> points = torch.tensor([[0.0, 0.0], [0.1, 0.0], [5.0, 5.0], [5.1, 5.0]])
        >>> fitted = GeodesicKNeighborsClassifier(EuclideanMetric(2), 1).fit(points, ["a", "a", "b", "b"])
        >>> fitted.predict(torch.tensor([[4.0, 4.0]]))
        array(['b'], dtype='<U1')
    """

    classes_: np.ndarray

    def __init__(
        self,
        metric: Metric | geoopt.Manifold,
        n_neighbors: int = 5,
        *,
        weights: Literal["uniform", "distance"] = "uniform",
        solver: Solver | None = None,
        candidates: int | None = None,
        n_pivots: int = 4,
    ) -> None:
        self.metric = metric
        self.n_neighbors = n_neighbors
        self.weights = weights
        self.solver = solver
        self.candidates = candidates
        self.n_pivots = n_pivots

    @torch.no_grad()
    def fit(self, X: Array, y: ArrayLike) -> GeodesicKNeighborsClassifier:
        """Takes the points and their classes.

        Args:
            X: (N, d) latent points, a floating-point tensor or array.
            y: (N,) classes: numbers or strings.

        Returns:
            The estimator itself.

        Raises:
            TypeError: the metric is neither Metric nor geoopt.Manifold.
            ValueError: X is not (N, d) or not finite, y does not fit it or holds no classes, or an option is out of
                range.
        """
        ndim = event_ndim(self.metric)
        points = points_of(X, ndim)
        event = points.shape[1:]
        space = space_of(self.metric, self.solver, _DEFAULT_SOLVER, event)
        self._check_options()
        if not len(points):
            raise ValueError("X must hold at least one point, got none")
        space.check(points)
        if y is None:
            raise ValueError(
                "requires y to be passed, but the target y is None: give the class of each point"
            )
        labels = column_or_1d(_array(y), warn=True)
        assert_all_finite(labels, input_name="y")
        check_consistent_length(points, labels)
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        self._codes = torch.from_numpy(codes).to(points.device)
        self._labels_are_tensors = isinstance(y, Tensor)
        self._event, self._given = event, X
        self.n_features_in_ = event.numel()
        self._search = NeighborSearch(
            space, points.flatten(1), self.n_pivots if self.candidates is None else 0
        )
        return self

    def kneighbors(
        self, X: Array | None = None, n_neighbors: int | None = None, return_distance: bool = True
    ) -> tuple[Array, Array] | Array:
        """The nearest points of each query.

        Args:
            X: (M, d) queries; None for the points of ``fit``, of which none is its own neighbour.
            n_neighbors: how many; as the estimator was made, if None.
            return_distance: whether the distances are wanted too.

        Returns:
            (M, k) distances, the least first, and (M, k) indices of the points; or the indices alone. Where fewer
            points are within reach, the distance is infinite and the index -1.

        Raises:
            NotFittedError: before ``fit``.
            ValueError: X does not have the shape of ``fit``, or is not finite; there are fewer points than
                neighbours, or an option is out of range.

        Warns:
            ConvergenceWarning: some geodesics to neighbours did not converge, or some queries have fewer neighbours.
        """
        found = self._neighbors(X, self.n_neighbors if n_neighbors is None else n_neighbors)
        asked = self._given if X is None else X
        indices = like(found.indices, asked)
        return (like(found.distances, asked), indices) if return_distance else indices

    def predict(self, X: Array) -> Array:
        """The class (M,) with the most votes among the neighbours of each query, the first of equals.

        The answer is a tensor if the classes came as one. Raises and warns like :meth:`kneighbors`.
        """
        winners = self._votes(X).argmax(dim=1)
        labels = self.classes_[winners.cpu().numpy()]
        return torch.from_numpy(labels).to(winners.device) if self._labels_are_tensors else labels

    def predict_proba(self, X: Array) -> Array:
        """The share (M, K) of each class in the votes of the neighbours of each query.

        A query that reaches no point gets the shares of the classes among all points. Raises and warns like
        :meth:`kneighbors`.
        """
        return like(self._votes(X), X)

    def score(self, X: Array, y: ArrayLike, sample_weight: Array | None = None) -> float:
        """The share of queries whose class is predicted right, weighted by ``sample_weight`` (M,) if given.

        Raises and warns like :meth:`kneighbors`.
        """
        weights = None if sample_weight is None else _array(sample_weight)
        return float(accuracy_score(_array(y), _array(self.predict(X)), sample_weight=weights))

    def _votes(self, X: Array) -> Tensor:
        found = self._neighbors(X, self.n_neighbors)
        reached = found.indices >= 0
        if self.weights == "distance":
            nearest = found.distances[:, :1]
            share = nearest / torch.where(found.distances > 0, found.distances, 1)
            weights = torch.where(nearest > 0, share, (found.distances == 0).to(share))
        else:
            weights = torch.ones_like(found.distances)
        codes = self._codes.to(found.indices.device)
        votes = weights.new_zeros(len(weights), len(self.classes_))
        votes.scatter_add_(1, codes[found.indices.clamp_min(0)], torch.where(reached, weights, 0))
        everyone = torch.bincount(codes, minlength=len(self.classes_)).to(votes)
        votes = torch.where(reached[:, :1], votes, everyone)
        return votes / votes.sum(dim=1, keepdim=True)

    @torch.no_grad()
    def _neighbors(self, X: Array | None, k: int) -> Neighbors:
        check_is_fitted(self, "classes_")
        self._check_options()
        check_count("n_neighbors", k)
        queries = None
        if X is not None:
            queries = points_of(X, event_ndim(self.metric))
            check_event(queries, self._event, self)
            self._search.space.check(queries)
        points = self._search.points
        most = len(points) - (queries is None)
        if k > most:
            raise ValueError(
                f"n_neighbors must be at most {most}, the number of points to choose from, got {k}"
            )
        asked = None if queries is None else queries.to(points).flatten(1)
        found = self._search.find(asked, k, candidates=self.candidates)
        _warn(found, k)
        if queries is None:
            return found
        return Neighbors(found.distances.to(queries), found.indices.to(queries.device), found.status)

    def _check_options(self) -> None:
        check_count("n_neighbors", self.n_neighbors)
        if self.weights not in ("uniform", "distance"):
            raise ValueError(f"weights must be 'uniform' or 'distance', got {self.weights!r}")
        if self.candidates is not None:
            check_count("candidates", self.candidates)
            if self.candidates < self.n_neighbors:
                raise ValueError(
                    f"candidates must be at least n_neighbors={self.n_neighbors}, got {self.candidates}"
                )
        if self.n_pivots != 0:
            check_count("n_pivots", self.n_pivots)


def _array(values: ArrayLike) -> np.ndarray:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _warn(found: Neighbors, k: int) -> None:
    """One ConvergenceWarning for the geodesics to neighbours that did not converge, and for neighbours missing."""
    failed, words = failures_of(found.status.ravel()), []
    if failed:
        count = f"{failed.total()} of {found.status.size}"
        words.append(f"{count} geodesics to neighbours did not converge. {advice(failed)}")
    few = int((found.indices < 0).any(dim=1).sum())
    if few:
        words.append(
            f"{few} of {len(found.indices)} queries have fewer than n_neighbors={k} points at a finite distance; "
            "look at the decoder there."
        )
    if words:
        warnings.warn(" ".join(words), ConvergenceWarning, stacklevel=5)
