"""What a call costs, measured so that other work on the machine does not matter where that can be helped."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

R = TypeVar("R")


def timed(run: Callable[[], R], device: torch.device | str) -> tuple[R, float]:
    """The answer of a call, and its seconds.

    Args:
        run: the call.
        device: on the CPU the seconds are the processor's, those of this process on all its threads, which other
            processes do not change much; elsewhere they are the clock's, until the device is done.

    Example:
        >>> answer, seconds = timed(lambda: 6 * 7, "cpu")
        >>> answer, seconds < 1.0
        (42, True)
    """
    device = torch.device(device)
    if device.type == "cpu":
        began = time.process_time()
        return run(), time.process_time() - began
    torch.cuda.synchronize(device)
    began = time.perf_counter()
    answer = run()
    torch.cuda.synchronize(device)
    return answer, time.perf_counter() - began


def row_by_row_seconds(
    decode: Callable[[Float[Tensor, "n d"]], Float[Tensor, "n ..."]],
    z: Float[Tensor, " d"],
    rows: int,
    device: torch.device | str,
) -> float:
    """What a Jacobian would take by a backward pass for each output, from the seconds of some of them.

    Args:
        decode: the decoder.
        z: (d,) where.
        rows: of how many outputs, evenly spread.
        device: as of :func:`timed`.
    """
    leaf = z[None].clone().requires_grad_()
    outputs = decode(leaf).flatten()
    chosen = outputs[torch.linspace(0, len(outputs) - 1, rows, device=z.device).long()]
    _, seconds = timed(
        lambda: [torch.autograd.grad(output, leaf, retain_graph=True) for output in chosen], device
    )
    return seconds * len(outputs) / rows
