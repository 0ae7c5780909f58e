"""Where latent points are in the figure: in the plane, or on the curve that is the map of a line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.explorer.plane import Plane
from latentgeo.explorer.view import map_places


@dataclass(frozen=True)
class Placing:
    """The way from latent points to the figure and back.

    Attributes:
        plane: what is looked at.
        bounds: (2, k) what is seen of it.
        heights: (n,) the map of a line, at the middles of n cells, once it is known; NaN where it is not finite.
    """

    plane: Plane
    bounds: Float[Tensor, "2 k"]
    heights: Float[Tensor, " n"] | None = None

    @property
    def is_line(self) -> bool:
        """Whether the latent space is one-dimensional."""
        return len(self.plane.axes) == 1

    @property
    def curve(self) -> Float[np.ndarray, "n 2"]:
        """The map of a line; empty while it is not known."""
        if self.heights is None:
            return np.zeros((0, 2))
        x = map_places(self.bounds, len(self.heights))[:, 0]
        return np.stack([array(x), array(self.heights)], 1)

    @property
    def frame(self) -> Float[np.ndarray, "2 2"]:
        """The lower left and the upper right corner of what is seen."""
        bounds = array(self.bounds)
        if not self.is_line:
            return bounds
        known = self.curve[:, 1][np.isfinite(self.curve[:, 1])]
        low, high = (known.min(), known.max()) if len(known) else (0.0, 1.0)
        return np.stack([bounds[:, 0], [low, high]], 1)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the axes of the figure."""
        return (*self.plane.names, "log √G") if self.is_line else self.plane.names

    def places(self, points: Float[Tensor, "n d"]) -> Float[np.ndarray, "n 2"]:
        """Where latent points are drawn.

        Example:
            >>> import torch
            >>> plane = Plane(torch.zeros(1), torch.eye(1), ("latent 0",))
            >>> heights = torch.tensor([5.0, 7.0])  # at 0.5 and 1.5
            >>> Placing(plane, torch.tensor([[0.0], [2.0]]), heights).places(torch.tensor([[1.0]]))
            array([[1., 6.]])
        """
        places = array(self.plane.project(points))
        if not self.is_line:
            return places
        curve = self.curve
        heights = np.interp(places[:, 0], *curve.T) if len(curve) else np.zeros(len(places))
        return np.stack([places[:, 0], heights], 1)

    def place(self, x: float, y: float) -> Float[Tensor, " k"]:
        """The place of the plane at a point of the figure."""
        return torch.tensor([x, y][: len(self.plane.axes)]).to(self.plane.axes)


def array(values: Tensor) -> np.ndarray:
    """Numbers as the figure takes them."""
    return values.detach().cpu().double().numpy()
