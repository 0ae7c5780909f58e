"""The point with the least mean of squared geodesic distances."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import geoopt
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from latentgeo.geodesics import ConvergenceWarning, MinimizeEnergy, Solver
from latentgeo.metrics import Metric
from latentgeo.metrics.arguments import check_count, describe
from latentgeo.statistics.arrays import Array, points_of, tensor_of, weights_of
from latentgeo.statistics.lloyd import Lloyd
from latentgeo.statistics.medoids import medoid
from latentgeo.statistics.space import event_ndim, space_of
from latentgeo.statistics.without_graph import without_graph


@dataclass(frozen=True, eq=False)
class FrechetMeanResult:
    """A Riemannian mean.

    Attributes:
        point: (d,) the mean.
        variance: () the weighted mean of the squared distances to it.
        converged: whether the mean logarithm there is below ``tol``, and every point was reached.
        steps: number of steps taken.

    Example:
        >>> import torch
        >>> from latentgeo import EuclideanMetric, frechet_mean
        >>> result = frechet_mean(EuclideanMetric(2), torch.tensor([[0.0, 0.0], [2.0, 0.0], [1.0, 3.0]]))
        >>> print([f"{coordinate:.3f}" for coordinate in result.point], result.converged)
        ['1.000', '1.000'] True
        >>> print(f"{result.variance:.3f}")  # the mean of 2, 2 and 4
        2.667
    """

    point: Tensor
    variance: Float[Tensor, ""]
    converged: bool
    steps: int


@without_graph
def frechet_mean(
    metric: Metric | geoopt.Manifold,
    points: Float[Tensor, "n *event"],
    *,
    weights: Array | None = None,
    solver: Solver | None = None,
    initial: Literal["medoid"] | Array | None = None,
    max_steps: int = 100,
    tol: float | None = None,
    progress: bool = False,
) -> FrechetMeanResult:
    """The Riemannian (Fréchet, Karcher) mean argmin_μ Σ_i w_i d(μ, x_i)² / Σ_i w_i.

    Steps μ <- Exp_μ(η Σ_i w_i Log_μ(x_i) / Σ_i w_i), with η = 1 unless the variance grew, which takes the step back
    and halves η. On a latent space Exp_μ(v) = μ + v - 1/2 Γ(v, v) to second order will do, since the mean is where
    steps vanish. All logarithms of a step are one batch of geodesics, each going on from that of the step before.
    The mean is a local one: it is unique where the points lie in a small enough ball, and elsewhere depends on
    ``initial``.

    Args:
        metric: the metric; or a ``geoopt.Manifold`` with closed forms, such as ``DiagonalNormal()``.
        points: (N, d) latent points, or (N, *event) points of the manifold.
        weights: (N,) non-negative weights; equal, if None.
        solver: for the geodesics of a metric; :class:`MinimizeEnergy` with its defaults, if None.
        initial: (d,) where to start; "medoid" for the point among the data with the least sum of squared distances,
            by the (N, N) shortest paths through a graph of nearest neighbours, where the data are bent or have
            outliers; the point nearest to the mean of coordinates, if None.
        max_steps: the largest number of steps.
        tol: the end is reached when the mean logarithm is shorter than ``tol`` times the root of the variance; 1e-3
            in float32 and 1e-6 in float64, if None.
        progress: show a bar over the steps.

    Returns:
        A :class:`FrechetMeanResult`.

    Raises:
        TypeError: the metric is neither Metric nor geoopt.Manifold; points or weights are no arrays.
        ValueError: shapes do not match, values are not finite, weights are negative or all zero, there is no point.

    Warns:
        ConvergenceWarning: the steps or some geodesics did not converge, no shorter step lowers the variance though
            the mean logarithm is above ``tol``, or a point is out of reach.

    References:
        H. Karcher, "Riemannian center of mass and mollifier smoothing", Comm. Pure Appl. Math. 30, 1977. X. Pennec,
        "Intrinsic statistics on Riemannian manifolds", J. Math. Imaging Vis. 25, 2006, doi:10.1007/s10851-006-6228-4.

    Example:
        >>> import torch
        >>> from latentgeo import EuclideanMetric, frechet_mean
        >>> result = frechet_mean(EuclideanMetric(2), torch.tensor([[0.0, 0.0], [2.0, 0.0], [1.0, 3.0]]))
        >>> print(f"{result.variance:.3f}, {result.converged}")
        2.667, True
    """
    x = points_of(points, event_ndim(metric), "points")
    event = x.shape[1:]
    space = space_of(metric, solver, MinimizeEnergy(), event)
    if not len(x):
        raise ValueError("points must hold at least one point, got none")
    space.check(x, "points")
    w = weights_of(weights, x, "weights")
    check_count("max_steps", max_steps)
    if tol is None:
        tol = 1e-6 if x.dtype == torch.float64 else 1e-3
    if not tol >= 0:
        raise ValueError(f"tol must be a non-negative number or None, got {tol!r}")
    if initial is None:
        center = (w.reshape(-1, *(1 for _ in event)) * x).sum(0) / w.sum()
        away = (x - center).flatten(1).norm(dim=1).cpu().double().numpy()
        first = x[int(np.where(space.mass(x.flatten(1), w) > 0, away, np.inf).argmin())]
    elif isinstance(initial, str):
        if initial != "medoid":
            raise ValueError(f"initial must be 'medoid', a point, or None, got {initial!r}")
        first = x[medoid(space.rough_distances(x.flatten(1)), space.mass(x.flatten(1), w))]
    else:
        first = _given(initial, x)
        space.check(first[None], "initial")
    run = Lloyd(space, x.flatten(1), 1, weights=w)
    run.place(first.reshape(1, -1))
    with tqdm(total=max_steps, unit="step", disable=not progress) as bar:
        run.iterate(max_steps, tol, bar)
    reached = run.labels >= 0
    if not run.converged:
        warnings.warn(
            f"the mean was still moving after max_steps={max_steps} steps; raise max_steps, or tol",
            ConvergenceWarning,
            stacklevel=3,  # past without_graph
        )
    elif not run.settled:
        warnings.warn(
            f"no shorter step lowers the variance, though the mean logarithm is above tol={tol:g}: distances are not "
            "exact enough for it, or bend sharply; choose a more exact solver, or raise tol",
            ConvergenceWarning,
            stacklevel=3,
        )
    run.warn_of_failures(stacklevel=3)
    total = w[reached].double().sum()
    return FrechetMeanResult(
        run.centers[0].reshape(event),
        torch.as_tensor(
            run.inertia / float(total) if total > 0 else torch.nan, dtype=x.dtype, device=x.device
        ),
        run.settled and bool((reached | (w == 0)).all()),
        run.iterations,
    )


def _given(initial: Array, points: Tensor) -> Tensor:
    """The point to start from, or an error that says what came."""
    if not isinstance(initial, np.ndarray | Tensor):
        raise TypeError(
            f"initial must be a NumPy array, a torch tensor, 'medoid' or None, got {describe(initial)}"
        )
    first = tensor_of(initial).to(points)
    if first.shape != points.shape[1:] or not bool(first.isfinite().all()):
        raise ValueError(
            f"initial must have shape {tuple(points.shape[1:])}, as a point, and be finite, got {describe(first)}"
        )
    return first
