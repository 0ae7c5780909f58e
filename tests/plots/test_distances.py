"""Distances on a grid against closed forms, and the balls and fans that are drawn from them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from latentgeo import EuclideanMetric, expmap, metric_from_function
from latentgeo.plots import distance_map, geodesic_balls, geodesic_fan
from latentgeo.plots.eikonal import distance_field
from latentgeo.plots.plane import cells

SQUARE = torch.tensor([[-2.0, -2.0], [2.0, 2.0]], dtype=torch.float64)
UPPER = torch.tensor([[-1.0, 0.4], [1.0, 2.6]], dtype=torch.float64)
TOP = torch.tensor(
    [0.0, 1.0], dtype=torch.float64
)  # i, from where balls of the half-plane are Euclidean discs

HALF_PLANE = metric_from_function(lambda z: torch.eye(2).to(z) / z[:, 1, None, None] ** 2)


def constant(matrix):
    return metric_from_function(lambda z: matrix.to(z).expand(len(z), 2, 2))


def from_i(z):
    """d(i, z) = 2 arsinh(|z - i| / (2 √y)) in the upper half-plane."""
    return 2 * torch.asinh((z - TOP.to(z)).norm(dim=-1) / (2 * z[..., 1].sqrt()))


def half_plane_error(resolution):
    """The largest error within a ball of radius 0.85, which is convex and within the rectangle."""
    grid = cells(UPPER, resolution)
    exact = from_i(grid)
    field = distance_field(HALF_PLANE, TOP[None], UPPER, resolution)[0]
    return float((field - exact).abs()[exact < 0.85].max())


def test_field_converges_to_the_distance_of_the_half_plane():
    coarse, middle, fine = (half_plane_error(n) for n in (40, 80, 160))
    assert fine < 5e-3
    assert coarse > 1.6 * middle > 1.6**2 * fine  # of first order: 2 with a logarithm


@given(st.floats(0, math.pi), st.floats(1, 50), st.floats(-6, 6))
def test_field_of_a_constant_metric_is_its_norm_in_all_units(angle, condition, exponent):
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]).double()
    matrix = turn @ torch.diag(torch.tensor([1.0, condition]).double()) @ turn.T
    center = torch.tensor([[0.3, -0.2]]).double()
    way = cells(SQUARE, 40) - center
    exact = torch.einsum("rci,ij,rcj->rc", way, matrix, way).sqrt()
    field = distance_field(constant(10**exponent * matrix), center, SQUARE, 40)[0] / 10 ** (exponent / 2)
    assert (field >= exact * (1 - 1e-9)).all()
    assert ((field - exact) / exact).mean() < 0.01
    assert (field - exact).max() < 0.025 * exact.max()


def test_field_is_symmetric():
    ends = torch.tensor([[-0.7, 0.5], [0.8, 2.2]]).double()
    grid, fields = cells(UPPER, 80), distance_field(HALF_PLANE, ends, UPPER, 80)
    rows = [int((grid - end).norm(dim=-1).argmin()) for end in ends]
    there, back = fields[0].flatten()[rows[1]], fields[1].flatten()[rows[0]]
    assert there == pytest.approx(float(back), rel=0.02)


def test_the_shortest_of_two_ways_round_a_wall_is_found():
    """A wall at z1 = 0 with gaps above z2 = 1.5 and below -1: the way bends at the nearer edge."""

    def walled(z):
        wall = (z[:, 0].abs() < 0.15) & (z[:, 1] > -1) & (z[:, 1] < 1.5)
        return torch.eye(2).to(z) * torch.where(wall, torch.nan, 1.0)[:, None, None]

    start = torch.tensor([[-1.0, 0.4]]).double()
    grid = cells(SQUARE, 160)
    field = distance_field(metric_from_function(walled), start, SQUARE, 160)[0]
    ways = []
    for edge in (1.5, -1.0):
        near, far = (torch.tensor([x, edge]).double() for x in (-0.15, 0.15))
        ways.append((near - start).norm() + 0.3 + (grid - far).norm(dim=-1))
    behind = (grid[..., 0] > 0.3) & (grid[..., 1].abs() < 0.9)  # out of sight of the start
    exact = torch.minimum(*ways)
    assert (ways[0] < ways[1])[behind].any()
    assert (ways[1] < ways[0])[behind].any()
    torch.testing.assert_close(field[behind], exact[behind], rtol=0.02, atol=0)
    inside = (grid[..., 0].abs() < 0.1) & (grid[..., 1].abs() < 0.9)
    assert field[inside].isinf().all()


def test_where_a_metric_vanishes_ways_are_free():
    field = distance_field(
        constant(torch.diag(torch.tensor([1.0, 0.0]))), torch.zeros(1, 2).double(), SQUARE, 40
    )
    torch.testing.assert_close(field[0], cells(SQUARE, 40)[..., 0].abs(), rtol=1e-5, atol=1e-12)


def test_fields_do_not_depend_on_batch_mates_and_take_float32():
    centers = torch.tensor([[0.03, 1.01], [0.52, 2.04]])
    both = distance_field(HALF_PLANE, centers, UPPER.float(), 40)
    assert both.dtype == torch.float64
    alone = distance_field(HALF_PLANE, centers[1:], UPPER.float(), 40)
    torch.testing.assert_close(both[1:], alone, rtol=0, atol=0)
    double = distance_field(HALF_PLANE, centers.double(), UPPER, 40)
    torch.testing.assert_close(both, double, rtol=2e-3, atol=0)  # cells may fall in another order


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_centers_may_be_of_another_dtype_than_bounds(dtype):
    center, other = TOP.to(dtype)[None], TOP.float() if dtype == torch.float64 else TOP
    field = distance_field(HALF_PLANE, center, UPPER.to(other.dtype), 20)
    assert torch.equal(field, distance_field(HALF_PLANE, other[None], UPPER.to(other.dtype), 20))


def test_balls_of_the_half_plane_are_euclidean_discs(axes):
    """That of radius r about i is the disc about i cosh r of radius sinh r."""
    radii = torch.tensor([0.4, 0.8])
    rims = geodesic_balls(axes, HALF_PLANE, TOP.expand(2, 2), radii, UPPER)
    for rim, radius in zip(rims, radii.tolist(), strict=True):
        vertices = np.concatenate([path.vertices for path in rim.get_paths()])
        off = np.hypot(vertices[:, 0], vertices[:, 1] - math.cosh(radius))
        np.testing.assert_allclose(off, math.sinh(radius), atol=2.2 / 160 / 2)  # half a cell
    assert axes.get_aspect() == 1
    assert len(axes.collections) == 4


def test_a_ball_that_holds_the_rectangle_has_no_rim_there(axes):
    (rim,) = geodesic_balls(axes, HALF_PLANE, TOP[None], 100.0, UPPER, resolution=20)
    assert not sum(len(path.vertices) for path in rim.get_paths())


def test_distance_map_shows_the_field_from_zero_up(axes):
    image = distance_map(axes, HALF_PLANE, TOP, UPPER, resolution=30, num_levels=5)
    expected = distance_field(HALF_PLANE, TOP[None], UPPER, 30)[0]
    np.testing.assert_allclose(image.get_array(), expected)
    assert image.get_clim() == (0, pytest.approx(float(expected.quantile(0.98))))
    (contours,) = axes.collections
    np.testing.assert_allclose(np.diff(contours.levels), image.get_clim()[1] / 5)


def test_a_fan_is_of_geodesics_of_one_length_at_equal_angles(axes):
    lines = geodesic_fan(axes, HALF_PLANE, TOP, 0.8, num_geodesics=6)
    paths = torch.from_numpy(np.stack(lines.get_segments()))
    assert paths.shape == (6, 65, 2)
    torch.testing.assert_close(from_i(paths[:, -1]), torch.full((6,), 0.8).double(), rtol=1e-6, atol=0)
    step = paths[:, 1] - TOP  # G is the identity at i
    turned = torch.atan2(step[:, 1], step[:, 0])
    gaps = (turned.roll(-1) - turned).remainder(2 * math.pi)
    torch.testing.assert_close(gaps, torch.full((6,), math.pi / 3).double(), rtol=0, atol=0.03)


def test_geodesics_that_cannot_be_followed_are_left_out_of_the_fan(axes, monkeypatch):
    def lost(metric, z, v, *, t):
        paths = expmap(metric, z, v, t=t)
        paths[1, 40:] = torch.nan
        return paths

    monkeypatch.setattr("latentgeo.plots.balls.expmap", lost)
    lines = geodesic_fan(axes, EuclideanMetric(2), torch.zeros(2), 2.0, num_geodesics=4)
    ends = np.stack(lines.get_segments())[:, -1]
    np.testing.assert_allclose(ends, [[2, 0], [-2, 0], [0, -2]], atol=1e-6)


@pytest.mark.usefixtures("unchecked")
def test_what_cannot_be_drawn_is_named(axes):
    flat, zero = EuclideanMetric(2), torch.zeros(2).double()
    with pytest.raises(ValueError, match="centers: expected points within bounds"):
        geodesic_balls(axes, flat, zero[None] + 3, 1.0, SQUARE)
    with pytest.raises(ValueError, match="radii: expected one, or 2 of them, got shape"):
        geodesic_balls(axes, flat, zero.expand(2, 2), torch.ones(3), SQUARE)
    with pytest.raises(ValueError, match="radii: expected positive"):
        geodesic_balls(axes, flat, zero[None], 0.0, SQUARE)
    with pytest.raises(ValueError, match="bounds: expected a lower left"):
        distance_map(axes, flat, zero, SQUARE.flip(0))
    with pytest.raises(ValueError, match="metric: expected finite values around center"):
        distance_map(axes, constant(torch.eye(2) * torch.nan), zero, SQUARE, resolution=10)
    with pytest.raises(ValueError, match="positive definite at center"):
        geodesic_fan(axes, constant(torch.zeros(2, 2)), zero, 1.0)
    with pytest.raises(ValueError, match="radius, num_geodesics: expected positive"):
        geodesic_fan(axes, flat, zero, -1.0)
