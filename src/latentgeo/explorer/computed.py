"""What the page computes beside itself: the steps of a map and of a curve."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jaxtyping import Float
from torch import Tensor

from latentgeo.explorer.choices import Decode
from latentgeo.explorer.decoded import Decoded, decoded
from latentgeo.explorer.joined import Joined, join
from latentgeo.explorer.plane import Plane
from latentgeo.explorer.view import volume_map
from latentgeo.explorer.watched import Watch, WatchedMetric
from latentgeo.metrics import Metric

RESOLUTION = 128  # cells of the map along its longer side
_RESOLUTIONS = (32, RESOLUTION)  # soon, and well
_RESOLUTIONS_OF_A_LINE = (512,)
_STRIP = 10  # images in a strip
_VALUES = 65  # points of a value along the way


def map_steps(
    metric: Metric, plane: Plane, bounds: Float[Tensor, "2 k"]
) -> Iterator[Float[Tensor, "..."] | None]:
    """The map, of few cells and of more.

    Yields:
        The values of :func:`latentgeo.explorer.view.volume_map`, and None in between.
    """
    for resolution in _RESOLUTIONS if len(plane.axes) == 2 else _RESOLUTIONS_OF_A_LINE:
        yield from volume_map(metric, plane, bounds, resolution)


def curve_steps(
    metric: Metric,
    start: Float[Tensor, " d"],
    end: Float[Tensor, " d"],
    decode: Decode,
    image_shape: Sequence[int] | None,
    watch: Watch,
) -> Iterator[tuple[Joined, Decoded | None]]:
    """A geodesic and what it decodes to.

    Yields:
        The curve so far; at last with what it and the straight line decode to.
    """
    joined: Joined | None = None
    for joined in join(WatchedMetric(metric, watch), start, end):
        yield joined, None
    if joined is not None:
        seen = decoded(decode, joined.strips(_STRIP), image_shape=image_shape)
        if seen.image_shape is None:
            seen = decoded(decode, joined.strips(_VALUES), image_shape=())
        yield joined, seen
