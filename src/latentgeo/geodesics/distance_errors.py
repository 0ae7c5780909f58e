"""How good the entries of a distance matrix are, by exact distances of pairs drawn at random."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from latentgeo.geodesics.distance_points import points_of
from latentgeo.geodesics.solve import Solver, distance
from latentgeo.metrics import Metric
from latentgeo.metrics.arguments import check_count


@dataclass(frozen=True, eq=False)
class SampledErrors:
    """Entries of a distance matrix against distances solved for anew.

    Attributes:
        pairs: (n, 2) rows and columns.
        entries: (n,) of the matrix.
        exact: (n,) lengths of geodesics.

    Example:
        >>> import torch
        >>> from latentgeo import EuclideanMetric, distance_matrix, sampled_errors
        >>> X = torch.tensor([[0.0, 0.0], [3.0, 4.0], [3.0, 0.0]])
        >>> errors = sampled_errors(1.1 * distance_matrix(EuclideanMetric(2), X), EuclideanMetric(2), X)
        >>> errors
        SampledErrors(6 pairs: median 0.1, 90% below 0.1, worst 0.1, bias +0.1)
        >>> errors.relative.round(3)
        array([0.1, 0.1, 0.1, 0.1, 0.1, 0.1])
    """

    pairs: Int[np.ndarray, "n 2"] = field(repr=False)
    entries: Float[np.ndarray, " n"] = field(repr=False)
    exact: Float[np.ndarray, " n"] = field(repr=False)

    @property
    def relative(self) -> Float[np.ndarray, " n"]:
        """(n,) entry / exact - 1, of either sign; 0 where both are 0 or infinite."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.entries == self.exact, 0.0, self.entries / self.exact - 1)

    @property
    def median(self) -> float:
        """The median of the size of relative errors; NaN and infinite ones count as the largest."""
        return self._quantile(0.5)

    @property
    def ninetieth_percentile(self) -> float:
        """Nine tenths of the entries are as near as this."""
        return self._quantile(0.9)

    @property
    def worst(self) -> float:
        """The largest relative error."""
        return self._quantile(1.0)

    @property
    def bias(self) -> float:
        """The median of relative errors with their sign: positive where entries are too long."""
        return float(np.median(self.relative))

    def __repr__(self) -> str:
        return (
            f"SampledErrors({len(self.pairs)} pairs: median {self.median:.2g}, 90% below "
            f"{self.ninetieth_percentile:.2g}, worst {self.worst:.2g}, bias {self.bias:+.2g})"
        )

    def _quantile(self, share: float) -> float:
        sizes = np.sort(np.where(np.isnan(self.relative), np.inf, np.abs(self.relative)))
        return float(sizes[min(len(sizes) - 1, int(np.ceil(share * len(sizes))) - 1)])


def sampled_errors(
    distances: np.ndarray,
    metric: Metric,
    X: Tensor | np.ndarray,
    Y: Tensor | np.ndarray | None = None,
    *,
    num_pairs: int = 200,
    solver: Solver | None = None,
    generator: torch.Generator | None = None,
) -> SampledErrors:
    """The errors of a distance matrix, however it was found, on pairs drawn at random.

    Args:
        distances: (N, M), such as :func:`distance_matrix` gives with a :class:`GraphSearch`.
        metric: the metric.
        X: (N, d) points of the rows.
        Y: (M, d) points of the columns; X, if None, and then no point is paired with itself.
        num_pairs: how many pairs are drawn; all, where there are fewer.
        solver: of the distances that are held to be exact; :class:`MinimizeEnergy`, if None. It is local: where an
            entry is shorter than what it finds, that is not the shortest, and the bias is negative.
        generator: of the draws; the first ones of seed 0, if None.

    Returns:
        :class:`SampledErrors`, with the median, ninetieth percentile, worst and bias.

    Raises:
        TypeError: X or Y is no floating-point array, the metric not a Metric.
        ValueError: shapes do not match, ``num_pairs`` is not positive, or there is no pair.

    Warns:
        ConvergenceWarning: a curve of a drawn pair did not converge.

    Example:
        >>> import torch
        >>> from latentgeo import GraphSearch, distance_matrix, metric_from_function, sampled_errors
        >>> half_plane = metric_from_function(lambda z: torch.eye(2) / z[:, 1, None, None] ** 2)
        >>> X = torch.cartesian_prod(torch.linspace(-1, 1, 12), torch.linspace(1, 3, 12))
        >>> rough = distance_matrix(half_plane, X, solver=GraphSearch(X, num_neighbors=12))
        >>> sampled_errors(rough, half_plane, X).median < 0.05
        True
    """
    x = points_of("X", X)
    y = x if Y is None else points_of("Y", Y)
    n, m = len(x), len(y)
    if tuple(distances.shape) != (n, m):
        raise ValueError(f"distances must have shape {(n, m)}, got {tuple(distances.shape)}")
    check_count("num_pairs", num_pairs)
    width = m - 1 if Y is None else m  # columns other than the row's own
    if n * width < 1:
        raise ValueError(f"X and Y must have a pair of points, got {n} and {m} points")
    generator = torch.Generator("cpu").manual_seed(0) if generator is None else generator
    drawn = _without_replacement(n * width, num_pairs, generator)
    i, j = drawn // width, drawn % width
    if Y is None:
        j += j >= i
    with torch.no_grad():
        at = [torch.from_numpy(numbers).to(x.device) for numbers in (i, j)]
        exact = distance(metric, x[at[0]], y[at[1]], solver=solver).cpu().double().numpy()
    entries = np.array([float(distances[row, column]) for row, column in zip(i, j, strict=True)])
    return SampledErrors(np.stack([i, j], axis=1), entries, exact)


def _without_replacement(total: int, count: int, generator: torch.Generator) -> np.ndarray:
    """Different numbers below the total, all of them where they are no more than the count."""
    if total <= max(count, 2**20):
        return torch.randperm(total, generator=generator, device=generator.device)[:count].cpu().numpy()
    drawn = (
        torch.randint(total, (2 * count + 64,), generator=generator, device=generator.device).cpu().numpy()
    )
    _, first = np.unique(drawn, return_index=True)
    return drawn[np.sort(first)][:count]
