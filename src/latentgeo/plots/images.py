"""Decoded images: in a row, in a grid, and along curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from torch import Tensor
from torch.distributions import Distribution

from latentgeo.metrics.arguments import describe
from latentgeo.metrics.decoder import Decoder
from latentgeo.plots.plane import Array, array_of

_GAP = 1 / 14  # of the width of an image


def image_strip(axes: Axes, images: Array, *, limits: tuple[float, float] = (0.0, 1.0)) -> AxesImage:
    """Draws images along a curve as one row, from left to right, and takes the frame and ticks away.

    Args:
        axes: where to draw.
        images: (n, height, width) or (n, 1, height, width) grey levels, or (n, 3, height, width) colours in [0, 1].
        limits: the grey levels shown as black and as white.

    Returns:
        The image of the whole row, in colours; the gaps are transparent.

    Raises:
        ValueError: another shape, no image, or values that are not finite.

    Example:
        >>> import numpy as np
        >>> from matplotlib.figure import Figure
        >>> image_strip(Figure().subplots(), np.zeros((10, 8, 8))).get_array().shape
        (8, 89, 4)
    """
    return _tiled(axes, _array(images)[None], limits, "n")


def image_grid(
    axes: Axes,
    images: Array,
    *,
    names: Sequence[str] | None = None,
    limits: tuple[float, float] = (0.0, 1.0),
) -> AxesImage:
    """Draws images in rows and columns, and takes the frame and ticks away.

    Args:
        axes: where to draw.
        images: (rows, columns, height, width) or (rows, columns, 1, height, width) grey levels, or (rows, columns, 3,
            height, width) colours in [0, 1], as of :func:`latentgeo.diagnostics.latent_traversal`.
        names: one a row, written before it.
        limits: the grey levels shown as black and as white.

    Returns:
        The image of the whole grid, in colours; the gaps are transparent.

    Raises:
        ValueError: another shape, no image, values that are not finite, or not one name a row.

    Example:
        >>> import numpy as np
        >>> from matplotlib.figure import Figure
        >>> image_grid(Figure().subplots(), np.zeros((2, 10, 8, 8))).get_array().shape
        (17, 89, 4)
    """
    values = _array(images)
    if names is not None and len(names) != len(values):
        raise ValueError(f"names: expected one for each of {len(values)} rows, got {len(names)}")
    drawn = _tiled(axes, values, limits, "rows, columns")
    if names is not None:
        axes.set_yticks(_middles(values), names)
        axes.tick_params(axis="y", length=0)
    return drawn


def decoded_strips(
    axes: Axes,
    decode: Callable[[Float[Tensor, "n d"]], Any],
    curves: Float[Tensor, "rows n d"],
    *,
    image_shape: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
    captions: Sequence[str] | None = None,
    limits: tuple[float, float] = (0.0, 1.0),
) -> AxesImage:
    """Draws what curves decode to, a row a curve: such as a geodesic above the straight line between its ends.

    Args:
        axes: where to draw; its frame and ticks are taken away.
        decode: any decoder that the metrics take: to a tensor (N, *event), to (mean, std) or to a distribution, of
            which the mean is shown.
        curves: (rows, n, d) latent points, each decoded to one image; for a curve as long as its images differ,
            ``result.at(torch.linspace(0, 1, n))``.
        image_shape: (height, width) or (channels, height, width), for decoders to rows of numbers.
        names: one a row, written before it.
        captions: one a row, written behind it, such as lengths.
        limits: the grey levels shown as black and as white.

    Returns:
        The image of all rows, in colours; the gaps are transparent.

    Raises:
        TypeError: the decoder returns something else.
        ValueError: curves of another shape, what they decode to is no image, not one name or caption a row, or the
            decoder holds BatchNorm or Dropout in training mode.

    Example:
        >>> import torch
        >>> from matplotlib.figure import Figure
        >>> two_lines = torch.linspace(0, 1, 10)[:, None].expand(2, 10, 1)
        >>> axes = Figure().subplots()
        >>> image = decoded_strips(axes, lambda z: z.expand(-1, 64), two_lines, image_shape=(8, 8), names="ab")
        >>> image.get_array().shape
        (17, 89, 4)
    """
    if curves.ndim != 3 or not curves.numel():
        raise ValueError(f"curves: expected shape (rows, n, d) with points, got {tuple(curves.shape)}")
    rows, n = curves.shape[:2]
    if captions is not None and len(captions) != rows:
        raise ValueError(f"captions: expected one for each of {rows} rows, got {len(captions)}")
    with torch.no_grad():
        values = mean_of(Decoder(decode, "decode")(curves.flatten(0, 1)))
    images = values.reshape(rows, n, *(image_shape or values.shape[1:]))
    drawn = image_grid(axes, images, names=names, limits=limits)
    for middle, caption in zip(_middles(_array(images)), captions or (), strict=False):
        axes.text(1.01, middle, caption, transform=axes.get_yaxis_transform(), va="center_baseline")
    return drawn


def mean_of(output: object) -> Tensor:
    """What a decoder's answer looks like: the tensor, the first of (mean, std), or the mean of a distribution.

    Raises:
        TypeError: it is none of these.
    """
    if isinstance(output, Distribution):
        return output.mean
    if isinstance(output, tuple | list) and output:
        output = output[0]
    if not isinstance(output, Tensor):
        raise TypeError(f"decode must return a tensor, (mean, std) or a distribution, got {describe(output)}")
    return output


def _array(images: Array) -> np.ndarray:
    """Images in floating point: differences of unsigned levels would wrap around."""
    return array_of(images).astype(float)


def _middles(images: np.ndarray) -> np.ndarray:
    """Where the middle of each row of images (rows, ..., height, width) is drawn."""
    height, width = images.shape[-2:]
    return np.arange(len(images)) * (height + _gap(width)) + (height - 1) / 2


def _gap(width: int) -> int:
    return max(1, round(_GAP * width))


def _tiled(axes: Axes, values: np.ndarray, limits: tuple[float, float], leading: str) -> AxesImage:
    """Draws (rows, columns, [channels,] height, width) as one image."""
    shape = values.shape[1:] if leading == "n" else values.shape
    if values.ndim == 4:
        values = values[:, :, None]
    if values.ndim != 5 or values.shape[2] not in (1, 3) or not values.size:
        raise ValueError(
            f"images: expected shape ({leading}, height, width) or ({leading}, 1 or 3, height, width), got {shape}"
        )
    if not np.isfinite(values).all():
        raise ValueError("images: expected finite values, got NaN or infinity among them")
    low, high = limits
    if not low < high:
        raise ValueError(f"limits: expected black below white, got {limits}")
    if values.shape[2] == 1:
        values = np.repeat((values - low) / (high - low), 3, axis=2)
    rows, columns, _, height, width = values.shape
    gap = _gap(width)
    opaque = np.concatenate([values.clip(0, 1), np.ones_like(values[:, :, :1])], axis=2)
    padded = np.pad(opaque, ((0, 0), (0, 0), (0, 0), (0, gap), (0, gap)))
    tiled = padded.transpose(0, 3, 1, 4, 2).reshape(rows * (height + gap), columns * (width + gap), 4)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    return axes.imshow(tiled[:-gap, :-gap], interpolation="nearest")
