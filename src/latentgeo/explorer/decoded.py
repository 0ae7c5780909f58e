"""What points decode to: rows of images, or of values along the way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.explorer.choices import Decode
from latentgeo.metrics.decoder import Decoder
from latentgeo.plots.images import mean_of

_SMALLEST = 7  # pixels along a side of what is taken for an image
_VALUES = 5  # drawn along the way


@dataclass(frozen=True)
class Decoded:
    """What curves decode to.

    Attributes:
        values: (rows, n, *event) means of the decoder, a row a curve.
        image_shape: (height, width) or (channels, height, width) of one, or None where it is no image.
        limits: the values shown as black and as white.
    """

    values: np.ndarray
    image_shape: tuple[int, ...] | None
    limits: tuple[float, float]

    def tiles(self) -> np.ndarray:
        """All images side by side, a row a curve, from the bottom up: (height, width) of uint32, RGBA, as Bokeh's.

        Gaps between images are transparent, and so are pixels that are not finite.

        Raises:
            ValueError: the values are no images.
        """
        if self.image_shape is None:
            raise ValueError("values: expected images")
        rows, n = self.values.shape[:2]
        images = self.values.reshape(rows, n, -1, *self.image_shape[-2:])
        low, high = self.limits
        known = np.asarray(np.isfinite(images).all(axis=2))
        colours = np.where(known[:, :, None], (images - low) / (high - low), 0).clip(0, 1)
        colours = np.broadcast_to(colours, (rows, n, 3, *colours.shape[3:]))
        height, width = colours.shape[3:]
        gap = max(1, round(width / 14))
        tiled = np.zeros((rows, height + gap, n, width + gap, 4), dtype=np.uint8)
        tiled[:, :height, :, :width, :3] = (255 * colours).round().transpose(0, 3, 1, 4, 2)
        tiled[:, :height, :, :width, 3] = 255 * known.transpose(0, 2, 1, 3)
        whole = tiled.reshape(rows * (height + gap), n * (width + gap), 4)[:-gap, :-gap]
        return np.ascontiguousarray(whole[::-1]).view(np.uint32)[..., 0]

    def most_varied(self) -> list[int]:
        """Which of the values change most along the curves, at most five, in increasing order."""
        flat = self.values.reshape(*self.values.shape[:2], -1)
        spread = flat.std(axis=1).max(axis=0)
        return sorted(np.argsort(-spread, kind="stable")[:_VALUES].tolist())  # NaN comes last


def decoded(
    decode: Decode,
    curves: Float[Tensor, "rows n d"],
    *,
    image_shape: Sequence[int] | None = None,
) -> Decoded:
    """Decodes points of curves.

    Args:
        decode: the decoder.
        curves: (rows, n, d) latent points.
        image_shape: (height, width) or (channels, height, width) of rows of numbers; () where they are no images;
            None to take events of such a shape, and rows of 49 or more numbers that fill a square, for images.

    Returns:
        The means; black and white are 0 and 1, where the values keep to that.

    Raises:
        ValueError: image_shape does not hold so many values as the decoder answers, or has one or three channels not.

    Example:
        >>> import torch
        >>> decoded(lambda z: z.expand(-1, 64), torch.rand(2, 10, 1)).tiles().shape
        (17, 89)
    """
    with torch.no_grad():
        values = mean_of(Decoder(decode, "decode")(curves.flatten(0, 1))).cpu().double()
    event = tuple(values.shape[1:])
    shape = _guessed(event) if image_shape is None else tuple(image_shape) or None
    if shape is not None and (
        len(shape) not in (2, 3)
        or math.prod(shape) != math.prod(event)
        or (len(shape) == 3 and shape[0] not in (1, 3))
    ):
        raise ValueError(
            f"image_shape: expected (height, width), (1, height, width) or (3, height, width) of the decoder's "
            f"{math.prod(event)} values, got {shape}"
        )
    finite = values[values.isfinite()]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    limits = (0.0, 1.0) if low >= 0 and high <= 1 else (low, max(high, low + 1e-12))
    return Decoded(values.reshape(*curves.shape[:2], *event).numpy(), shape, limits)


def _guessed(event: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape of an image that an answer may be."""
    if len(event) == 1:
        side = math.isqrt(event[0])
        return (side, side) if side >= _SMALLEST and side * side == event[0] else None
    image = len(event) == 2 or (len(event) == 3 and event[0] in (1, 3))
    return event if image and min(event[-2:]) > 1 else None
