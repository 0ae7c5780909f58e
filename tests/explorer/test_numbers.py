"""What the explorer shows, as numbers: planes, maps, curves, balls, clusters, and what points decode to."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Bernoulli, Gumbel, Independent, Normal

from latentgeo import (
    EuclideanMetric,
    fisher_pullback_metric,
    geodesic,
    metric_from_function,
    pullback_metric,
)
from latentgeo.explorer.balls import ball
from latentgeo.explorer.choices import metric_choices
from latentgeo.explorer.clusters import cluster, spread
from latentgeo.explorer.decoded import decoded
from latentgeo.explorer.export import curve_file
from latentgeo.explorer.joined import join, straight_line
from latentgeo.explorer.plane import Plane, coordinate_plane
from latentgeo.explorer.scene import scene_of
from latentgeo.explorer.typed import point_of
from latentgeo.explorer.watched import Cancelled, Watch, WatchedMetric
from spaces import SPACES

HALF_PLANE = metric_from_function(lambda z: torch.eye(2).to(z) / z[:, 1, None, None] ** 2)
FLAT = Plane(torch.zeros(2), torch.eye(2), ("x", "y"))


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_watched_metric_gives_the_same_curves(space):
    metric, problem = space.metric(torch.float64), space.problem(2, torch.Generator().manual_seed(1))
    watch = Watch()
    watched = WatchedMetric(metric, watch)
    plain, seen = (geodesic(m, problem.start, problem.end) for m in (metric, watched))
    assert torch.equal(plain.points, seen.points)
    assert watch.points > 0


def test_cancelled_metric_is_evaluated_no_more():
    calls = []

    def decode(z):
        calls.append(len(z))
        if len(calls) == 30:
            watch.cancel()
        return torch.stack([z[:, 0], z[:, 1], (3 * z[:, 0]).sin() * (3 * z[:, 1]).cos()], 1)

    watch = Watch()
    with pytest.raises(Cancelled):
        list(join(WatchedMetric(pullback_metric(decode), watch), torch.zeros(2), torch.ones(2)))
    assert len(calls) == 30


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_joined_curve_is_that_of_geodesic(space):
    metric, problem = space.metric(torch.float64), space.problem(1, torch.Generator().manual_seed(2))
    *rough, last = join(metric, problem.start[0], problem.end[0])
    plain = geodesic(metric, problem.start, problem.end)
    assert torch.equal(last.result.points, plain.points)
    assert all(joined.under_way for joined in rough)
    assert not last.under_way
    assert str(plain.status[0]) in last.words()
    assert float(last.result.length[0]) <= last.line_length * (1 + 1e-4)


@given(st.floats(0.01, 100.0), st.floats(1.1, 20.0))
def test_straight_line_has_its_length_and_an_even_pace(low, ratio):
    """In the half-plane a vertical line from y to y r is log r long, and an even pace is a geometric series."""
    start, end = torch.tensor([[0.0, low], [0.0, low * ratio]], dtype=torch.float64)
    points, length = straight_line(HALF_PLANE, start, end)
    assert length == pytest.approx(math.log(ratio), rel=1e-3)
    steps = points[:, 1].log().diff()
    change = (ratio - 1) / len(steps)  # of the speed, at most, between two points that are interpolated
    assert torch.allclose(steps, torch.full_like(steps, length / len(steps)), rtol=change + 1e-3)


def test_straight_line_from_a_point_to_itself_is_that_point():
    points, length = straight_line(HALF_PLANE, *torch.ones(2, 2))
    assert length == 0
    assert torch.equal(points, torch.ones_like(points))


def test_ball_is_where_the_distance_says():
    """In the half-plane cosh d = 1 + |z - w|² / (2 y_z y_w)."""
    center = torch.tensor([0.0, 1.0], dtype=torch.float64)
    bounds = torch.tensor([[-1.5, 0.3], [1.5, 3.3]], dtype=torch.float64)
    plane = Plane(FLAT.origin.double(), FLAT.axes.double(), FLAT.names)
    rough, found = ball(HALF_PLANE, plane, center, 0.8, bounds, resolution=60)
    assert rough.under_way
    x, y = (low + (torch.arange(60) + 0.5) * 0.05 for low in (-1.5, 0.3))
    exact = torch.acosh(1 + (x**2 + (y[:, None] - 1) ** 2) / (2 * y[:, None]))
    near = exact < 1.0
    assert float((found.distances - exact)[near].abs().max()) < 0.02
    ends = found.fan[:, -1]
    reached = torch.acosh(1 + (ends - center).square().sum(1) / (2 * ends[:, 1]))
    assert torch.allclose(reached, torch.full_like(reached, 0.8), rtol=5e-3)
    assert "24 geodesics" in found.words()


def test_ball_on_a_line_ends_at_its_radius():
    plane = coordinate_plane(torch.zeros(1, 1, dtype=torch.float64), 0)
    metric = pullback_metric(lambda z: z.exp())
    bounds = torch.tensor([[-3.0], [3.0]], dtype=torch.float64)
    *_, found = ball(metric, plane, torch.zeros(1, dtype=torch.float64), 0.5, bounds)
    assert found.distances is None
    assert torch.allclose(found.fan[:, -1, 0].exp(), torch.tensor([0.5, 1.5]).double(), rtol=1e-2)


@pytest.mark.parametrize(
    ("radius", "center", "words"),
    [(0.0, [0.0, 1.0], "positive"), (math.nan, [0.0, 1.0], "positive"), (1.0, [9.0, 1.0], "in view")],
)
def test_ball_refuses_in_words(radius, center, words):
    bounds = torch.tensor([[-1.0, 0.5], [1.0, 2.5]])
    with pytest.raises(ValueError, match=words):
        next(ball(HALF_PLANE, FLAT, torch.tensor(center), radius, bounds))


def test_ball_at_a_singular_point_is_refused_in_words():
    metric = pullback_metric(lambda z: z[:, :1].square())
    with pytest.raises(ValueError, match="singular or not finite there"):
        next(ball(metric, FLAT, torch.zeros(2), 1.0, torch.tensor([[-1.0, -1.0], [1.0, 1.0]])))


@pytest.mark.parametrize(
    ("decode", "names"),
    [
        (torch.sin, ["Euclidean", "pull-back"]),
        (lambda z: (z.sin(), z.cosh()), ["Euclidean", "expected pull-back"]),
        (lambda z: Normal(z.sin(), z.cosh()), ["Euclidean", "expected pull-back", "Fisher"]),
        (lambda z: Independent(Bernoulli(logits=z), 1), ["Euclidean", "Fisher"]),
        (lambda z: Gumbel(z, 1.0), ["Euclidean"]),
    ],
)
def test_choices_are_what_the_answer_allows(decode, names):
    latents = torch.randn(9, 2)
    assert list(metric_choices(EuclideanMetric(2), decode, latents)) == names


def test_given_metric_has_the_name_of_what_it_is():
    decode = lambda z: Independent(Bernoulli(logits=z), 1)  # noqa: E731
    latents = torch.randn(9, 2)
    assert list(metric_choices(fisher_pullback_metric(decode), decode, latents)) == ["Fisher", "Euclidean"]
    assert list(metric_choices(HALF_PLANE, decode, latents + 5)) == ["as given", "Fisher", "Euclidean"]


@pytest.mark.parametrize(
    ("event", "image_shape"),
    [
        ((64,), (8, 8)),
        ((65,), None),
        ((9,), None),
        ((8, 6), (8, 6)),
        ((3, 4, 5), (3, 4, 5)),
        ((2, 4, 4), None),
    ],
)
def test_images_are_taken_for_images(event, image_shape):
    seen = decoded(lambda z: z.new_zeros(len(z), *event), torch.zeros(2, 3, 1))
    assert seen.image_shape == image_shape
    assert seen.values.shape == (2, 3, *event)


def test_pixels_are_where_they_belong():
    """The second row of curves is drawn below the first, and Bokeh's images begin at the bottom."""
    values = torch.linspace(0, 1, 2 * 3 * 4).reshape(6, 2, 2)
    values[0, 0, 0] = torch.nan
    seen = decoded(lambda z: values, torch.zeros(2, 3, 1))
    picture = seen.tiles()[::-1].copy().view(np.uint8).reshape(5, 8, 4)
    assert picture[0, 1].tolist() == [round(255 / 23)] * 3 + [255]
    assert picture[4, 7].tolist() == [255] * 4
    assert picture[3, 0].tolist() == [round(255 * 12 / 23)] * 3 + [255]
    assert picture[0, 0, 3] == picture[2, 0, 3] == picture[0, 2, 3] == 0  # not finite, and gaps


def test_values_that_change_most_are_drawn():
    seen = decoded(lambda z: z * torch.tensor([0.0, 5.0, 1.0, 0.1, 3.0, 2.0, 4.0]), torch.randn(2, 9, 1))
    assert seen.most_varied() == [1, 2, 4, 5, 6]


def test_wrong_image_shape_is_refused_in_words():
    with pytest.raises(ValueError, match=r"image_shape: expected .* 64 values, got \(9, 9\)"):
        decoded(lambda z: z.expand(-1, 64), torch.zeros(2, 3, 1), image_shape=(9, 9))


def test_clusters_are_found_among_many_points():
    torch.manual_seed(0)
    latents = torch.cat([torch.randn(200, 2) * 0.1, torch.randn(200, 2) * 0.1 + 4])
    found = cluster(EuclideanMetric(2), latents, 2)
    rows = spread(400, 120)
    used = found.labels >= 0
    assert used.nonzero()[:, 0].tolist() == rows.tolist()
    first, second = found.labels[rows[:60]].unique(), found.labels[rows[60:]].unique()
    assert len(first) == len(second) == 1
    assert first != second
    assert torch.allclose(found.centers.sort(0).values, torch.tensor([[0.0, 0.0], [4.0, 4.0]]), atol=0.05)
    assert "120 latents" in found.words()


def test_curve_is_saved_as_it_is():
    *_, joined = join(HALF_PLANE, torch.tensor([-1.0, 1.0]), torch.tensor([1.0, 1.0]))
    with np.load(io.BytesIO(curve_file(joined, "half-plane"))) as saved:
        assert np.array_equal(saved["points"], joined.result.points[0].numpy())
        assert float(saved["length"]) == pytest.approx(math.acosh(3), rel=1e-4)
        assert saved["line_length"] == pytest.approx(2.0)
        assert str(saved["metric"]) == "half-plane"
        assert str(saved["status"]).startswith("CONVERGED: ")


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "expected two numbers"), ("1", "two numbers"), ("a, b", "two numbers"), ("1, inf", "two numbers"),
     ("#7", "rows from 0 to 2"), ("#x", "1 whole number"), ("#1 2", "1 whole number")],
)  # fmt: skip
def test_what_is_no_point_is_refused_in_words(text, words):
    scene = scene_of(EuclideanMetric(2), torch.rand(3, 2), torch.sin)
    with pytest.raises(ValueError, match=words):
        point_of(text, scene, FLAT)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("latents", "labels", "error", "words"),
    [
        (torch.rand(5), None, ValueError, r"latents must have shape \(N, d\)"),
        (torch.rand(2, 2, 2), None, ValueError, r"latents must have shape \(N, d\)"),
        (torch.rand(0, 2), None, ValueError, "with a point"),
        (torch.tensor([[1, 2]]), None, TypeError, "floating-point"),
        (torch.tensor([[math.nan, 0.0], [0.0, 0.0]]), None, ValueError, "1 of 2 rows"),
        ([[0.0, 1.0]], None, TypeError, "latents must be a tensor"),
        (torch.rand(5, 2), [0, 1], ValueError, "one for each of the 5 latents, got shape"),
        (torch.rand(60, 2), list(range(60)), ValueError, "at most 49"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_words(latents, labels, error, words):
    with pytest.raises(error, match=words):
        scene_of(EuclideanMetric(2), latents, torch.sin, labels)


def test_classes_look_different():
    scene = scene_of(EuclideanMetric(2), np.random.RandomState(0).rand(49, 2), torch.sin, list(range(49)))
    assert len(set(scene.looks)) == 49


def test_many_points_are_thinned_evenly():
    latents = torch.rand(5001, 2)
    scene = scene_of(EuclideanMetric(2), latents, torch.sin, torch.arange(5001) % 3)
    assert len(scene.latents) == 2000
    assert torch.equal(scene.latents, latents[scene.rows])
    assert scene.labels.tolist() == (scene.rows % 3).tolist()
    with pytest.raises(ValueError, match="2000 of them are shown"):
        point_of("#1", scene, FLAT)
