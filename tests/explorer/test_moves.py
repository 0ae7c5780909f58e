"""Moves in a real browser: the map after a zoom, and ends that a finger drags."""

from __future__ import annotations

import itertools
import time

import pytest

from explorer_window import PHONE, Window

SIDEWAYS = {"width": 844, "height": 390}
RESTED = 0.8  # seconds after which the page has told what is in view

SCALE = """() => {
  const {low, high} = %s.renderers.find((r) => r.glyph.type == "Image").glyph.color_mapper
  return [low, high]
}"""


@pytest.fixture(scope="module")
def phone(browser, served):
    context = browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True)
    yield Window(context.new_page(), served.url)
    context.close()


@pytest.fixture(autouse=True)
def no_complaint(request):
    yield
    for name in {"window", "phone"} & set(request.fixturenames):
        assert request.getfixturevalue(name).complaints == []


def maps(window):
    """(left, bottom, width, height) of the maps that are drawn, the lower one first."""
    return window.page.evaluate(
        f"""() => {window._model("map")}.renderers.filter((r) => r.glyph.type == "Image").flatMap((r) =>
        Array.from(r.data_source.get("x"), (_, i) => ["x", "y", "dw", "dh"].map((k) => r.data_source.get(k)[i])))"""
    )


def view(window):
    """(left, bottom, right, top) of what is in view."""
    return [window.get("map", f"{axis}_range.{end}") for end in ("start", "end") for axis in ("x", "y")]


def use(window, name: str, times: int = 1) -> None:
    """Presses a button of the toolbar."""
    for _ in range(times):
        window.page.get_by_title(name, exact=True).click()


def finger(window, *places, rest: float = 0.0) -> None:
    """Puts a finger down at the first place of the screen, lets it rest, and moves it to the others."""
    session = window.page.context.new_cdp_session(window.page)

    def touch(kind, *points):
        points = [{"x": x, "y": y} for x, y in points]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", places[0])
    time.sleep(rest)
    for (x, y), (to_x, to_y) in itertools.pairwise(places):
        for step in range(1, 9):
            touch("touchMove", (x + (to_x - x) * step / 8, y + (to_y - y) * step / 8))
            time.sleep(0.02)
    touch("touchEnd")
    session.detach()


def ends(window):
    return [[float(part) for part in window.get(name, "value").split(",")] for name in ("start", "end")]


def test_zoom_computes_the_map_of_what_is_in_view_and_reset_comes_back(window):
    window.wait_for_map()  # as the frame is no square
    home, scale = maps(window), window.page.evaluate(SCALE % window._model("map"))
    use(window, "Zoom In", 8)
    window.wait_for_map()
    assert maps(window)[0] == home[0]
    assert window.page.evaluate(SCALE % window._model("map")) == scale
    use(window, "Zoom Out", 3)
    window.wait_for_map()
    assert window.page.evaluate(SCALE % window._model("map")) == scale
    use(window, "Reset")
    window.page.wait_for_function(f"{window._model('map')}.x_range.end > {home[0][0] + home[0][2] - 0.1}")
    time.sleep(RESTED)
    assert maps(window) == home
    assert view(window)[0] == pytest.approx(home[0][0], abs=0.2)


def test_map_follows_a_pan_and_a_click_hits_where_it_is_seen(window):
    use(window, "Zoom In", 8)
    use(window, "Pan")
    mouse, (x, y) = window.page.mouse, window.at(0, 0)
    mouse.move(x, y)
    mouse.down()
    mouse.move(x + 90, y - 60, steps=5)
    mouse.up()
    window.wait_for_map()
    use(window, "Pan")  # and away again: a drag joins
    left, bottom, right, top = view(window)
    place = (left + 0.3 * (right - left), bottom + 0.4 * (top - bottom))
    window.page.get_by_role("button", name="Clear").click()
    window.wait_for("Click two places")
    window.click(*place)
    window.wait_for("other end")
    assert [float(part) for part in window.get("start", "value").split(",")] == pytest.approx(place, abs=0.02)
    use(window, "Reset")


def test_another_metric_has_its_own_map_of_what_is_in_view(window):
    use(window, "Zoom In", 6)
    window.wait_for_map()
    window.page.get_by_label("Metric").select_option("Euclidean")
    window.page.wait_for_function(f"({SCALE % window._model('map')})()[1] < 0.01")  # a constant
    window.wait_for_map()
    window.page.get_by_label("Metric").select_option("expected pull-back")
    window.wait_for_map()
    use(window, "Reset")


@pytest.mark.parametrize("rest", [0.0, 0.5])
def test_finger_drags_ends_and_the_page_stays(phone, rest):
    page = phone.page
    page.get_by_role("button", name="Clear").click()
    phone.wait_for("Click two places")
    page.evaluate("scrollTo(0, 0)")
    finger(phone, phone.at(-1, -1.5), phone.at(0, -1), phone.at(1, 1), rest=rest)
    phone.wait_for("Geodesic ")
    assert ends(phone)[0] == pytest.approx([-1, -1.5], abs=0.15)
    assert ends(phone)[1] == pytest.approx([1, 1], abs=0.15)
    kept = ends(phone)[0]
    (x, y), to = phone.at(1, 1), phone.at(1.5, -1)
    finger(phone, (x + 9, y - 9), to, rest=rest)  # beside the mark, as fingers are
    page.wait_for_function(f"parseFloat({phone._model('end')}.value.split(',')[1]) < 0")
    assert ends(phone) == [kept, pytest.approx([1.5, -1], abs=0.15)]
    phone.wait_for("Geodesic ")
    assert page.evaluate("scrollY") == 0


def test_finger_beside_the_map_moves_the_page(phone):
    phone.page.evaluate("scrollTo(0, 0)")
    box = phone.page.get_by_role("status").bounding_box()
    x, y = box["x"] + 60, box["y"] + 40
    finger(phone, (x, y), (x, y - 250))
    time.sleep(0.5)
    assert phone.page.evaluate("scrollY") > 100
    phone.page.evaluate("scrollTo(0, 0)")


def test_finger_that_rests_clicks(phone):
    phone.page.get_by_role("button", name="Clear").click()
    phone.wait_for("Click two places")
    phone.page.evaluate("scrollTo(0, 0)")
    finger(phone, phone.at(-1, -1.5), rest=0.6)
    phone.wait_for("other end")
    finger(phone, phone.at(1, 0), rest=0.6)
    phone.wait_for("Geodesic ")


def test_map_fills_the_frame_of_a_phone(phone):
    use(phone, "Reset")
    phone.wait_for_map()
    assert len(maps(phone)) == 2


def test_pinch_zooms_where_the_wheel_does(phone):
    """Of the tools that the toolbar offers, the wheel's is that of two fingers."""
    use(phone, "Wheel Zoom")
    before, (x, y) = view(phone), phone.at(0, 0)
    session = phone.page.context.new_cdp_session(phone.page)
    for kind, apart in (
        ("touchStart", 40),
        *(("touchMove", 40 + 8 * i) for i in range(1, 9)),
        ("touchEnd", 0),
    ):
        points = [{"x": x + side * apart, "y": y, "id": side} for side in (-1, 1)] if apart else []
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        time.sleep(0.02)
    phone.wait_for_map()
    after = view(phone)
    assert after[2] - after[0] < 0.8 * (before[2] - before[0])
    assert phone.page.evaluate("visualViewport.scale") == 1
    use(phone, "Wheel Zoom")
    use(phone, "Reset")


def test_phone_on_its_side_leaves_room_for_a_finger_that_scrolls(browser, served):
    context = browser.new_context(viewport=SIDEWAYS, has_touch=True, is_mobile=True)
    window = Window(context.new_page(), served.url)
    assert window.page.evaluate("document.documentElement.scrollWidth") <= SIDEWAYS["width"]
    assert window.page.locator("#map").bounding_box()["width"] < 0.6 * SIDEWAYS["width"]
    x = 0.8 * SIDEWAYS["width"]
    finger(window, (x, 300), (x, 60))
    window.page.wait_for_function("scrollY > 100")
    assert window.complaints == []
    context.close()
