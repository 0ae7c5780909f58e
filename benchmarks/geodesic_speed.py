"""Seconds and energies of geodesics between encoded digits: latentgeo and its peers, in one run.

    python benchmarks/geodesic_speed.py [--dims 2 10] [--pairs 64] [--device cpu] [--out DIR]

Every method gives a curve, which is measured apart from the method: 256 segments at equal steps of the curve's own
parameter, decoded in float64, E = 256 Σ |Δf|². That is twice latentgeo's `result.energy`, which has the factor 1/2.
stochman is optional: `pip install --no-deps stochman`. On a busy machine set OMP_NUM_THREADS=1: threads that wait for
a core slow down everything, unevenly.
"""

import argparse
import copy
import datetime
import importlib.metadata
import json
import os
import statistics
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from problems import CACHE, load
from timing import timed
from torch import Tensor, nn

from latentgeo import MinimizeEnergy, pullback_metric
from latentgeo.experiments.environment import environment

SEGMENTS = 256
FLOOR = 1e-5  # relative excess energies below it are drawn there
REPEATS = 3


@dataclass
class Outcome:
    """What one method found: curves (B, 257, d), seconds of every repeat, and its own word on convergence."""

    method: str
    curves: Tensor
    seconds: list[float]
    converged: float | None  # share
    note: str = ""


def main() -> None:
    """Runs every method at every latent dimension; prints a table, writes JSON and a picture after each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dims", type=int, nargs="+", choices=(2, 10, 50), default=[2, 10])
    parser.add_argument("--pairs", type=int, default=64)
    parser.add_argument("--device", type=torch.device, default="cpu")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where trained decoders are kept")
    parser.add_argument("--data-dir", type=Path, help="where the files of MNIST are")
    args = parser.parse_args()
    busy, tables, decoders = os.getloadavg()[0], {}, {}
    for d in args.dims:
        options = {"device": args.device, "cache": args.cache, "data_dir": args.data_dir}
        problem = load(f"mnist{d}", pairs=args.pairs, **options)
        decoder, start, end = problem.decoder, problem.start, problem.end
        data, decoders[d] = problem.recipe.source, problem.description
        t = torch.linspace(0, 1, SEGMENTS + 1, device=args.device)
        line = Outcome("straight line", torch.lerp(start[:, None], end[:, None], t[:, None]), [], None)
        # ours before the peers and after them, as the load of the machine may change
        found = [ours(decoder, start, end, t), line, *stochman(decoder, start, end, t)]
        found[0].seconds += ours(decoder, start, end, t).seconds
        tables[d] = rows(decoder, found)
        print(f"\n{markdown(d, tables[d])}", flush=True)
        peer = importlib.metadata.version("stochman") if len(found) > 2 else "not installed"
        place = {**environment(args.device), "stochman": peer, "load average before": busy}
        report = {"date": str(datetime.date.today()), "data": data, "decoders": decoders}
        report |= {"pairs": args.pairs, "energy": f"{SEGMENTS} * sum |df|^2, float64"}
        report |= {"environment": place, "dims": tables}
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "geodesic_speed.json").write_text(json.dumps(report, indent=1) + "\n")
        draw(tables, data, args.pairs).savefig(args.out / "geodesic_speed.png", dpi=120)


def ours(decoder: nn.Module, start: Tensor, end: Tensor, t: Tensor) -> Outcome:
    """The default solver of latentgeo; every call makes its metric anew, and the first one is not counted."""
    kept, solver = [], MinimizeEnergy()
    run = lambda: kept.append(solver.solve(pullback_metric(decoder), start, end))  # noqa: E731
    cold, *seconds = timed(run, 1 + REPEATS, start.device)
    word, note = float(kept[-1].converged.double().mean()), f"T = 32; first call {cold:.2f} s"
    return Outcome("latentgeo, defaults", kept[-1].at(t), seconds, word, note)


def stochman(decoder: nn.Module, start: Tensor, end: Tensor, t: Tensor) -> list[Outcome]:
    """Stochman's cubic splines: with its defaults (5 nodes, 150 steps of Adam), and with more of both."""
    try:
        from stochman import CubicSpline, geodesic, manifold
    except ImportError:
        print("Note: stochman is not installed, and left out")
        return []

    class Images(manifold.EmbeddedManifold):
        def embed(self, points: Tensor, jacobian: bool = False) -> Tensor | tuple[Tensor, Tensor]:
            values = decoder(points)
            return (values, torch.func.vmap(torch.func.jacfwd(decoder))(points)) if jacobian else values

    found, kept = [], []
    for name, nodes, steps, repeats in (("defaults", 5, 150, REPEATS), ("20 nodes, 1000 steps", 20, 1000, 1)):

        def solve(nodes: int = nodes, steps: int = steps) -> None:
            curve = CubicSpline(start.cpu(), end.cpu(), num_nodes=nodes).to(start.device)
            kept.append((curve, geodesic.geodesic_minimizing_energy(curve, Images(), max_iter=steps)))

        seconds = timed(solve, repeats, start.device)
        curve, success = kept[-1]
        with torch.no_grad():
            points = curve(t).reshape(len(start), len(t), -1)
        found.append(Outcome(f"stochman, {name}", points, seconds, float(success), "one word for the batch"))
    return found


def rows(decoder: nn.Module, found: list[Outcome]) -> list[dict]:
    """One row a method. Excess: Σ (E - least E of any method) / Σ least E, over the pairs."""
    fine = copy.deepcopy(decoder).double()
    with torch.no_grad():
        chords = [fine(o.curves.double()).diff(dim=1).square().sum(-1) for o in found]
    energies = torch.stack([SEGMENTS * c.sum(1) for c in chords])
    least, first, table = energies.amin(0), statistics.median(found[0].seconds), []
    for o, e, c in zip(found, energies, chords, strict=True):
        seconds = statistics.median(o.seconds) if o.seconds else None
        row = {"method": o.method, "seconds": seconds, "all_seconds": o.seconds}
        row |= {"time_to_ours": seconds / first if seconds else None, "mean_energy": float(e.mean())}
        row["excess"] = float((e - least).sum() / least.sum())
        row["mean_length"] = float(c.sqrt().sum(1).mean())
        table.append({**row, "converged": o.converged, "note": o.note})
    return table


def markdown(d: int, table: list[dict]) -> str:
    """The table to print."""
    lines = [f"| d = {d} | seconds | time / ours | mean energy | excess | mean length | converged | note |"]
    lines.append("|---" * 8 + "|")
    for r in table:
        cells = f"{r['seconds']:.2f} | {r['time_to_ours']:.1f}" if r["seconds"] else "- | -"
        cells += f" | {r['mean_energy']:.2f} | {r['excess']:.1e} | {r['mean_length']:.3f} | "
        cells += "-" if r["converged"] is None else f"{r['converged']:.0%}"
        lines.append(f"| {r['method']} | {cells} | {r['note']} |")
    return "\n".join(lines)


def draw(tables: dict[int, list[dict]], data: str, pairs: int) -> Figure:
    """Seconds against excess energy: down and left is better."""
    n = len(tables)
    figure, axes = plt.subplots(1, n, figsize=(5 * n, 4), sharex=True, sharey=True, squeeze=False)
    for ax, (d, table) in zip(axes[0], tables.items(), strict=True):
        for r, marker in zip(table, "o-s^", strict=False):
            if r["seconds"] is None:
                ax.axhline(r["excess"], color="0.5", linestyle="--", label=r["method"])
            else:
                ax.plot(r["seconds"], max(r["excess"], FLOOR), marker, markersize=9, label=r["method"])
        ax.set(title=f"d = {d}", xlabel=f"seconds for {pairs} pairs", xscale="log", yscale="log")
        ax.set_ylim(FLOOR / 2, 1)
        ax.legend(fontsize=8, loc="lower right")
    axes[0, 0].set_ylabel("energy above the least found, relative")
    figure.suptitle(
        f"Geodesics between encoded digits ({data}); excess below {FLOOR:g} is drawn there", fontsize=10
    )
    figure.tight_layout()
    return figure


if __name__ == "__main__":
    main()
