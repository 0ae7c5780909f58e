"""The page in a real browser: what a mouse, a finger and a keyboard do, at the width of a desk and of a phone."""

from __future__ import annotations

import re
import statistics
import sys
import time

import numpy as np
import pytest
from matplotlib.image import imread

from explorer_window import DESK, GEODESIC, PHONE, Window
from latentgeo import geodesic

FOCUSED = """() => {
  const holder = document.activeElement?.closest("[data-root-id]")
  return holder ? Bokeh.documents[0].get_model_by_id(holder.dataset.rootId).name : null
}"""


@pytest.fixture(autouse=True)
def no_complaint(window):
    yield
    assert window.complaints == []


def test_page_takes_nothing_from_elsewhere(window, served):
    assert {re.sub(r"^\w+://", "", url).split("/")[0] for url in window.asked} == {f"127.0.0.1:{served.port}"}
    assert re.findall(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//[^"' >]+""", window.source) == []


def test_clicks_are_answered_like_a_call_of_geodesic(window, digits_scene, record_property):
    """The page adds little to the solver, on a machine however busy; the seconds are those of the README."""
    metric, latents = digits_scene.metrics["expected pull-back"], digits_scene.latents
    answers, calls = [], []
    for a, b in ((3, 200), (40, 320), (222, 500)):
        began = time.perf_counter()
        geodesic(metric, latents[a], latents[b])
        calls.append(time.perf_counter() - began)
        window.click(*latents[a].tolist())
        window.wait_for("other end")
        began = time.perf_counter()
        window.click(*latents[b].tolist())
        window.wait_for("ambient units")
        answers.append(time.perf_counter() - began)
        words = window.wait_for("Geodesic ")
        assert "CONVERGED" in words
    answer, call = statistics.median(answers), statistics.median(calls)
    record_property("first paint, s", window.painted)
    record_property("answer to a click, s", answer)
    record_property("a call of geodesic, s", call)
    sys.stderr.write(f"first paint {window.painted:.2f} s, answers {answers}, calls {calls}")
    assert answer < 2 * call + 0.5
    assert window.colored() > 300
    assert window.page.get_by_role("status").is_visible()


def test_two_quick_clicks_are_two_and_a_double_click_is_one(window):
    window.page.get_by_role("button", name="Clear").click()
    window.wait_for("Click two places")
    window.page.mouse.dblclick(*window.at(-1, 0))
    window.wait_for("other end")
    time.sleep(0.4)  # until a click is not taken for a part of the double click
    assert window.get("end", "value") == ""
    window.page.get_by_role("button", name="Clear").click()
    window.wait_for("Click two places")
    window.click(-1, 0)
    window.click(1, -1)
    window.wait_for("Geodesic ")


def test_drag_joins_its_ends_and_moves_them(window):
    mouse = window.page.mouse
    window.page.get_by_role("button", name="Clear").click()
    window.wait_for("Click two places")
    for places, ends in ((((-1, -1.5), (1, 0)), ("-1", "1")), (((1, 0), (1.5, -1)), ("-1", "1.5"))):
        (start, end) = (window.at(*place) for place in places)
        mouse.move(*start)
        mouse.down()
        mouse.move(*[(a + b) / 2 for a, b in zip(start, end, strict=True)], steps=4)
        mouse.move(*end, steps=4)
        mouse.up()
        window.page.wait_for_function(
            f"Math.abs(parseFloat({window._model('end')}.value) - {ends[1]}) < 0.05"
        )
        assert float(window.get("start", "value").split(",")[0]) == pytest.approx(float(ends[0]), abs=0.05)
        window.wait_for("Geodesic ")


def test_everything_is_reached_by_tab_and_both_ends_by_keyboard(window):
    page = window.page
    page.get_by_role("button", name="Clear").click()
    window.wait_for("Click two places")
    page.get_by_role("heading").click()
    reached = []
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(FOCUSED))
    wanted = ["start", "end", "clear", "click", "metric", "radius", "ball", "count", "cluster", "picture"]
    assert [name for name in dict.fromkeys(reached) if name in wanted] == wanted
    while page.evaluate(FOCUSED) != "start":
        page.keyboard.press("Tab")
    page.keyboard.type("-1, -1.5")
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUSED) == "end"
    page.keyboard.type("#10")
    page.keyboard.press("Enter")
    assert "CONVERGED" in window.wait_for("Geodesic ")


def test_mistakes_are_said_on_the_page(window):
    page = window.page
    window.join("-1, -1.5", "1, 0")
    page.get_by_label("To B").fill("over there")
    page.keyboard.press("Enter")
    window.wait_for("Error:")
    assert "expected two numbers" in page.get_by_role("alert").inner_text()
    page.get_by_label("To B").fill("1, 1")
    page.keyboard.press("Enter")
    window.wait_for("Geodesic ")


def test_what_is_seen_is_saved(window):
    window.join("-1, -1.5", "1, 1")
    with window.page.expect_download() as download:
        window.page.get_by_role("button", name="Curve (NPZ)").click()
    with np.load(download.value.path()) as saved:
        assert saved["points"].shape == (33, 2)
        assert saved["points"][-1] == pytest.approx([1.0, 1.0])
    with window.page.expect_download() as download:
        window.page.get_by_role("button", name="Picture (PNG)").click()
    assert download.value.suggested_filename == "latentgeo-view.png"
    picture = 255 * imread(download.value.path(), format="png")[..., :3]
    assert picture.shape[1] > 500
    assert int((np.abs(picture - GEODESIC).max(axis=2) < 8).sum()) > 300


def test_page_fits_a_desk(window):
    assert window.page.evaluate("document.documentElement.scrollWidth") <= DESK["width"]
    assert window.page.evaluate("document.documentElement.scrollHeight") <= DESK["height"]


def test_page_fits_a_phone_and_hears_a_finger(browser, served):
    context = browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True)
    window = Window(context.new_page(), served.url)
    assert window.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    for place in ((-1, -1.5), (1.5, 0.5)):
        window.page.touchscreen.tap(*window.at(*place))
    assert "CONVERGED" in window.wait_for("Geodesic ")
    assert window.page.get_by_role("status").bounding_box()["y"] < PHONE["height"]
    assert window.complaints == []
    context.close()
