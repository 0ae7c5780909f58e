"""The nearest-neighbour graph of latent points against its slow twin, and what distances through it satisfy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse.csgraph import floyd_warshall
from torch import Tensor

import latentgeo as lg
import latentgeo.geodesics.graph as graph_module
import laws
import reference
from latentgeo.geodesics.graph import NeighborGraph
from spaces import GAUSSIAN, HALF_PLANE, NETWORKS, SPHERE, SPHERE_5, TORUS, Space

N = 300
# one latent, two, five and ten; with an immersion and without
SPACES = (NETWORKS[0], SPHERE, HALF_PLANE, TORUS, GAUSSIAN, SPHERE_5, NETWORKS[3])
everywhere = pytest.mark.parametrize("space", SPACES, ids=str)


def data_of(space: Space, n: int = N, seed: int = 0) -> Tensor:
    return space.points(n, torch.Generator().manual_seed(seed))


def pairs(space: Space, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    problem = space.problem(6, torch.Generator().manual_seed(1))
    return problem.start.to(dtype), problem.end.to(dtype)


def through_paths(graph: NeighborGraph, start: Tensor, end: Tensor) -> Tensor:
    """The lengths of the paths between pairs; infinite where there is none."""
    length = torch.full((len(start),), torch.inf, dtype=start.dtype)
    for paths in graph.paths(start, end):
        length[torch.from_numpy(paths.rows)] = paths.arc_length[:, -1]
    return length


def slow_distance(space: Space, points: Tensor, k: int, start: Tensor, end: Tensor) -> float:
    """One pair, by definition: all neighbours by sorting, all edges by Gauss's rule, all paths by Floyd."""
    nodes = torch.cat([points, start[None], end[None]])
    apart = torch.cdist(nodes, nodes, compute_mode="donot_use_mm_for_euclid_dist")
    n = len(points)
    within = apart.clone()
    within[range(n), range(n)] = torch.inf  # a point of the graph is not its own neighbour
    radius = within[:, :n].sort(dim=1).values[:, k - 1]
    near = (apart <= radius[:, None]) | (apart <= radius)
    near[n:, :n], near[:n, n:] = apart[n:, :n] <= radius[n:, None], apart[:n, n:] <= radius[n:]
    i, j = torch.nonzero(near & ~torch.eye(n + 2, dtype=torch.bool), as_tuple=True)
    weights = np.full((n + 2, n + 2), np.inf)
    length = reference.polygon_length(space.matrix, torch.stack([nodes[i], nodes[j]], 1))
    weights[i, j] = length.clamp_min(1e-7)  # to SciPy what is below 1e-8 in a dense matrix is no edge
    return floyd_warshall(weights)[n, n + 1]


@pytest.mark.parametrize("space", [SPHERE, HALF_PLANE, NETWORKS[2]], ids=str)
def test_distances_are_those_of_the_slow_twin(space: Space) -> None:
    """Edges are measured from five points on at most a tenth of a turn: to about 1e-4."""
    points = data_of(space, 60)
    (start, end), k = pairs(space), 9
    start, end = torch.cat([start[:3], points[:1]]), torch.cat([end[:3], points[1:2]])
    graph = NeighborGraph(space.metric(), points, k)
    slow = torch.tensor([[slow_distance(space, points, k, a, b) for b in end] for a in start])
    laws.assert_near(torch.from_numpy(graph.distances(start, end)), slow, 1e-3, scale=slow)


@everywhere
def test_paths_are_as_long_as_the_distances_say(space: Space, dtype: torch.dtype) -> None:
    start, end = pairs(space, dtype)
    graph = NeighborGraph(space.metric(dtype), data_of(space).to(dtype), 8)
    expected = torch.from_numpy(np.diag(graph.distances(start, end)).copy())
    laws.assert_near(through_paths(graph, start, end), expected, laws.rounding(dtype), scale=expected)


def test_vertices_of_a_path_are_as_far_apart_as_its_arc_length_says() -> None:
    (start, end), k = pairs(HALF_PLANE), 6
    graph = NeighborGraph(HALF_PLANE.metric(), data_of(HALF_PLANE), k)
    for paths in graph.paths(start, end):
        for row, vertices, arc, edges in zip(
            paths.rows, paths.vertices, paths.arc_length, paths.edges, strict=True
        ):
            steps = torch.stack([vertices[:-1], vertices[1:]], 1)
            laws.assert_near(reference.polygon_length(HALF_PLANE.matrix, steps), arc.diff(), 1e-4)
            assert (steps[:, 0] != steps[:, 1]).any(dim=1).sum() == edges
            assert torch.equal(vertices[0], start[row])
            assert torch.equal(vertices[-1], end[row])


def test_distances_between_points_of_the_graph_are_a_metric() -> None:
    points = data_of(TORUS, 120)
    d = NeighborGraph(TORUS.metric(), points, 6).distances(points, points)
    assert np.isfinite(d).all()
    assert np.array_equal(d == 0, np.eye(len(d), dtype=bool))
    np.testing.assert_allclose(d, d.T, rtol=1e-12)
    assert (d[:, None, :] <= (d[:, :, None] + d[None]) * (1 + 1e-12)).all()  # d(i, k) <= d(i, j) + d(j, k)


def test_every_edge_is_measured_once_and_in_chunks() -> None:
    seen = []

    def decoder(z: Tensor) -> Tensor:
        seen.append(len(z))
        return torch.cat([z, z.sin()], 1)

    graph = NeighborGraph(lg.pullback_metric(decoder, chunk_size=64), data_of(SPHERE), 8)
    assert max(seen) <= 64
    assert graph.evaluations == sum(seen)
    edges = graph.lengths.nnz // 2
    assert N * 8 / 2 <= edges <= N * 8
    assert graph.evaluations == 5 * edges + 2
    (start, end), metric = pairs(SPHERE), lg.pullback_metric(decoder)
    result = lg.GraphSearch(data_of(SPHERE), num_neighbors=8).solve(metric, start, end)
    # each end is joined to 8 points; each curve has its energy, a quadratic model and a measure
    least = graph.evaluations + 12 * 8 * 5 + 6 * (31 + 65)
    assert least <= result.evaluations <= least + 6 * (31 + 5 + 2)


def test_blocks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    (start, end), points = pairs(SPHERE), data_of(SPHERE)

    def answers() -> tuple[np.ndarray, Tensor]:
        graph = NeighborGraph(SPHERE.metric(), points, 8)
        return graph.distances(start, end), through_paths(graph, start, end)

    whole = answers()
    for name, size in (("_EDGES", 7), ("_DISTANCES", 2 * N), ("_PATHS", 2)):
        monkeypatch.setattr(graph_module, name, size)
    for one, other in zip(whole, answers(), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-14)


@pytest.mark.parametrize("space", [SPHERE, HALF_PLANE], ids=str)
def test_distances_converge_as_points_get_dense_and_neighbours_many(space: Space) -> None:
    """With k ~ sqrt(N) neighbours: edges get shorter, and yet longer than the points are apart.

    Slopes of 0.8 are seen here, that is k^-1.6; with k fixed there would be none.
    """
    sizes = torch.tensor([100, 300, 1000, 3000])
    problem = space.problem(24, torch.Generator().manual_seed(2))
    excess = []
    for n in sizes.tolist():
        graph = NeighborGraph(space.metric(), data_of(space, n), round(1.5 * n**0.5))
        excess.append((through_paths(graph, problem.start, problem.end) / problem.distance - 1).mean())
    assert min(excess) > 0
    assert laws.order_of_convergence(torch.stack(excess), sizes) > 0.6
    assert excess[-1] < 0.004
