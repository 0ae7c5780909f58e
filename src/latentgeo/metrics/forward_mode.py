"""Forward-mode derivatives that spend nothing on constants."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, no_type_check

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._C import _functorch  # pyright: ignore[reportAttributeAccessIssue]
from torch._functorch.pyfunctorch import retrieve_current_functorch_interpreter
from torch.autograd.forward_ad import make_dual, unpack_dual
from torch.overrides import TorchFunctionMode

# of an operation, its arguments, the place of the only one with a tangent, that tangent, and the output: its tangent
_Rule = Callable[[Callable, list, int, Tensor, Tensor], Tensor]


def jvp(f: Callable[[Tensor], Tensor], z: Tensor, v: Tensor) -> Tensor:
    """J(z) v, as :func:`torch.func.jvp` has it, for v of the shape of z, in the shape of f(z).

    PyTorch gives a constant beside z, such as the weight of a layer, a tangent of zeros, and works out the shape of
    what comes of it in Python, at some tenths of a millisecond an operation; a convolution it even computes once
    more. Here d(a x + b) = a dx, for sums, products, quotients, linear layers, convolutions and batch norm in eval
    mode.
    """
    return torch.func.jvp(functools.partial(_with_constants, f), (z,), (v,))[1]


def _with_constants(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    with _Constants():
        return f(x)


class _Constants(TorchFunctionMode):
    """While active, what is affine in its only argument with a tangent has its own rule; all else is left alone."""

    @no_type_check  # it sees every operation, so that the checks of the tests would take longer than all else
    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """The output with its tangent."""
        kwargs = kwargs or {}
        if func == Tensor.data.__set__:  # another object at every look, so never the same one
            return _refuse_new_data(*args)
        if func is F.batch_norm and not kwargs["training"]:
            args, kwargs = (*args, *kwargs.values()), {}  # named, in the order of its parameters
        rules = () if kwargs else _RULES.get(func, ())
        if not rules or not _forward_mode_is_innermost():
            return func(*args, **kwargs)
        level = retrieve_current_functorch_interpreter()
        duals = [_parts(value, level.level()) for value in args]
        moving = [(place, tangent) for place, (_, tangent) in enumerate(duals) if tangent is not None]
        if len(moving) != 1 or moving[0][0] >= len(rules):
            return func(*args)
        ((place, tangent),) = moving
        primals = [primal for primal, _ in duals]
        with level.lower():  # to the derivative around this one, if there is one, for which the same holds
            output = func(*primals)
            moved = rules[place](func, primals, place, tangent, output)
        return make_dual(*(_functorch._wrap_for_grad(x, level.level()) for x in (output, moved)), level=0)


@no_type_check
def _refuse_new_data(x: Tensor, value: Tensor) -> None:
    """Lets ``x.data = value`` pass where it changes nothing, as in ``net.to(device)`` of a module that is there.

    PyTorch itself crashes the interpreter there: what it puts in the place of the parameter is a tensor of a
    derivative, which has no memory.
    """
    while _functorch.is_functorch_wrapped_tensor(value):
        value = _functorch.get_unwrapped(value)
    old, new = ((a.data_ptr(), a.shape, a.stride(), a.dtype, a.device) for a in (x, value))
    if old != new:
        raise ValueError(
            "decoder must not move or cast its module (.to, .float, .cuda) while it is called: do it once, before"
        )


def _forward_mode_is_innermost() -> bool:
    """Whether tensors have tangents here, and not, say, the batch axis of a vmap inside the function."""
    transform = _functorch.peek_interpreter_stack()
    return transform is not None and transform.key() == _functorch.TransformType.Jvp


@no_type_check
def _parts(value: object, level: int) -> tuple[Any, Tensor | None]:
    """The value without its tangent, and that, both as they are below the level."""
    if not isinstance(value, Tensor):
        return value, None
    primal, tangent = unpack_dual(value, level=0)
    below = _functorch._unwrap_for_grad(primal, level)
    return below, None if tangent is None else _functorch._unwrap_for_grad(tangent, level)


def _as_it_is(func: Callable, args: list, place: int, tangent: Tensor, output: Tensor) -> Tensor:
    # a copy, lest a later operation in place write into the tangent of the argument
    return tangent.expand_as(output).to(output.dtype, copy=True)


def _negated(func: Callable, args: list, place: int, tangent: Tensor, output: Tensor) -> Tensor:
    return tangent.neg().expand_as(output).to(output.dtype, copy=True)


def _alike(func: Callable, args: list, place: int, tangent: Tensor, output: Tensor) -> Tensor:
    return func(*args[:place], tangent, *args[place + 1 :])


def _without_bias(func: Callable, args: list, place: int, tangent: Tensor, output: Tensor) -> Tensor:
    return func(tangent, args[1], None, *args[3:])


def _without_mean_and_bias(func: Callable, args: list, place: int, tangent: Tensor, output: Tensor) -> Tensor:
    mean, variance, weight, _, *rest = args[1:]
    return func(tangent, torch.zeros_like(mean), variance, weight, None, *rest)


# for each place, from the first on
_RULES: Mapping[Callable, tuple[_Rule, ...]] = {
    **dict.fromkeys((torch.add, Tensor.add), (_as_it_is, _as_it_is)),
    **dict.fromkeys((torch.sub, Tensor.sub), (_as_it_is, _negated)),
    **dict.fromkeys((torch.mul, Tensor.mul), (_alike, _alike)),
    **dict.fromkeys((torch.div, Tensor.div), (_alike,)),
    **dict.fromkeys((F.linear, F.conv1d, F.conv2d, F.conv3d), (_without_bias,)),
    **dict.fromkeys((F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d), (_without_bias,)),
    F.batch_norm: (_without_mean_and_bias,),
}
