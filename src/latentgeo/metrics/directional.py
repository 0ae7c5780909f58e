"""Ways to push tangent vectors through a function by automatic differentiation, and which of them is right for it.

Each takes a function f: (n, d) -> (n, m) with independent rows, points z (n, d) and tangents (k, n, d), and answers
J(z) v as (n, k, m).
"""

from __future__ import annotations

import contextlib
import functools
import math
import warnings
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch.nn.attention import SDPBackend, sdpa_kernel

from latentgeo.metrics.forward_mode import jvp

Function = Callable[[Tensor], Tensor]
Mode = Callable[[Function, Tensor, Tensor], Tensor]

# Relative disagreement of two derivatives, in units of sqrt(machine epsilon), that cannot be rounding.
_SLACK = 100.0


def by_forward_mode(f: Function, z: Tensor, tangents: Tensor) -> Tensor:
    """J v for k tangents by one forward pass with k tangent channels; the primal is computed once."""
    push = functools.partial(jvp, f, z)
    if tangents.shape[0] == 1:
        return push(tangents[0])[:, None]
    # out_dims=1 fails where the answer does not depend on the tangent
    return torch.func.vmap(push)(tangents).transpose(0, 1)


def by_repeated_forward_mode(f: Function, z: Tensor, tangents: Tensor) -> Tensor:
    """J v for k tangents on a batch repeated k times: for functions that vmap cannot run, such as in-place ones."""
    k, n = tangents.shape[:2]
    pushed = jvp(f, z.repeat(k, 1), tangents.flatten(0, 1).contiguous())
    return pushed.unflatten(0, (k, n)).transpose(0, 1)


def by_double_backward(f: Function, z: Tensor, tangents: Tensor) -> Tensor:
    """J v = d/dw <Jᵀ w, v>, on a batch repeated k times: for functions with an operator without forward mode."""
    k, n = tangents.shape[:2]
    points, directions = z.repeat(k, 1), tangents.flatten(0, 1)
    with sdpa_kernel(SDPBackend.MATH):
        if inside_transform():
            image, pull = torch.func.vjp(f, points)  # pyright: ignore[reportAssignmentType]
            pushed = torch.func.vjp(lambda w: pull(w)[0], torch.zeros_like(image))[1](directions)[0]
        else:
            keep = _needs_graph(f, points, directions)
            with torch.enable_grad():
                attached = points if points.requires_grad else points.detach().requires_grad_()
                image = f(attached)
                w = torch.zeros_like(image, requires_grad=True)
                (pulled,) = torch.autograd.grad(image, attached, w, create_graph=True)
                (pushed,) = torch.autograd.grad(pulled, w, directions, create_graph=keep)
    return pushed.unflatten(0, (k, n)).transpose(0, 1)


def by_rows(f: Function, z: Tensor, tangents: Tensor) -> Tensor:
    """J v from J itself, one reverse pass a component of the output: slow, for functions with nothing else."""
    keep = _needs_graph(f, z, tangents)
    with torch.enable_grad():
        points = z if z.requires_grad else z.detach().requires_grad_()
        rows = [
            torch.autograd.grad(column.sum(), points, retain_graph=True, create_graph=keep)[0]
            for column in f(points).unbind(1)
        ]
    return torch.einsum("mnd,knd->nkm", torch.stack(rows), tangents)


def by_nothing(f: Function, z: Tensor, tangents: Tensor) -> Tensor:
    """J v = 0, for a function that does not look at z."""
    return f(z)[:, None].expand(-1, tangents.shape[0], -1) * 0


# how many rows a mode puts through the function for one point and k tangents
ROWS: dict[Mode, Callable[[int], int]] = {
    by_forward_mode: lambda k: 1,
    by_repeated_forward_mode: lambda k: k,
    by_double_backward: lambda k: k,
    by_rows: lambda k: 1,
    by_nothing: lambda k: 1,
}


def right_modes(f: Function, z: Tensor, *, trusted: tuple[Mode, ...]) -> Iterator[tuple[Mode, bool]]:
    """The modes whose derivative is right at z, each with whether it can be differentiated again rightly.

    First derivatives are compared with reverse mode, <w, J v> = <Jᵀ w, v>; second ones with reverse mode twice,
    ∇<∇<w, f>, v>. PyTorch gets the second wrong for layer norm, silently, whenever J v itself is differentiated.
    """
    v = ripple(z)
    with torch.enable_grad():
        point = z.clone().requires_grad_()
        image = f(point)
        w = ripple(image.detach())
        (pulled,) = torch.autograd.grad(image, point, w)
        hessian = _second_derivative(f, z, v, w)
    for mode in trusted:
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("error", message="There is a performance drop")
                pushed = mode(f, z, v[None])[:, 0].detach()
                mode(f, z, torch.stack([v, v.flip(0)]))
        except (RuntimeError, NotImplementedError, UserWarning):
            continue  # an operator of f lacks this kind of derivative, or vmap a rule for it
        if not _agree(pushed * w, pulled * v):
            continue
        yield mode, hessian is None or _second_is_right(mode, f, z, v, w, hessian)


def inside_transform() -> bool:
    """Whether a transform of torch.func, say vmap, runs around this call."""
    return torch._C._functorch.peek_interpreter_stack() is not None  # pyright: ignore[reportAttributeAccessIssue]


def outside_transforms() -> contextlib.AbstractContextManager:
    """Suspends the transforms around this call, for computations that have nothing to do with their tensors."""
    return temporarily_clear_interpreter_stack()


def _second_derivative(f: Function, z: Tensor, v: Tensor, w: Tensor) -> Tensor | None:
    try:
        with sdpa_kernel(SDPBackend.MATH):
            point = z.clone().requires_grad_()
            (pulled,) = torch.autograd.grad(f(point), point, w, create_graph=True)
            if not pulled.requires_grad:
                return torch.zeros_like(z)
            (second,) = torch.autograd.grad(pulled, point, v, allow_unused=True)
            return torch.zeros_like(z) if second is None else second
    except RuntimeError:
        return None


def _second_is_right(mode: Mode, f: Function, z: Tensor, v: Tensor, w: Tensor, hessian: Tensor) -> bool:
    try:
        with torch.enable_grad():
            point = z.clone().requires_grad_()
            pushed = mode(f, point, v[None])[:, 0]
            if not pushed.requires_grad:
                second = torch.zeros_like(z)
            else:
                (found,) = torch.autograd.grad(pushed, point, w, allow_unused=True)
                second = torch.zeros_like(z) if found is None else found
    except RuntimeError:
        return False
    return _agree(second * v, hessian * v)


def _agree(a: Tensor, b: Tensor) -> bool:
    # NaN passes for agreement: it is a value, reported curve by curve later, not a reason to change mode
    slack = _SLACK * math.sqrt(torch.finfo(a.dtype).eps)
    return not bool((a.sum() - b.sum()).abs() > slack * (a.abs().sum() + b.abs().sum()))


def _needs_graph(f: Function, z: Tensor, tangents: Tensor) -> bool:
    """Whether anything that J v depends on requires a gradient here."""
    if not torch.is_grad_enabled():
        return False
    return z.requires_grad or tangents.requires_grad or f(z[:1].detach()).requires_grad


def ripple(like: Tensor) -> Tensor:
    """A fixed vector without symmetries, so that a wrong derivative does not pass by chance."""
    count = torch.arange(like.numel(), dtype=like.dtype, device=like.device)
    return (1.0 + count).sin().reshape(like.shape)
