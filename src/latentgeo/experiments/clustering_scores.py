"""How well clusters agree with classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score
from sklearn.metrics.cluster import contingency_matrix


@dataclass(frozen=True)
class ClusteringScores:
    """Three scores of one clustering, each 1 where clusters and classes are the same.

    Attributes:
        f_measure: see :func:`f_measure`.
        purity: see :func:`purity`.
        adjusted_rand: Hubert and Arabie's index, 0 on average for random labels.
    """

    f_measure: float
    purity: float
    adjusted_rand: float

    @classmethod
    def of(cls, classes: np.ndarray, clusters: np.ndarray) -> ClusteringScores:
        """The scores of clusters (N,) against classes (N,)."""
        return cls(
            f_measure(classes, clusters),
            purity(classes, clusters),
            float(adjusted_rand_score(classes, clusters)),
        )


def f_measure(classes: np.ndarray, clusters: np.ndarray) -> float:
    """The best F1 of any cluster for each class, weighted by the classes.

    F = Σ_c |c|/N max_k 2 |c ∩ k| / (|c| + |k|).

    Args:
        classes: (N,).
        clusters: (N,).

    Returns:
        A number in (0, 1], 1 for the classes themselves.

    References:
        B. Larsen, C. Aone, "Fast and effective text mining using linear-time document clustering", KDD 1999.

    Example:
        >>> import numpy as np
        >>> f_measure(np.array([0, 0, 1, 1]), np.array([1, 1, 0, 1]))  # (4/5 + 2/3) / 2
        0.7333333333333334
    """
    shared = _shared(classes, clusters)
    sizes = shared.sum(1)
    best = (2 * shared / (sizes[:, None] + shared.sum(0))).max(1)
    return float(sizes @ best / sizes.sum())


def purity(classes: np.ndarray, clusters: np.ndarray) -> float:
    """The share of points whose class is the most frequent one of their cluster."""
    shared = _shared(classes, clusters)
    return float(shared.max(0).sum() / shared.sum())


def matched_clusters(classes: np.ndarray, clusters: np.ndarray, n_clusters: int) -> np.ndarray:
    """Which class, by its rank, each cluster is matched with so that most points agree.

    Args:
        classes: (N,), with K distinct values.
        clusters: (N,), values in 0, ..., n_clusters - 1; others are not counted.
        n_clusters: K, the number of clusters.

    Returns:
        (K,) a permutation: ``matched[k]`` is the rank of the class of cluster k.

    Example:
        >>> import numpy as np
        >>> matched_clusters(np.array([3, 3, 7]), np.array([1, 1, 0]), 2)
        array([1, 0])
    """
    present = np.unique(classes)
    agreement = np.zeros((n_clusters, max(n_clusters, len(present))), dtype=int)
    for cluster in range(n_clusters):
        for rank, label in enumerate(present):
            agreement[cluster, rank] = np.sum((clusters == cluster) & (classes == label))
    return linear_sum_assignment(agreement, maximize=True)[1]


def _shared(classes: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """The number of points that each class and each cluster have in common."""
    if classes.ndim != 1 or classes.shape != clusters.shape or not len(classes):
        raise ValueError(f"clusters: expected shape {classes.shape} with a point, got {clusters.shape}")
    return np.asarray(contingency_matrix(classes, clusters), dtype=float)
