"""Shortest paths through a graph of points: the laws of an approximation, the global minimum, and the pieces."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.sparse.csgraph import dijkstra
from torch import Tensor

import latentgeo as lg
import laws
import reference
from latentgeo.geodesics.graph import NeighborGraph
from spaces import GAUSSIAN, HALF_PLANE, NETWORKS, PLANE, SPHERE, SPHERE_5, TORUS, Space, scalar_matrix

N = 300
# one latent, two, five and ten; with an immersion and without
SPACES = (NETWORKS[0], SPHERE, HALF_PLANE, TORUS, GAUSSIAN, SPHERE_5, NETWORKS[3])
everywhere = pytest.mark.parametrize("space", SPACES, ids=str)
FLAT = lg.EuclideanMetric(2)


def data_of(space: Space, n: int = N, seed: int = 0) -> Tensor:
    return space.points(n, torch.Generator().manual_seed(seed))


def pairs(space: Space, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    problem = space.problem(6, torch.Generator().manual_seed(1))
    return problem.start.to(dtype), problem.end.to(dtype)


# --- The laws of its curves


def test_points_that_coincide_and_their_order_make_no_difference() -> None:
    (start, end), points = pairs(SPHERE), data_of(SPHERE, 60)
    expected = lg.geodesic(SPHERE.metric(), start, end, solver=lg.GraphSearch(points, num_neighbors=5))
    twice = torch.cat([points[::3].repeat(20, 1), points.flip(0)])
    result = lg.geodesic(SPHERE.metric(), start, end, solver=lg.GraphSearch(twice, num_neighbors=5))
    assert torch.equal(result.points, expected.points)
    assert torch.equal(result.length, expected.length)


@pytest.mark.parametrize("dead", [lambda z: 0 * z + 1, lambda z: z[:, :1]], ids=["all latents", "one latent"])
def test_edges_of_length_zero_are_edges(dead, dtype: torch.dtype) -> None:
    """A decoder that ignores latents: distances are those of the latents that it does not ignore."""
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(200, 2, generator=generator, dtype=dtype)
    points = torch.cat([points, points[:5] + torch.tensor([0.0, 1e-3], dtype=dtype)])
    start, end = torch.rand(2, 5, 2, generator=generator, dtype=dtype)
    metric = lg.pullback_metric(dead)
    result = lg.geodesic(metric, start, end, solver=lg.GraphSearch(points, num_neighbors=8))
    assert result.converged.all()
    assert result.points.isfinite().all()
    steps = result.points.diff(dim=1).norm(dim=2)
    assert steps.max() < 0.3  # the points go from start to end, not all at once
    expected = (metric.immersion(end) - metric.immersion(start)).norm(dim=1)
    assert (result.length >= expected * (1 - laws.rounding(dtype))).all()
    laws.assert_near(result.length, expected, 1.0)
    assert NeighborGraph(metric, points, 8).component_sizes().tolist() == [205]


@everywhere
def test_curves_join_their_ends_and_are_never_shorter_than_the_distance(
    space: Space, dtype: torch.dtype, device: torch.device
) -> None:
    """The measure of a path with corners is of second order: 2% of a curve of 32 segments."""
    problem = space.problem(6, torch.Generator().manual_seed(1))
    start, end = problem.start.to(device, dtype), problem.end.to(device, dtype)
    metric = space.metric(dtype, device)
    result = lg.geodesic(metric, start, end, solver=lg.GraphSearch(data_of(space).to(start)))
    assert result.converged.all()
    assert result.points.shape == (6, 33, space.dim)
    laws.curve_ends_exactly(result, start, end)
    laws.energy_is_at_least_half_the_squared_length(result, 0.05)
    assert (result.length.double().cpu() >= problem.distance * (1 - 1e-4)).all()
    polygon = reference.polygon_length(space.matrix, result.points.double().cpu())
    laws.assert_near(result.length, polygon, 0.02, "length of the points", scale=polygon)
    graph = torch.from_numpy(
        np.diag(NeighborGraph(metric, data_of(space).to(start), 20).distances(start, end)).copy()
    )
    assert (result.length.double().cpu() <= graph * 1.02).all()


@everywhere
def test_distance_is_symmetric(space: Space, dtype: torch.dtype) -> None:
    """Up to the rounding of edges, whose images agree in their leading digits."""
    start, end = pairs(space, dtype)
    solver, metric = lg.GraphSearch(data_of(space).to(dtype)), space.metric(dtype)
    there, back = (lg.geodesic(metric, a, b, solver=solver) for a, b in ((start, end), (end, start)))
    laws.assert_near(there.length, back.length, 10 * laws.rounding(dtype))
    laws.assert_near(there.points, back.points.flip(1), 10 * laws.rounding(dtype))


@pytest.mark.parametrize("space", [PLANE, SPHERE, HALF_PLANE, NETWORKS[2]], ids=str)
def test_distance_to_itself_is_zero(space: Space, dtype: torch.dtype) -> None:
    """Whether or not the point is one of the graph."""
    points = data_of(space).to(dtype)
    for z in (pairs(space, dtype)[0][:4], points[:4]):
        laws.distance_to_itself_is_zero(space.metric(dtype), z, lg.GraphSearch(points))


@pytest.mark.parametrize("space", [SPHERE, HALF_PLANE], ids=str)
def test_residual_foretells_how_much_energy_is_too_much(space: Space) -> None:
    """E = E* (1 + residual²) near the geodesic, where the energy is a parabola."""
    problem = space.problem(6, torch.Generator().manual_seed(1))
    solver = lg.GraphSearch(data_of(space), num_neighbors=40)
    result = lg.geodesic(space.metric(), problem.start, problem.end, solver=solver)
    excess = 2 * result.energy / problem.distance.square() - 1
    assert (result.residual.square() > 0.5 * excess).all()
    assert (result.residual.square() < 2 * excess).all()


@pytest.mark.parametrize("space", [SPHERE, NETWORKS[2]], ids=str)
def test_curve_does_not_depend_on_its_batch_mates(space: Space) -> None:
    """The same path alone, in reverse order, and beside pairs whose ends would be good stepping stones."""
    start, end = pairs(space)
    solver, metric = lg.GraphSearch(data_of(space, 40), num_neighbors=4), space.metric()
    whole = lg.geodesic(metric, start, end, solver=solver)
    assert whole.steps.max() > whole.steps.min()
    stones = torch.cat([start + s * (end - start) for s in (0.25, 0.5, 0.75)])
    beside = lg.geodesic(metric, torch.cat([start, stones]), torch.cat([end, stones.flip(0)]), solver=solver)
    backwards = lg.geodesic(metric, start.flip(0), end.flip(0), solver=solver)
    alone = [lg.geodesic(metric, a, b, solver=solver) for a, b in zip(start, end, strict=True)]
    for points, steps in (
        (beside.points[: len(start)], beside.steps[: len(start)]),
        (backwards.points.flip(0), backwards.steps.flip(0)),
        (torch.cat([r.points for r in alone]), torch.cat([r.steps for r in alone])),
    ):
        laws.assert_near(points, whole.points, laws.rounding(torch.float64))
        assert torch.equal(steps, whole.steps)


def test_two_points_make_a_graph() -> None:
    """From above one point to above the other: down, along and up; of both, or past neither where that is nearer."""
    points = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    graph = NeighborGraph(FLAT, points, 1)
    ends = torch.tensor([[0.0, 0.1], [1.0, 0.1], [0.0, 0.05]], dtype=torch.float64)
    expected = np.array([[0.0, 1.2, 0.05], [1.2, 0.0, 1.15], [0.05, 1.15, 0.0]])
    np.testing.assert_allclose(graph.distances(ends, ends), expected, rtol=1e-12)
    solver = lg.GraphSearch(points, num_neighbors=1, num_segments=400)
    result = lg.geodesic(FLAT, ends[0], ends[1], solver=solver)
    assert result.steps.tolist() == [3]
    laws.assert_near(result.length, torch.tensor([1.2]), 2e-3)


def test_empty_batch_and_single_segment() -> None:
    (start, end), solver = pairs(SPHERE), lg.GraphSearch(data_of(SPHERE), num_segments=1)
    assert len(lg.geodesic(SPHERE.metric(), start[:0], end[:0], solver=solver)) == 0
    result = lg.geodesic(SPHERE.metric(), start[:0], end[:0], solver=lg.GraphSearch(data_of(SPHERE)))
    assert result.points.shape == (0, 33, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lg.ConvergenceWarning)  # one segment does not resolve an arc
        result = lg.geodesic(SPHERE.metric(), start, end, solver=solver)
    assert torch.equal(result.points, torch.stack([start, end], 1))


# --- The global minimum


def ridge(z: Tensor) -> Tensor:
    """A conformal factor: a ridge along x = 0 that falls off above y = 0 at once, below only slowly."""
    x, y = z.unbind(-1)
    return 1 + 100 * torch.exp(-4 * x**2 - (y / torch.where(y > 0, 0.3, 1.2)) ** 2)


def fine_grid_distance(factor, start: Tensor, end: Tensor, side: int = 101, reach: int = 5) -> float:
    """Dijkstra on a grid over [-3, 3]² with every direction up to five cells, too long by a few thousandths."""
    ticks = torch.linspace(-3, 3, side, dtype=torch.float64)
    nodes = torch.cartesian_prod(ticks, ticks)
    number = torch.arange(side * side).reshape(side, side)
    columns = []
    for a, b in itertools.product(range(reach + 1), range(-reach, reach + 1)):
        if np.gcd(a, b) == 1:
            low, high = max(0, -b), side - max(0, b)
            columns.append(
                torch.stack([number[: side - a, low:high], number[a:, low + b : high + b]]).flatten(1)
            )
    i, j = torch.cat(columns, 1)
    matrix = scalar_matrix(factor, 2)
    weights = reference.polygon_length(matrix, torch.stack([nodes[i], nodes[j]], 1), 1)
    grid = sparse.csr_array((weights.numpy(), (i.numpy(), j.numpy())), shape=(side**2, side**2))
    at = [int((nodes - z).norm(dim=1).argmin()) for z in (start, end)]
    return dijkstra(grid, directed=False, indices=at[0])[at[1]]


@pytest.mark.parametrize("kind", ["matrix", "immersion"])
def test_start_from_the_graph_finds_the_global_minimum(kind: str, dtype: torch.dtype) -> None:
    """The straight line leads to the long way round a ridge; no solver that descends from it finds the short one."""
    if kind == "matrix":
        metric = lg.metric_from_function(lambda z: ridge(z)[:, None, None] * torch.eye(2, dtype=z.dtype))
        expected = fine_grid_distance(ridge, torch.tensor([-1.5, -0.12]), torch.tensor([1.5, -0.12]))
    else:  # the same as a mountain, on whose surface lengths are those of its graph
        metric = lg.pullback_metric(lambda z: torch.cat([z, ridge(z)[:, None] / 20], 1))
        expected = None
    start, end = torch.tensor([[-1.5, -0.12], [1.5, -0.12]], dtype=dtype)
    points = 6 * torch.rand(2000, 2, generator=torch.Generator().manual_seed(0), dtype=dtype) - 3
    local = lg.geodesic(metric, start, end)
    graph = lg.geodesic(metric, start, end, solver=lg.GraphSearch(points))
    refined = lg.geodesic(metric, start, end, initial=graph.points)
    assert local.converged.all()
    assert refined.converged.all()
    assert local.points[0, :, 1].min() < -1  # below
    assert refined.points[0, :, 1].max() > 0.2  # above
    assert float(refined.length) < 0.9 * float(local.length)
    assert float(refined.length) <= float(graph.length) <= 1.1 * float(refined.length)
    if expected is not None:
        assert expected * 0.995 <= float(refined.length) <= expected * 1.001


def test_start_from_the_graph_passes_a_hole_of_the_decoder(dtype: torch.dtype) -> None:
    """The decoder is NaN in a disk, up a steep wall: no way leads from the straight line, one from the graph."""

    def decoder(z: Tensor) -> Tensor:
        return torch.cat([z, 0.2 * (z.square().sum(1, keepdim=True) - 0.25).log()], 1)

    generator = torch.Generator().manual_seed(0)
    points = 4 * torch.rand(1000, 2, generator=generator, dtype=dtype) - 2
    start, end = (
        torch.tensor([[-1.2, 0.1], [0.1, 1.2]]).to(dtype),
        torch.tensor([[1.2, 0.1], [0.1, -1.2]]).to(dtype),
    )
    metric = lg.pullback_metric(decoder)
    with pytest.warns(lg.ConvergenceWarning):
        straight = lg.geodesic(metric, start, end)
    assert (straight.status == lg.Status.NON_FINITE).all()
    outside = points[points.norm(dim=1) > 0.55]
    for some in (points, outside):  # points where the decoder is not a number do no harm
        graph = lg.geodesic(metric, start, end, solver=lg.GraphSearch(some))
        result = lg.geodesic(metric, start, end, initial=graph.points)
        assert result.converged.all()
        assert (result.length <= graph.length).all()
        assert (result.points.norm(dim=2) > 0.5).all()


# --- What cannot be joined


def islands(dtype: torch.dtype = torch.float64) -> Tensor:
    """Points in three squares: 50, 30 and 20 of them."""
    points = torch.rand(100, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    points[50:80, 0] += 3
    points[80:, 0] += 6
    return points.to(dtype)


def test_pieces_of_the_graph_are_named(dtype: torch.dtype) -> None:
    points = islands(dtype)
    start, end = points[[0, 0, 51]], points[[1, 60, 90]]
    solver = lg.GraphSearch(points, num_neighbors=8)
    with pytest.warns(lg.ConvergenceWarning) as caught:
        result = lg.geodesic(FLAT, start, end, solver=solver)
    pieces, failures = (str(w.message) for w in caught)
    assert "2 of 3 pairs" in pieces
    assert (
        "graph of 100 points falls into 3 components of 50, 30 and 20 points; raise num_neighbors, which is 8,"
        in pieces
    )
    assert "2 of 3 curves did not converge" in failures
    assert list(result.status) == [lg.Status.CONVERGED, lg.Status.DISCONNECTED, lg.Status.DISCONNECTED]
    assert result.steps[1:].tolist() == [0, 0]
    times = torch.linspace(0, 1, 33, dtype=dtype)[:, None]
    straight = start[:, None] + times * (end - start)[:, None]
    laws.assert_near(result.points[1:], straight[1:], laws.rounding(dtype))
    alone = lg.geodesic(FLAT, start[0], end[0], solver=solver)
    assert torch.equal(alone.points[0], result.points[0])
    distances = NeighborGraph(FLAT, points, 8).distances(start, end)
    assert np.isfinite(distances).tolist() == [
        [True, False, False],
        [True, False, False],
        [False, True, False],
    ]


def test_many_pieces_are_counted() -> None:
    points = torch.arange(20.0)[:, None] + torch.tensor([0.0, 0.1])
    points = torch.stack([points.flatten(), torch.zeros(40)], 1)
    with pytest.warns(lg.ConvergenceWarning, match=r"20 components of 2, 2, 2, 2, 2 and 15 smaller ones"):
        lg.GraphSearch(points, num_neighbors=1).solve(FLAT, points[:1], points[-1:])


def test_more_neighbours_join_the_pieces() -> None:
    """The advice of the warning works."""
    points = islands()
    result = lg.geodesic(FLAT, points[0], points[90], solver=lg.GraphSearch(points, num_neighbors=50))
    assert result.converged.all()


def test_ends_of_other_pairs_are_no_bridge() -> None:
    """A pair between two islands joins neither to the other."""
    points = islands()[:80]
    bridge = torch.tensor([[1.8, 0.5], [2.2, 0.5]], dtype=torch.float64)
    solver = lg.GraphSearch(points, num_neighbors=40)  # a bridge has neighbours on both islands
    with pytest.warns(lg.ConvergenceWarning):
        alone = lg.geodesic(FLAT, points[0], points[60], solver=lg.GraphSearch(points, num_neighbors=8))
    assert alone.status[0] is lg.Status.DISCONNECTED
    start, end = torch.cat([points[:1], bridge[:1]]), torch.cat([points[60:61], bridge[1:]])
    with pytest.warns(lg.ConvergenceWarning, match="2 components of 50 and 30 points"):
        beside = lg.GraphSearch(points, num_neighbors=8).solve(FLAT, start, end)
    assert beside.status[0] is lg.Status.DISCONNECTED
    assert lg.geodesic(FLAT, bridge[0], bridge[1], solver=solver).converged.all()


@pytest.mark.parametrize("value", [torch.nan, torch.inf], ids=["NaN", "infinity"])
@pytest.mark.parametrize("where", ["in the point", "in the decoder"])
def test_ends_that_are_not_finite_flag_their_own_curves_only(value: float, where: str) -> None:
    metric = lg.pullback_metric(lambda z: torch.where(z[:, :1] > 5, value, z))
    points = islands()[:50]
    start, end = points[:3], points[3:6].clone()
    end[1, 0] = value if where == "in the point" else 7.0
    with pytest.warns(lg.ConvergenceWarning, match="1 of 3 curves") as caught:
        result = lg.geodesic(metric, start, end, solver=lg.GraphSearch(points, num_neighbors=8))
    assert len(caught) == 1
    assert list(result.status) == [lg.Status.CONVERGED, lg.Status.NON_FINITE, lg.Status.CONVERGED]
    assert result.length[[0, 2]].isfinite().all()


def test_end_that_no_finite_line_joins_to_the_graph_is_told_apart() -> None:
    """The graph is whole and both ends are fine, but between them the metric is not a number."""
    metric = lg.pullback_metric(lambda z: torch.where((z[:, :1] > 1.2) & (z[:, :1] < 4), torch.nan, z))
    points = islands()[:50]
    far = torch.tensor([5.0, 0.5], dtype=torch.float64)
    with pytest.warns(lg.ConvergenceWarning, match=r"graph of 50 points is connected, but ends have no line"):
        result = lg.GraphSearch(points, num_neighbors=8).solve(metric, points[:1], far[None])
    assert list(result.status) == [lg.Status.DISCONNECTED]


def test_strip_that_an_edge_does_not_see_is_seen_on_the_curve() -> None:
    """Not a number between two of the five points at which the one edge is measured."""
    metric = lg.pullback_metric(lambda z: torch.where((z[:, :1] > 0.3) & (z[:, :1] < 0.32), torch.nan, z))
    points = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    result = lg.GraphSearch(points, num_neighbors=1).solve(metric, points[:1], points[1:])
    assert list(result.status) == [lg.Status.NON_FINITE]
    assert result.steps.tolist() == [3]  # onto the graph, along it, and off


def test_path_with_more_turns_than_segments_is_unresolved() -> None:
    """A spiral of four turns in four segments."""
    angle = torch.linspace(0, 8 * torch.pi, 400, dtype=torch.float64)
    spiral = (1 + angle / 6)[:, None] * torch.stack([angle.cos(), angle.sin()], 1)
    for segments, status in ((4, lg.Status.UNRESOLVED), (128, lg.Status.CONVERGED)):
        solver = lg.GraphSearch(spiral, num_neighbors=2, num_segments=segments)
        result = solver.solve(FLAT, spiral[:1], spiral[-1:])
        assert result.steps[0] >= 399
        assert result.status[0] is status


# --- As a part of the library


def test_distance_through_the_graph_is_differentiable() -> None:
    (start, end), solver = pairs(SPHERE), lg.GraphSearch(data_of(SPHERE), num_neighbors=60)
    leaf = start.clone().requires_grad_()
    lg.distance(SPHERE.metric(), leaf, end, solver=solver).sum().backward()
    exact = start.clone().requires_grad_()
    lg.distance(SPHERE.metric(), exact, end).sum().backward()
    cosine = torch.nn.functional.cosine_similarity(leaf.grad, exact.grad)
    assert (cosine > 0.9).all()


def test_points_are_copied_and_nothing_is_changed() -> None:
    points, (start, end) = data_of(SPHERE), pairs(SPHERE)
    expected = lg.geodesic(SPHERE.metric(), start, end, solver=lg.GraphSearch(points))
    with torch.inference_mode():
        for given in (points.clone(), points.clone().requires_grad_()):
            kept = given.detach().clone()
            solver = lg.GraphSearch(given)
            assert torch.equal(given, kept)
            given.mul_(0)
            result = lg.geodesic(SPHERE.metric(), start, end, solver=solver)
            assert torch.equal(result.points, expected.points)
    assert not result.points.is_inference()
    assert repr(solver) == "GraphSearch(num_neighbors=20, num_segments=32)"


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("points", "error", "message"),
    [
        (np.zeros((9, 2)), TypeError, r"points must be a torch tensor.*numpy\.ndarray"),
        (torch.zeros(9, 2, dtype=torch.long), TypeError, r"points must be of a floating-point dtype.*int64"),
        (torch.zeros(9), ValueError, r"points must have shape \(N, d\) with N >= 2.*\(9,\)"),
        (torch.zeros(1, 2), ValueError, r"points must have shape \(N, d\) with N >= 2.*\(1, 2\)"),
        (torch.tensor([[0.0], [torch.nan], [torch.inf]]), ValueError, r"finite, but 2 of 3.*first is row 1"),
        (torch.zeros(9, 2), ValueError, r"num_neighbors must be below the number of points, 9, got 20"),
    ],
    ids=["numpy", "integers", "a vector", "one point", "NaN", "few points"],
)
def test_points_that_are_none(points: object, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        lg.GraphSearch(points)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("option", ["num_neighbors", "num_segments"])
@pytest.mark.parametrize("value", [0, -1, 2.0, "8", None, True], ids=repr)
def test_numbers_of_the_search(option: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"{option} must be a positive integer, got {value!r}"):
        lg.GraphSearch(torch.rand(30, 2), **{option: value})


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("points", "message"),
    [
        (torch.zeros(30, 3).double(), r"start and end must have the 3 coordinates of the points.*\(1, 2\)"),
        (torch.zeros(30, 2), r"start and end must have the dtype and device.*float32.*float64"),
    ],
    ids=["dimension", "dtype"],
)
def test_points_that_do_not_match_the_ends(points: Tensor, message: str) -> None:
    end = torch.zeros(2, dtype=torch.float64)
    with pytest.raises(ValueError, match=message):
        lg.geodesic(FLAT, end, end, solver=lg.GraphSearch(points))


def test_options_are_keyword_only_and_frozen() -> None:
    with pytest.raises(TypeError):
        lg.GraphSearch(torch.rand(30, 2), 5)
    with pytest.raises(AttributeError):
        lg.GraphSearch(torch.rand(30, 2)).num_neighbors = 5
