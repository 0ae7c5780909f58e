"""Random walks in the latent plane, coloured by time."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import Colormap

from latentgeo.plots.palette import TIME
from latentgeo.plots.plane import Array, planar


def walk(
    axes: Axes,
    points: Array,
    *,
    width: float = 0.9,
    cmap: str | Colormap = TIME,
) -> tuple[LineCollection, PathCollection]:
    """Draws one walk or several, the colour of each step its time, and marks where they start.

    Args:
        axes: where to draw.
        points: (num_steps + 1, 2), or (num_steps + 1, W, 2) for W walks, time first, as of
            :func:`latentgeo.random_walk`. A walk ends at its first point that is not finite.
        width: of the lines, in points.
        cmap: matplotlib's colour map, from the first step to the last.

    Returns:
        The steps, of which ``axes.figure.colorbar`` makes a scale from 0 to num_steps, and the starts.

    Raises:
        ValueError: the points have another shape, or are fewer than two in a walk.

    Example:
        >>> import numpy as np
        >>> from matplotlib.figure import Figure
        >>> steps, starts = walk(Figure().subplots(), np.random.RandomState(0).randn(101, 3, 2).cumsum(0))
        >>> len(steps.get_segments()), len(starts.get_offsets())
        (300, 3)
    """
    paths = planar("points", points[:, None] if points.ndim == 2 else points, 3)
    if len(paths) < 2:
        raise ValueError(f"points: expected at least two in a walk, got shape {paths.shape}")
    segments = np.stack([paths[:-1], paths[1:]], axis=2)  # (num_steps, W, 2, 2)
    time = np.repeat(np.arange(len(segments)) + 0.5, paths.shape[1])
    there = np.isfinite(segments).all(axis=(2, 3)).ravel()
    steps = LineCollection(
        list(segments.reshape(-1, 2, 2)[there]),
        cmap=cmap,
        linewidths=width,
        capstyle="round",
        zorder=3,
        label="walk",
    )
    steps.set_array(time[there])
    steps.set_clim(0, len(segments))
    axes.add_collection(steps)
    axes.autoscale_view()
    starts = axes.scatter(
        *paths[0].T, s=36, color="white", edgecolors="black", linewidths=1.2, zorder=4, label="start"
    )
    return steps, starts
