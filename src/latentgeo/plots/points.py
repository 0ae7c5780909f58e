"""Points of the latent plane, told apart by class and by cluster."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection

from latentgeo.plots.palette import COLORS, MARKERS
from latentgeo.plots.plane import Array, planar, vector


def latent_scatter(
    axes: Axes, points: Array, labels: Array, *, names: Sequence[str] | None = None, size: float = 12.0
) -> list[PathCollection]:
    """Draws latent points with a colour and a shape for each class.

    Args:
        axes: where to draw; ``axes.legend()`` then names the classes.
        points: (N, 2).
        labels: (N,) integers.
        names: of the classes in increasing order of label; the labels themselves, if None.
        size: of the markers, in points squared.

    Returns:
        One collection a class, in increasing order of label.

    Raises:
        ValueError: shapes that do not match, more classes than colours, or not one name for each.

    Example:
        >>> import numpy as np
        >>> from matplotlib.figure import Figure
        >>> len(latent_scatter(Figure().subplots(), np.zeros((3, 2)), np.array([0, 1, 1])))
        2
    """
    xy = planar("points", points, 2)
    classes = vector("labels", labels, len(xy))
    present = np.unique(classes)
    _check_count("labels", len(present))
    names = [str(label) for label in present] if names is None else names
    if len(names) != len(present):
        raise ValueError(f"names: expected one for each of {len(present)} classes, got {len(names)}")
    return [
        _markers(axes, xy[classes == label], color, marker, size, name)
        for label, name, color, marker in zip(present, names, COLORS, MARKERS, strict=False)
    ]


def clusters(
    axes: Axes,
    points: Array,
    labels: Array,
    centers: Array,
    *,
    classes: Array | None = None,
    size: float = 14.0,
) -> tuple[list[PathCollection], PathCollection]:
    """Draws clustered points, coloured by cluster, and the centres.

    Args:
        axes: where to draw.
        points: (N, 2).
        labels: (N,) cluster of each point, from 0 to K - 1; below 0 for points in none, drawn grey.
        centers: (K, 2).
        classes: (N,) true classes, told by the shape of the marker; one shape for all, if None.
        size: of the markers, in points squared.

    Returns:
        One collection for each cluster and class that occur together, and one of the centres.

    Raises:
        ValueError: shapes that do not match, or more clusters or classes than colours.

    Example:
        >>> import numpy as np
        >>> from matplotlib.figure import Figure
        >>> groups, centers = clusters(Figure().subplots(), np.eye(2), np.array([0, 1]), np.eye(2))
        >>> len(groups)
        2
    """
    xy = planar("points", points, 2)
    found = vector("labels", labels, len(xy))
    middle = planar("centers", centers, 2)
    truth = np.zeros(len(xy), dtype=int) if classes is None else vector("classes", classes, len(xy))
    if len(found) and found.max() >= len(middle):
        raise ValueError(
            f"labels: expected values below {len(middle)}, the number of centers, got {found.max()}"
        )
    kinds = np.unique(truth)
    _check_count("centers", len(middle))
    _check_count("classes", len(kinds))
    groups = []
    for cluster in np.unique(found):
        color = COLORS[cluster] if cluster >= 0 else "0.6"
        for kind, marker in zip(kinds, MARKERS, strict=False):
            rows = (found == cluster) & (truth == kind)
            if rows.any():
                groups.append(_markers(axes, xy[rows], color, marker, size, "_"))
    stars = axes.scatter(
        middle[:, 0],
        middle[:, 1],
        s=16 * size,
        c=list(COLORS[: len(middle)]),
        marker="*",
        edgecolors="black",
        linewidths=1.0,
        zorder=4,
        label="centre",
    )
    return groups, stars


def _check_count(name: str, count: int) -> None:
    if count > len(COLORS):
        raise ValueError(f"{name}: expected at most {len(COLORS)} to tell apart, got {count}")


def _markers(axes: Axes, xy: np.ndarray, color: str, marker: str, size: float, label: str) -> PathCollection:
    return axes.scatter(
        xy[:, 0],
        xy[:, 1],
        s=size,
        color=color,
        marker=marker,
        edgecolors="white",
        linewidths=0.3,
        zorder=2,
        label=label,
    )
