"""All geodesic distances between points, on one machine or many, to memory or to a file."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import Any

import numpy as np
from torch import Tensor
from tqdm.auto import tqdm

from latentgeo.geodesics.distance_graph import GraphDistances
from latentgeo.geodesics.distance_journal import Journal
from latentgeo.geodesics.distance_pairs import PairSolver
from latentgeo.geodesics.distance_points import fingerprint, like_those_of, points_of
from latentgeo.geodesics.distance_run import Run
from latentgeo.geodesics.distance_store import Store, check_out, finished, open_file
from latentgeo.geodesics.distance_tiles import tiles
from latentgeo.geodesics.graph_search import DisconnectedGraphWarning, GraphSearch, diagnosis
from latentgeo.geodesics.result import ConvergenceWarning, Status, advice
from latentgeo.geodesics.solve import Solver, solver_or_default
from latentgeo.metrics import Metric
from latentgeo.metrics.arguments import check_count
from latentgeo.metrics.metric import check_metric

_NAMED = 3  # pairs that a warning names


def distance_matrix(
    metric: Metric,
    X: Tensor | np.ndarray,
    Y: Tensor | np.ndarray | None = None,
    *,
    solver: Solver | None = None,
    client: Any = None,
    progress: bool = False,
    out: Any = None,
    tile_size: int = 32,
) -> np.ndarray | Any:
    """All geodesic distances D_ij = d(x_i, y_j), or d(x_i, x_j), each pair solved once.

    Pairs are solved in tiles of neighbours with neighbours, a few of them from the straight line and the others from
    the curves of pairs beside them. A geodesic need not be the shortest: where the matrix breaks the triangle
    inequality, D_ij > D_il + D_kl + D_kj by a thousandth, the pair is solved again from the curve i → l → k → j, and
    the shorter of the two stays. A curve that ends longer than its straight line is solved again from that line. Like
    :func:`distance`, it finds geodesics that are shortest near themselves: where there are several between two
    points, an entry may be that of another than :func:`distance` finds, shorter or longer. Memory is that of the
    matrix and of one tile's curves.

    With ``solver=GraphSearch(X)``, for thousands of points, distances are those of the shortest paths of the graph:
    never too short but for folds between points, too long by some percent, found in seconds and without curves.
    :func:`sampled_errors` tells how good they are.

    A file at ``out`` is written as tiles are finished, with a journal beside it, ``out + ".journal"``. The same call
    after Ctrl-C, a kill or a lost machine goes on from there; after the end it returns what the file holds. What is
    not known yet is NaN.

    Args:
        metric: the metric G.
        X: (N, d) points, torch or NumPy, float32 or float64; curves are found in their dtype, on their device.
        Y: (M, d) points of the same dtype and device; X itself, if None: the matrix is symmetric then, its diagonal
            zero.
        solver: for the curves, :class:`MinimizeEnergy` with its defaults, if None; or a :class:`GraphSearch`.
        client: a ``distributed.Client``, on whose workers tiles are solved; see
            :func:`latentgeo.geodesics.cluster.on_cluster`.
        progress: show a bar with the share of converged pairs.
        out: where the distances go: a writable array (N, M) of float64 or float32, such as a ``np.memmap`` or a zarr
            array, or a path, ``*.npy`` or ``*.zarr``; a new array in memory, if None.
        tile_size: points a side of a tile. ``tile_size²`` pairs are solved at once, and lost with an interruption.

    Returns:
        (N, M) distances in ambient units, float64 whatever the dtype of X: ``out`` itself, where it is an array; the
        memory map of a ``.npy`` file, to read; a copy in memory of a ``.zarr`` store (pass the array, to avoid it).
        Pairs that did not converge have the length of the best curve; NaN, where the metric was not finite along
        it; infinity, where no path of a graph leads.

    Raises:
        TypeError: X or Y is no array of float32 or float64, the metric not a Metric, the solver none; ``out`` cannot
            hold distances.
        ValueError: shapes, dtypes or devices do not match; X or Y is not finite; ``out`` is of another shape or
            dtype, cannot be written, or holds the distances of another metric, other points or another solver.
        ImportError: ``client`` without dask.distributed, a zarr store without zarr.

    Warns:
        ConvergenceWarning: once, if pairs did not converge; says how many, why and what to try.

    References:
        R. W. Floyd, "Algorithm 97: Shortest path", Comm. ACM 5, 1962, for distances improved through other points.

    Example:
        >>> import torch
        >>> from latentgeo import EuclideanMetric, distance_matrix
        >>> distance_matrix(EuclideanMetric(2), torch.tensor([[0.0, 0.0], [3.0, 4.0], [3.0, 0.0]])).round(6)
        array([[0., 5., 3.],
               [5., 0., 4.],
               [3., 4., 0.]])
    """
    check_metric(metric)
    solver = solver_or_default(solver)
    check_count("tile_size", tile_size)
    symmetric, x = Y is None, points_of("X", X)
    y = x if Y is None else like_those_of(x, points_of("Y", Y))
    shape = (len(x), len(y))
    path = check_out(out, shape)
    if path is None:
        journal = Journal(None, {})
        array, blank = np.empty(shape) if out is None else out, True
    else:
        about = fingerprint(metric, x, None if symmetric else y, solver, tile_size)
        journal = Journal(path.with_name(path.name + ".journal"), about, path)
        blank = not journal.lines
        array = open_file(path, shape, fresh=blank)
    store = Store(array, symmetric=symmetric, blank=blank)
    try:
        with tqdm(total=_pairs(shape, symmetric), unit="pair", disable=not progress) as bar:
            run = Run(store, journal, client, bar)
            if isinstance(solver, GraphSearch):
                search = GraphDistances(metric, x, y, solver)
                run.work_off(0, search, search.jobs(symmetric=symmetric))
                _warn_of_gaps(store, search, symmetric)
            else:
                coordinates = [z.cpu().double().numpy() for z in (x, y)]
                pairs = tiles(coordinates[0], None if symmetric else coordinates[1], tile_size)
                work = PairSolver(metric, x, y, solver)
                run.work_off(0, work, pairs)
                run.take_detours(work, tile_size**2, symmetric)
                _warn_of_failures(store, run.failures(), _pairs(shape, symmetric), symmetric)
    except KeyboardInterrupt as stop:
        if path is not None:
            stop.add_note(
                f"What was finished is kept in {path}; the same call of distance_matrix goes on from there."
            )
        raise
    return array if path is None else finished(array, path)


def _pairs(shape: tuple[int, int], symmetric: bool) -> int:
    n, m = shape
    return n * (n - 1) // 2 if symmetric else n * m


def _warn_of_failures(store: Store, failures: Counter[Status], pairs: int, symmetric: bool) -> None:
    if not failures:
        return
    words = [f"{failures.total()} of {pairs} pairs did not converge. {advice(failures)}"]
    if Status.NON_FINITE in failures:
        distances = store.numpy()
        lost = np.argwhere(np.isnan(np.triu(distances) if symmetric else distances))
        named = ", ".join(f"({i}, {j})" for i, j in lost[:_NAMED])
        words.append(f"NaN are {named}{' and others' if len(lost) > _NAMED else ''}.")
    warnings.warn(" ".join(words), ConvergenceWarning, stacklevel=3)


def _warn_of_gaps(store: Store, search: GraphDistances, symmetric: bool) -> None:
    distances = store.numpy()
    lost = int(np.isinf(np.triu(distances) if symmetric else distances).sum())
    if lost:
        message = diagnosis(search.graph, lost, _pairs(distances.shape, symmetric))
        warnings.warn(message, DisconnectedGraphWarning, stacklevel=3)
