"""What is typed into the page: latent points and lists of numbers, or a sentence that says what was expected."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.explorer.plane import Plane
from latentgeo.explorer.scene import Scene


def point_of(text: str, scene: Scene, plane: Plane) -> Float[Tensor, " d"]:
    """The latent point that was typed: a place of the plane, or a row of the latents.

    Args:
        text: "x, y" (or "x" on a line), or "#row".
        scene: whose latents they are.
        plane: that is looked at.

    Raises:
        ValueError: it is neither.

    Example:
        >>> import torch
        >>> from latentgeo import EuclideanMetric
        >>> from latentgeo.explorer.plane import coordinate_plane
        >>> from latentgeo.explorer.scene import scene_of
        >>> scene = scene_of(EuclideanMetric(2), torch.eye(2), torch.sin)
        >>> point_of("0.5, -1", scene, coordinate_plane(scene.latents, 0, 1))
        tensor([ 0.5000, -1.0000])
        >>> point_of("#1", scene, coordinate_plane(scene.latents, 0, 1))
        tensor([0., 1.])
    """
    if text.strip().startswith("#"):
        (row,) = rows_of(text, scene, 1)
        return scene.latents[row]
    k = len(plane.axes)
    try:
        numbers = [float(part) for part in text.replace(",", " ").split()]
    except ValueError:
        numbers = []
    if len(numbers) != k or not all(map(math.isfinite, numbers)):
        expected = "two numbers such as 0.5, -1.2" if k == 2 else "a number such as 0.5"
        raise ValueError(f"expected {expected}, or a row of the latents such as #12, got {text.strip()!r}")
    return plane.latent(torch.tensor(numbers).to(plane.axes))


def rows_of(text: str, scene: Scene, count: int) -> list[int]:
    """So many rows of the latents that are shown, from their rows among all latents.

    Raises:
        ValueError: they are not so many, or not shown.
    """
    wanted = integers_of(text.replace("#", " "), count)
    shown = {row: i for i, row in enumerate(scene.rows.tolist())}
    for row in wanted:
        if row not in shown:
            some = "" if len(shown) == scene.total else f"; {len(shown)} of them are shown"
            raise ValueError(f"expected rows from 0 to {scene.total - 1}{some}, got {row}")
    return [shown[row] for row in wanted]


def integers_of(text: str, count: int) -> list[int]:
    """So many integers, between commas or spaces.

    Raises:
        ValueError: they are not.

    Example:
        >>> integers_of("3, 5", 2)
        [3, 5]
    """
    try:
        numbers = [int(part) for part in text.replace(",", " ").split()]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise ValueError(f"expected {count} whole number{'s' * (count > 1)}, got {text.strip()!r}")
    return numbers
