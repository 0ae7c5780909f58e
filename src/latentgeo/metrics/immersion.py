"""Maps F from the latent space into a Euclidean one, and their derivatives in d products, never D."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

if TYPE_CHECKING:
    from latentgeo.metrics.decoder import Decoder

# Relative disagreement of forward and reverse mode, in units of sqrt(machine epsilon), that cannot be rounding.
_ADJOINT_SLACK = 100.0


class Immersion:
    """A differentiable map F: (N, d) -> (N, m), rows independent, whose pull-back metric is JᵀJ.

    Derivatives are taken over the whole batch at once, by forward mode where every operator of F has one (d
    products for a Jacobian, however large m is), else by a reverse pass differentiated again, else row by row
    of the output. Which of them is right for this F is found out at the first derivative, by comparing forward
    with reverse mode, <w, J v> = <Jᵀ w, v>, on two of the points.

    Args:
        function: the map, made of torch operations.
        decoder: the user's callable inside, if there is one; used to name it in errors.
        chunk_size: the largest number of points the function is called on at once; None for no bound.
    """

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        *,
        decoder: Decoder | None = None,
        chunk_size: int | None = None,
    ) -> None:
        if chunk_size is not None and (not isinstance(chunk_size, int) or chunk_size < 1):
            raise ValueError(f"chunk_size must be a positive integer or None, got {chunk_size!r}")
        self.function = function
        self.decoder = decoder
        self.chunk_size = chunk_size
        self._mode: Callable[[Callable[[Tensor], Tensor], Tensor, Tensor], Tensor] | None = None

    def __call__(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n m"]:
        """The image F(z)."""
        return self._in_chunks(lambda points: self.function(points), z)

    def pushforward(
        self, z: Float[Tensor, "n d"], tangents: Float[Tensor, "k n d"]
    ) -> Float[Tensor, "n k m"]:
        """The ambient vectors J(z) v of k latent tangent vectors at each of n points."""

        def push(points: Tensor, vectors: Tensor) -> Tensor:
            return self._mode_for(points)(self.function, points, vectors.transpose(0, 1))

        if torch.is_inference_mode_enabled() or z.is_inference():
            with (
                torch.inference_mode(False),
                torch.no_grad(),
            ):  # derivatives need tensors that record versions
                return self._in_chunks(push, z.clone(), tangents.transpose(0, 1).clone())
        return self._in_chunks(push, z, tangents.transpose(0, 1))

    def jacobian(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n m d"]:
        """The Jacobian J(z), as the transpose of a contiguous (n, d, m)."""
        n, d = z.shape
        basis = torch.eye(d, dtype=z.dtype, device=z.device)[:, None, :].expand(d, n, d)
        return self.pushforward(z, basis).mT

    def second_pushforward(self, z: Float[Tensor, "n d"], v: Float[Tensor, "n d"]) -> Float[Tensor, "n m"]:
        """The second directional derivative d²F(v, v) at each of n points."""

        def push(points: Tensor, vectors: Tensor) -> Tensor:
            mode = self._mode_for(points)
            return mode(lambda x: mode(self.function, x, vectors[None])[:, 0], points, vectors[None])[:, 0]

        return self._in_chunks(push, z.contiguous(), v.contiguous())

    def _in_chunks(self, evaluate: Callable[..., Tensor], *batches: Tensor) -> Tensor:
        size = self.chunk_size
        if size is None or batches[0].shape[0] <= size:
            return evaluate(*batches)
        pieces: Sequence[tuple[Tensor, ...]] = list(zip(*(b.split(size) for b in batches), strict=True))
        return torch.cat([evaluate(*piece) for piece in pieces])

    def _mode_for(self, z: Tensor) -> Callable[[Callable[[Tensor], Tensor], Tensor, Tensor], Tensor]:
        if self._mode is not None:
            return self._mode
        if _inside_transform() or z.shape[0] == 0:
            return _by_forward_mode  # nothing can be compared here; decided at a later call
        self._mode = self._choose_mode(z[:2].detach())
        return self._mode

    def _choose_mode(self, z: Tensor) -> Callable[[Callable[[Tensor], Tensor], Tensor, Tensor], Tensor]:
        with torch.enable_grad():
            point = z.clone().requires_grad_()
            image = self.function(point)
        if not image.requires_grad:
            self._refuse_hidden_gradient(z, image)
            return _by_forward_mode
        v, w = _ripple(z), _ripple(image.detach())
        (pulled,) = torch.autograd.grad(image, point, w)
        expected = (pulled * v).sum()
        scripted = self.decoder is not None and self.decoder.is_scripted
        for mode in (_by_double_backward, _by_rows) if scripted else _MODES:
            try:
                pushed = mode(self.function, z, v[None])[:, 0]
            except (RuntimeError, NotImplementedError):
                continue  # an operator of F lacks this kind of derivative
            scale = (pushed * w).abs().sum() + (pulled * v).abs().sum()
            slack = _ADJOINT_SLACK * math.sqrt(torch.finfo(z.dtype).eps)
            # NaN compares as agreement: it is a value, reported curve by curve later, not a reason to change mode.
            if not (pushed * w).sum().sub(expected).abs() > slack * scale:
                return mode
        return _by_rows

    def _refuse_hidden_gradient(self, z: Tensor, image: Tensor) -> None:
        """Raises where F varies but autograd cannot see it, as under torch.no_grad or through NumPy."""
        with torch.no_grad():
            moved = self.function(z + 0.1 * (1 + z.abs()))
        if not torch.equal(moved, image):
            name = "decoder" if self.decoder is None else self.decoder.name
            raise ValueError(
                f"{name} must be differentiable by torch, but its output is detached from its input: "
                "look for torch.no_grad, torch.inference_mode, .detach() or NumPy inside it"
            )


def _by_forward_mode(f: Callable[[Tensor], Tensor], z: Tensor, tangents: Tensor) -> Tensor:
    """J v for k tangents by one forward pass with k tangent channels; the primal is computed once."""

    def push(v: Tensor) -> Tensor:
        return torch.func.jvp(f, (z,), (v,))[1]

    if tangents.shape[0] == 1:
        return push(tangents[0])[:, None]
    return torch.func.vmap(push, out_dims=1)(tangents)


def _by_repeated_forward_mode(f: Callable[[Tensor], Tensor], z: Tensor, tangents: Tensor) -> Tensor:
    """J v for k tangents on a batch repeated k times: for functions that vmap cannot run, such as in-place ones."""
    k, n = tangents.shape[:2]
    pushed = torch.func.jvp(f, (z.repeat(k, 1),), (tangents.flatten(0, 1).contiguous(),))[1]
    return pushed.unflatten(0, (k, n)).transpose(0, 1)


def _by_double_backward(f: Callable[[Tensor], Tensor], z: Tensor, tangents: Tensor) -> Tensor:
    """J v = d/dw <Jᵀ w, v>, on a batch repeated k times: for functions with an operator without forward mode."""
    k, n = tangents.shape[:2]
    keep = torch.is_grad_enabled()
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        points = _attached(z.repeat(k, 1))
        image = f(points)
        w = torch.zeros_like(image, requires_grad=True)
        (pulled,) = torch.autograd.grad(image, points, w, create_graph=True)
        (pushed,) = torch.autograd.grad(pulled, w, tangents.flatten(0, 1), create_graph=keep)
    return pushed.unflatten(0, (k, n)).transpose(0, 1)


def _by_rows(f: Callable[[Tensor], Tensor], z: Tensor, tangents: Tensor) -> Tensor:
    """J v from J itself, one reverse pass a component of the output: slow, for functions with nothing else."""
    keep = torch.is_grad_enabled()
    with torch.enable_grad():
        points = _attached(z)
        image = f(points)
        rows = [
            torch.autograd.grad(column.sum(), points, retain_graph=True, create_graph=keep)[0]
            for column in image.unbind(1)
        ]
    return torch.einsum("mnd,knd->nkm", torch.stack(rows), tangents)


_MODES = (_by_forward_mode, _by_repeated_forward_mode, _by_double_backward, _by_rows)


def _inside_transform() -> bool:
    """Whether a transform of torch.func, say vmap, runs around this call."""
    return torch._C._functorch.peek_interpreter_stack() is not None  # pyright: ignore[reportAttributeAccessIssue]


def _attached(z: Tensor) -> Tensor:
    return z if z.requires_grad else z.detach().requires_grad_()


def _ripple(like: Tensor) -> Tensor:
    """A fixed vector without symmetries, so that a wrong derivative does not pass by chance."""
    count = torch.arange(like.numel(), dtype=like.dtype, device=like.device)
    return (1.0 + count).sin().reshape(like.shape)
