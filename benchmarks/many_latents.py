"""One geodesic through a ResNet18-like decoder of CIFAR images with 256 latents: no Jacobian, no d x D matrix.

    python benchmarks/many_latents.py [--pairs 1] [--segments 16] [--device cpu] [--out DIR]

Seconds of one call on all threads of torch, cost in forward-backward sweeps over the inner points, status, energy
against that of the straight line, and the energy of the same curve on 256 segments.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import json
import warnings
from pathlib import Path

import torch
from problems import load
from timing import Counting, timed

from latentgeo import ConvergenceWarning, MinimizeEnergy, geodesic, pullback_metric
from latentgeo.experiments.environment import environment

SEGMENTS = 256
GOAL = 60  # seconds for one geodesic on two cores


def main() -> None:
    """Solves, prints a table, writes JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--segments", type=int, default=16)
    parser.add_argument("--device", type=torch.device, default="cpu")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)  # statuses are in the table
    problem, rows = load("cifar256", pairs=args.pairs, device=args.device), []
    for i in range(args.pairs):
        counting, kept = Counting(problem.decoder), []
        solver, ends = MinimizeEnergy(num_segments=args.segments), (problem.start[i], problem.end[i])
        run = functools.partial(geodesic, pullback_metric(counting), *ends, solver=solver)
        (seconds,) = timed(lambda run=run, kept=kept: kept.append(run()), 1, args.device)
        result = kept[0]
        t = torch.linspace(0, 1, SEGMENTS + 1, device=args.device)
        line = torch.lerp(ends[0], ends[1], t[:, None])
        row = {"pair": i, "seconds": seconds, "status": result.status[0].name}
        row |= {"residual": float(result.residual), "steps": int(result.steps)}
        row |= {"sweeps": counting.swept / (args.segments - 1), "with_tangents": counting.pushed}
        row |= {"energy": 2 * float(result.energy), "fine_energy": energy(problem.decoder, result.at(t)[0])}
        rows.append({**row, "line_energy": energy(problem.decoder, line)})
        cells = (f"{v:.4g}" if isinstance(v, float) else str(v) for v in rows[-1].values())
        if not i:
            print("| " + " | ".join(rows[-1]) + " |\n" + "|---" * len(rows[-1]) + "|")
        print("| " + " | ".join(cells) + " |", flush=True)
    report = {"date": str(datetime.date.today()), "decoder": problem.description, "segments": args.segments}
    report |= {"threads": torch.get_num_threads(), "goal_seconds": GOAL}
    report |= {"environment": environment(args.device), "rows": rows}
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "many_latents.json").write_text(json.dumps(report, indent=1) + "\n")


def energy(decoder: torch.nn.Module, curve: torch.Tensor) -> float:
    """Twice the energy of a curve (257, d), by its chords in float64."""
    with torch.no_grad():
        images = torch.cat([decoder(some).double().flatten(1) for some in curve.split(32)])
    return float((len(curve) - 1) * images.diff(dim=0).square().sum())


if __name__ == "__main__":
    main()
