"""The discrete energy of curves between fixed ends: what a descent asks of it, and what is kept of images."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float, Int
from torch import Tensor

from latentgeo.geodesics.block_model import BlockModel
from latentgeo.geodesics.block_tridiagonal import BlockTridiagonal
from latentgeo.geodesics.sketched_model import SketchedInverse, SketchedModel
from latentgeo.metrics.immersion import Immersion

QuadraticModel = BlockModel | SketchedModel
Factorised = BlockTridiagonal | SketchedInverse

# Ambient numbers held at once while curves are evaluated; on a CPU a larger block is no faster.
BLOCK = {"cpu": 2**24, "cuda": 2**28}
KNOTS = 8  # points of a curve where its quadratic model knows the Jacobian, at least ...
STRIDE = 4  # ... and at least every so manieth point
SUM = 4.0  # machine epsilons that the sums inside a decoder lose
_CLEAR = 20.0  # rounding errors of an image, from which on a chord is long enough to be measured by it


class CurveEnergy(ABC):
    """The discrete energy of curves between fixed ends, as a function of their inner points (b, T-1, d).

    Attributes:
        evaluations: points at which the decoder or the metric has been evaluated so far.
        eps: machine epsilon of the precision in which the energy is computed.
    """

    def __init__(self, start: Float[Tensor, "b d"], end: Float[Tensor, "b d"]) -> None:
        self.start, self.end = start, end
        self.evaluations = 0
        self.eps = torch.finfo(start.dtype).eps

    @abstractmethod
    def energy(self, points: Float[Tensor, "b t d"], rows: Tensor | None = None) -> Float[Tensor, " b"]:
        """The discrete energy of whole curves, differentiable.

        With ``rows``, the numbers of their pairs of ends, what is known of those ends is not computed again.
        """

    @abstractmethod
    def chord_lengths(self, points: Float[Tensor, "b t d"]) -> tuple[Tensor, Tensor]:
        """The lengths of segments (b, T), and of pairs of segments (b, T // 2), for measuring; differentiable."""

    @abstractmethod
    def hessian_blocks(self, inner: Float[Tensor, "b n d"], rows: Tensor) -> tuple[Tensor, Tensor]:
        """A positive semi-definite model of the Hessian: its diagonal and upper blocks."""

    def quadratic_model(self, inner: Float[Tensor, "b n d"], rows: Tensor) -> QuadraticModel:
        """The model of the Hessian around which steps are made."""
        return BlockModel(*self.hessian_blocks(inner, rows))

    @abstractmethod
    def rounding(self, rows: Tensor) -> Float[Tensor, " b"]:
        """The rounding error of an ambient point of the curves between the pairs ``rows``, as a length."""

    def reachable(
        self, rows: Int[Tensor, " b"], energy: Float[Tensor, " b"], segments: int, tol: float
    ) -> Float[Tensor, " b"]:
        """The tolerance, or the residual that rounding alone makes of points that are T rounding errors apart."""
        length, rounding = (2 * energy).sqrt(), segments * self.rounding(rows)
        return torch.where(length > 0, rounding / torch.where(length > 0, length, 1), 0).clamp_min(tol)

    @property
    def default_tol(self) -> float:
        """The relative residual to which curves converge: 1e-4, or 1e-6 in float64."""
        return 1e-6 if self.eps < 1e-12 else 1e-4

    @abstractmethod
    def curves_at_once(self, segments: int, channels: int) -> int:
        """How many curves fit into one block of memory with so many ambient vectors a point."""

    def value_and_gradient(self, inner: Float[Tensor, "b n d"], rows: Tensor) -> tuple[Tensor, Tensor]:
        """The energies (b,) and their gradients by the inner points (b, n, d)."""
        values, gradients = [], []
        block = self.curves_at_once(inner.shape[1], 4)
        for some, those in zip(inner.split(block), rows.split(block), strict=True):
            with torch.enable_grad():
                free = some.detach().requires_grad_()
                ends = self.start[those, None], self.end[those, None]
                value = self.energy(torch.cat([ends[0], free, ends[1]], dim=1), those)
                (gradient,) = torch.autograd.grad(value.sum(), free)
            values.append(value.detach())
            gradients.append(gradient)
        return torch.cat(values), torch.cat(gradients)


class ImageEnergy(CurveEnergy):
    """The energy of the image f(γ) of a curve, which needs f at the points alone; the images of the ends are kept.

    Args:
        f: the map.
        start: (b, d) first points.
        end: (b, d) last points.
    """

    def __init__(self, f: Immersion, start: Float[Tensor, "b d"], end: Float[Tensor, "b d"]) -> None:
        super().__init__(start, end)
        self._map = f
        with torch.no_grad():
            self._ends = self._image(start), self._image(end)
        decoder = f.decoder
        if decoder is not None and decoder.output_dtype is not None:
            self.eps = max(self.eps, torch.finfo(decoder.output_dtype).eps)

    def _image(self, z: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch m"]:
        self.evaluations += z.shape[:-1].numel()
        return self._map(z.reshape(-1, z.shape[-1])).unflatten(0, z.shape[:-1])

    def _whole_image(self, points: Float[Tensor, "b t d"], rows: Tensor | None) -> Float[Tensor, "b t m"]:
        """The images of whole curves, between ends that are known where ``rows`` says which they are."""
        if rows is None:
            return self._image(points)
        first, last = self._ends
        return torch.cat([first[rows, None], self._image(points[:, 1:-1]), last[rows, None]], dim=1)

    @abstractmethod
    def _speeds(self, z: Float[Tensor, "*batch d"], v: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch"]:
        """The lengths of the vectors J(z) v."""

    def _above_rounding(
        self,
        points: Float[Tensor, "b t d"],
        each: Float[Tensor, "b s"],
        pairs: Float[Tensor, "b p"],
        rounding: Float[Tensor, " b"],
    ) -> tuple[Tensor, Tensor]:
        """Lengths of chords and of chords over pairs; where rounding makes much of them by velocities J(z) v instead.

        Between images with errors of size ρ a chord c is about c + ρ² / 2c long, so that short curves, and all of a
        decoder in half precision, would seem too long. A velocity, in the middle of a chord, does not cancel.
        """
        rows = (each.mean(dim=1) < _CLEAR * rounding).nonzero()[:, 0]
        if not len(rows):
            return each, pairs
        curves = points[rows]
        v = curves.diff(dim=1)
        lengths = self._speeds(curves[:, :-1] + v / 2, v)
        both = lengths[:, : 2 * pairs.shape[1]].unflatten(1, (-1, 2)).sum(dim=2)
        return each.index_copy(0, rows, lengths), pairs.index_copy(0, rows, both)

    def _pushed(
        self, z: Float[Tensor, "*batch d"], v: Float[Tensor, "*batch d"]
    ) -> Float[Tensor, "*batch m"]:
        """The vectors J(z) v."""
        self.evaluations += z.shape[:-1].numel()
        d = z.shape[-1]
        return self._map.pushforward(z.reshape(-1, d), v.reshape(1, -1, d))[:, 0].unflatten(0, z.shape[:-1])

    def curves_at_once(self, segments: int, channels: int) -> int:
        """As many as keep the ambient vectors below a block, and the points below chunk_size."""
        block = BLOCK.get(self.start.device.type, 2**26)
        fitting = block // max(1, segments * channels * self._ends[0].shape[-1])
        if self._map.chunk_size is not None:
            fitting = min(fitting, self._map.chunk_size // max(1, segments))
        return max(1, fitting)
