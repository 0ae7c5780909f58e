"""Points among the data that are in the middle of them, by a matrix of distances."""

from __future__ import annotations

import numpy as np

_SWEEPS = 100
_DRAWS = 8


def medoid(distances: np.ndarray, weights: np.ndarray) -> int:
    """The point j with the least Σ_i w_i d_ij².

    Where no point reaches all others it is one that reaches most of the weight.

    Args:
        distances: (N, N), infinite where points do not reach each other.
        weights: (N,).

    Example:
        >>> import numpy as np
        >>> x = np.array([0.0, 1.0, 2.0, 30.0])
        >>> medoid(np.abs(x[:, None] - x), np.ones(4))
        2
    """
    reached = np.isfinite(distances)
    lost = weights @ ~reached
    costs = weights @ np.where(reached, distances, 0) ** 2
    return int(np.lexsort((costs, lost))[0])


def medoids(
    distances: np.ndarray, weights: np.ndarray, count: int, random: np.random.RandomState
) -> np.ndarray:
    """K points j_k with a small Σ_i w_i min_k d²(x_i, x_{j_k}).

    From points drawn far apart, as in k-means++, each sweep puts every point to the nearest medoid and makes the
    medoid of each cluster anew, until none changes; the best of eight such draws.

    Args:
        distances: (N, N), infinite where points do not reach each other.
        weights: (N,).
        count: K.
        random: the source of the draws.

    References:
        H.-S. Park, C.-H. Jun, "A simple and fast algorithm for K-medoids clustering", Expert Syst. Appl. 36, 2009.

    Example:
        >>> import numpy as np
        >>> x = np.array([0.0, 1.0, 2.0, 30.0, 31.0, 33.0])
        >>> found = medoids(np.abs(x[:, None] - x), np.ones(6), 2, np.random.RandomState(0))
        >>> sorted(x[found].tolist())
        [1.0, 31.0]
    """
    draws = [_swept(distances, weights, _drawn(distances, weights, count, random)) for _ in range(_DRAWS)]
    return min(draws, key=lambda chosen: _cost(distances, weights, chosen))


def _drawn(
    distances: np.ndarray, weights: np.ndarray, count: int, random: np.random.RandomState
) -> np.ndarray:
    """Points drawn each with probability as its squared distance to those before."""
    chosen: list[int] = []
    odds = weights
    for _ in range(count):
        total = odds.sum()
        chosen.append(random.choice(len(odds), p=odds / total if total > 0 else None))
        nearest = distances[chosen].min(axis=0)
        lost = ~np.isfinite(nearest) & (weights > 0)  # an island needs a medoid of its own before all others
        odds = weights * (lost if lost.any() else np.where(weights > 0, nearest, 0) ** 2)
    return np.array(chosen)


def _swept(distances: np.ndarray, weights: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    for _ in range(_SWEEPS):
        nearest = distances[chosen].argmin(axis=0)
        moved = chosen.copy()
        for k in range(len(chosen)):
            members = np.flatnonzero(nearest == k)
            if len(members):
                moved[k] = members[medoid(distances[np.ix_(members, members)], weights[members])]
        if (moved == chosen).all():
            break
        chosen = moved
    return chosen


def _cost(distances: np.ndarray, weights: np.ndarray, chosen: np.ndarray) -> tuple[float, float]:
    nearest = distances[chosen].min(axis=0)
    reached = np.isfinite(nearest)
    return float(weights @ ~reached), float(weights[reached] @ nearest[reached] ** 2)
