"""Geodesics by stochman, another program, if it is installed: `pip install --no-deps stochman`."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from typing import Any

import torch
from problems import Problem
from timing import timed
from torch import Tensor

# Nodes of the cubic splines and steps of Adam, and how often they are timed. The first are stochman's defaults.
STOCHMAN = {"stochman, defaults": (5, 150, 3), "stochman, 20 nodes, 1000 steps": (20, 1000, 1)}


def version() -> str:
    """The version of stochman."""
    try:
        return importlib.metadata.version("stochman")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def stochman(problem: Problem, t: Tensor) -> Iterator[tuple[str, Tensor, list[float], bool]]:
    """Minimizers of the energy among cubic splines, by Adam, one budget after the other.

    A decoder of mean and standard deviation is given to stochman as the map to both.

    Args:
        problem: the pairs (B, d), all of them solved at once.
        t: (M,) parameters, at which the curves are wanted.

    Yields:
        The name of the budget, curves (B, M, d), seconds of every repeat, and its one word on convergence.
    """
    try:
        from stochman import CubicSpline, geodesic, manifold
    except ImportError:
        print("Note: stochman is not installed, and left out")
        return
    start, end = problem.start, problem.end

    class Images(manifold.EmbeddedManifold):
        def embed(self, points: Tensor, jacobian: bool = False) -> Any:
            value = problem.decoder(points.flatten(0, -2))  # the energy asks for no Jacobian
            image = value if isinstance(value, Tensor) else torch.cat(value, dim=-1)
            return image.flatten(1).unflatten(0, points.shape[:-1])

    for name, (nodes, steps, repeats) in STOCHMAN.items():
        kept = []

        def solve(nodes: int = nodes, steps: int = steps, kept: list = kept) -> None:
            curve = CubicSpline(start.cpu(), end.cpu(), num_nodes=nodes).to(start.device)
            kept.append((curve, geodesic.geodesic_minimizing_energy(curve, Images(), max_iter=steps)))

        seconds = timed(solve, repeats, start.device)
        curve, success = kept[-1]
        with torch.no_grad():
            yield name, curve(t).reshape(len(start), len(t), -1), seconds, bool(success)
