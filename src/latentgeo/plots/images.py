"""Decoded images side by side."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from torch import Tensor

from latentgeo.plots.plane import Array

_GAP = 1 / 14  # of the width of an image


def image_strip(axes: Axes, images: Array, *, limits: tuple[float, float] = (0.0, 1.0)) -> AxesImage:
    """Draws images along a curve as one row, from left to right, and takes the frame and ticks away.

    Args:
        axes: where to draw.
        images: (n, height, width) or (n, 1, height, width) grey levels, or (n, 3, height, width) colours in [0, 1].
        limits: the grey levels shown as black and as white.

    Returns:
        The image of the whole row.

    Raises:
        ValueError: another shape, or no image.

    Example:
        >>> import numpy as np
        >>> from matplotlib.figure import Figure
        >>> image_strip(Figure().subplots(), np.zeros((10, 8, 8))).get_array().shape
        (8, 89, 4)
    """
    values = images.detach().cpu().numpy() if isinstance(images, Tensor) else np.asarray(images)
    if values.ndim == 3:
        values = values[:, None]
    if values.ndim != 4 or values.shape[1] not in (1, 3) or not len(values):
        raise ValueError(
            f"images: expected shape (n, height, width) or (n, 1 or 3, height, width), got {values.shape}"
        )
    low, high = limits
    if not low < high:
        raise ValueError(f"limits: expected black below white, got {limits}")
    if values.shape[1] == 1:
        values = np.repeat((values - low) / (high - low), 3, axis=1)
    n, _, height, width = values.shape
    gap = max(1, round(_GAP * width))
    row = np.zeros((height, n * width + (n - 1) * gap, 4))  # transparent between the images
    for k, image in enumerate(values):
        columns = slice(k * (width + gap), k * (width + gap) + width)
        row[:, columns, :3] = image.transpose(1, 2, 0).clip(0, 1)
        row[:, columns, 3] = 1
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    return axes.imshow(row, interpolation="nearest")
