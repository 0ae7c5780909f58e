"""Nearest neighbours by geodesic distance: the right ones, from few geodesics, in scikit-learn's conventions."""

import geoopt
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import KNeighborsClassifier

import latentgeo as lg
import spaces
from latentgeo import ConvergenceWarning, DiagonalNormal, EuclideanMetric, GeodesicKNeighborsClassifier
from latentgeo.training import reference_model

WEIGHTS = pytest.mark.parametrize("weights", ["uniform", "distance"])


def drawn(space: spaces.Space, points: int, queries: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return space.points(points, generator), space.points(queries, generator)


def classes(points: torch.Tensor) -> np.ndarray:
    return np.array(["east", "west"])[(points[:, 0] < 0).long().numpy()]


@WEIGHTS
@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_flat_space_gives_what_scikit_learn_gives(weights, k, dtype):
    generator = torch.Generator().manual_seed(0)
    x, q = torch.randn(2, 40, 3, dtype=dtype, generator=generator)
    q[:3] = x[:3]  # points at distance zero outvote all others
    y = np.arange(40) % 3
    ours = GeodesicKNeighborsClassifier(EuclideanMetric(3), k, weights=weights).fit(x, y)
    theirs = KNeighborsClassifier(k, weights=weights).fit(x.numpy(), y)
    for asked in (q, None):
        distances, indices = ours.kneighbors(asked)
        wanted = theirs.kneighbors(None if asked is None else asked.numpy())
        np.testing.assert_allclose(distances, wanted[0], rtol=1e-4, atol=1e-6)
        assert (indices.numpy() == wanted[1]).all()
    np.testing.assert_allclose(ours.predict_proba(q), theirs.predict_proba(q.numpy()), atol=1e-4)
    assert (ours.predict(q) == theirs.predict(q.numpy())).all()
    assert ours.score(q, y) == theirs.score(q.numpy(), y)
    assert ours.predict_proba(q).dtype == dtype


@pytest.mark.parametrize(
    "space", [spaces.SPHERE, spaces.CLIFFORD_TORUS, spaces.HALF_PLANE, spaces.SPHERE_FUNCTION], ids=str
)
@pytest.mark.parametrize("k", [1, 5])
def test_neighbours_are_the_nearest_of_all_and_cost_few_geodesics(space, k, solver):
    """By the closed form; with chords where the metric has an immersion, with pivots where it has none."""
    x, q = drawn(space, 80, 12)
    fitted = GeodesicKNeighborsClassifier(space.metric(), k, solver=solver).fit(x, classes(x))
    assert solver.count == (0 if space.immersed else 4 * 80)
    solver.count = 0
    distances, indices = fitted.kneighbors(q)
    wanted = space.formulas.distance(q.repeat_interleave(80, 0), x.repeat(12, 1)).reshape(12, 80)
    least, nearest = wanted.topk(k, largest=False)
    assert torch.equal(indices, nearest)
    torch.testing.assert_close(distances, least, rtol=1e-4, atol=0)
    assert solver.count < 12 * (2 * k + 6)  # of 12 * 80


def test_decoder_that_folds_gives_what_all_geodesics_give(solver):
    """Where chords are much shorter than geodesics, and geodesics of the solver not always the shortest."""
    generator = torch.Generator().manual_seed(1)
    x, q = torch.randn(30, 2, generator=generator), torch.randn(2, 2, generator=generator)
    metric = lg.expected_pullback_metric(reference_model("digits").decode)
    fitted = GeodesicKNeighborsClassifier(metric, 3, solver=solver).fit(x, classes(x))
    distances, indices = fitted.kneighbors(q)
    assert solver.count < 2 * 10
    every = solver.solve(metric, q.repeat_interleave(30, 0), x.repeat(2, 1)).length.reshape(2, 30)
    torch.testing.assert_close(distances, every.topk(3, largest=False).values, rtol=1e-5, atol=0)
    assert torch.equal(indices, every.topk(3, largest=False).indices)


def test_geodesic_neighbours_have_the_class_that_straight_ones_miss():
    """Two long thin sheets whose images are far apart: the chart hides what the decoder shows."""

    def decoder(z):
        return torch.stack([z[:, 0] / 4, 8 * (z[:, 1] - z[:, 0].square())], 1)

    generator = torch.Generator().manual_seed(0)
    along = 4 * torch.rand(60, dtype=torch.float64, generator=generator) - 2
    labels = torch.arange(60) % 2
    z = torch.stack([along, along.square() + 0.12 * labels], 1)
    train, test = slice(0, 40), slice(40, 60)
    geodesic = GeodesicKNeighborsClassifier(lg.pullback_metric(decoder), 3).fit(z[train], labels[train])
    straight = KNeighborsClassifier(3).fit(z[train].numpy(), labels[train].numpy())
    assert geodesic.score(z[test], labels[test]) == 1
    assert straight.score(z[test].numpy(), labels[test].numpy()) < 0.8


def test_candidates_are_an_approximation_that_bounds_the_work(solver):
    x, q = drawn(spaces.HALF_PLANE, 60, 10)
    metric = spaces.HALF_PLANE.metric()
    some = GeodesicKNeighborsClassifier(metric, 3, solver=solver, candidates=8).fit(x, classes(x))
    distances, indices = some.kneighbors(q)
    assert solver.count <= 10 * 8
    near = torch.cdist(q, x).topk(8, largest=False).indices
    assert (indices[:, :, None] == near[:, None]).any(2).all()
    exact, _ = GeodesicKNeighborsClassifier(metric, 3).fit(x, classes(x)).kneighbors(q)
    assert (distances >= exact * (1 - 1e-6)).all()
    every = GeodesicKNeighborsClassifier(metric, 3, candidates=1000).fit(x, classes(x)).kneighbors(q)[0]
    torch.testing.assert_close(every, exact, rtol=1e-6, atol=0)


def test_points_of_fit_are_not_their_own_neighbours():
    for space in (spaces.SPHERE, spaces.HALF_PLANE):
        x, _ = drawn(space, 15, 1)
        fitted = GeodesicKNeighborsClassifier(space.metric(), 2).fit(x, classes(x))
        indices = fitted.kneighbors(return_distance=False)
        assert (indices != torch.arange(15)[:, None]).all()
        wanted = space.formulas.distance(x.repeat_interleave(15, 0), x.repeat(15, 1)).reshape(15, 15)
        assert torch.equal(indices, wanted.fill_diagonal_(torch.inf).topk(2, largest=False).indices)


def test_on_a_manifold_with_closed_forms():
    generator = torch.Generator().manual_seed(0)
    x = torch.stack(
        [torch.randn(30, 2, generator=generator), torch.rand(30, 2, generator=generator) + 0.2], 1
    )
    fitted = GeodesicKNeighborsClassifier(DiagonalNormal(), 3).fit(x[:20], np.arange(20))
    distances, indices = fitted.kneighbors(x[20:])
    wanted = DiagonalNormal().dist(x[20:, None].expand(10, 20, 2, 2), x[None, :20].expand(10, 20, 2, 2))
    torch.testing.assert_close(distances, wanted.topk(3, largest=False).values)
    assert torch.equal(indices, wanted.topk(3, largest=False).indices)


@pytest.mark.parametrize(
    "y",
    [[3, 5, 3, 5], ["a", "b", "a", "b"], [True, False, True, False], torch.tensor([7, -1, 7, -1])],
    ids=str,
)
def test_labels_may_be_of_any_type(y):
    x = torch.tensor([[0.0, 0.0], [5.0, 5.0], [0.1, 0.0], [5.1, 5.0]])
    fitted = GeodesicKNeighborsClassifier(EuclideanMetric(2), 1).fit(x, y)
    assert list(fitted.predict(x)) == list(y)
    assert isinstance(fitted.predict(x.numpy()), type(y) if isinstance(y, torch.Tensor) else np.ndarray)
    assert fitted.score(x, y) == 1
    assert fitted.score(x, y, sample_weight=torch.ones(4)) == 1
    assert fitted.classes_.tolist() == sorted({getattr(label, "item", lambda v=label: v)() for label in y})


def test_numpy_in_numpy_out():
    x, q = (points.numpy() for points in drawn(spaces.SPHERE, 20, 5))
    fitted = GeodesicKNeighborsClassifier(spaces.SPHERE.metric(), 2).fit(x, np.arange(20) % 2)
    for value in (*fitted.kneighbors(q), *fitted.kneighbors(), fitted.predict_proba(q), fitted.predict(q)):
        assert isinstance(value, np.ndarray)
    assert isinstance(fitted.predict_proba(torch.from_numpy(q)), torch.Tensor)
    assert clone(fitted).get_params()["n_neighbors"] == 2


def test_points_out_of_reach_are_no_neighbours():
    """Nor do they spoil other queries; who reaches nothing gets the shares of the classes."""

    def decoder(z):
        return torch.cat([z, torch.where(z[:, :1] > 5, torch.nan, 0 * z[:, :1])], 1)

    x = torch.tensor([[0.0, 0.0], [9.0, 0.1], [1.0, 0.0], [9.0, 0.0]])
    fitted = GeodesicKNeighborsClassifier(lg.pullback_metric(decoder), 3).fit(x, ["a", "b", "a", "b"])
    q = torch.tensor([[0.2, 0.0], [9.0, 0.2]])
    with pytest.warns(ConvergenceWarning, match="2 of 2 queries have fewer than n_neighbors=3"):
        distances, indices = fitted.kneighbors(q)
    assert indices.tolist() == [[0, 2, -1], [-1, -1, -1]]
    torch.testing.assert_close(distances[0], torch.tensor([0.2, 0.8, torch.inf]), rtol=1e-3, atol=0)
    with pytest.warns(ConvergenceWarning, match="fewer"):
        shares = fitted.predict_proba(q)
    torch.testing.assert_close(shares, torch.tensor([[1.0, 0.0], [0.5, 0.5]]))


def test_points_without_a_metric_are_no_pivots_either(solver):
    matrix = spaces.SPHERE_FUNCTION.matrix
    metric = lg.metric_from_function(lambda z: torch.where(z[:, :1, None] > 2, torch.nan, matrix(z)))
    x, q = drawn(spaces.SPHERE_FUNCTION, 20, 4)
    x[0, 0] = 3  # the first pivot
    fitted = GeodesicKNeighborsClassifier(metric, 2, solver=solver).fit(x, np.arange(20))
    solver.count = 0
    fitted.kneighbors(q)
    assert solver.count < 4 * 12  # of 4 * 20: the other pivots do their work
    wanted = GeodesicKNeighborsClassifier(spaces.SPHERE_FUNCTION.metric(), 2).fit(x[1:], np.arange(19))
    assert torch.equal(fitted.kneighbors(q)[1], wanted.kneighbors(q)[1] + 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_neighbors": 0}, "n_neighbors must be a positive integer, got 0"),
        ({"weights": "gaussian"}, "weights must be 'uniform' or 'distance', got 'gaussian'"),
        ({"candidates": 2}, "candidates must be at least n_neighbors=3, got 2"),
        ({"n_pivots": -1}, "n_pivots must be a positive integer, got -1"),
        ({"metric": geoopt.Euclidean(ndim=1), "solver": lg.MinimizeEnergy()}, "solver must be None"),
    ],
    ids=str,
)
def test_options_out_of_range(unchecked, options, message):
    given = {"metric": EuclideanMetric(2), "n_neighbors": 3, **options}
    with pytest.raises(ValueError, match=message):
        GeodesicKNeighborsClassifier(given.pop("metric"), **given).fit(torch.zeros(4, 2), [0, 1, 0, 1])


def test_data_that_do_not_fit(unchecked):
    estimator, x = GeodesicKNeighborsClassifier(EuclideanMetric(2), 3), torch.rand(4, 2)
    with pytest.raises(NotFittedError):
        estimator.predict(x)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        estimator.fit(x, [0, 1])
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        estimator.fit(x, [0.1, 0.2, 0.3, 0.4])
    with pytest.raises(ValueError, match="y is None"):
        estimator.fit(x, None)
    fitted = estimator.fit(x, [0, 1, 0, 1])
    with pytest.raises(ValueError, match="X has 3 features, but GeodesicKNeighborsClassifier is expecting 2"):
        fitted.predict(torch.zeros(4, 3))
    with pytest.raises(
        ValueError, match="n_neighbors must be at most 3, the number of points to choose from, got 4"
    ):
        fitted.kneighbors(n_neighbors=4)
    with pytest.raises(TypeError, match="metric must be a latentgeo Metric"):
        GeodesicKNeighborsClassifier(lambda z: z).fit(x, [0, 1, 0, 1])
