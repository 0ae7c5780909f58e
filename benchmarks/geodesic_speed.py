"""Seconds and energies of geodesics between encoded data: latentgeo's solvers and their peer, in one run.

    python benchmarks/geodesic_speed.py [--problems mnist2 mnist10 mnist50 rbf2] [--pairs 64] [--slow-pairs 4]

Every method gives a curve, which is measured apart from the method: 256 segments at equal steps of the curve's own
parameter, decoded in float64, E = 256 Σ |Δf|². That is twice latentgeo's `result.energy`, which has the factor 1/2.
Excess is Σ (E - least E of any method) / Σ least E over the pairs. What is slow gets the first few pairs only, and is
compared with ours on the same pairs, solved as a batch of their own at the same time, and with ours in the full batch
by seconds a pair. Points put through the decoder are given a pair and inner point of T = 32 segments: a sweep is one
forward and one backward pass through all of them. stochman is optional: `pip install --no-deps stochman`. On a busy
machine set OMP_NUM_THREADS=1: threads that wait for a core slow down everything, unevenly.
"""

import argparse
import copy
import datetime
import json
import os
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib.pyplot as plt
import peers
import torch
from matplotlib.figure import Figure
from problems import CACHE, NAMES, Problem, load
from timing import Counting, timed
from torch import Tensor

from latentgeo import BoundaryValue, GeodesicResult, Georce, GraphSearch, Metric, MinimizeEnergy, Shooting
from latentgeo.experiments.environment import environment

SEGMENTS = 256
FLOOR = 1e-6  # relative excess energies below it are drawn there
REPEATS = 3
SLOW = (
    5.0,
    30.0,
)  # seconds above which a call is timed once, and above which its first call is the one that counts
GRAPH = 2000  # points of graphs
INNER = MinimizeEnergy().num_segments - 1
OURS, BEST, LINE = "MinimizeEnergy, defaults", "best of 20 starts", "straight line"
STYLES = {
    OURS: ("*", "#d62728"),
    "MinimizeEnergy, 4 starts": ("P", "#d62728"),
    BEST: ("X", "#d62728"),
    "MinimizeEnergy, from a graph": ("D", "#ff7f0e"),
    "GraphSearch": ("d", "#8c564b"),
    "Georce": ("v", "#1f77b4"),
    "Shooting": ("^", "#2ca02c"),
    "BoundaryValue": ("s", "#9467bd"),
    **dict(zip(peers.STOCHMAN, (("o", "0.6"), ("o", "0.2")), strict=True)),
}

Search = Callable[[Metric, Tensor, Tensor], GeodesicResult]


@dataclass
class Outcome:
    """What one method found for the first b pairs.

    Attributes:
        method: its name.
        curves: (b, 257, d).
        seconds: of every repeat.
        alongside: seconds of our defaults on these pairs, at the same time; empty where they are all pairs.
        converged: the share of curves of which it says so, or its one word for all.
        energy: (b,) twice its own measure of the energy, if any.
        points: put through the decoder, by kind, a pair and inner point.
    """

    method: str
    curves: Tensor
    seconds: list[float] = field(default_factory=list)
    alongside: list[float] = field(default_factory=list)
    converged: float | None = None
    energy: Tensor | None = None
    points: dict[str, float] = field(default_factory=dict)


def main() -> None:
    """Runs every method on every problem; prints tables and goals, writes JSON and a picture after each problem."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--problems", nargs="+", choices=NAMES, default=["mnist2", "mnist10", "mnist50", "rbf2"]
    )
    parser.add_argument("--pairs", type=int, default=64)
    parser.add_argument(
        "--slow-pairs", type=int, default=4, help="of Shooting and BoundaryValue; 4 times for Georce"
    )
    parser.add_argument("--device", type=torch.device, default="cpu")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where trained decoders are kept")
    parser.add_argument("--data-dir", type=Path, help="where the files of MNIST are")
    args = parser.parse_args()
    busy, tables, decoders, met, titles = os.getloadavg()[0], {}, {}, {}, {}
    place = {**environment(args.device), "stochman": peers.version(), "load average before": busy}
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.problems:
        folders = {"cache": args.cache, "data_dir": args.data_dir}
        problem = load(name, pairs=args.pairs, device=args.device, **folders)
        decoders[name], titles[name] = problem.description, f"{name}, d = {problem.start.shape[1]}"
        tables[name] = rows(problem, outcomes(problem, args.slow_pairs))
        met[name] = goals(tables[name], problem.start.shape[1])
        print(f"\n{markdown(name, tables[name])}\n\n{verdicts(met[name])}", flush=True)
        report = {"date": str(datetime.date.today()), "decoders": decoders, "pairs": args.pairs}
        report |= {"energy": f"{SEGMENTS} * sum |df|^2, float64", "environment": place}
        report |= {"problems": tables, "goals": met}
        (args.out / "geodesic_speed.json").write_text(json.dumps(report, indent=1) + "\n")
        figure = draw(tables, titles)
        figure.savefig(args.out / "geodesic_speed.png", dpi=120)
        plt.close(figure)


def outcomes(problem: Problem, slow_pairs: int) -> list[Outcome]:
    """What every method finds: ours first, and timed again at the end, as the load of the machine may change."""
    pairs, d = problem.start.shape
    graph = GraphSearch(problem.latents[:GRAPH])

    def from_graph(metric: Metric, start: Tensor, end: Tensor) -> GeodesicResult:
        return MinimizeEnergy().solve(metric, start, end, initial=graph.solve(metric, start, end).points)

    t = torch.linspace(0, 1, SEGMENTS + 1).to(problem.start)
    line = Outcome(LINE, torch.lerp(problem.start[:, None], problem.end[:, None], t[:, None]))
    ours = MinimizeEnergy().solve
    found = [
        solved(OURS, ours, problem, pairs),
        solved("MinimizeEnergy, 4 starts", MinimizeEnergy(num_starts=4).solve, problem, pairs),
        solved("MinimizeEnergy, from a graph", from_graph, problem, pairs),
        solved("GraphSearch", graph.solve, problem, pairs),
        *(Outcome(n, c, s, converged=float(w)) for n, c, s, w in peers.stochman(problem, t)),
        solved("Georce", Georce().solve, problem, 4 * slow_pairs),
    ]
    if d <= 10:
        found.append(solved("Shooting", Shooting().solve, problem, slow_pairs))
        found.append(solved("BoundaryValue", BoundaryValue().solve, problem, slow_pairs))
    found[0].seconds += solved(OURS, ours, problem, pairs).seconds
    return [*found, solved(BEST, MinimizeEnergy(num_starts=20).solve, problem, pairs), line]


def solved(method: str, search: Search, problem: Problem, pairs: int) -> Outcome:
    """One method on the first pairs; the first call counts points, and seconds only where it is very slow."""
    all_pairs, device = len(problem.start), problem.start.device
    start, end = problem.start[:pairs], problem.end[:pairs]
    found = []

    def run(decoder: torch.nn.Module = problem.decoder) -> None:
        found.append(search(problem.recipe.metric(decoder), start, end))

    def ours() -> list[float]:
        call = lambda: MinimizeEnergy().solve(problem.metric(), start, end)  # noqa: E731
        return timed(call, 2, device) if len(start) < all_pairs else []

    counting = Counting(problem.decoder)
    alongside = ours()[1:]
    seconds = timed(lambda: run(counting), 1, device)
    if seconds[0] < SLOW[1]:
        seconds = timed(run, REPEATS if seconds[0] < SLOW[0] else 1, device)
    alongside += ours()
    inner = len(start) * INNER
    points = {kind: getattr(counting, kind) / inner for kind in ("swept", "pushed", "valued")}
    result, t = found[0], torch.linspace(0, 1, SEGMENTS + 1, device=device)
    share = float(result.converged.double().mean())
    return Outcome(method, result.at(t), seconds, alongside, share, 2 * result.energy.double(), points)


@torch.no_grad()
def energies(problem: Problem, curves: Tensor) -> Tensor:
    """256 Σ |ΔF|² (b,) of curves (b, 257, d) in float64; F is the decoder, or mean and std together."""
    immersion = problem.recipe.metric(copy.deepcopy(problem.decoder).double()).immersion
    if immersion is None:
        raise ValueError(f"problem: expected one whose metric knows its immersion, got {problem.name}")
    images = (immersion(curve) for curve in curves.double())
    return SEGMENTS * torch.stack([image.diff(dim=0).square().sum() for image in images]).cpu()


def rows(problem: Problem, found: list[Outcome]) -> list[dict]:
    """One row a method; see the module for what is compared with what."""
    energy = [energies(problem, o.curves) for o in found]
    least = torch.full_like(energy[0], torch.inf)
    for e in energy:
        least[: len(e)] = torch.minimum(least[: len(e)], e.nan_to_num(torch.inf))
    first, table = statistics.median(found[0].seconds) / len(energy[0]), []
    for o, e in zip(found, energy, strict=True):
        n, seconds = len(e), statistics.median(o.seconds) if o.seconds else None
        row = {"method": o.method, "pairs": n, "seconds": seconds, "all_seconds": o.seconds}
        if seconds is not None:
            ours = statistics.median(o.alongside) if o.alongside else n * first
            row |= {"seconds_per_pair": seconds / n, "ours_seconds": ours, "time_to_ours": seconds / ours}
            row["time_to_ours_in_full_batch"] = seconds / n / first
        row |= {"mean_energy": float(e.mean()), "energy_to_ours": float(e.sum() / energy[0][:n].sum())}
        row |= {"excess": float((e - least[:n]).sum() / least[:n].sum()), "converged": o.converged}
        own = o.energy.cpu() if o.energy is not None else None
        row["agrees"] = None if own is None else float(((own / e - 1).abs() <= 0.01).double().mean())
        table.append({**row, **o.points})
    return table


def goals(table: list[dict], d: int) -> list[dict]:
    """Every goal with what was measured: time by ratios to ours on the same pairs, shares, sweeps, energy."""
    by = {r["method"]: r for r in table}
    ours, found = by[OURS], []

    def goal(what: str, value: float, bound: float, *, at_least: bool) -> None:
        met = value >= bound if at_least else value <= bound
        found.append({"goal": what, "value": value, "bound": bound, "at_least": at_least, "met": met})

    for peer, bound in zip(peers.STOCHMAN, (5, 40), strict=True):
        if peer in by and (bound == 5 or d <= 10):
            goal(f"seconds of {peer} / ours", by[peer]["time_to_ours"], bound, at_least=True)
    for method in ("Georce", "BoundaryValue"):
        if method in by:
            r = by[method]
            what = f"seconds of {method} / ours on {r['pairs']} pairs, its energy {r['energy_to_ours']:.5f} of ours"
            goal(what, r["time_to_ours"], 10, at_least=True)
            goal(f"{what}, ours in the full batch", r["time_to_ours_in_full_batch"], 10, at_least=True)
    goal("sweeps", ours["swept"], 12 if d <= 10 else 60, at_least=False)
    goal("energy agrees, share", ours["agrees"], 0.98, at_least=True)
    goal("converged, share", ours["converged"], 0.98, at_least=True)
    above = ours["mean_energy"] / by[BEST]["mean_energy"] - 1
    goal("mean energy above best of 20 starts", above, 0.01, at_least=False)
    return found


def verdicts(found: list[dict]) -> str:
    """The goals in words, a line each."""
    signs = {True: ">=", False: "<="}
    lines = [f"- {'met    ' if g['met'] else 'NOT met'} {g['goal']}: {g['value']:.4g}" for g in found]
    return "\n".join(
        f"{s} (goal {signs[g['at_least']]} {g['bound']:g})" for s, g in zip(lines, found, strict=True)
    )


def markdown(name: str, table: list[dict]) -> str:
    """The table to print."""
    heads = f"{name} | pairs | seconds | ms a pair | time / ours | in full batch | mean energy | excess | converged"
    lines = [f"| {heads} | agrees | sweeps | with tangents | values |", "|---" * 13 + "|"]
    for r in table:
        cells = [r["method"], str(r["pairs"])]
        times = [
            r.get(k) for k in ("seconds", "seconds_per_pair", "time_to_ours", "time_to_ours_in_full_batch")
        ]
        times[1] = 1e3 * times[1] if times[1] is not None else None
        cells += ["-" if v is None else f"{v:.3g}" for v in times]
        cells += [f"{r['mean_energy']:.3f}", f"{r['excess']:.1e}"]
        cells += ["-" if v is None else f"{v:.0%}" for v in (r["converged"], r["agrees"])]
        cells += [f"{r[k]:.1f}" if k in r else "-" for k in ("swept", "pushed", "valued")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(tables: Mapping[str, list[dict]], titles: Mapping[str, str]) -> Figure:
    """Milliseconds a pair against excess energy, one panel a problem: down and left is better."""
    columns = min(2, len(tables))
    lines = -(-len(tables) // columns)
    size = 5 * columns + 0.5, 3.6 * lines + 1.5
    figure, axes = plt.subplots(lines, columns, figsize=size, sharex=True, sharey=True, squeeze=False)
    for ax in axes.flat[len(tables) :]:
        ax.set_visible(False)
    handles = {}
    for ax, (name, table) in zip(axes.flat, tables.items(), strict=False):
        for r in table:
            excess = max(r["excess"], FLOOR)
            if r["seconds"] is None:
                handles[r["method"]] = ax.axhline(excess, color="0.5", linestyle="--", linewidth=1)
                continue
            marker, color = STYLES[r["method"]]
            style = {
                "markersize": 15 if marker == "*" else 9,
                "markeredgecolor": "white",
                "markeredgewidth": 0.6,
                "zorder": 4 if r["method"] == OURS else 3,
                "linestyle": "none",
            }
            (handles[r["method"]],) = ax.plot(
                1e3 * r["seconds_per_pair"], excess, marker, color=color, **style
            )
        ax.set(title=titles[name], xscale="log", yscale="log")
        ax.set_ylim(FLOOR / 2, 10)
        ax.grid(alpha=0.3)
        ax.minorticks_off()
    for ax in axes[-1]:
        ax.set_xlabel("ms a pair")
    for ax in axes[:, 0]:
        ax.set_ylabel("excess energy")
    legend = {"loc": "lower center", "ncols": 3 if columns > 1 else 2, "frameon": False, "fontsize": 9}
    figure.legend(handles.values(), handles.keys(), **legend)
    what = f"Energy above the least that any method found, relative; below {FLOOR:g} drawn there"
    figure.suptitle(f"{what}\nGeorce, Shooting and BoundaryValue on a few of the pairs", fontsize=11)
    figure.tight_layout(rect=(0, 1.2 / size[1], 1, 1))
    return figure


if __name__ == "__main__":
    main()
