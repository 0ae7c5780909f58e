"""The points and the plane that are chosen, by clicks, drags and typing, and the texts that say them."""

from __future__ import annotations

import numpy as np
import torch
from bokeh.models import Select, TextInput
from jaxtyping import Float
from torch import Tensor

from latentgeo.explorer.controls import AXES, CORNER, CORNERS, NEAREST, PRINCIPAL, Controls
from latentgeo.explorer.placing import Placing
from latentgeo.explorer.plane import Plane, coordinate_plane, plane_through, principal_plane
from latentgeo.explorer.scene import Scene
from latentgeo.explorer.typed import integers_of, point_of, rows_of


class Chosen:
    """What is chosen on one page.

    Attributes:
        ends: the ends of the curve, as latent points (d,); none, one or two.
        corners: rows of the shown latents that a plane goes through.
        is_echo: whether a text changes because the page, and not the user, changes it.
    """

    def __init__(self, scene: Scene, controls: Controls) -> None:
        self._scene = scene
        self._controls = controls
        self.ends: list[Tensor] = []
        self.corners: list[int] = []
        self.is_echo = False

    def plane(self) -> Plane:
        """The plane that is chosen; of one or two dimensions the space itself.

        Raises:
            ValueError: what was typed is no choice of one.
        """
        latents, controls = self._scene.latents, self._controls
        if self._scene.dimension <= 2:
            return coordinate_plane(latents, *range(self._scene.dimension))
        if controls.plane.value == PRINCIPAL:
            return principal_plane(latents)
        if controls.plane.value == AXES:
            return coordinate_plane(latents, *integers_of(controls.axes.value, 2))
        self.corners = rows_of(controls.corners.value, self._scene, 3)
        return plane_through(latents[self.corners])

    def tap(self, place: Float[Tensor, " k"], placing: Placing) -> bool:
        """Takes a click for an end, or for a corner of the plane; whether it was the last corner of three."""
        if self._controls.click.value != CORNER:
            self.ends = [*self.ends[: len(self.ends) % 2], self._point(place, placing)]
            return False
        self.corners = [*self.corners[: len(self.corners) % 3], self._nearest(place, placing)]
        self.write(self._controls.corners, ", ".join(str(int(self._scene.rows[row])) for row in self.corners))
        if len(self.corners) < 3:
            return False
        self.write(self._controls.plane, CORNERS)
        self._controls.corners.visible = True
        return True

    def drag(self, placing: Placing) -> None:
        """Takes what was dragged for the ends, or for one of them."""
        data = self._controls.drag.data
        for x, y, end in zip(data["x"], data["y"], map(int, data["end"]), strict=True):
            point = self._point(placing.place(x, y), placing)
            self.ends = [*self.ends[:end], point, *self.ends[end + 1 :]][:2]

    def type(self, end: int, placing: Placing) -> bool:
        """Takes what was typed for an end; whether there was something.

        Raises:
            ValueError: it is no point, or there is no first one yet.
        """
        widgets = (self._controls.start, self._controls.end)
        if not widgets[end].value.strip():
            return False
        if end == 1 and not self.ends:
            return self.type(0, placing) if widgets[0].value.strip() else False
        both = end == 0 and len(self.ends) == 0 and widgets[1].value.strip()
        for which in (0, 1) if both else (end,):
            try:
                point = point_of(widgets[which].value, self._scene, placing.plane)
            except ValueError as error:
                raise ValueError(f"{widgets[which].title}: {error}") from None
            self.ends = [*self.ends[:which], point, *self.ends[which + 1 :]]
        return True

    def tell(self, placing: Placing) -> None:
        """Writes the ends as they may be typed."""
        for widget, point in zip(
            (self._controls.start, self._controls.end), [*self.ends, None, None], strict=False
        ):
            self.write(widget, "" if point is None else self._text(point, placing))

    def marks(self, placing: Placing) -> tuple[Float[np.ndarray, "n 2"], tuple[str, ...]]:
        """Places and names of the ends; of the corners, while these are chosen."""
        by_corners = self._controls.click.value == CORNER and len(self.corners) > 0
        points = list(self._scene.latents[self.corners]) if by_corners else self.ends
        places = placing.places(torch.stack(points)) if points else np.zeros((0, 2))
        return places, ("1", "2", "3") if by_corners else ("A", "B")

    def write(self, widget: Select | TextInput, value: str) -> None:
        """Changes a widget, as the page and not as the user does."""
        self.is_echo = True
        try:
            widget.value = value
        finally:
            self.is_echo = False

    def _point(self, place: Tensor, placing: Placing) -> Tensor:
        """The latent point of a click."""
        if self._controls.click.value == NEAREST:
            return self._scene.latents[self._nearest(place, placing)]
        return placing.plane.latent(place)

    def _nearest(self, place: Tensor, placing: Placing) -> int:
        return int((placing.plane.project(self._scene.latents) - place).norm(dim=1).argmin())

    def _text(self, point: Tensor, placing: Placing) -> str:
        """A point as it may be typed: its row where it is a latent that need not lie in the plane."""
        if self._scene.dimension > 2:
            (rows,) = torch.nonzero((self._scene.latents == point).all(1), as_tuple=True)
            if len(rows):
                return f"#{int(self._scene.rows[rows[0]])}"
        return ", ".join(f"{x:.4g}" for x in placing.plane.project(point).tolist())
