"""What calls cost: seconds until the device is done, points put through a decoder, and how they grow."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from latentgeo.metrics.directional import inside_transform


class Counting(nn.Module):
    """A decoder that counts the points put through it, by what is asked of them.

    Attributes:
        swept: points put forward to be followed by a backward pass.
        pushed: points put forward together with tangents, once however many these are.
        valued: points of which only the image was asked for.
    """

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder
        self.swept = self.pushed = self.valued = 0

    def forward(self, z: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """What the decoder makes of z (N, d)."""
        if inside_transform():
            self.pushed += len(z)
        elif torch.is_grad_enabled() and z.requires_grad:
            self.swept += len(z)
        else:
            self.valued += len(z)
        return self.decoder(z)


def timed(run: Callable[[], object], repeats: int, device: torch.device) -> list[float]:
    """Seconds of every call, until the device is done."""
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - began)
    return seconds


def interleaved(
    runs: Mapping[str, Callable[[], object]],
    repeats: int,
    device: torch.device,
    *,
    least: float = 0.02,
    most: float = 5.0,
) -> dict[str, float]:
    """Median seconds of one call of each, taken in turns, so that the load of the machine falls on all alike.

    Each is called before, uncounted, twice if that is quick, and once more before each of its turns, as what ran
    before it leaves it cold caches and memory to be mapped anew. What takes less than ``least`` seconds is called
    several times a turn; what takes more than ``most`` has one turn only.
    """
    warm = {name: timed(run, 1, device)[0] for name, run in runs.items()}
    warm |= {name: timed(run, 1, device)[0] for name, run in runs.items() if warm[name] <= most}
    calls = {name: max(1, math.ceil(least / max(seconds, 1e-9))) for name, seconds in warm.items()}
    found: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(repeats):
        for name, run in runs.items():
            if warm[name] <= most:
                timed(run, 1, device)
            elif turn > 0:
                continue
            (seconds,) = timed(lambda run=run, n=calls[name]: [run() for _ in range(n)], 1, device)
            found[name].append(seconds / calls[name])
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def slope(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The exponent p of values ~ sizes^p, by least squares in logarithms."""
    x, y = ([math.log(v) for v in vs] for vs in (sizes, values))
    return statistics.linear_regression(x, y).slope
