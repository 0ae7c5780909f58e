"""Curves in the latent plane, and the straight lines between their ends."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from latentgeo.plots.palette import GEODESIC, STRAIGHT
from latentgeo.plots.plane import Array, planar


def curves(
    axes: Axes,
    points: Array,
    *,
    color: str = GEODESIC,
    width: float = 1.6,
    style: str = "solid",
    label: str = "geodesic",
) -> LineCollection:
    """Draws a batch of curves, each with a thin white rim that keeps it apart from a dark map.

    Args:
        axes: where to draw.
        points: (B, T+1, 2), such as ``result.points`` or ``result.at(t)``.
        color: of all curves.
        width: of the lines, in points.
        style: matplotlib's line style.
        label: for ``axes.legend()``.

    Returns:
        The lines.

    Raises:
        ValueError: the points are not (B, T+1, 2).

    Example:
        >>> import numpy as np
        >>> from matplotlib.figure import Figure
        >>> len(curves(Figure().subplots(), np.zeros((4, 33, 2))).get_segments())
        4
    """
    paths = list(planar("points", points, 3))
    rim = LineCollection(paths, colors="white", linewidths=width + 1.2, alpha=0.7, zorder=3)
    lines = LineCollection(
        paths, colors=color, linewidths=width, linestyles=style, label=label, zorder=3, capstyle="round"
    )
    for collection in (rim, lines):
        axes.add_collection(collection)
    axes.autoscale_view()
    return lines


def straight_lines(
    axes: Axes,
    start: Array,
    end: Array,
    *,
    color: str = STRAIGHT,
    width: float = 1.0,
    label: str = "straight line",
) -> LineCollection:
    """Draws the dashed straight lines between the ends of curves.

    Args:
        axes: where to draw.
        start: (B, 2).
        end: (B, 2).
        color: of all lines.
        width: in points.
        label: for ``axes.legend()``.

    Returns:
        The lines.

    Raises:
        ValueError: shapes that do not match.

    Example:
        >>> import numpy as np
        >>> from matplotlib.figure import Figure
        >>> len(straight_lines(Figure().subplots(), np.zeros((4, 2)), np.ones((4, 2))).get_segments())
        4
    """
    a, b = planar("start", start, 2), planar("end", end, 2)
    if a.shape != b.shape:
        raise ValueError(f"end: expected the shape of start, {a.shape}, got {b.shape}")
    lines = LineCollection(
        list(np.stack([a, b], axis=1)),
        colors=color,
        linewidths=width,
        linestyles=(0, (4, 2)),
        label=label,
        zorder=3,
    )
    axes.add_collection(lines)
    axes.autoscale_view()
    return lines
