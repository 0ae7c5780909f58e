"""The energy of curves under metrics without immersion: Simpson's rule on parabolas through their points.

Two neighbouring segments share a parabola, with velocities (3a - b)/2, (a + b)/2, (3b - a)/2 at its three points, a
and b the chords over the step 1/T; the metric is evaluated at these points alone, and the energy is of fourth order
in 1/T. Where the metric is pulled back from a space with a metric of its own, the parabolas are those of the image.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.geodesics.curve_energy import BLOCK, KNOTS, STRIDE, SUM, CurveEnergy, ImageEnergy
from latentgeo.metrics import Metric
from latentgeo.metrics.immersion import AmbientMap
from latentgeo.metrics.metric import root


class QuadratureEnergy(CurveEnergy):
    """The energy of a metric without immersion: Simpson's rule on latent parabolas, the metric at the points."""

    def __init__(self, metric: Metric, start: Float[Tensor, "b d"], end: Float[Tensor, "b d"]) -> None:
        super().__init__(start, end)
        self._metric = metric

    def _matrix(self, z: Tensor) -> Tensor:
        self.evaluations += z.shape[:-1].numel()
        return self._metric(z)

    def energy(self, points: Float[Tensor, "b t d"], rows: Tensor | None = None) -> Float[Tensor, " b"]:
        """Simpson's rule for the energy of the parabolas through the points."""
        matrix, segments = self._matrix(points), points.shape[1] - 1
        velocities, last = _velocities(points)
        at = torch.stack([matrix[:, where] for where in _nodes(segments)], dim=2)
        paired = torch.einsum("bkni,bknij,bknj->bkn", velocities, at, velocities)
        single = 0.0 if last is None else torch.einsum("bi,bij,bj->b", last, matrix[:, -2:].mean(1), last)
        return _simpson(paired, single, segments)

    def chord_lengths(self, points: Float[Tensor, "b t d"]) -> tuple[Tensor, Tensor]:
        """Lengths of the chords by the trapezoidal rule for the squared length."""
        matrix = self._matrix(points)
        pairs = slice(None, None, 2)
        return _trapezoidal(points, matrix), _trapezoidal(points[:, pairs], matrix[:, pairs])

    def hessian_blocks(self, inner: Float[Tensor, "b n d"], rows: Tensor) -> tuple[Tensor, Tensor]:
        """The stiffness matrix of the metric, T (W_i + W_{i+1}) and -T W_{i+1}, W the mean of G over a segment."""
        points = torch.cat([self.start[rows, None], inner, self.end[rows, None]], dim=1)
        matrix = self._matrix(points)
        weights = (matrix[:, 1:] + matrix[:, :-1]) * ((inner.shape[1] + 1) / 2)
        return weights[:, :-1] + weights[:, 1:], -weights[:, 1:-1]

    def rounding(self, rows: Tensor) -> Float[Tensor, " b"]:
        """The same of the size of the ends, in units of the metric there."""
        first, last = self.start[rows], self.end[rows]
        return SUM * self.eps * torch.maximum(self._metric.norm(first, first), self._metric.norm(last, last))

    def curves_at_once(self, segments: int, channels: int) -> int:
        """As many as keep the matrices below a block."""
        block = BLOCK.get(self.start.device.type, 2**26)
        return max(1, block // max(1, segments * channels * self.start.shape[-1] ** 2))


class AmbientEnergy(ImageEnergy):
    """The energy of the image f(γ) in a space with a metric of its own: Simpson's rule on parabolas of the image.

    Like that of an immersion it needs no Jacobian, only images and the ambient metric at them.
    """

    def __init__(
        self, metric: Metric, ambient: AmbientMap, start: Float[Tensor, "b d"], end: Float[Tensor, "b d"]
    ) -> None:
        super().__init__(ambient.map, start, end)
        self._metric, self._ambient = metric, ambient

    def _square(self, image: Tensor, vectors: Tensor) -> Tensor:
        return self._ambient.square(image.flatten(0, -2), vectors.flatten(0, -2)).unflatten(
            0, vectors.shape[:-1]
        )

    def energy(self, points: Float[Tensor, "b t d"], rows: Tensor | None = None) -> Float[Tensor, " b"]:
        """Simpson's rule for the energy of the parabolas through the images of the points."""
        image = self._whole_image(points, rows)
        segments = image.shape[1] - 1
        velocities, last = _velocities(image)
        at = torch.stack([image[:, where] for where in _nodes(segments)], dim=2)
        single = 0.0 if last is None else self._square(image[:, -2:], last[:, None].expand(-1, 2, -1)).mean(1)
        return _simpson(self._square(at, velocities), single, segments)

    def chord_lengths(self, points: Float[Tensor, "b t d"]) -> tuple[Tensor, Tensor]:
        """Lengths of the chords of the image by the trapezoidal rule for the squared length."""
        image = self._image(points)
        sizes = (root(self._square(end, end)) for end in (image[:, 0], image[:, -1]))
        rounding = SUM * self.eps * torch.maximum(*sizes)
        return self._above_rounding(points, self._chords(image), self._chords(image[:, ::2]), rounding)

    def _speeds(self, z: Float[Tensor, "*batch d"], v: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch"]:
        return root(self._square(self._image(z), self._pushed(z, v)))

    def _chords(self, image: Tensor) -> Tensor:
        chords = image.diff(dim=1)
        return root((self._square(image[:, :-1], chords) + self._square(image[:, 1:], chords)) / 2)

    def hessian_blocks(self, inner: Float[Tensor, "b n d"], rows: Tensor) -> tuple[Tensor, Tensor]:
        """The stiffness matrix of G, T (W_i + W_{i+1}) and -T W_{i+1}, W that of the middle of a segment.

        G is evaluated at every few points, and is linear between them.
        """
        points = torch.cat([self.start[rows, None], inner, self.end[rows, None]], dim=1)
        segments, d = points.shape[1] - 1, points.shape[2]
        stride = min(STRIDE, max(1, segments // KNOTS))
        at = torch.arange(0, segments, stride, device=points.device)
        at = torch.cat([at, at.new_tensor([segments])])
        parts = []
        for some in points[:, at].split(self.curves_at_once(len(at), d + 1)):
            self.evaluations += some.shape[0] * len(at)
            parts.append(self._metric(some))
        matrix = torch.cat(parts)
        middle = torch.arange(segments, device=points.device) + 0.5
        knot = torch.searchsorted(at.to(middle), middle) - 1
        share = ((middle - at[knot]) / (at[knot + 1] - at[knot])).to(matrix)[:, None, None]
        weights = segments * torch.lerp(matrix[:, knot], matrix[:, knot + 1], share)
        return weights[:, :-1] + weights[:, 1:], -weights[:, 1:-1]

    def rounding(self, rows: Tensor) -> Float[Tensor, " b"]:
        """The error of a short sum, 4 machine epsilons, of the size of the images of the ends, in their metric."""
        sizes = [root(self._square(image[rows], image[rows])) for image in self._ends]
        return SUM * self.eps * torch.maximum(*sizes)

    def curves_at_once(self, segments: int, channels: int) -> int:
        """Half as many as of immersed ones: velocities are kept beside the images."""
        return super().curves_at_once(segments, 2 * channels)


def _velocities(points: Tensor) -> tuple[Tensor, Tensor | None]:
    """Velocities of the parabolas of pairs of segments (b, T // 2, 3, m), and of a last segment without partner."""
    chords = points.diff(dim=1) * (points.shape[1] - 1)
    paired = 2 * (chords.shape[1] // 2)
    a, b = chords[:, 0:paired:2], chords[:, 1:paired:2]
    velocities = torch.stack([(3 * a - b) / 2, (a + b) / 2, (3 * b - a) / 2], dim=2)
    return velocities, None if paired == chords.shape[1] else chords[:, -1]


def _nodes(segments: int) -> tuple[slice, slice, slice]:
    """Where the first, middle and last points of the pairs of segments are among all points."""
    paired = 2 * (segments // 2)
    return slice(0, paired, 2), slice(1, paired, 2), slice(2, paired + 1, 2)


def _simpson(paired: Tensor, single: Tensor | float, segments: int) -> Tensor:
    """The energy (b,) of squared speeds at the three nodes of pairs (b, k, 3), and of a last segment."""
    return (paired @ paired.new_tensor([1.0, 4.0, 1.0])).sum(-1) / (6 * segments) + single / (2 * segments)


def _trapezoidal(points: Tensor, matrix: Tensor) -> Tensor:
    chords = points.diff(dim=1)
    return root(torch.einsum("bti,btij,btj->bt", chords, (matrix[:, 1:] + matrix[:, :-1]) / 2, chords))
