"""The plots draw what they are given, on the Axes they are given, and say what they cannot draw."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from matplotlib.collections import EllipseCollection, LineCollection
from matplotlib.colors import to_rgba

from latentgeo import EuclideanMetric, metric_from_function, pullback_metric
from latentgeo.plots import (
    COLORS,
    MARKERS,
    bounds_of,
    clusters,
    color_bar,
    curvature_map,
    curves,
    indicatrices,
    latent_scatter,
    metric_map,
    straight_lines,
)


def half_plane(z):
    return torch.eye(2, dtype=z.dtype) / z[:, 1, None, None] ** 2


BOUNDS = torch.tensor([[-1.0, 0.5], [1.0, 2.0]])


def test_map_shows_the_area_element(axes):
    image = metric_map(axes, metric_from_function(half_plane), BOUNDS, resolution=40)
    shown = np.asarray(image.get_array())
    assert shown.shape == (30, 40)
    heights = 0.5 + 1.5 * (np.arange(30) + 0.5) / 30
    np.testing.assert_allclose(shown, np.repeat(1 / heights[:, None] ** 2, 40, axis=1), rtol=1e-6)
    assert tuple(image.get_extent()) == (-1, 1, 0.5, 2)
    assert color_bar(axes, image).mappable is image


def test_map_of_a_constant_metric_has_a_scale(axes):
    assert metric_map(axes, EuclideanMetric(2), BOUNDS, resolution=4).norm.vmin == pytest.approx(1)


def test_map_leaves_singular_points_blank(axes):
    def half_singular(z):
        return torch.eye(2) * (z[:, 0] > 0).to(z)[:, None, None]

    shown = metric_map(axes, metric_from_function(half_singular), BOUNDS, resolution=10).get_array()
    assert np.ma.getmaskarray(shown)[:, :5].all()
    assert not np.ma.getmaskarray(shown)[:, 5:].any()


def test_map_refuses_what_it_cannot_draw(axes):
    with pytest.raises(ValueError, match="bounds: expected a lower left"):
        metric_map(axes, EuclideanMetric(2), BOUNDS.flip(0))
    with pytest.raises(ValueError, match="resolution"):
        metric_map(axes, EuclideanMetric(2), BOUNDS, resolution=1)
    with pytest.raises(ValueError, match="> 0 somewhere"):
        metric_map(axes, metric_from_function(lambda z: 0 * half_plane(z)), BOUNDS, resolution=4)


def paraboloid(z):
    return torch.cat([z, z.square().sum(1, keepdim=True) / 2], 1)


def test_curvature_map_shows_the_gaussian_curvature_with_zero_in_the_middle(axes):
    """A paraboloid x3 = |z|² / 2 has K = 1 / (1 + |z|²)², a saddle x3 = z1 z2 has minus that."""
    square = torch.tensor([[-2.0, -1.0], [2.0, 1.0]], dtype=torch.float64)
    z1, z2 = np.meshgrid(-2 + (np.arange(20) + 0.5) / 5, -1 + (np.arange(10) + 0.5) / 5)
    expected = 1 / (1 + z1**2 + z2**2) ** 2
    image = curvature_map(axes, pullback_metric(paraboloid), square, resolution=20)
    np.testing.assert_allclose(image.get_array(), expected, rtol=1e-9)
    saddle = pullback_metric(lambda z: torch.cat([z, z.prod(1, keepdim=True)], 1))
    image = curvature_map(axes, saddle, square, resolution=20)
    np.testing.assert_allclose(image.get_array(), -expected, rtol=1e-9)
    low, high = image.get_clim()
    assert low == -high
    assert high == pytest.approx(np.quantile(expected, 0.95))


def test_curvature_map_of_a_flat_metric_has_a_scale_and_a_singular_one_is_refused(axes):
    assert curvature_map(axes, EuclideanMetric(2), BOUNDS, resolution=4).get_clim() == (-1, 1)
    with pytest.raises(ValueError, match="a finite curvature somewhere"):
        curvature_map(axes, metric_from_function(lambda z: 0 * half_plane(z)), BOUNDS, resolution=4)
    with pytest.raises(ValueError, match="bounds: expected a lower left"):
        curvature_map(axes, EuclideanMetric(2), BOUNDS.flip(0))


@pytest.mark.parametrize(
    ("limits", "extend"), [((0, 3), "neither"), ((1, 3), "min"), ((0, 2), "max"), ((1, 2), "both")]
)
def test_a_scale_is_pointed_where_values_go_beyond_it(axes, limits, extend):
    image = axes.imshow(np.arange(4.0).reshape(2, 2), vmin=limits[0], vmax=limits[1])
    assert color_bar(axes, image).extend == extend


def test_every_class_has_a_colour_a_shape_and_a_name(axes):
    points, labels = torch.rand(30, 2), torch.arange(30) % 3 + 4
    drawn = latent_scatter(axes, points, labels)
    assert [len(group.get_offsets()) for group in drawn] == [10, 10, 10]
    assert [tuple(group.get_facecolor()[0]) for group in drawn] == [to_rgba(c) for c in COLORS[:3]]
    assert axes.get_legend_handles_labels()[1] == ["4", "5", "6"]
    assert len(set(MARKERS)) >= len(COLORS)


def test_colours_differ_in_lightness_when_hues_are_lost():
    luminance = [np.dot([0.2126, 0.7152, 0.0722], to_rgba(color)[:3]) for color in COLORS]
    assert min(abs(np.diff(luminance))) > 0.05


def test_scatter_refuses_what_does_not_match(axes):
    with pytest.raises(ValueError, match=r"labels: expected shape \(3,\)"):
        latent_scatter(axes, np.zeros((3, 2)), np.zeros(4))
    with pytest.raises(ValueError, match=r"points: expected shape \(N, 2\), got \(3, 5\)"):
        latent_scatter(axes, np.zeros((3, 5)), np.zeros(3))
    with pytest.raises(ValueError, match="at most 7"):
        latent_scatter(axes, np.zeros((8, 2)), np.arange(8))
    with pytest.raises(ValueError, match="one for each of 2"):
        latent_scatter(axes, np.zeros((2, 2)), np.arange(2), names=["a"])


def test_clusters_are_told_by_colour_and_classes_by_shape(axes):
    points, labels = np.random.RandomState(0).rand(6, 2), np.array([0, 0, 1, 1, 1, -1])
    groups, stars = clusters(axes, points, labels, np.eye(2), classes=np.array([5, 6, 5, 6, 6, 5]))
    assert len(groups) == 5
    assert sum(len(group.get_offsets()) for group in groups) == 6
    np.testing.assert_array_equal(stars.get_offsets(), np.eye(2))
    np.testing.assert_allclose(stars.get_facecolor(), [to_rgba(c) for c in COLORS[:2]])
    with pytest.raises(ValueError, match="below 2, the number of centers"):
        clusters(axes, points, labels + 2, np.eye(2))


def test_curves_and_straight_lines_keep_their_points_and_are_in_view(axes):
    points = torch.rand(4, 9, 2) * 50
    lines = curves(axes, points)
    straight = straight_lines(axes, points[:, 0], points[:, -1])
    assert isinstance(lines, LineCollection)
    np.testing.assert_allclose(np.stack(lines.get_segments()), points)
    np.testing.assert_allclose(np.stack(straight.get_segments()), points[:, [0, -1]])
    assert axes.get_xlim()[1] >= float(points[..., 0].max())
    assert axes.get_legend_handles_labels()[1] == ["geodesic", "straight line"]
    with pytest.raises(ValueError, match=r"points: expected shape \(B, T, 2\)"):
        curves(axes, points[0])
    with pytest.raises(ValueError, match="the shape of start"):
        straight_lines(axes, points[:, 0], points[:2, 0])


def test_indicatrices_are_unit_circles_of_the_metric(axes):
    matrix = torch.tensor([[4.0, 0.0], [0.0, 0.25]])
    metric = metric_from_function(lambda z: matrix.expand(len(z), 2, 2))
    points = torch.tensor([[0.0, 0.0], [9.0, 9.0]])
    ellipses = indicatrices(axes, metric, points, radius=1.0)
    assert isinstance(ellipses, EllipseCollection)
    np.testing.assert_allclose(ellipses.get_widths(), 4)  # along z2, where the metric is 1/4
    np.testing.assert_allclose(ellipses.get_heights(), 1)
    np.testing.assert_allclose(np.asarray(ellipses.get_angles()) % 180, 90)


def test_indicatrices_of_a_singular_metric_stay_in_the_picture(axes):
    metric = metric_from_function(lambda z: torch.diag(torch.tensor([1.0, 0.0])).expand(len(z), 2, 2))
    ellipses = indicatrices(axes, metric, torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
    np.testing.assert_allclose(ellipses.get_widths(), 5)
    with pytest.raises(ValueError, match="NaN or infinity"):
        indicatrices(axes, metric_from_function(lambda z: half_plane(z) / 0), torch.rand(2, 2))


def test_bounds_hold_all_points_and_a_margin():
    a, b = torch.rand(10, 2), 3 * torch.rand(4, 5, 2)
    low, high = bounds_of(a, b, margin=0.2)
    every = torch.cat([a, b.reshape(-1, 2)])
    side = (every.amax(0) - every.amin(0)).max()
    torch.testing.assert_close(low, every.amin(0) - 0.2 * side)
    torch.testing.assert_close(high, every.amax(0) + 0.2 * side)
    with pytest.raises(ValueError, match="points: expected tensors"):
        bounds_of(torch.empty(0, 2))


def test_no_global_state_of_matplotlib_is_touched():
    """In a process of its own: other tests here may have imported pyplot."""
    code = "import sys, latentgeo, latentgeo.plots; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
