"""The energy of curves under an immersion, from distances between images alone.

A curve is given by its points at T equal steps. Two neighbouring segments share a parabola in the ambient space, and
the energy is that of the parabolas: with chords a = F(z_1) - F(z_0), b = F(z_2) - F(z_1) of a pair of segments of
width 1/T,

    E = 1/2 ∫ |γ'|² dt = Σ_pairs [ T/2 (|a|² + |b|²) + T/12 |b - a|² ],

which is of fourth order in 1/T, needs no Jacobian, and is never below the energy of the chords, so that neither
stretching a segment across a fold nor bunching points pays. A last segment without a partner counts its chord.
"""

from __future__ import annotations

import functools

import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.geodesics.curve_energy import KNOTS, STRIDE, SUM, ImageEnergy, QuadraticModel
from latentgeo.geodesics.sketched_model import SketchedModel
from latentgeo.metrics.metric import root

_MANY = 64  # latents, above which a Jacobian costs too much
_PROBES = 32  # products with Jᵀ at every knot instead


class ImmersedEnergy(ImageEnergy):
    """The energy of the image F(γ): only squared distances of neighbouring images."""

    def energy(self, points: Float[Tensor, "b t d"], rows: Tensor | None = None) -> Float[Tensor, " b"]:
        """The energy of the parabolas through the images of the points."""
        chords = self._whole_image(points, rows).diff(dim=1)
        segments = chords.shape[1]
        paired = 2 * (segments // 2)
        bend = chords[:, 1:paired:2] - chords[:, 0:paired:2]
        return segments * (chords.square().sum((1, 2)) / 2 + bend.square().sum((1, 2)) / 12)

    def chord_lengths(self, points: Float[Tensor, "b t d"]) -> tuple[Tensor, Tensor]:
        """Distances of neighbouring images, and of every other image."""
        image = self._image(points)
        each, pairs = (root(some.diff(dim=1).square().sum(-1)) for some in (image, image[:, ::2]))
        ends = image[:, 0].norm(dim=1), image[:, -1].norm(dim=1)
        return self._above_rounding(points, each, pairs, SUM * self.eps * torch.maximum(*ends))

    def _speeds(self, z: Float[Tensor, "*batch d"], v: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch"]:
        return root(self._pushed(z, v).square().sum(-1))

    def value_and_gradient(self, inner: Float[Tensor, "b n d"], rows: Tensor) -> tuple[Tensor, Tensor]:
        """The energies (b,) and their gradients Jᵀ ∂E/∂F: the derivative by the images is written out."""
        first, last = self._ends
        values, gradients = [], []
        block = self.curves_at_once(inner.shape[1], 4)
        for some, those in zip(inner.split(block), rows.split(block), strict=True):
            with torch.enable_grad():
                free = some.detach().requires_grad_()
                image = self._image(free)
            value, force = _value_and_force(first[those], image.detach(), last[those])
            gradients.append(_pulled(image, free, force))
            values.append(value)
        return torch.cat(values), torch.cat(gradients)

    def hessian_blocks(self, inner: Float[Tensor, "b n d"], rows: Tensor) -> tuple[Tensor, Tensor]:
        """The Gauss-Newton matrix of the chords, T (2 J_iᵀ J_i) and -T J_iᵀ J_{i+1}.

        The energy of the parabolas lies between that of the chords and 4/3 of it, whatever the curve, and so do
        their Gauss-Newton matrices: this model costs a factor 4/3 in condition and is tridiagonal. J is evaluated at
        every few points and interpolated linearly between them, which takes only the products of neighbours.
        """
        _, n, d = inner.shape
        at, interval, share = _knots(n, inner.device)
        alone, coupled = [], []
        for some in inner[:, at].split(self.curves_at_once(len(at), d + 1)):
            self.evaluations += some.shape[0] * len(at)
            columns = self._map.jacobian(some.reshape(-1, d)).mT.unflatten(0, (-1, len(at)))
            alone.append(columns @ columns.mT)
            coupled.append(columns[:, :-1] @ columns[:, 1:].mT)
        if len(at) == n:
            return 2 * (n + 1) * torch.cat(alone), -(n + 1) * torch.cat(coupled)
        return _between_knots(torch.cat(alone), torch.cat(coupled), interval, share.to(inner.dtype), n + 1)

    def quadratic_model(self, inner: Float[Tensor, "b n d"], rows: Tensor) -> QuadraticModel:
        """By Jacobians, or where there are many latents by a few products with Jᵀ."""
        if inner.shape[2] <= _MANY:
            return super().quadratic_model(inner, rows)
        at, _, _ = _knots(inner.shape[1], inner.device)
        signs = _signs(_PROBES, len(at), self._ends[0].shape[1]).to(self._ends[0])
        sketches = []
        for some in inner[:, at].split(self.curves_at_once(len(at), 4)):
            with torch.enable_grad():
                free = some.detach().requires_grad_()
                image = self._image(free)
            pulled = [_pulled(image, free, w.expand_as(image), again=True) for w in signs]
            sketches.append(torch.cat(pulled, dim=1) / (len(at) * _PROBES) ** 0.5)
        return SketchedModel(torch.cat(sketches), inner.shape[1] + 1)

    def rounding(self, rows: Tensor) -> Float[Tensor, " b"]:
        """The error of a short sum, 4 machine epsilons, of the size of the images of the ends."""
        first, last = self._ends
        return SUM * self.eps * torch.maximum(first[rows].norm(dim=1), last[rows].norm(dim=1))


def _pulled(image: Tensor, points: Tensor, w: Tensor, *, again: bool = False) -> Tensor:
    """Jᵀ w, zero where the image does not depend on the points; the graph is kept for doing it again."""
    if not image.requires_grad:
        return torch.zeros_like(points)
    (pulled,) = torch.autograd.grad(
        image, points, w, retain_graph=again, allow_unused=True, materialize_grads=True
    )
    return pulled


def _value_and_force(first: Tensor, image: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """The energy (b,) of the parabolas through inner images (b, n, m), and its derivative by these."""
    segments = image.shape[1] + 1
    chords = image.new_empty(image.shape[0], segments, image.shape[2])
    torch.sub(image[:, 1:], image[:, :-1], out=chords[:, 1:-1])
    torch.sub(image[:, 0], first, out=chords[:, 0])
    torch.sub(last, image[:, -1], out=chords[:, -1])
    paired = 2 * (segments // 2)
    bend = chords[:, 1:paired:2] - chords[:, 0:paired:2]
    value = segments * (chords.square().sum((1, 2)) / 2 + bend.square().sum((1, 2)) / 12)
    bend /= 6
    chords[:, 1:paired:2] += bend
    chords[:, 0:paired:2] -= bend
    return value, (chords[:, :-1] - chords[:, 1:]).mul_(segments)


@functools.lru_cache(maxsize=8)
def _signs(*shape: int) -> Tensor:
    """Fixed random signs, the same for every curve."""
    return torch.randint(2, shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


@functools.lru_cache(maxsize=64)
def _knots(n: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Indices of the inner points where J is evaluated; for each the knot before it and its share of the way."""
    stride = min(STRIDE, max(1, (n + 1) // KNOTS))
    at = torch.arange(stride // 2, n, stride)
    if len(at) < 2:
        at = torch.arange(n)
    points = torch.arange(n)
    interval = (torch.searchsorted(at, points, right=True) - 1).clamp(0, max(0, len(at) - 2))
    width = at[interval + 1] - at[interval] if len(at) > 1 else torch.ones_like(points)
    share = ((points - at[interval]) / width).clamp(0, 1)
    return at.to(device), interval.to(device), share.double().to(device)


def _between_knots(
    alone: Tensor, coupled: Tensor, interval: Tensor, share: Tensor, segments: int
) -> tuple[Tensor, Tensor]:
    """2T JᵀJ and -T J_iᵀ J_{i+1} of a J linear between knots, from the products of neighbouring knots."""
    corners = torch.stack([alone[:, :-1], coupled, coupled.mT, alone[:, 1:]], dim=2)[:, interval]

    def product(a: Tensor, b: Tensor, of: Tensor) -> Tensor:
        weights = torch.stack([(1 - a) * (1 - b), (1 - a) * b, a * (1 - b), a * b], dim=1)
        return torch.einsum("nk,bnkij->bnij", weights, of)

    # a neighbour beyond the next knot counts with the share it would have on this interval
    following = torch.where(interval[1:] == interval[:-1], share[1:], 1.0)
    return (
        2 * segments * product(share, share, corners),
        -segments * product(share[:-1], following, corners[:, :-1]),
    )
