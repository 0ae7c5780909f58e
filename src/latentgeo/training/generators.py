"""The global random generators that a training run draws from: their states, and how to put them back."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def rng_states(device: torch.device) -> dict[str, Tensor]:
    """The states of the CPU's generator and, where `device` is a GPU, of its own, by device type."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def set_rng_states(states: dict[str, Tensor], device: torch.device) -> None:
    """Put back what `rng_states` answered; states of a kind of device not in use are left out."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)


@contextmanager
def borrowed_generators(device: torch.device) -> Iterator[None]:
    """Within the context the global generators are free to use; after it they are where they were.

    Args:
        device: where the samples are drawn; the CPU's generator is always borrowed too.
    """
    before = rng_states(device)
    try:
        yield
    finally:
        set_rng_states(before, device)


@contextmanager
def seeded_generators(device: torch.device, seed: int | None) -> Iterator[None]:
    """Within the context samples follow from the seed; after it the global generators are where they were.

    `torch.distributions` samples from the global generators alone, so that a seed can reach it
    only there.

    Args:
        device: where the samples are drawn.
        seed: None does nothing: samples come from the global generators, and advance them.
    """
    if seed is None:
        yield
        return
    with borrowed_generators(device):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
