"""The page without a browser: what is clicked, typed and chosen, and what is then shown and said."""

from __future__ import annotations

import base64
import io
import time
import types

import numpy as np
import pytest
import torch

from explorer_desk import Desk, sine_scene
from latentgeo import EuclideanMetric, geodesic, pullback_metric
from latentgeo.explorer.decoded import decoded
from latentgeo.explorer.scene import scene_of
from latentgeo.explorer.watched import Cancelled


@pytest.fixture(scope="module")
def desk(digits_scene):
    return Desk(digits_scene)


@pytest.fixture(scope="module")
def flat(digits):
    """A page of the Euclidean metric, where curves are found at once."""
    vae, latents, labels = digits
    return Desk(scene_of(EuclideanMetric(2), latents, vae.decode, labels))


def shown_curve(desk):
    return desk.page.drawn._geodesic.data


def test_two_clicks_give_the_geodesic_between_them(desk, digits_scene):
    desk.click("_clear")
    desk.page.tap(-1.0, -1.5)
    assert "other end" in desk.words
    desk.page.tap(1.5, 0.5)
    desk.wait()
    metric = digits_scene.metrics["expected pull-back"]
    expected = geodesic(metric, torch.tensor([-1.0, -1.5]), torch.tensor([1.5, 0.5]))
    assert f"Geodesic {float(expected.length[0]):.4g}" in desk.words
    assert "CONVERGED" in desk.words
    assert torch.equal(desk.page.answers.joined.result.points, expected.points)
    (x,), (y,) = shown_curve(desk)["xs"], shown_curve(desk)["ys"]
    assert (x[0], y[0], x[-1], y[-1]) == pytest.approx((-1.0, -1.5, 1.5, 0.5))
    assert desk.page.strips.images.visible
    assert desk.controls.start.value == "-1, -1.5"


def test_a_third_click_begins_anew(flat):
    flat.type("0, 0", "1, 1")
    flat.page.tap(0.5, 0.5)
    assert len(flat.page.chosen.ends) == 1
    assert flat.controls.end.value == ""
    assert shown_curve(flat)["xs"] == []


def test_a_drag_of_one_end_keeps_the_other(flat):
    flat.type("#3", "#7")
    kept = flat.page.chosen.ends[0]
    flat.controls.drag.data = {"x": [0.25], "y": [0.5], "end": [1]}
    flat.wait()
    assert flat.page.chosen.ends[0] is kept
    assert flat.page.chosen.ends[1].tolist() == [0.25, 0.5]
    flat.controls.drag.data = {"x": [0.0, 1.0], "y": [0.0, 0.5], "end": [0, 1]}
    flat.wait()
    assert [end.tolist() for end in flat.page.chosen.ends] == [[0.0, 0.0], [1.0, 0.5]]


@pytest.mark.parametrize("text", ["x", "1", "#9999"])
def test_what_is_no_point_is_said_with_the_name_of_its_field(flat, text):
    flat.controls.start.value = "0, 0"
    flat.controls.end.value = text
    assert "Error:" in flat.words
    assert "To B: expected" in flat.words
    flat.controls.end.value = ""


def test_images_that_come_late_do_not_talk_over_a_mistake(flat):
    flat.type("0, 0", "1, 1")
    flat.controls.end.value = "x"
    answers = flat.page.answers
    answers._show_joined(answers.joined, decoded(flat.page.scene.decode, answers.joined.strips(3)))
    assert "To B: expected" in flat.words


def test_another_metric_joins_the_same_ends(desk):
    desk.type("-1, -1", "1, 1")
    desk.controls.metric.value = "Euclidean"
    desk.wait()
    assert "Geodesic 2.828, straight line 2.828" in desk.words
    assert desk.controls.radius.value == pytest.approx(1, rel=0.5)
    desk.controls.metric.value = "expected pull-back"
    desk.wait()
    assert desk.page.answers.joined.line_length > 4


def test_ball_and_clusters_are_drawn_and_told(flat):
    flat.type("0, 0", "1, 0")
    flat.controls.radius.value = 1.5
    assert "Ball of radius 1.5 ambient units; 24 geodesics" in flat.click("_start_ball")
    ((rim_x,), (rim_y,)) = (flat.page.drawn._rim.data[axis] for axis in ("xs", "ys"))
    assert np.hypot(rim_x, rim_y) == pytest.approx(np.full(len(rim_x), 1.5), rel=0.02)
    assert len(flat.page.drawn._fan.data["xs"]) == 24
    assert "3 clusters of 120 latents" in flat.click("_start_clusters")
    assert len(flat.page.drawn._stars.data["x"]) == 3
    assert "Error" not in flat.click("_clear")
    assert len(flat.page.drawn._stars.data["x"]) == 0
    assert flat.page.drawn._rim.data["xs"] == []
    assert "choose its centre first" in flat.click("_start_ball")


def test_curve_is_saved_through_the_browser(flat):
    flat.type("-1, -1", "1, 1")
    assert "numpy.load" in flat.click("answers.save")
    (text,) = flat.controls.file.data["base64"]
    with np.load(io.BytesIO(base64.b64decode(text))) as saved:
        assert np.array_equal(saved["points"], flat.page.answers.joined.result.points[0].numpy())
    flat.click("_clear")
    assert "no curve to save" in flat.click("answers.save")


def slow_scene(seconds, fail_after=None):
    """A decoder that takes its time, and may break on the way."""
    calls = []

    def decode(z):
        if scene is not None:
            calls.append(len(z))
            time.sleep(seconds)
            if fail_after is not None and len(calls) > fail_after:
                raise RuntimeError("the device is <gone>")
        return torch.stack([z[:, 0], z[:, 1], (3 * z[:, 0]).sin() * (3 * z[:, 1]).cos()], 1)

    scene = None
    scene = scene_of(pullback_metric(decode), torch.randn(30, 2), decode)
    return scene, calls


def test_slow_search_tells_how_far_it_is_and_can_be_called_off():
    scene, calls = slow_scene(0.02)
    desk = Desk(scene)
    desk.controls.start.value, desk.controls.end.value = "-2, -2", "2, 2"
    end = time.monotonic() + 20
    while not desk.controls.progress.text and time.monotonic() < end:
        time.sleep(0.05)
        desk.page._report()
    assert "the geodesic" in desk.controls.progress.text
    assert not desk.controls.cancel.disabled
    desk.page.cancel()
    assert "Called off: the geodesic" in desk.words
    assert desk.controls.cancel.disabled
    time.sleep(0.2)
    before = len(calls)
    time.sleep(0.2)
    assert len(calls) == before


def test_what_a_decoder_raises_is_said_and_not_taken_for_markup():
    scene, calls = slow_scene(0.0)
    Desk(scene)  # as many calls as it takes to open the page
    scene, _ = slow_scene(0.0, fail_after=len(calls) + 5)
    words = Desk(scene).type("-2, -2", "2, 2")
    assert "Error:" in words
    assert "the geodesic: RuntimeError: the device is &lt;gone&gt;" in words


def test_line_is_drawn_as_a_curve():
    desk = Desk(sine_scene(1))
    drawn = desk.page.drawn
    assert "Geodesic 3, straight line 3" in desk.type("-1", "2")
    assert len(drawn._height.data["xs"][0]) == 512
    assert drawn.model.yaxis[0].axis_label == "log √G"
    desk.controls.metric.value = "pull-back"
    desk.wait()
    heights = desk.page.placing.curve
    (x,), (y,) = shown_curve(desk)["xs"], shown_curve(desk)["ys"]
    assert y == pytest.approx(np.interp(x, *heights.T))
    assert "2 geodesics" in desk.click("_start_ball")
    assert desk.page.strips.profiles.visible
    assert not desk.page.strips.images.visible


@pytest.mark.parametrize("d", [3, 200])
def test_many_dimensions_are_seen_in_a_plane_that_is_chosen(d):
    desk = Desk(sine_scene(d, labels=["a", "b"] * 20))
    assert desk.controls.plane.visible
    assert "CONVERGED" in desk.type("#0", "#1")
    assert desk.controls.start.value == "#0"  # the latent itself, which is not in the plane
    assert desk.page.answers.joined.result.points.shape[2] == d
    desk.controls.plane.value = "two coordinates"
    desk.controls.axes.value = "1, 2"
    desk.wait()
    assert desk.page.drawn.model.xaxis[0].axis_label == "latent 1"
    desk.controls.axes.value = f"0, {d}"
    assert f"numbers from 0 to {d - 1}" in desk.words
    desk.controls.axes.value = "0 1"
    desk.controls.plane.value = "through three latents"
    assert "Click three latents" in desk.words
    for place in desk.page.placing.places(desk.page.scene.latents[[4, 5, 6]]):
        desk.page.tap(*place.tolist())
    desk.wait()
    assert desk.controls.corners.value == "4, 5, 6"
    corners = desk.page.scene.latents[[4, 5, 6]]
    plane = desk.page.placing.plane
    assert torch.allclose(plane.latent(plane.project(corners)), corners, atol=1e-4)
    desk.controls.corners.value = "1, 1, 2"
    assert "not on one line" in desk.words


def test_metric_that_is_singular_everywhere_is_said():
    decode = lambda z: z[:, :1].expand(-1, 4)  # noqa: E731
    desk = Desk(scene_of(pullback_metric(decode), torch.rand(9, 2), decode))
    assert "singular or not finite everywhere in view" in desk.words
    assert "Geodesic" in desk.type("0, 0", "1, 1")


def test_decoder_that_is_not_finite_is_said():
    decode = lambda z: torch.where(z[:, :1] > 0.5, torch.nan, z)  # noqa: E731
    desk = Desk(scene_of(pullback_metric(decode), 0.4 * torch.rand(9, 2), decode))
    assert "NON_FINITE" in desk.type("0, 0", "1, 1")


def test_pages_do_not_share_what_is_chosen(digits_scene):
    first, second = Desk(digits_scene), Desk(digits_scene)
    first.type("0, 0", "1, 1")
    assert second.page.chosen.ends == []


def test_leaving_the_page_ends_its_tasks(digits_scene):
    desk = Desk(digits_scene)
    desk.controls.start.value, desk.controls.end.value = "-2, -2", "2, 2"
    (task,) = desk.page.tasks.running
    desk.page._leave(types.SimpleNamespace())
    assert desk.page.tasks.running == ()
    with pytest.raises(Cancelled):
        task.watch.check()
