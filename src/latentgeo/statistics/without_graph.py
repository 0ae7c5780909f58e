"""Where the statistics of points run: without a graph, and outside of inference mode."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


def without_graph(function: Callable[P, R]) -> Callable[P, R]:
    """The function under ``torch.no_grad``, and outside of inference mode, where nothing has derivatives."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        with torch.inference_mode(False), torch.no_grad():
            return function(*args, **kwargs)

    return wrapped
