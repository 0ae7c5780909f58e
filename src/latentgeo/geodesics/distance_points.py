"""What a distance matrix is of: points, and by what they, a metric and a solver are recognized again."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentgeo.geodesics.solve import Solver
from latentgeo.metrics import Metric
from latentgeo.metrics.arguments import check_precision, describe

_PROBES = 16  # points of each kind, at which a metric is recognized


def points_of(name: str, points: object) -> Tensor:
    """Finite points (N, d) as a tensor of their own dtype, or an error that says what came."""
    if not isinstance(points, np.ndarray | Tensor):
        raise TypeError(
            f"{name} must be a NumPy array or a torch tensor of shape (N, d), got {describe(points)}"
        )
    if isinstance(points, np.ndarray):
        native = points.dtype.newbyteorder("=")
        if native not in (np.float32, np.float64):
            raise TypeError(f"{name} must be in float32 or float64, got an array of {points.dtype}")
        found = torch.from_numpy(np.array(points, dtype=native, order="C"))
    else:
        found = points.detach()
    check_precision(name, found)
    if found.ndim != 2 or not found.shape[1]:
        raise ValueError(f"{name} must have shape (N, d) with d >= 1, got {describe(found)}")
    bad = torch.nonzero(~found.isfinite().all(dim=1))
    if len(bad):
        raise ValueError(
            f"{name} must be finite, but {len(bad)} of {len(found)} rows are not: the first is {int(bad[0])}"
        )
    return found


def like_those_of(x: Tensor, y: Tensor) -> Tensor:
    """The points y, refused where they cannot be joined to points x."""
    if y.shape[1] != x.shape[1] or y.dtype != x.dtype or y.device != x.device:
        raise ValueError(
            f"Y must have the coordinates, dtype and device of X, {describe(x)} on {x.device}, "
            f"got {describe(y)} on {y.device}"
        )
    return y


def fingerprint(
    metric: Metric, x: Tensor, y: Tensor | None, solver: Solver, tile_size: int
) -> dict[str, Any]:
    """What tells matrices apart: points to the bit, the metric by norms at some points, options by their values."""
    at = _probes(x, x if y is None else y)
    directions = _drawn(torch.randn, at.shape, 0).to(at)
    with torch.no_grad():
        norms = metric.norm(at, directions).tolist()
    options = dataclasses.fields(solver) if dataclasses.is_dataclass(solver) else ()
    values = {option.name: getattr(solver, option.name) for option in options}
    told = ", ".join(f"{k}={_digest(v) if isinstance(v, Tensor) else v}" for k, v in values.items())
    return {
        "format": "latentgeo distances 2",
        "X": _digest(x),
        "Y": None if y is None else _digest(y),
        "metric": [float(norm) for norm in norms],
        "solver": f"{type(solver).__name__}({told})",
        "tile_size": int(tile_size),
    }


def _probes(x: Tensor, y: Tensor) -> Tensor:
    """Some points of x, of y, and on straight lines from the ones to the others."""
    if not len(x) or not len(y):
        return x[:0]
    i, j, t = (_drawn(torch.rand, torch.Size([_PROBES]), seed).to(x) for seed in (1, 2, 3))
    between = torch.lerp(x[(i * len(x)).long()], y[(j * len(y)).long()], t[:, None])
    return torch.cat([_spread(x), between] if y is x else [_spread(x), _spread(y), between])


def _spread(points: Tensor) -> Tensor:
    return points[torch.linspace(0, len(points) - 1, _PROBES, device=points.device).long()]


def _drawn(draw: Callable[..., Tensor], shape: torch.Size, seed: int) -> Tensor:
    """The same numbers wherever they are drawn."""
    return draw(shape, generator=torch.Generator("cpu").manual_seed(seed), device="cpu")


def _digest(points: Tensor) -> str:
    data = points.detach().cpu().contiguous().numpy()
    return f"{data.dtype} {data.shape} {hashlib.sha256(data.tobytes()).hexdigest()[:16]}"
