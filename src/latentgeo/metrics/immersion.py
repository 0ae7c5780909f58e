"""Maps F from the latent space into a Euclidean one, and their derivatives in d products, never D."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from latentgeo.metrics.arguments import check_chunk_size
from latentgeo.metrics.directional import (
    ROWS,
    Mode,
    by_double_backward,
    by_forward_mode,
    by_nothing,
    by_repeated_forward_mode,
    by_rows,
    inside_transform,
    outside_transforms,
    right_modes,
)
from latentgeo.metrics.elementary import ElementaryNorms
from latentgeo.metrics.pointwise import depends_on_points

if TYPE_CHECKING:
    from latentgeo.metrics.decoder import Decoder


class Immersion:
    """A differentiable map F: (N, d) -> (N, m), rows independent, whose pull-back metric is JᵀJ.

    Derivatives are taken over the whole batch at once, by forward mode where every operator of F has one (d
    products for a Jacobian, however large m is), else by a reverse pass differentiated again, else by these with
    normalisation layers written out, else row by row of the output. Which of them is right for this F is found out
    at the first derivative, on two of the points, and so is whether F is a function of each point by itself.

    Args:
        function: the map, made of torch operations.
        decoder: the user's callable inside, if there is one; used to name it in errors.
        chunk_size: the largest number of points that the function is called on, and whose Jacobians are held, at
            once; None for no bound.
    """

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        *,
        decoder: Decoder | None = None,
        chunk_size: int | None = None,
    ) -> None:
        check_chunk_size(chunk_size)
        self.function = function
        self.decoder = decoder
        self.chunk_size = chunk_size
        self._mode: Mode | None = None

    def __call__(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n m"]:
        """The image F(z)."""
        return self._in_chunks(lambda points: self.function(points), 1, z)

    def pushforward(
        self, z: Float[Tensor, "n d"], tangents: Float[Tensor, "k n d"]
    ) -> Float[Tensor, "n k m"]:
        """The ambient vectors J(z) v of k latent tangent vectors at each of n points."""
        if torch.is_inference_mode_enabled() or z.is_inference():
            with (
                torch.inference_mode(False),
                torch.no_grad(),
            ):  # derivatives need tensors that record versions
                return self.pushforward(z.clone(), tangents.clone())
        # torch.func.jvp refuses expanded inputs, and is slow on views: it fills tangents for all that they look at
        z = z.clone(memory_format=torch.contiguous_format)
        mode = self._mode_for(z)
        push = functools.partial(_push, mode, self.function)
        return self._in_chunks(push, ROWS[mode](len(tangents)), z, tangents.transpose(0, 1))

    def jacobian(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n m d"]:
        """The Jacobian J(z), as the transpose of a contiguous (n, d, m)."""
        n, d = z.shape
        basis = torch.eye(d, dtype=z.dtype, device=z.device)[:, None, :].expand(d, n, d)
        return self.pushforward(z, basis).mT

    def gram(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n d d"]:
        """The metric JᵀJ that F pulls back."""
        jacobian = self.jacobian(z)
        return jacobian.mT @ jacobian

    def second_pushforward(self, z: Float[Tensor, "n d"], v: Float[Tensor, "n d"]) -> Float[Tensor, "n m"]:
        """The second directional derivative d²F(v, v) at each of n points."""
        if torch.is_inference_mode_enabled() or z.is_inference():
            with torch.inference_mode(False), torch.no_grad():
                return self.second_pushforward(z.clone(), v.clone())
        mode = self._mode_for(z)
        push = functools.partial(_push_twice, mode, self.function)
        z, v = (x.clone(memory_format=torch.contiguous_format) for x in (z, v))
        return self._in_chunks(push, 1, z, v)

    def hessian(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n m d d"]:
        """All second derivatives d²F(e_i, e_j) at each of n points, by nested directional derivatives."""
        if torch.is_inference_mode_enabled() or z.is_inference():
            with torch.inference_mode(False), torch.no_grad():
                return self.hessian(z.clone())
        n, d = z.shape
        mode = self._mode_for(z)
        basis = torch.eye(d, dtype=z.dtype, device=z.device)[:, None].expand(d, n, d).contiguous()
        push = functools.partial(_push_all_twice, mode, self.function)
        z = z.clone(memory_format=torch.contiguous_format)
        pushed = self._in_chunks(push, ROWS[mode](d) ** 2, z, basis.transpose(0, 1))  # (n, d, d * m)
        return pushed.unflatten(2, (d, -1)).permute(0, 3, 1, 2)

    def piecewise(self, evaluate: Callable[..., Tensor], *batches: Shaped[Tensor, "n ..."]) -> Tensor:
        """What is made of derivatives at points, for at most chunk_size of them at once: these fill memory too."""
        return self._in_chunks(evaluate, 1, *batches)

    def _in_chunks(self, evaluate: Callable[..., Tensor], rows: int, *batches: Tensor) -> Tensor:
        """Evaluates batches in pieces that put at most chunk_size rows at once, so many a point, through F."""
        if self.chunk_size is None or batches[0].shape[0] * rows <= self.chunk_size:
            return evaluate(*batches)
        size = max(1, self.chunk_size // rows)
        pieces = zip(*(batch.split(size) for batch in batches), strict=True)
        return torch.cat([evaluate(*piece) for piece in pieces])

    def _mode_for(self, z: Tensor) -> Mode:
        if self._mode is not None:
            return self._mode
        if z.shape[0] == 0:
            return by_forward_mode
        if inside_transform():  # no value can be looked at here, so a point of our own has to do
            try:
                with outside_transforms():
                    return self._choose_mode(torch.full((2, z.shape[1]), 0.5, dtype=z.dtype, device=z.device))
            except RuntimeError:  # F itself is made of their tensors, say of parameters
                return by_forward_mode
        finite = z.detach()[z.isfinite().all(dim=1)]  # others say nothing of a derivative
        self._mode = self._choose_mode(finite[:3] if len(finite) else torch.full_like(z[:2].detach(), 0.5))
        return self._mode

    def _choose_mode(self, z: Tensor) -> Mode:
        if not depends_on_points(self.function, z, "decoder" if self.decoder is None else self.decoder.name):
            return by_nothing
        z = z[:2]
        fast: tuple[Mode, ...] = (by_double_backward,)
        if self.decoder is None or not self.decoder.is_scripted:
            fast = (by_forward_mode, by_repeated_forward_mode, *fast)
        if self.decoder is None:
            found = self._best(z, (*fast, by_rows))
            return by_rows if found is None else found[0]
        fallback = by_rows
        # norms are written out first: fused, they are slow, or in float32 a wrong second derivative looks right
        for elementary in (True, False) if self._has_norms(z) else (False, True):
            self.decoder.elementary = elementary
            found = self._best(z, fast if elementary else (*fast, by_rows))
            if found is not None and found[1]:
                return found[0]
            if found is not None and not elementary:
                fallback = found[0]
        self.decoder.elementary = False
        return fallback

    def _has_norms(self, z: Tensor) -> bool:
        """Whether the decoder has normalisation layers that can be written out, as in a TorchScript they cannot."""
        norms = ElementaryNorms()
        with torch.no_grad(), norms:
            self.function(z)
        return norms.replaced

    def _best(self, z: Tensor, trusted: tuple[Mode, ...]) -> tuple[Mode, bool] | None:
        """The first mode that is right twice, else the first that is right once."""
        first = None
        for mode, twice in right_modes(self.function, z, trusted=trusted):
            if twice:
                return mode, True
            first = first or (mode, False)
        return first


@dataclass(frozen=True)
class AmbientMap:
    """A map f from the latent space into a space with a metric A of its own: G(z) = J(z)ᵀ A(f(z)) J(z).

    Attributes:
        map: f: (N, d) -> (N, m), with its derivatives.
        square: (x, v), points f(z) and vectors there, both (N, m) -> the squares vᵀ A(x) v (N,).
    """

    map: Immersion
    square: Callable[[Tensor, Tensor], Tensor]


def _push(mode: Mode, f: Callable[[Tensor], Tensor], points: Tensor, vectors: Tensor) -> Tensor:
    return mode(f, points, vectors.transpose(0, 1))


def _push_twice(mode: Mode, f: Callable[[Tensor], Tensor], points: Tensor, vectors: Tensor) -> Tensor:
    # the inner derivative may be asked for fewer rows
    return mode(lambda x: mode(f, x, vectors[None, : len(x)])[:, 0], points, vectors[None])[:, 0]


def _push_all_twice(mode: Mode, f: Callable[[Tensor], Tensor], points: Tensor, vectors: Tensor) -> Tensor:
    tangents = vectors.transpose(0, 1)
    # the inner derivative is a function of any number of rows, as a mode may repeat the batch
    inner = functools.partial(_push_basis, mode, f)
    return mode(inner, points, tangents)


def _push_basis(mode: Mode, f: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
    n, d = points.shape
    basis = torch.eye(d, dtype=points.dtype, device=points.device)[:, None].expand(d, n, d)
    return mode(f, points, basis.contiguous()).flatten(1)
