"""The explorer's page in a window of a real browser."""

from __future__ import annotations

import io
import time

import numpy as np
from matplotlib.image import imread

DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
GEODESIC = (0xD5, 0x5E, 0x00)
PATIENCE = 15_000  # milliseconds


class Window:
    """The page in a window of the browser, and all it asked for and complained of."""

    def __init__(self, page, url: str) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.asked: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "console",
            lambda said: self.complaints.append(said.text) if said.type in ("error", "warning") else None,
        )
        began = time.perf_counter()
        self.source = page.goto(url).text()
        page.wait_for_function("window.Bokeh?.documents[0]?.is_idle")
        self.painted = time.perf_counter() - began
        self.wait_for_map()  # after which no other thread takes derivatives

    @staticmethod
    def _model(name: str) -> str:
        return f"Bokeh.documents[0].roots().find((root) => root.name == {name!r})"

    def get(self, name: str, attribute: str):
        return self.page.evaluate(f"{self._model(name)}.{attribute}")

    def wait_for(self, words: str) -> str:
        """Until the status holds words; answers the status."""
        self.page.wait_for_function(f"{self._model('status')}.text.includes({words!r})")
        return self.get("status", "text")

    def wait_for_map(self) -> None:
        """Until a map of just what is in view is drawn, over that of all points; a frame is never quite a square."""
        self.page.wait_for_function(
            f"""() => {{
            const map = {self._model("map")}, [x, y] = [map.x_range, map.y_range]
            const source = map.renderers.filter((r) => r.glyph.type == "Image")[1].data_source
            const drawn = ["x", "y", "dw", "dh"].map((name) => source.get(name)[0])
            const seen = [x.start, y.start, x.end - x.start, y.end - y.start]
            return drawn.every((number, i) => Math.abs(number - seen[i]) < 1e-4 * (x.end - x.start))
        }}"""
        )

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where on the screen a place of the map is."""
        frame = self.page.evaluate(
            f"""() => {{
            const view = Bokeh.index.find_one({self._model("map")}), box = view.el.getBoundingClientRect()
            return [box.x + view.frame.x_scale.compute({x}), box.y + view.frame.y_scale.compute({y})]
        }}"""
        )
        return tuple(frame)

    def click(self, x: float, y: float) -> None:
        self.page.mouse.click(*self.at(x, y))

    def join(self, start: str, end: str) -> str:
        """Types both ends; answers the status with the geodesic."""
        self.page.get_by_role("button", name="Clear").click()
        self.wait_for("Click two places")
        for label, text in (("From A", start), ("To B", end)):
            self.page.get_by_label(label).fill(text)
            self.page.keyboard.press("Enter")
        return self.wait_for("Geodesic ")

    def colored(self, color=GEODESIC) -> int:
        """Pixels of a colour that are seen."""
        pixels = 255 * imread(io.BytesIO(self.page.screenshot()))[..., :3]
        return int((np.abs(pixels - color).max(axis=2) < 8).sum())
