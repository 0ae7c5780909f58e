"""Fisher-Rao distances of diagonal normals: a million pairs in 32 dimensions, against the naive formula.

    python benchmarks/gaussian_speed.py [--pairs 1000000] [--dim 32] [--device cpu] [--out DIR]

The naive twin is √2 arccosh(1 + (Δμ²/2 + Δσ²) / (2 σ₁ σ₂)) in each coordinate, in one pass over all pairs: what one
writes from the textbook, without its digits. Seconds are medians of interleaved repeats; both are given the same
tensors, in float32, and the largest relative error against float64 is beside them. Pairs are far apart, or close.
"""

from __future__ import annotations

import argparse
import datetime
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from latentgeo import fisher_rao_distance
from latentgeo.experiments.environment import environment

GOAL = 1.0  # seconds for a million pairs in 32 dimensions, on two cores


def naive(mean1: Tensor, std1: Tensor, mean2: Tensor, std2: Tensor) -> Tensor:
    """The textbook's formula."""
    square = (mean1 - mean2).square() / 2 + (std1 - std2).square()
    return (2**0.5 * torch.acosh(1 + square / (2 * std1 * std2))).square().sum(-1).sqrt()


def ours(mean1: Tensor, std1: Tensor, mean2: Tensor, std2: Tensor) -> Tensor:
    """As a user calls it, checks of the arguments included."""
    p, q = (
        Independent(Normal(mean, std, validate_args=False), 1, validate_args=False)
        for mean, std in ((mean1, std1), (mean2, std2))
    )
    return fisher_rao_distance(p, q)


def seconds(function: Callable[..., Tensor], *arguments: Tensor) -> float:
    """Of one call, until the device has finished."""
    began = time.perf_counter()
    float(function(*arguments)[0])
    return time.perf_counter() - began


def main() -> None:
    """Measures, prints a table, writes JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", type=torch.device, default="cpu")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    generator = torch.Generator().manual_seed(0)
    mean, log_std, step = torch.randn(3, args.pairs, args.dim, generator=generator).to(args.device)
    rows = []
    for name, size in (("far apart", 1.0), ("nearly equal", 1e-3)):
        four = mean, log_std.exp(), mean + size * step, (log_std + size * step.flip(1)).exp()
        exact = ours(*(a[:10000].double() for a in four))
        times: dict[str, list[float]] = {"latentgeo": [], "naive": []}
        for _ in range(args.repeats):
            for method, function in (("latentgeo", ours), ("naive", naive)):
                times[method].append(seconds(function, *four))
        for method, function in (("latentgeo", ours), ("naive", naive)):
            error = float((function(*(a[:10000] for a in four)).double() / exact - 1).abs().max())
            rows.append(
                {
                    "pairs": name,
                    "method": method,
                    "seconds": statistics.median(times[method]),
                    "error": error,
                }
            )
            print(f"{name:13} {method:10} {rows[-1]['seconds']:.3f} s, largest relative error {error:.1e}")
    args.out.mkdir(parents=True, exist_ok=True)
    record = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "pairs": args.pairs,
        "dim": args.dim,
        "goal_seconds": GOAL,
        "environment": environment(args.device),
        "rows": rows,
    }
    (args.out / "gaussian_speed.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
