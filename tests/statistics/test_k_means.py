"""Geodesic k-means: what it minimizes, its conventions, and what it says of data it cannot cluster."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.exceptions import NotFittedError
from sklearn.metrics import adjusted_rand_score

import latentgeo as lg
from latentgeo import ConvergenceWarning, EuclideanMetric, GeodesicKMeans
from latentgeo.statistics.lloyd import Lloyd
from latentgeo.statistics.space import LatentSpace

HALF_PLANE = lg.metric_from_function(lambda z: torch.eye(2, dtype=z.dtype) / z[:, 1, None, None].square())
BLOBS = torch.cat(
    [
        torch.tensor(center) + 0.1 * torch.randn(12, 2, generator=torch.Generator().manual_seed(i))
        for i, center in enumerate([(0.0, 0.0), (1.5, 0.2), (0.4, 1.4)])
    ]
)
TRUTH = torch.arange(3).repeat_interleave(12)


def stereographic(z: torch.Tensor) -> torch.Tensor:
    square = z.square().sum(1, keepdim=True)
    return torch.cat([2 * z, 1 - square], 1) / (1 + square)


def same_partition(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.equal(a[:, None] == a, b[:, None] == b)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_flat_metric_gives_what_scikit_learn_gives(dtype: torch.dtype) -> None:
    points = BLOBS.to(dtype)
    ours = GeodesicKMeans(EuclideanMetric(2), 3, random_state=0, tol=1e-6).fit(points)
    theirs = KMeans(3, n_init=5, random_state=0).fit(points.numpy())
    assert ours.inertia_ == pytest.approx(theirs.inertia_, rel=1e-4)
    assert same_partition(ours.labels_, torch.from_numpy(theirs.labels_).long())
    assert ours.cluster_centers_.dtype == dtype


def test_centers_on_the_sphere_are_riemannian_means() -> None:
    """At the mean the logarithms of the points sum to zero."""
    metric = lg.pullback_metric(stereographic)
    points = BLOBS.double()
    fitted = GeodesicKMeans(metric, 3, random_state=0, tol=1e-6, solver=lg.MinimizeEnergy(tol=1e-8)).fit(
        points
    )
    assert same_partition(fitted.labels_, TRUTH)
    for k, center in enumerate(fitted.cluster_centers_):
        mean = lg.logmap(metric, center, points[fitted.labels_ == k]).mean(0)
        assert metric.norm(center, mean) < 1e-5


def test_labels_do_not_depend_on_the_latent_coordinates() -> None:
    """The chart is bent; the sphere, and so the clusters and their inertia, are the same."""
    straight = GeodesicKMeans(lg.pullback_metric(stereographic), 3, random_state=1).fit(BLOBS)
    bent = lg.pullback_metric(lambda w: stereographic(torch.stack([w[:, 0], w[:, 1] - w[:, 0] ** 3], 1)))
    charted = torch.stack([BLOBS[:, 0], BLOBS[:, 1] + BLOBS[:, 0] ** 3], 1)
    other = GeodesicKMeans(bent, 3, random_state=1).fit(charted)
    assert same_partition(straight.labels_, other.labels_)
    assert straight.inertia_ == pytest.approx(other.inertia_, rel=1e-3)


def test_labels_are_the_nearest_centers_although_most_distances_are_only_bounded() -> None:
    points = torch.rand(60, 2, generator=torch.Generator().manual_seed(3)) * 2 - 1
    fitted = GeodesicKMeans(lg.pullback_metric(stereographic), 4, random_state=0).fit(points)
    distances = fitted.transform(points)
    assert torch.equal(distances.argmin(1), fitted.labels_)
    assert torch.equal(fitted.predict(points), fitted.labels_)
    assert fitted.inertia_ == pytest.approx(float(distances.min(1).values.double().square().sum()), rel=1e-3)


def test_bounds_stay_below_the_distances_after_steps_that_bend() -> None:
    """In the half-plane, where no chord helps, a step of second order leads 1.8 times as far as it is long."""
    near, beyond = (
        [0.5462, 0.4663],
        [0.5537, 0.1855],
    )  # where the exponential map leads, and where the step does
    points = torch.tensor([near, beyond, [0.62, 0.17]]).double()
    run = Lloyd(LatentSpace(HALF_PLANE, lg.MinimizeEnergy(num_segments=16)), points, 2)
    with torch.no_grad():
        run.place(torch.tensor([[0.0, 1.0], [0.6, 0.16]]).double())
        run.iterate(1, 0.0)
    x, y = points[:, None], run.centers
    exact = torch.acosh(1 + (x - y).square().sum(2) / (2 * x[..., 1] * y[..., 1]))
    torch.testing.assert_close(run.centers[0], points[1], rtol=0, atol=1e-3)
    assert bool((run.distances <= 1.01 * exact + 1e-3).all())


@pytest.mark.parametrize("init", ["k-means++", "random", "k-medoids"])
def test_no_start_is_where_nothing_reaches(init: str) -> None:
    """More starts are no worse, although a start that reaches nothing has no inertia at all."""
    hole = torch.tensor([0.1, 0.3])

    def plane_with_a_hole(z: torch.Tensor) -> torch.Tensor:
        near = (z - hole).norm(dim=1) < 0.01
        return torch.where(near[:, None, None], torch.nan, torch.eye(2).expand(len(z), 2, 2))

    points = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0], [0.5, 0.5], [0.1, 0.3]])
    metric = lg.metric_from_function(plane_with_a_hole)
    with pytest.warns(ConvergenceWarning, match="1 points are at no finite distance"):
        fitted = GeodesicKMeans(metric, 1, init=init, n_init=4, random_state=3).fit(points)
    assert fitted.labels_.tolist() == [0, 0, 0, 0, 0, -1]
    assert fitted.inertia_ == pytest.approx(4.4, rel=1e-3)


def test_the_start_that_reaches_most_is_kept() -> None:
    """Starts on an island of the plane have less inertia, and leave the mainland out."""

    def two_islands(z: torch.Tensor) -> torch.Tensor:
        strait = (z[:, 0] > 4) & (z[:, 0] < 5)
        return torch.where(strait[:, None, None], torch.nan, torch.eye(2).expand(len(z), 2, 2))

    points = torch.cat([BLOBS[:3], torch.tensor([[9.0, 0.0]])])
    with pytest.warns(ConvergenceWarning, match="1 points are at no finite distance"):
        fitted = GeodesicKMeans(
            lg.metric_from_function(two_islands), 1, init="random", n_init=8, random_state=0
        ).fit(points)
    assert fitted.labels_.tolist() == [0, 0, 0, -1]


def test_names_of_the_distances() -> None:
    fitted = GeodesicKMeans(EuclideanMetric(2), 3, random_state=0).fit(BLOBS.numpy())
    assert fitted.get_feature_names_out().tolist() == [
        "geodesickmeans0",
        "geodesickmeans1",
        "geodesickmeans2",
    ]


def test_inertia_does_not_grow_with_more_iterations() -> None:
    points = torch.rand(50, 2, generator=torch.Generator().manual_seed(4)) * 2 - 1
    metric = lg.pullback_metric(stereographic)
    with pytest.warns(ConvergenceWarning, match="max_iter=1"):
        inertias = [GeodesicKMeans(metric, 4, random_state=0, max_iter=1, tol=0.0).fit(points).inertia_]
    inertias.append(GeodesicKMeans(metric, 4, random_state=0).fit(points).inertia_)
    assert inertias[1] <= inertias[0] * (1 + 1e-6)


def test_numpy_in_numpy_out() -> None:
    fitted = GeodesicKMeans(EuclideanMetric(2), 3, random_state=0).fit(BLOBS.numpy())
    for value in (fitted.labels_, fitted.cluster_centers_, fitted.predict(BLOBS.numpy())):
        assert isinstance(value, np.ndarray)
    assert isinstance(fitted.fit_predict(BLOBS.numpy()), np.ndarray)
    assert isinstance(fitted.transform(BLOBS), torch.Tensor)
    assert fitted.n_features_in_ == 2


def test_same_random_state_gives_the_same_clusters_and_leaves_global_generators_alone() -> None:
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    runs = [GeodesicKMeans(EuclideanMetric(2), 3, random_state=7).fit(BLOBS) for _ in range(2)]
    assert torch.equal(runs[0].cluster_centers_, runs[1].cluster_centers_)
    assert torch.equal(state, torch.get_rng_state())
    assert (numpy_state == np.random.get_state()[1]).all()  # noqa: NPY002


def test_estimator_can_be_cloned() -> None:
    estimator = GeodesicKMeans(EuclideanMetric(2), 3, tol=1e-2, random_state=0)
    twin = clone(estimator)
    assert twin.get_params()["tol"] == 1e-2
    with pytest.raises(NotFittedError):
        twin.predict(BLOBS)


def test_given_centers_are_where_the_iterations_start() -> None:
    centers = BLOBS[[0, 12, 24]]
    fitted = GeodesicKMeans(EuclideanMetric(2), 3, init=centers).fit(BLOBS)
    assert torch.equal(fitted.labels_, TRUTH)


def test_center_without_points_moves_to_one() -> None:
    centers = torch.tensor([[0.0, 0.0], [1.5, 0.2], [50.0, 50.0]])
    fitted = GeodesicKMeans(EuclideanMetric(2), 3, init=centers).fit(BLOBS)
    assert set(fitted.labels_.tolist()) == {0, 1, 2}


def test_more_centers_than_distinct_points_end() -> None:
    points = torch.tensor([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    fitted = GeodesicKMeans(EuclideanMetric(2), 3, random_state=0).fit(points)
    assert fitted.inertia_ == 0


def test_point_out_of_reach_has_label_minus_one_and_spoils_nothing() -> None:
    def decoder(z: torch.Tensor) -> torch.Tensor:
        return torch.cat([z, torch.where(z[:, :1] > 5, torch.nan, 0 * z[:, :1])], 1)

    points = torch.cat([BLOBS, torch.tensor([[9.0, 0.0]])])
    with pytest.warns(ConvergenceWarning, match="label -1"):
        fitted = GeodesicKMeans(lg.pullback_metric(decoder), 3, init=BLOBS[[0, 12, 24]]).fit(points)
    assert fitted.labels_[-1] == -1
    assert torch.equal(fitted.labels_[:-1], TRUTH)
    assert np.isfinite(fitted.inertia_)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_clusters": 0}, "n_clusters must be a positive integer, got 0"),
        ({"n_clusters": 37}, "at least n_clusters=37 points, got 36"),
        ({"init": "kmeans"}, "init must be 'k-means\\+\\+', 'k-medoids', 'random' or an array"),
        ({"init": np.zeros((2, 2))}, "init must hold 3 finite centres of 2 coordinates"),
        ({"max_iter": 0}, "max_iter must be a positive integer"),
        ({"tol": -1.0}, "tol must be a non-negative number"),
    ],
    ids=str,
)
def test_options_out_of_range(unchecked: None, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GeodesicKMeans(EuclideanMetric(2), **{"n_clusters": 3, **options}).fit(BLOBS)


def test_data_that_cannot_be_clustered(unchecked: None) -> None:
    estimator = GeodesicKMeans(EuclideanMetric(2), 2)
    for wrong, message in ((BLOBS[0], "shape \\(N, d\\)"), (BLOBS * torch.nan, "finite")):
        with pytest.raises(ValueError, match=message):
            estimator.fit(wrong)
    with pytest.raises(ValueError, match="dtype='numeric' is not compatible"):
        estimator.fit([["a", "b"], ["c", "d"]])
    with pytest.raises(TypeError, match="metric must be a latentgeo Metric"):
        GeodesicKMeans(lambda z: z, 2).fit(BLOBS)
    with pytest.raises(ValueError, match="X has 3 features, but GeodesicKMeans is expecting 2"):
        estimator.fit(BLOBS).predict(torch.zeros(4, 3))


def parabolas(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Three long thin sheets side by side, and which is which."""
    generator = torch.Generator().manual_seed(0)
    along, across = torch.rand(2, n, dtype=torch.float64, generator=generator)
    truth = torch.arange(n) % 3
    along = 2 * along - 1
    return torch.stack([along, along.square() + 0.25 * truth + 0.05 * across], 1), truth


def unfold(z: torch.Tensor) -> torch.Tensor:
    """A decoder in whose images the sheets are compact and apart."""
    return torch.stack([z[:, 0] / 3, 8 * (z[:, 1] - z[:, 0].square())], 1)


@pytest.mark.parametrize("init", ["k-means++", "k-medoids"])
def test_clusters_that_straight_distances_miss_are_found(init: str) -> None:
    points, truth = parabolas(18)
    fitted = GeodesicKMeans(lg.pullback_metric(unfold), 3, init=init, random_state=0).fit(points)
    assert adjusted_rand_score(truth, fitted.labels_) > 0.95
    straight = KMeans(3, n_init=10, random_state=0).fit(points.numpy())
    assert adjusted_rand_score(truth, straight.labels_) < 0.3
    theirs = KMeans(3, n_init=10, random_state=0).fit(
        unfold(points).numpy()
    )  # the decoder is one to one and flat
    assert fitted.inertia_ == pytest.approx(theirs.inertia_, rel=1e-3)


def test_transform_gives_the_distances_to_all_centers() -> None:
    metric = lg.pullback_metric(stereographic)
    fitted = GeodesicKMeans(metric, 3, init=BLOBS[[0, 12, 24]]).fit(BLOBS)
    wanted = torch.stack([lg.distance(metric, center, BLOBS) for center in fitted.cluster_centers_], 1)
    torch.testing.assert_close(fitted.transform(BLOBS), wanted, rtol=1e-4, atol=1e-5)


def test_chords_leave_few_geodesics_to_be_solved(solver) -> None:
    """Blobs apart: one a point to be placed, and one a point for each step of its centre."""
    fitted = GeodesicKMeans(lg.pullback_metric(stereographic), 3, solver=solver, init=BLOBS[[0, 12, 24]]).fit(
        BLOBS
    )
    assert solver.count < 36 * (fitted.n_iter_ + 1) + 10
    solver.count = 0
    assert torch.equal(fitted.predict(BLOBS), TRUTH)
    assert solver.count < 36 + 10


def test_start_from_medoids_is_near_the_end(solver) -> None:
    metric = lg.pullback_metric(stereographic)
    fitted = GeodesicKMeans(metric, 3, init="k-medoids", solver=solver, random_state=0).fit(BLOBS)
    assert torch.equal(fitted.labels_[:, None] == fitted.labels_, TRUTH[:, None] == TRUTH)
    theirs = GeodesicKMeans(metric, 3, n_init=3, random_state=0).fit(BLOBS)
    assert fitted.inertia_ == pytest.approx(theirs.inertia_, rel=1e-3)
    assert fitted.n_iter_ <= theirs.n_iter_


def test_start_from_medoids_on_a_manifold_with_closed_forms() -> None:
    normals = torch.stack([BLOBS, torch.ones_like(BLOBS)], 1)
    fitted = GeodesicKMeans(lg.DiagonalNormal(), 3, init="k-medoids", random_state=0).fit(normals)
    assert same_partition(fitted.labels_, TRUTH)


def test_bar_is_shown_if_asked_for(capsys: pytest.CaptureFixture) -> None:
    estimator = GeodesicKMeans(EuclideanMetric(2), 3, random_state=0, n_init=2)
    estimator.fit(BLOBS)
    assert capsys.readouterr().err == ""
    estimator.set_params(progress=True).fit(BLOBS)
    assert "/60" in capsys.readouterr().err
