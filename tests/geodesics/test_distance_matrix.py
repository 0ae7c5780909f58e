"""All distances at once: those of the geometry, whatever the tiles, and one word for all that fails."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import latentgeo as lg
import strategies
from latentgeo.geodesics.distance_detours import shorter_chains
from latentgeo.geodesics.distance_pairs import PairSolver
from latentgeo.geodesics.distance_store import Store
from latentgeo.geodesics.distance_tiles import neighborhoods, representatives, tiles
from latentgeo.geodesics.spline import resample
from spaces import HALF_PLANE, SPHERE, SPHERE_5, Space

# The arcs here turn by at most half a turn, and 32 segments leave the error of fourth order of (π / 32)⁴ / 100.
LENGTH_RTOL = {torch.float64: (torch.pi / 32) ** 4 / 100, torch.float32: 20 * torch.finfo(torch.float32).eps}
CASES = [
    (HALF_PLANE, lg.MinimizeEnergy()),
    (SPHERE, lg.MinimizeEnergy()),
    (SPHERE_5, lg.MinimizeEnergy()),
    (SPHERE_5, lg.Georce()),
    (HALF_PLANE, lg.Shooting()),
]


def points(space: Space, count: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    return space.points(count, torch.Generator().manual_seed(seed)).to(dtype)


def exact(space: Space, x: Tensor, y: Tensor) -> np.ndarray:
    i, j = torch.cartesian_prod(torch.arange(len(x)), torch.arange(len(y))).T
    return space.formulas.distance(x.double()[i], y.double()[j]).reshape(len(x), len(y)).numpy()


def off_diagonal(d: np.ndarray) -> np.ndarray:
    return d[~np.eye(len(d), dtype=bool)]


# --- The numbers


@pytest.mark.parametrize(
    ("space", "solver"), CASES, ids=lambda case: getattr(case, "name", type(case).__name__)
)
def test_distances_are_those_of_the_geometry(space: Space, solver: object, dtype: torch.dtype) -> None:
    x = points(space, 8, dtype)
    d = lg.distance_matrix(space.metric(dtype), x, solver=solver, tile_size=5)
    assert d.dtype == np.float64
    known = exact(space, x, x)
    # float32 coordinates alone move a short distance by their rounding
    slack = 20 * torch.finfo(dtype).eps
    assert (np.abs(d - known) <= LENGTH_RTOL[dtype] * known + slack).all()


def test_symmetric_with_zero_diagonal_and_the_triangle_inequality(dtype: torch.dtype) -> None:
    d = lg.distance_matrix(HALF_PLANE.metric(dtype), points(HALF_PLANE, 18, dtype), tile_size=5)
    assert (d == d.T).all()
    assert (np.diag(d) == 0).all()
    through = (d[:, :, None] + d[None]).min(axis=1)
    assert (d <= through * (1 + LENGTH_RTOL[dtype])).all()


def test_entries_are_distances_pair_by_pair() -> None:
    metric, x, y = HALF_PLANE.metric(), points(HALF_PLANE, 7), points(HALF_PLANE, 11, seed=1)
    d = lg.distance_matrix(metric, x, y)
    assert d.shape == (7, 11)
    i, j = torch.cartesian_prod(torch.arange(7), torch.arange(11)).T
    np.testing.assert_allclose(d.ravel(), lg.distance(metric, x[i], y[j]), rtol=1e-8)


@settings(max_examples=12)
@given(
    n=st.integers(0, 9),
    m=st.integers(0, 9),
    tile_size=st.integers(1, 6),
    dtype=strategies.dtypes(),
    same=st.booleans(),
)
def test_any_shape_and_any_tiles(n: int, m: int, tile_size: int, dtype: torch.dtype, same: bool) -> None:
    metric = lg.EuclideanMetric(3)
    x, y = torch.randn(n, 3, dtype=dtype), torch.randn(m, 3, dtype=dtype)
    d = lg.distance_matrix(metric, x, None if same else y, tile_size=tile_size)
    known = torch.cdist(x, x if same else y, compute_mode="donot_use_mm_for_euclid_dist").numpy()
    np.testing.assert_allclose(d, known, rtol=50 * torch.finfo(dtype).eps, atol=1e-30)


def test_numbers_do_not_depend_on_the_tiles_or_the_order_of_points() -> None:
    metric, x = SPHERE.metric(), points(SPHERE, 20)
    d = lg.distance_matrix(metric, x)
    np.testing.assert_allclose(lg.distance_matrix(metric, x, tile_size=7), d, rtol=1e-8)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(1))
    np.testing.assert_allclose(lg.distance_matrix(metric, x[order]), d[order][:, order], rtol=1e-8)


def test_duplicates_are_at_distance_zero_and_harmless() -> None:
    x = points(SPHERE, 6)
    twice = torch.cat([x, x])
    d = lg.distance_matrix(SPHERE.metric(), twice, tile_size=3)
    assert (np.diag(d, 6) == 0).all()
    np.testing.assert_allclose(d[:6, 6:], exact(SPHERE, x, x), rtol=1e-8, atol=1e-12)


def test_numpy_points_are_as_good_and_left_alone() -> None:
    x = points(SPHERE, 5)
    array = x.numpy().copy()
    array.flags.writeable = False
    assert (lg.distance_matrix(SPHERE.metric(), array) == lg.distance_matrix(SPHERE.metric(), x)).all()


def test_points_with_a_gradient_are_taken_as_they_are() -> None:
    x = points(SPHERE, 4).requires_grad_()
    assert np.isfinite(lg.distance_matrix(SPHERE.metric(), x)).all()


def test_numpy_points_may_be_of_any_byte_order_and_layout() -> None:
    array = points(SPHERE, 5).numpy()
    known = lg.distance_matrix(SPHERE.metric(), array)
    for other in (array.astype(">f8"), np.asfortranarray(array), array[::-1].copy()[::-1]):
        assert (lg.distance_matrix(SPHERE.metric(), other) == known).all()


def test_default_device_is_not_that_of_the_points(tmp_path: Path) -> None:
    x = points(SPHERE, 6)
    metric = SPHERE.metric()
    known = lg.distance_matrix(metric, x, tile_size=3)
    with torch.device("meta"):
        found = lg.distance_matrix(metric, x, tile_size=3, out=tmp_path / "distances.npy")
        assert lg.sampled_errors(found, metric, x, num_pairs=4).worst < 1e-8
    assert (found == known).all()


# --- Tiles


@given(n=st.integers(0, 40), m=st.integers(0, 40), side=st.integers(1, 9), same=st.booleans())
def test_tiles_hold_every_pair_once(n: int, m: int, side: int, same: bool) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 4, (n, 2)).astype(float), rng.standard_normal((m, 2))
    seen = np.zeros((n, n if same else m), dtype=int)
    found = tiles(x, None if same else y, side)
    assert len({tile.number for tile in found}) == len(found)
    for tile in found:
        i, j = tile.pairs()
        assert 0 < len(tile) == len(i) <= 4 * side**2
        np.add.at(seen, (tile.rows[i], tile.columns[j]), 1)
    assert ((seen + seen.T == 1 - np.eye(n)) if same else seen == 1).all()


def test_tiles_hold_neighbors() -> None:
    """The pairs of a tile differ less in their ends than the pairs of the whole matrix do."""
    x = np.random.default_rng(0).standard_normal((256, 2))
    spread = np.mean([x[group].std(axis=0) for group in neighborhoods(x, 16)])
    assert spread < x.std() / 2
    p = representatives(x, 4)
    assert set(p[p]) == set(p)
    assert np.linalg.norm(x - x[p], axis=1).mean() < x.std() / 2


# --- Better than each pair alone


def test_chains_are_those_that_undercut_a_distance() -> None:
    d = np.array([[0, 1, 5, 9], [1, 0, 1, 4.0], [5, 1, 0, 1], [9, 4, 1, 0]])
    chains = shorter_chains(d, symmetric=True)
    found = {(i, j): d[i, ell] + d[k, ell] + d[k, j] for i, ell, k, j in chains}
    assert found == {(0, 2): 2, (0, 3): 3, (1, 3): 2}


@given(n=st.integers(1, 12), m=st.integers(1, 12), seed=st.integers(0, 100))
def test_chains_are_the_least_of_all(n: int, m: int, seed: int) -> None:
    d = np.random.default_rng(seed).exponential(size=(n, m))
    d[np.random.default_rng(seed).random((n, m)) < 0.1] = np.nan
    d_known = np.where(np.isnan(d), np.inf, d)
    least = (d_known[:, :, None, None] + d_known.T[None, :, :, None] + d_known[None, None]).min(axis=(1, 2))
    chains = shorter_chains(d, symmetric=False)
    i, ell, k, j = chains.T
    np.testing.assert_allclose(d[i, ell] + d[k, ell] + d[k, j], least[i, j])
    undercut = np.zeros((n, m), dtype=bool)
    undercut[i, j] = True
    assert (undercut == (least < 0.999 * d_known)).all()


def test_local_minimum_is_left_for_the_shorter_way_round(dtype: torch.dtype) -> None:
    """A ridge that ends just above the straight line, from where every way down leads to its far end."""

    def ridge(z: Tensor) -> Tensor:
        x, y = z.unbind(1)
        height = torch.exp(-4 * x**2 - (y / torch.where(y > 0, 0.3, 1.2)) ** 2)
        return (1 + 100 * height)[:, None, None] * torch.eye(2, dtype=z.dtype)

    metric = lg.metric_from_function(ridge)
    x = torch.tensor([[-1.5, -0.1], [1.5, -0.1], [0.0, 1.0]], dtype=dtype)
    assert lg.distance(metric, x[0], x[1]) > 6.9
    d = lg.distance_matrix(metric, x)
    assert d[0, 1] == d[1, 0] < 3.9
    assert d[0, 1] < d[0, 2] + d[2, 1]
    y = lg.distance_matrix(metric, x[:2], x[1:])
    np.testing.assert_allclose(y, d[:2, 1:], rtol=1e-3)


def test_a_way_round_is_found_where_the_straight_line_is_not_a_number() -> None:
    """A hole in the plane: pairs across it have a path through other points."""

    def decoder(z: Tensor) -> Tensor:
        return torch.where(z.norm(dim=1, keepdim=True) < 0.5, torch.nan, z)

    x = 2 * torch.tensor([[1.0, 0], [0, 1], [-1, 0], [0, -1]], dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lg.ConvergenceWarning)  # the shortest way touches the hole
        d = lg.distance_matrix(lg.pullback_metric(decoder), x)
    across = 2 * (15**0.5 / 2 + 0.5 * np.arcsin(0.25))  # tangents to the circle, and its arc
    for i, j in ((0, 2), (1, 3)):
        assert across * (1 - 1e-2) <= d[i, j] <= 4 * 2**0.5 * (1 + 1e-9)


def test_curve_longer_than_its_line_is_solved_again_from_there() -> None:
    """A hill beside the line: from a start beyond it the curve goes round on the far side."""

    def hill(z: Tensor) -> Tensor:
        x, y = z.unbind(1)
        height = torch.exp(-2 * (x**2 + (y - 1.5) ** 2))
        return (1 + 100 * height)[:, None, None] * torch.eye(2, dtype=z.dtype)

    metric = lg.metric_from_function(hill)
    x = torch.tensor([[-1.5, 0.0], [1.5, 0.0]], dtype=torch.float64)
    start, end = x[:1], x[1:]
    bent = torch.tensor([[[-1.5, 0.0], [0.0, 3.0], [1.5, 0.0]]], dtype=torch.float64)
    far = lg.geodesic(metric, start, end, initial=resample(bent, 32))
    assert far.converged.all()
    known = lg.distance(metric, start, end)
    assert far.length > 2 * known
    found = PairSolver(metric, x, x, lg.MinimizeEnergy())._joined(start, end, far.points)
    np.testing.assert_allclose(found.lengths, known, rtol=1e-6)


# --- Failures


def test_length_that_is_not_a_number_replaces_none_that_is() -> None:
    store = Store(np.empty((2, 2)), symmetric=False, blank=True)
    rows, columns = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    store.put(rows, columns, np.array([1.0, 1.0, np.nan, np.nan]))
    better = store.put(rows, columns, np.array([np.nan, 0.5, 2.0, np.nan]))
    assert better.tolist() == [False, True, True, True]
    np.testing.assert_equal(store.numpy(), [[1.0, 0.5], [2.0, np.nan]])


def test_curve_that_is_not_a_number_replaces_none_that_is() -> None:
    """The straight line meets a hole, and the start that is given goes round it, if not to the end."""

    def decoder(z: Tensor) -> Tensor:
        return torch.where(z.norm(dim=1, keepdim=True) < 0.5, torch.nan, z)

    x = torch.tensor([[-2.0, 0.0], [2.0, 0.0]], dtype=torch.float64)
    bent = resample(torch.tensor([[[-2.0, 0.0], [0.0, 2.0], [2.0, 0.0]]], dtype=torch.float64), 32)
    pair = PairSolver(lg.pullback_metric(decoder), x, x, lg.MinimizeEnergy(max_steps=1))
    found = pair._joined(x[:1], x[1:], bent)
    assert np.isfinite(found.lengths).all()
    assert found.status[0] is not lg.Status.CONVERGED


def test_region_that_is_not_a_number_spoils_its_own_pairs_only(dtype: torch.dtype) -> None:
    metric = lg.pullback_metric(lambda z: torch.cat([z, (1 - z.square().sum(1, keepdim=True)).sqrt()], 1))
    x = 0.6 * points(SPHERE, 12, dtype)
    x[5] = 3.0
    with pytest.warns(lg.ConvergenceWarning) as caught:
        d = lg.distance_matrix(metric, x, tile_size=4)
    good = np.arange(12) != 5
    assert np.isnan(d[5, good]).all()
    assert np.isfinite(d[np.ix_(good, good)]).all()
    alone = lg.distance_matrix(metric, x[good], tile_size=4)
    np.testing.assert_allclose(d[np.ix_(good, good)], alone, rtol=1e-5 if dtype == torch.float32 else 1e-8)
    assert len(caught) == 1
    message = str(caught[0].message)
    assert "11 of 66 pairs" in message
    assert "(0, 5)" in message
    assert lg.Status.NON_FINITE.value in message


def test_pairs_that_do_not_converge_keep_their_best_length_under_one_warning() -> None:
    x = points(SPHERE, 6)
    with pytest.warns(lg.ConvergenceWarning, match="15 of 15 pairs") as caught:
        d = lg.distance_matrix(SPHERE.metric(), x, solver=lg.MinimizeEnergy(max_steps=1), tile_size=2)
    assert len(caught) == 1
    known = exact(SPHERE, x, x)
    assert (off_diagonal(d) >= off_diagonal(known) * (1 - 1e-6)).all()
    assert (off_diagonal(d) <= 1.1 * off_diagonal(known)).all()


# --- By a graph


def test_graph_gives_its_shortest_paths() -> None:
    x = points(SPHERE, 300)
    d = lg.distance_matrix(SPHERE.metric(), x, solver=lg.GraphSearch(x, num_neighbors=20))
    assert (d == d.T).all()
    assert (np.diag(d) == 0).all()
    known = exact(SPHERE, x, x)
    relative = off_diagonal(d) / off_diagonal(known) - 1
    assert relative.min() >= -1e-4
    assert np.median(relative) < 0.03
    y = points(SPHERE, 10, seed=1)
    to_others = lg.distance_matrix(SPHERE.metric(), x[:5], y, solver=lg.GraphSearch(x, num_neighbors=20))
    assert (to_others >= exact(SPHERE, x[:5], y) * (1 - 1e-4)).all()


def test_graph_in_two_pieces_says_so() -> None:
    g = torch.Generator().manual_seed(0)
    x = torch.cat([torch.rand(30, 2, generator=g), torch.rand(20, 2, generator=g) + 100])
    with pytest.warns(lg.ConvergenceWarning, match="2 components of 30 and 20 points") as caught:
        d = lg.distance_matrix(lg.EuclideanMetric(2), x, solver=lg.GraphSearch(x, num_neighbors=5))
    assert len(caught) == 1
    assert "600 of 1225 pairs" in str(caught[0].message)
    assert np.isinf(d[:30, 30:]).all()
    assert np.isfinite(d[:30, :30]).all()
    assert np.isfinite(d[30:, 30:]).all()


def test_sampled_errors_are_those_of_the_sampled_entries() -> None:
    x = points(HALF_PLANE, 30)
    known = exact(HALF_PLANE, x, x)
    found = lg.sampled_errors(1.1 * known, HALF_PLANE.metric(), x, num_pairs=50)
    assert found.pairs.shape == (50, 2)
    assert len(np.unique(found.pairs, axis=0)) == 50
    assert (found.pairs[:, 0] != found.pairs[:, 1]).all()
    for value in (found.median, found.ninetieth_percentile, found.worst, found.bias):
        assert value == pytest.approx(0.1, rel=1e-5)
    half = lg.sampled_errors(np.full((30, 30), np.nan), HALF_PLANE.metric(), x, num_pairs=5)
    assert half.worst == half.median == np.inf
    y = points(HALF_PLANE, 4, seed=1)
    few = lg.sampled_errors(0.5 * exact(HALF_PLANE, x, y), HALF_PLANE.metric(), x, y, num_pairs=1000)
    assert len(few.pairs) == 120
    assert few.bias == pytest.approx(-0.5, rel=1e-5)


# --- Bad input


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"metric": torch.nn.Identity()}, TypeError, "metric must be"),
        ({"X": [[0.0, 1.0]]}, TypeError, "X must be a NumPy array or a torch tensor"),
        (
            {"X": torch.zeros(3, 2, dtype=torch.int64)},
            TypeError,
            "X must be in float32 or float64, got a int64",
        ),
        ({"X": torch.zeros(3, 2).half()}, TypeError, "X must be in float32 or float64, got a float16"),
        (
            {"X": np.zeros((3, 2), np.longdouble)},
            TypeError,
            "X must be in float32 or float64, got an array",
        ),
        ({"X": torch.zeros(3)}, ValueError, r"X must have shape \(N, d\)"),
        ({"X": torch.tensor([[0.0, torch.nan]])}, ValueError, "the first is 0"),
        ({"Y": torch.zeros(3, 3)}, ValueError, "Y must have the coordinates"),
        ({"Y": torch.zeros(3, 2, dtype=torch.float64)}, ValueError, "Y must have the coordinates, dtype"),
        ({"solver": lg.MinimizeEnergy}, TypeError, "solver must be an object"),
        (
            {"solver": lg.GraphSearch(torch.rand(9, 3), num_neighbors=2)},
            ValueError,
            "the points of GraphSearch",
        ),
        ({"tile_size": 0}, ValueError, "tile_size must be a positive integer, got 0"),
        ({"client": "localhost"}, TypeError, "client must be a distributed.Client"),
        ({"out": np.zeros((2, 3))}, ValueError, r"out must have shape \(3, 3\), got \(2, 3\)"),
        (
            {"out": np.zeros((3, 3), dtype=int)},
            ValueError,
            "out must be of dtype float64 or float32, got int64",
        ),
        ({"out": torch.zeros(3, 3)}, TypeError, "out must be a writable NumPy or zarr array"),
        ({"out": "distances.csv"}, ValueError, "ends in .npy or .zarr"),
        ({"out": "nowhere/distances.npy"}, ValueError, "existing folder"),
    ],
)
def test_bad_input_is_named(change: dict, error: type, words: str, unchecked: None) -> None:
    arguments = {"metric": lg.EuclideanMetric(2), "X": torch.tensor([[0.0, 0], [1, 0], [0, 1]]), **change}
    metric, x = arguments.pop("metric"), arguments.pop("X")
    with pytest.raises(error, match=words):
        lg.distance_matrix(metric, x, **arguments)


def test_read_only_array_is_refused() -> None:
    out = np.zeros((3, 3))
    out.flags.writeable = False
    with pytest.raises(ValueError, match="out must be writable"):
        lg.distance_matrix(lg.EuclideanMetric(2), torch.rand(3, 2), out=out)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"distances": np.zeros((2, 2))}, "distances must have shape"), ({"num_pairs": 0}, "num_pairs must be")],
)
def test_bad_input_of_sampled_errors_is_named(change: dict, words: str, unchecked: None) -> None:
    arguments = {"distances": np.zeros((3, 3)), "num_pairs": 2, **change}
    with pytest.raises(ValueError, match=words):
        lg.sampled_errors(arguments.pop("distances"), lg.EuclideanMetric(2), torch.rand(3, 2), **arguments)
