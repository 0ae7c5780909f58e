"""The planes that are looked at, the maps on them, and which map shows what is in view."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from latentgeo import log_volume_element, metric_from_function, pullback_metric
from latentgeo.explorer.charts import Chart, Charts, can_be_finer
from latentgeo.explorer.plane import Plane, coordinate_plane, plane_through, principal_plane
from latentgeo.explorer.view import map_places, scale_of, square_around, volume_map
from spaces import SPACES
from strategies import dtypes, seeds

FLAT = Plane(torch.zeros(2), torch.eye(2), ("x", "y"))


def planes(latents):
    some = [coordinate_plane(latents, 0, 1), principal_plane(latents)]
    return [*some, plane_through(latents[:3])] if latents.shape[1] > 2 else some


@given(seeds(), st.integers(2, 12), st.sampled_from([1e-3, 1.0, 1e3]), dtypes())
def test_places_of_a_plane_are_its_points(generator, d, scale, dtype):
    """Projection undoes lifting, and never lengthens: the axes are orthonormal."""
    latents = scale * torch.randn(20, d, generator=generator).to(dtype)
    places = scale * torch.randn(7, 2, generator=generator).to(dtype)
    eps = 50 * torch.finfo(dtype).eps * scale * d
    for plane in planes(latents):
        assert torch.allclose(plane.project(plane.latent(places)), places, rtol=0, atol=eps)
        assert torch.allclose(plane.axes @ plane.axes.mT, torch.eye(2, dtype=dtype), atol=1e-5)
        assert bool((plane.project(latents).norm(dim=1) <= (latents - plane.origin).norm(dim=1) + eps).all())


@given(seeds(), st.integers(3, 8))
def test_principal_plane_leaves_the_smallest_residual(generator, d):
    latents = torch.randn(30, d, generator=generator, dtype=torch.float64) * torch.arange(1, d + 1)
    plane = principal_plane(latents)
    residual = (latents - plane.latent(plane.project(latents))).square().sum()
    singular = torch.linalg.svdvals(latents - latents.mean(0))
    assert float(residual) == pytest.approx(float(singular[2:].square().sum()), rel=1e-9)


@given(seeds(), st.integers(3, 8))
def test_plane_through_points_holds_them(generator, d):
    corners = torch.randn(3, d, generator=generator, dtype=torch.float64)
    plane = plane_through(corners)
    assert torch.allclose(plane.latent(plane.project(corners)), corners, atol=1e-10)


def test_points_on_a_line_make_no_plane():
    line = torch.tensor([[0.0, 0, 0], [1, 1, 1], [2, 2, 2]])
    for corners in (line, line[[0, 0, 1]], line[[0, 1, 1]], line[[0, 0, 0]]):
        with pytest.raises(ValueError, match="not on one line"):
            plane_through(corners)


@settings(max_examples=8)
@given(seeds(), st.integers(2, 6))
def test_restricted_metric_measures_ambient_lengths(generator, d):
    weight = torch.randn(9, d, generator=generator, dtype=torch.float64)
    maps = lambda z: torch.tanh(z @ weight.T)  # noqa: E731
    metric = pullback_metric(maps)
    latents = torch.randn(10, d, generator=generator, dtype=torch.float64)
    by_matrix = metric_from_function(metric)  # the same without an immersion
    place, tangent = torch.randn(2, 5, 2, generator=generator, dtype=torch.float64)
    for plane in planes(latents):
        step = 1e-6
        ahead, behind = (maps(plane.latent(place + sign * step * tangent)) for sign in (1, -1))
        expected = (ahead - behind).norm(dim=1) / (2 * step)
        for known in (metric, by_matrix):
            assert torch.allclose(plane.restrict(known).norm(place, tangent), expected, rtol=1e-6)


@pytest.mark.parametrize("space", [space for space in SPACES if space.dim == 2], ids=str)
def test_map_is_the_log_volume_element(space):
    metric, problem = space.metric(torch.float64), space.problem(6, torch.Generator().manual_seed(0))
    points = problem.start
    bounds = square_around(points)
    *_, values = volume_map(metric, coordinate_plane(points, 0, 1), bounds, 5)
    column, row = 1, 0
    cell = (bounds[1] - bounds[0]) / torch.tensor(values.shape[::-1])
    middle = bounds[0] + cell * torch.tensor([column + 0.5, row + 0.5])
    assert float(values[row, column]) == pytest.approx(
        float(log_volume_element(metric, middle)), rel=1e-9, abs=1e-9
    )


def test_map_of_a_plane_in_many_dimensions_is_the_area_of_its_image():
    """Of a linear decoder the area that a parallelogram has: |J a × J b| by Lagrange's identity."""
    torch.manual_seed(0)
    weight = torch.randn(40, 200, dtype=torch.float64)
    latents = torch.randn(30, 200, dtype=torch.float64)
    plane = principal_plane(latents)
    *_, values = volume_map(
        pullback_metric(lambda z: z @ weight.T), plane, square_around(plane.project(latents)), 4
    )
    a, b = weight @ plane.axes[0], weight @ plane.axes[1]
    area = (a.square().sum() * b.square().sum() - (a @ b) ** 2).sqrt()
    assert torch.allclose(values.exp(), area.expand(4, 4), rtol=1e-9)


def test_map_of_a_line_is_the_log_speed():
    plane = coordinate_plane(torch.zeros(1, 1, dtype=torch.float64), 0)
    *_, values = volume_map(
        pullback_metric(lambda z: z.exp()), plane, torch.tensor([[0.0], [4.0]]).double(), 4
    )
    assert torch.allclose(values, torch.tensor([0.5, 1.5, 2.5, 3.5], dtype=torch.float64))


def test_map_of_a_metric_that_is_singular_everywhere_is_refused_in_words():
    *_, values = volume_map(pullback_metric(lambda z: z[:, :1]), FLAT, torch.tensor([[0.0, 0], [1, 1]]), 4)
    with pytest.raises(ValueError, match="singular or not finite everywhere"):
        scale_of(values)


@given(seeds(), st.floats(-4, 4), st.floats(0.5, 2.0))
def test_finest_map_that_holds_the_view_is_drawn(generator, exponent, aspect):
    """Of a nest of squares, each computed with as many cells, the smallest that holds the view."""
    size, resolution = 10.0**exponent, 16
    middle = size * torch.randn(2, generator=generator, dtype=torch.float64)
    charts = Charts()
    for zoom in (1, 2, 4, 8):
        half = size / zoom * torch.ones(2, dtype=torch.float64)
        chart = Chart(torch.stack([middle - half, middle + half]), torch.zeros(resolution, resolution))
        if zoom == 1:
            charts.home = chart
        else:
            charts.add(chart)
    for zoom in (1, 2, 4, 8):
        half = size / zoom * torch.tensor([1.0, min(aspect, 1)], dtype=torch.float64)
        found = charts.of(torch.stack([middle - half, middle + half]), resolution)
        assert found is not None
        assert found.cell == pytest.approx(2 * size / zoom / resolution)
    small, moved = half / 2, middle + size
    assert charts.of(torch.stack([middle - small, middle + small]), resolution) is None  # too coarse
    assert charts.of(torch.stack([moved - half, moved + half]), resolution) is None  # elsewhere
    assert charts.of(torch.stack([middle - 2 * size, middle + 2 * size]), resolution) is None  # more


def test_scale_is_that_of_the_map_around_all_points():
    charts, square = Charts(), torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    with pytest.raises(ValueError, match="singular or not finite everywhere"):
        _ = charts.scale
    charts.home = Chart(square, torch.full((4, 4), torch.nan))
    charts.add(Chart(square / 2, torch.full((4, 4), 7.0)))
    assert charts.scale == pytest.approx((7.0, 7.001))  # there is no other
    values = torch.linspace(0, 1, 16).reshape(4, 4)
    charts.home = Chart(square, values)
    assert charts.scale == scale_of(values)


@given(seeds(), st.floats(0, 9), dtypes())
def test_cells_that_can_be_finer_have_places_of_their_own(generator, zoom, dtype):
    middle = torch.randn(2, generator=generator, dtype=torch.float64)
    half = torch.full((2,), 10.0**-zoom, dtype=torch.float64)
    bounds = torch.stack([middle - half, middle + half]).to(dtype)
    if can_be_finer(bounds, 128):
        places = map_places(bounds, 128)
        assert bool((places.diff(dim=0)[..., 1] > 0).all())
        assert bool((places.diff(dim=1)[..., 0] > 0).all())
