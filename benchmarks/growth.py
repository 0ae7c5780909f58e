"""How the time of MinimizeEnergy grows with curves B, segments T, latents d and outputs D.

    python benchmarks/growth.py [--repeats 3] [--device cpu] [--out DIR]

One size varies at a time, from B = 64, T = 32, d = 5, D = 784; sizes of a series are timed in turns. Decoders are
untrained perceptrons d-200-200-D with tanh and fixed seed, hidden weights three times the default of torch, so that
curves are mildly bent: geodesics are some percent shorter than straight lines. The number of passes through the
decoder is what the curves take, so decoded points are given beside the seconds. The goal is time at most in
proportion to B, T and D.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from timing import interleaved, slope
from torch import Tensor, nn

from latentgeo import GeodesicResult, MinimizeEnergy, pullback_metric
from latentgeo.experiments.environment import environment
from latentgeo.models import MLPDecoder

BASE = {"B": 64, "T": 32, "d": 5, "D": 784}
SERIES = {"B": [16, 64, 256, 1024], "T": [16, 32, 64, 128], "d": [2, 5, 10, 20], "D": [196, 784, 3136]}
WORDS = {"B": "curves, B", "T": "segments, T", "d": "latents, d", "D": "outputs, D"}
GAIN = 3.0  # of the weights of hidden layers
GOAL = 1.1  # exponent in B, T and D: one, and what a measurement of it is off


def main() -> None:
    """Times every series; prints tables, writes JSON and a picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for size, values in SERIES.items():
        parser.add_argument(
            f"--{WORDS[size].split(',')[0]}", dest=size, type=int, nargs="+", default=values, help=size
        )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", type=torch.device, default="cpu")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    busy, tables, exponents = os.getloadavg()[0], {}, {}
    for size in SERIES:
        tables[size] = rows(size, sorted(getattr(args, size)), args.repeats, args.device)
        print(f"\n{markdown(size, tables[size])}", flush=True)
        if len(tables[size]) > 1:
            values = [r[size] for r in tables[size]]
            exponents[size] = {
                k: slope(values, [r[k] for r in tables[size]]) for k in ("seconds", "evaluations")
            }
            words = "Time ~ {0}^{seconds:.2f}, decoded points ~ {0}^{evaluations:.2f}".format(
                size, **exponents[size]
            )
            print(f"\n{words}", flush=True)
    met = all(size in exponents and exponents[size]["seconds"] <= GOAL for size in ("B", "T", "D"))
    print(f"\n{'Met' if met else 'NOT met'}: time at most in proportion to B, T and D, exponents <= {GOAL:g}")
    args.out.mkdir(parents=True, exist_ok=True)
    place = {**environment(args.device), "load average before": busy}
    report = {
        "date": str(datetime.date.today()),
        "environment": place,
        "base": BASE,
        "met": met,
        "goal": GOAL,
    }
    report |= {"exponents": exponents, "series": tables}
    (args.out / "growth.json").write_text(json.dumps(report, indent=1) + "\n")
    draw(tables, exponents).savefig(args.out / "growth.png", dpi=120)


def rows(size: str, values: list[int], repeats: int, device: torch.device) -> list[dict]:
    """One row a value of the size."""
    cases = [{**BASE, size: value} for value in values]
    made = [problem(c["B"], c["d"], c["D"], device) for c in cases]

    def solve(i: int) -> GeodesicResult:
        decoder, start, end = made[i]
        return MinimizeEnergy(num_segments=cases[i]["T"]).solve(pullback_metric(decoder), start, end)

    seconds = interleaved({str(i): lambda i=i: solve(i) for i in range(len(cases))}, repeats, device)
    table = []
    for i, case in enumerate(cases):
        result, (decoder, start, end) = solve(i), made[i]
        t = torch.linspace(0, 1, 129).to(start)
        with torch.no_grad():
            image = decoder(torch.lerp(start[:, None], end[:, None], t[:, None]).flatten(0, 1))
        line = image.unflatten(0, (-1, len(t))).diff(dim=1).norm(dim=2).sum(1)
        row = {**case, "seconds": seconds[str(i)], "evaluations": result.evaluations}
        row |= {"steps": float(result.steps.double().mean()), "line": float((line / result.length).mean())}
        table.append({**row, "converged": float(result.converged.double().mean())})
    return table


def problem(pairs: int, d: int, outputs: int, device: torch.device) -> tuple[nn.Module, Tensor, Tensor]:
    """A decoder and pairs of points (B, d) on the unit sphere; the first of them are the same for any number."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        decoder = MLPDecoder(d, outputs, activation=nn.Tanh)
    with torch.no_grad():
        for layer in list(decoder.modules()):
            if isinstance(layer, nn.Linear) and layer.out_features != outputs:
                layer.weight *= GAIN
    points = torch.from_numpy(np.random.default_rng(0).standard_normal((pairs, 2, d))).float()
    start, end = (points / points.norm(dim=2, keepdim=True)).to(device).unbind(1)
    return decoder.eval().requires_grad_(False).to(device), start.contiguous(), end.contiguous()


def markdown(size: str, table: list[dict]) -> str:
    """The table of one series."""
    lines = [f"| {WORDS[size]} | seconds | decoded points | steps | straight line / length | converged |"]
    lines.append("|---" * 6 + "|")
    for r in table:
        cells = "{seconds:.3f} | {evaluations:.2e} | {steps:.1f} | {line:.3f} | {converged:.0%}".format(**r)
        lines.append(f"| {r[size]} | {cells} |")
    return "\n".join(lines)


def draw(tables: dict[str, list[dict]], exponents: dict[str, dict[str, float]]) -> Figure:
    """Seconds against each size, with a line of proportion through the largest."""
    figure, axes = plt.subplots(1, len(tables), figsize=(3 * len(tables) + 0.5, 3.8), sharey=True)
    for ax, (size, table) in zip(axes, tables.items(), strict=True):
        values, seconds = [r[size] for r in table], [r["seconds"] for r in table]
        ax.plot(
            values, [seconds[-1] * v / values[-1] for v in values], ":", color="0.5", label="in proportion"
        )
        ax.plot(values, seconds, "o-", color="#d62728", label="MinimizeEnergy")
        power = f": time ~ ${size}^{{{exponents[size]['seconds']:.2f}}}$" if size in exponents else ""
        ax.set(xscale="log", yscale="log", xlabel=WORDS[size], title=f"${size}${power}")
        ax.set_xticks(values, [str(v) for v in values])
        ax.set_xticks([], minor=True)
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("seconds")
    axes[0].legend(fontsize=9, frameon=False)
    sizes = ", ".join(f"{k} = {v}" for k, v in BASE.items())
    figure.suptitle(f"One size varies, the others are {sizes}; untrained decoders d-200-200-D", fontsize=11)
    figure.tight_layout()
    return figure


if __name__ == "__main__":
    main()
