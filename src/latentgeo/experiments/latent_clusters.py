"""k-means of latent points by Euclidean and by geodesic distance, scored by their classes."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from sklearn.cluster import KMeans
from torch import Tensor

from latentgeo import ConvergenceWarning, GeodesicKMeans, Metric
from latentgeo.experiments.clustering_scores import ClusteringScores, matched_clusters
from latentgeo.geodesics import Solver


@dataclass(frozen=True)
class LatentClusters:
    """Clusters numbered like the classes they agree with most.

    Attributes:
        labels: (N,) cluster of each point, -1 for none.
        centers: (K, d).
        scores: against the classes.
        remarks: warnings on the way.
    """

    labels: np.ndarray
    centers: np.ndarray
    scores: ClusteringScores
    remarks: tuple[str, ...] = ()

    @classmethod
    def matched(
        cls, labels: np.ndarray, centers: np.ndarray, classes: np.ndarray, remarks: tuple[str, ...] = ()
    ) -> LatentClusters:
        """Clusters under their own numbers, renumbered."""
        match = matched_clusters(classes, labels, len(centers))
        renumbered = np.where(labels >= 0, match[labels], -1)
        return cls(renumbered, centers[np.argsort(match)], ClusteringScores.of(classes, labels), remarks)


def euclidean_clusters(
    points: Float[Tensor, "n d"], classes: np.ndarray, *, random_state: int, n_init: int = 10
) -> LatentClusters:
    """scikit-learn's k-means with as many clusters as there are classes.

    Args:
        points: (N, d).
        classes: (N,), for the scores alone.
        random_state: seed of the starts.
        n_init: how many starts.
    """
    estimator = KMeans(len(np.unique(classes)), random_state=random_state).set_params(n_init=n_init)
    estimator.fit(points.cpu().double().numpy())
    return LatentClusters.matched(
        np.asarray(estimator.labels_), np.asarray(estimator.cluster_centers_), classes
    )


def geodesic_clusters(
    metric: Metric,
    points: Float[Tensor, "n d"],
    classes: np.ndarray,
    *,
    solver: Solver,
    random_state: int,
    tol: float = 1e-3,
    n_init: int = 1,
) -> LatentClusters:
    """Geodesic k-means with as many clusters as there are classes, started at medoids.

    Args:
        metric: the metric.
        points: (N, d).
        classes: (N,), for the scores alone.
        solver: of the geodesics.
        random_state: seed of the starts.
        tol: the step of a centre, relative to the spread of its points, that ends the iterations.
        n_init: how many starts.
    """
    estimator = GeodesicKMeans(
        metric,
        len(np.unique(classes)),
        init="k-medoids",
        n_init=n_init,
        tol=tol,
        solver=solver,
        random_state=random_state,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        estimator.fit(points)
    remarks = tuple(str(w.message) for w in caught if issubclass(w.category, ConvergenceWarning))
    labels, centers = torch.as_tensor(estimator.labels_), torch.as_tensor(estimator.cluster_centers_)
    return LatentClusters.matched(labels.cpu().numpy(), centers.cpu().numpy(), classes, remarks)
