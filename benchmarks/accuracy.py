"""Errors of lengths and points against the number of segments, where the geodesics are known.

    python benchmarks/accuracy.py [--segments 8 16 32 64 128] [--pairs 16] [--out DIR]

In float64, on the sphere in angles, the hyperbolic half-plane (a metric without immersion), a flat torus, and a
paraboloid. On the first three geodesics have closed forms; on the last they are integrated from their start, by an
explicit method of order eight to a relative error of 1e-12, so that no boundary value problem is solved. The error
of a length is relative; that of points is the largest |z(t) - γ(t)|_G / length over 101 times, both curves at
constant speed. MinimizeEnergy and Georce are run to a residual of 1e-9, so that what is left is the error of the
segments, of order T^-4. Shooting and BoundaryValue are run with their defaults: their points have no such error, but
lengths and the points between are those of splines through 32 segments, as for all solvers.
"""

from __future__ import annotations

import argparse
import datetime
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from scipy.integrate import solve_ivp
from timing import interleaved, slope
from torch import Tensor

from latentgeo import (
    BoundaryValue,
    Georce,
    Metric,
    MinimizeEnergy,
    Shooting,
    metric_from_function,
    pullback_metric,
)
from latentgeo.experiments.environment import environment

TIMES = 101
TOL = 1e-9
FLOOR = 1e-13  # errors below it are rounding, drawn there, and left out of orders
ORDERS = {"MinimizeEnergy": MinimizeEnergy, "Georce": Georce}
DEFAULTS = {"Shooting": Shooting, "BoundaryValue": BoundaryValue}
STYLES = {"MinimizeEnergy": "o-", "Georce": "v--", "Shooting": "^", "BoundaryValue": "s"}
SIZES = {"MinimizeEnergy": 4, "Georce": 9, "Shooting": 14, "BoundaryValue": 12}
COLORS = {"MinimizeEnergy": "#d62728", "Georce": "#1f77b4", "Shooting": "#2ca02c", "BoundaryValue": "#9467bd"}


@dataclass(frozen=True)
class Known:
    """Geodesics that are known.

    Attributes:
        metric: makes the metric.
        length: (B,) of each.
        points: (B, 101, d) at equal times, ends included.
    """

    metric: Callable[[], Metric]
    length: Tensor
    points: Tensor


def main() -> None:
    """Runs every solver on every geometry; prints a table, writes JSON and a picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--segments", type=int, nargs="+", default=[8, 16, 32, 64, 128], help="T, even")
    parser.add_argument("--pairs", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", type=torch.device, default="cpu")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    found = []
    for name, make in GEOMETRIES.items():
        table = rows(name, make(args.pairs, args.device), sorted(args.segments), args.repeats, args.device)
        print(f"\n{markdown(table)}", flush=True)
        found += table
    measured = orders(found)
    for name, per_solver in measured.items():
        words = [f"{solver}, {what} T^{-p:.1f}" for solver, o in per_solver.items() for what, p in o.items()]
        print(f"\n{name}: {'; '.join(words)}")
    args.out.mkdir(parents=True, exist_ok=True)
    report = {
        "date": str(datetime.date.today()),
        "environment": environment(args.device),
        "pairs": args.pairs,
    }
    report |= {"tol": TOL, "orders": measured, "rows": found}
    (args.out / "accuracy.json").write_text(json.dumps(report, indent=1) + "\n")
    draw(found).savefig(args.out / "accuracy.png", dpi=120)


def rows(name: str, known: Known, segments: list[int], repeats: int, device: torch.device) -> list[dict]:
    """One row a solver and number of segments; all are timed in turns."""
    metric, start, end = known.metric(), known.points[:, 0], known.points[:, -1]
    solvers = {(s, t): make(num_segments=t, tol=TOL) for s, make in ORDERS.items() for t in segments}
    solvers |= {(s, make().num_segments): make() for s, make in DEFAULTS.items()}
    runs = {f"{s} {t}": lambda x=x: x.solve(metric, start, end) for (s, t), x in solvers.items()}
    seconds, table = interleaved(runs, repeats, device, most=1.0), []
    times = torch.linspace(0, 1, TIMES, dtype=start.dtype, device=device)
    for (solver, t), x in solvers.items():
        result = x.solve(metric, start, end)
        apart = metric.norm(known.points, result.at(times) - known.points).amax(1) / known.length
        row = {"geometry": name, "solver": solver, "segments": t, "seconds": seconds[f"{solver} {t}"]}
        row |= {"length": float((result.length / known.length - 1).abs().max()), "points": float(apart.max())}
        table.append({**row, "converged": float(result.converged.double().mean())})
    return table


def orders(found: list[dict]) -> dict[str, dict[str, dict[str, float]]]:
    """The observed p of errors ~ T^-p, from all numbers of segments where the error is above rounding."""
    measured: dict[str, dict[str, dict[str, float]]] = {}
    for name in dict.fromkeys(r["geometry"] for r in found):
        for solver in ORDERS:
            line = [r for r in found if (r["geometry"], r["solver"]) == (name, solver)]
            for what in ("length", "points"):
                above = [r for r in line if r[what] > 100 * FLOOR]
                if len(above) > 1:
                    order = -slope([r["segments"] for r in above], [r[what] for r in above])
                    measured.setdefault(name, {}).setdefault(solver, {})[what] = order
    return measured


# --- Geodesics that are known


def sphere(pairs: int, device: torch.device) -> Known:
    """Great circles, in colatitude and longitude: sin((1-t) a) x + sin(t a) y over sin a for an angle a."""
    ends = _between(pairs, [0.7, -1.0], [2.4, 1.0], device)
    x, y = _on_sphere(ends).unbind(1)
    angle = 2 * torch.atan2((x - y).norm(dim=1), (x + y).norm(dim=1))
    t, a = _times(ends), angle[:, None, None]
    at = (torch.sin((1 - t) * a) * x[:, None] + torch.sin(t * a) * y[:, None]) / torch.sin(a)
    latitude = torch.atan2(at[..., :2].norm(dim=-1), at[..., 2])
    points = torch.stack([latitude, torch.atan2(at[..., 1], at[..., 0])], -1)
    return Known(lambda: pullback_metric(_on_sphere), angle, points)


def half_plane(pairs: int, device: torch.device) -> Known:
    """Half-circles of the metric (dx² + dy²) / y², by the same formula with sinh on the hyperboloid."""
    ends = _between(pairs, [-1.0, 0.7], [1.0, 2.5], device)
    p, q = ends.unbind(1)
    distance = 2 * torch.asinh((p - q).norm(dim=1) / (2 * (p[:, 1] * q[:, 1]).sqrt()))
    x, y = ends.unbind(-1)
    square = x.square() + y.square()
    first, last = torch.stack([(square + 1) / (2 * y), x / y, (square - 1) / (2 * y)], -1).unbind(1)
    t, a = _times(ends), distance[:, None, None]
    at = (torch.sinh((1 - t) * a) * first[:, None] + torch.sinh(t * a) * last[:, None]) / torch.sinh(a)
    height = 1 / (at[..., 0] - at[..., 2])

    def matrix(z: Tensor) -> Tensor:
        return torch.eye(2, dtype=z.dtype, device=z.device) / z[:, 1, None, None].square()

    return Known(
        lambda: metric_from_function(matrix), distance, torch.stack([at[..., 1] * height, height], -1)
    )


def flat_torus(pairs: int, device: torch.device) -> Known:
    """The torus of radii 1 and 2 in R^4: straight lines in its angles, of length sqrt(Δu² + 4 Δv²)."""
    ends = _between(pairs, [-1.3, -1.3], [1.3, 1.3], device)

    def image(z: Tensor) -> Tensor:
        u, v = z.unbind(-1)
        return torch.stack([u.cos(), u.sin(), 2 * v.cos(), 2 * v.sin()], -1)

    apart = ends[:, 1] - ends[:, 0]
    length = (apart[:, 0].square() + 4 * apart[:, 1].square()).sqrt()
    return Known(lambda: pullback_metric(image), length, torch.lerp(ends[:, :1], ends[:, 1:], _times(ends)))


def paraboloid(pairs: int, device: torch.device) -> Known:
    """The graph of |z|², z'' = -4 |z'|² z / (1 + 4 |z|²), from random starts; no longer than π/2: K <= 4."""
    start, direction = _between(pairs, [-0.8, -0.8], [0.8, 0.8], device).cpu().unbind(1)
    size = torch.linspace(0.5, 1.2, pairs, dtype=torch.float64)
    stretch = (direction.square().sum(1) + 4 * (start * direction).sum(1).square()).sqrt()
    velocity = direction * (size / stretch)[:, None]

    def rates(_: float, state: Tensor) -> Tensor:
        z, v = torch.as_tensor(state).reshape(2, pairs, 2)
        bend = -4 * v.square().sum(1, keepdim=True) / (1 + 4 * z.square().sum(1, keepdim=True))
        return torch.stack([v, bend * z]).reshape(-1)

    state, times = (
        torch.stack([start, velocity]).reshape(-1),
        torch.linspace(0, 1, TIMES, dtype=torch.float64),
    )
    found = solve_ivp(
        rates, (0, 1), state.numpy(), method="DOP853", t_eval=times.numpy(), rtol=1e-12, atol=1e-14
    )
    points = torch.as_tensor(found.y[: 2 * pairs]).reshape(pairs, 2, TIMES).mT.contiguous().to(device)
    graph = lambda z: torch.cat([z, z.square().sum(-1, keepdim=True)], -1)  # noqa: E731
    return Known(lambda: pullback_metric(graph), size.to(device), points)


GEOMETRIES: dict[str, Callable[[int, torch.device], Known]] = {
    "sphere": sphere,
    "half-plane": half_plane,
    "flat torus": flat_torus,
    "paraboloid": paraboloid,
}


def _between(pairs: int, low: list[float], high: list[float], device: torch.device) -> Tensor:
    """Pairs of points (B, 2, 2) of a box, the same at every call."""
    share = torch.rand(pairs, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    least, most = (torch.tensor(x, dtype=torch.float64) for x in (low, high))
    return torch.lerp(least, most, share).to(device)


def _times(ends: Tensor) -> Tensor:
    return torch.linspace(0, 1, TIMES, dtype=ends.dtype, device=ends.device)[:, None]


def _on_sphere(z: Tensor) -> Tensor:
    theta, phi = z.unbind(-1)
    return torch.stack([theta.sin() * phi.cos(), theta.sin() * phi.sin(), theta.cos()], -1)


# --- Words and a picture


def markdown(table: list[dict]) -> str:
    """The table of one geometry."""
    lines = [f"| {table[0]['geometry']} | T | error of length | error of points | seconds | converged |"]
    lines.append("|---" * 6 + "|")
    for r in table:
        cells = f"{r['length']:.1e} | {r['points']:.1e} | {r['seconds']:.3f} | {r['converged']:.0%}"
        lines.append(f"| {r['solver']} | {r['segments']} | {cells} |")
    return "\n".join(lines)


def draw(found: list[dict]) -> Figure:
    """Errors of lengths above, of points below, one column a geometry, with a line of slope -4 to compare with."""
    names = list(dict.fromkeys(r["geometry"] for r in found))
    figure, axes = plt.subplots(2, len(names), figsize=(3 * len(names) + 1, 6.6), sharex=True, sharey="row")
    everywhere = sorted({r["segments"] for r in found})
    for column, name in zip(axes.T.reshape(-1, 2), names, strict=True):
        for ax, what in zip(column, ("length", "points"), strict=True):
            for solver in (*ORDERS, *DEFAULTS):
                line = [r for r in found if (r["geometry"], r["solver"]) == (name, solver)]
                errors = [max(r[what], FLOOR) for r in line]
                style = {"color": COLORS[solver], "label": solver, "markersize": SIZES[solver]}
                if solver != "MinimizeEnergy":  # which often lies below them
                    style |= {"markerfacecolor": "none", "markeredgewidth": 1.4}
                ax.plot([r["segments"] for r in line], errors, STYLES[solver], **style)
            top = max(r[what] for r in found if r["geometry"] == name and r["solver"] in ORDERS)
            if top > 100 * FLOOR:
                guide = [3 * top * (everywhere[0] / t) ** 4 for t in everywhere]
                ax.plot(everywhere, guide, ":", color="0.5", label=r"slope $-4$")
            ax.set(xscale="log", yscale="log")
            ax.set_xticks(everywhere, [str(t) for t in everywhere])
            ax.set_xticks([], minor=True)
            ax.grid(alpha=0.3)
        column[0].set_title(name)
        column[1].set_xlabel("segments, T")
    axes[0, 0].set_ylabel("relative error of the length")
    axes[1, 0].set_ylabel("error of points / length")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=len(labels), fontsize=9, frameon=False)
    figure.suptitle(
        f"Largest errors in float64 where geodesics are known; below {FLOOR:.0e} drawn there", fontsize=11
    )
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    return figure


if __name__ == "__main__":
    main()
