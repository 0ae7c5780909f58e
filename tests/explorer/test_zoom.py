"""The map of what is in view, without a browser: when it is computed, and what goes before it."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch

from explorer_desk import Desk, sine_scene
from latentgeo import EuclideanMetric, log_volume_element, metric_from_function
from latentgeo.explorer.gestures import Taps
from latentgeo.explorer.scene import scene_of


class Counted:
    """A metric of the plane that counts its points, stops at a gate, and takes its time for many at once."""

    def __init__(self):
        self.points = 0
        self.pause = 0.0
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, z):
        assert self.gate.wait(60)
        self.points += z[..., 0].numel()
        if z[..., 0].numel() == 2048:  # a piece of a map
            time.sleep(self.pause)
        return (1 + z.square().sum(-1))[..., None, None] * torch.eye(2).to(z)


@pytest.fixture
def counted():
    metric = Counted()
    latents = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    return metric, Desk(scene_of(metric_from_function(metric), latents, torch.sin))


def look(desk, middle, half):
    """Tells the page what is in view, as the browser does."""
    (x, y), (a, b) = middle, half
    desk.controls.seen.data = {"x": [x - a, x + a], "y": [y - b, y + b]}


def drawn(desk):
    """Values and rectangle of the map that is drawn over that of all points; None without."""
    data = desk.page.drawn._closer.data
    if not data["image"]:
        return None
    return data["image"][0], [data[name][0] for name in ("x", "y", "dw", "dh")]


@pytest.mark.parametrize("d", [2, 3, 50])
def test_map_of_what_is_in_view_is_the_log_volume_element_there(d):
    desk = Desk(sine_scene(d))
    desk.controls.metric.value = "pull-back"
    desk.wait()
    look(desk, (0.3, -0.2), (0.4, 0.2))
    desk.wait()
    values, rectangle = drawn(desk)
    assert rectangle == pytest.approx([-0.1, -0.4, 0.8, 0.4])
    assert values.shape == (3 * 64, 3 * 128)  # square cells, as many along the longer side as ever
    plane = desk.page.placing.plane
    restricted = plane.restrict(desk.page.scene.metrics["pull-back"])
    row, column = 100, 301  # the middle of a cell of the map that was computed
    place = torch.tensor([-0.1 + 0.8 * (column + 0.5) / 384, -0.4 + 0.4 * (row + 0.5) / 192])
    assert values[row, column] == pytest.approx(float(log_volume_element(restricted, place)), abs=1e-4)


def test_nothing_is_computed_that_is_known(counted):
    metric, desk = counted
    (left, bottom), (right, top) = desk.page.placing.bounds.tolist()
    home = ((left + right) / 2, (bottom + top) / 2), ((right - left) / 2, (top - bottom) / 2)
    before = metric.points
    look(desk, *home)
    desk.wait()
    assert metric.points == before
    assert drawn(desk) is None
    look(desk, (0, 0), (1, 1))
    desk.wait()
    assert metric.points == before + 128**2
    look(desk, (0, 0), (0.99, 0.99))
    look(desk, *home)
    look(desk, (0, 0), (1, 1))
    desk.wait()
    assert metric.points == before + 128**2
    assert drawn(desk)[1] == pytest.approx([-1, -1, 2, 2])
    look(desk, *home)
    assert drawn(desk) is None


def test_scale_stays_at_every_zoom(counted):
    _, desk = counted
    shades = desk.page.drawn._shades
    scale = (shades.low, shades.high)
    for half in (1, 0.01, 40):
        look(desk, (0, 0), (half, half))
        desk.wait()
        assert (shades.low, shades.high) == scale
    assert float(np.nanmax(drawn(desk)[0])) > scale[1]


def test_newer_zoom_overtakes_and_a_search_goes_on(counted):
    metric, desk = counted
    metric.gate.clear()
    desk.controls.start.value, desk.controls.end.value = "-1, -1", "1, 1"
    (search,) = desk.page.tasks.running
    for half in (1, 0.5, 0.25):
        look(desk, (0, 0), (half, half))
    assert [task.name for task in desk.page.tasks.running] == [search.name, "the map of what is in view"]
    metric.gate.set()
    desk.wait()
    assert "CONVERGED" in desk.words
    assert drawn(desk)[1] == pytest.approx([-0.25, -0.25, 0.5, 0.5])
    assert len(desk.page.mapped._charts._closer) == 1


def test_search_begins_while_a_map_is_computed(counted):
    metric, desk = counted
    metric.pause = 1.0  # eight of them
    look(desk, (0, 0), (1, 1))
    desk.controls.start.value, desk.controls.end.value = "-1, -1", "1, 1"
    desk.wait_for("ambient units")
    assert desk.page.tasks.is_running("the map of what is in view")
    metric.pause = 0.0
    desk.wait()
    assert "CONVERGED" in desk.words
    assert drawn(desk) is not None


def test_zoom_before_the_first_map_waits_for_it(counted):
    metric, desk = counted
    metric.gate.clear()
    desk.controls.metric.value = "Euclidean"
    desk.wait()
    desk.controls.metric.value = "as given"
    look(desk, (0, 0), (0.5, 0.5))
    assert [task.name for task in desk.page.tasks.running] == ["the map"]
    metric.gate.set()
    desk.wait()
    assert desk.page.mapped._charts.home.values.shape == (128, 128)
    assert drawn(desk)[1] == pytest.approx([-0.5, -0.5, 1, 1])


def test_another_plane_is_seen_whole():
    desk = Desk(sine_scene(3))
    look(desk, (0, 0), (0.1, 0.1))
    desk.wait()
    assert drawn(desk) is not None
    desk.controls.plane.value = "two coordinates"
    desk.wait()
    assert drawn(desk) is None
    assert desk.page.mapped.seen is None


def test_zoom_beyond_rounding_computes_nothing(counted):
    metric, desk = counted
    before = metric.points
    desk.controls.seen.data = {"x": [1.0, 1.0 + 1e-9], "y": [1.0, 1.0 + 1e-9]}
    desk.wait()
    assert metric.points == before
    assert "Error" not in desk.words


def test_ball_is_that_of_what_is_in_view():
    latents = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    desk = Desk(scene_of(EuclideanMetric(2), latents, torch.sin))
    desk.type("20, 0", "21, 0")
    desk.controls.radius.value = 1.0
    assert "expected a point in view" in desk.click("_start_ball")
    look(desk, (20, 0), (2, 2))
    desk.wait()
    assert "24 geodesics" in desk.click("_start_ball")
    ((x,), (y,)) = (desk.page.drawn._rim.data[axis] for axis in ("xs", "ys"))
    assert np.hypot(np.array(x) - 20, y) == pytest.approx(np.ones(len(x)), rel=0.02)


def test_line_is_drawn_as_ever_when_it_is_zoomed():
    desk = Desk(sine_scene(1))
    before = desk.page.drawn._height.data
    look(desk, (0, 0), (0.1, 1))
    desk.wait()
    assert desk.page.drawn._height.data is before
    assert "Error" not in desk.words


def test_press_that_ends_elsewhere_is_no_click():
    from bokeh.events import Press, PressUp

    taps = Taps()
    at = lambda kind, x: taps.place(kind(None, sx=0, sy=0, x=x, y=0.0), 10.0)  # noqa: E731
    assert at(Press, 1.0) is None
    assert at(PressUp, 1.05) == (1.05, 0.0)
    assert at(Press, 1.0) is None
    assert at(PressUp, 3.0) is None
