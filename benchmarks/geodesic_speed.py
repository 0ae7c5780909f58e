"""Seconds and energies of geodesics between encoded digits: latentgeo and its peers, in one run.

    python benchmarks/geodesic_speed.py [--dims 2 10] [--pairs 64] [--device cpu] [--out DIR] [--data-dir DIR]

Every method gives a curve, which is measured apart from the method: 256 segments at equal steps of the curve's own
parameter, decoded in float64, E = 256 Σ |Δf|². That is twice latentgeo's `result.energy`, which has the factor 1/2.
stochman is optional: `pip install --no-deps stochman`, or into a folder of its own, named by PYTHONPATH.
"""

from __future__ import annotations

import argparse
import copy
import datetime
import importlib.metadata
import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.integrate import solve_bvp
from torch import Tensor, nn

from latentgeo import MinimizeEnergy, pullback_metric
from latentgeo.data import load_digits, load_mnist
from latentgeo.experiments.environment import environment
from latentgeo.geometry import geodesic_acceleration
from latentgeo.models import VAE, MLPDecoder, MLPEncoder
from latentgeo.training import fit

SEGMENTS = 256
FLOOR = 1e-5  # relative excess energy below which the plot does not look
REPEATS = 3


@dataclass
class Outcome:
    """What one method found for the first pairs: curves (p, 257, d), seconds, and its own word on convergence."""

    method: str
    curves: Tensor
    seconds: list[float]
    converged: float | None
    note: str = ""


def main() -> None:
    """Runs every method at every latent dimension; prints a table, writes JSON and a picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dims", type=int, nargs="+", default=[2, 10], help="latent dimensions")
    parser.add_argument("--pairs", type=int, default=64)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--data-dir", type=Path, help="where the files of MNIST are")
    args = parser.parse_args()
    device = torch.device(args.device)
    train, test, data, epochs = images(args.data_dir)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    tables = {}
    for d in args.dims:
        decoder, start, end = problem(train, test, d, args.pairs, epochs, device)
        found = [ours(decoder, start, end), straight(start, end)]
        found += [*stochman(decoder, start, end), boundary_value(decoder, start, end)]
        tables[d] = rows(decoder, found, args.pairs)
        print(f"\n{markdown(d, tables[d])}", flush=True)
    try:
        version = importlib.metadata.version("stochman")
    except importlib.metadata.PackageNotFoundError:
        version = "not installed"
    place = {**environment(device), "stochman": version, "load average before": load}
    report = {"date": datetime.date.today().isoformat(), "data": data, "epochs": epochs, "pairs": args.pairs}
    report |= {"energy": f"{SEGMENTS} * sum |df|^2, float64", "environment": place, "dims": tables}
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "geodesic_speed.json").write_text(json.dumps(report, indent=1) + "\n")
    draw(tables, data, args.pairs).savefig(args.out / "geodesic_speed.png", dpi=120)


def images(data_dir: Path | None) -> tuple[Tensor, Tensor, str, int]:
    """Images to train on and to encode, what they are, and the epochs they need."""
    try:
        train, test = (load_mnist(split, data_dir=data_dir).images for split in ("train", "test"))
    except FileNotFoundError as error:
        print(
            f"Note: the digits of scikit-learn instead of MNIST. {type(error).__name__}: MNIST was not found"
        )
        digits = load_digits().images.flatten(1)
        return digits[:1500], digits[1500:], "digits of scikit-learn", 60
    return train.flatten(1), test.flatten(1), "MNIST", 3


def problem(
    train: Tensor, test: Tensor, d: int, pairs: int, epochs: int, device: torch.device
) -> tuple[nn.Module, Tensor, Tensor]:
    """A decoder of a VAE to grey levels, trained briefly, and the pairs of encoded test digits."""
    torch.manual_seed(0)
    size = train.shape[1]
    encoder = MLPEncoder(size, d, activation=nn.Softplus)
    vae = VAE(encoder, MLPDecoder(d, size, activation=nn.Softplus)).to(device)
    fit(vae, train, epochs=epochs, seed=0, progress=False)
    chosen = torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[: 2 * pairs]
    with torch.no_grad():
        z = vae.encode(test[chosen].to(device)).mean
    return nn.Sequential(vae.decoder, nn.Sigmoid()).requires_grad_(False), *z.chunk(2)


def timed(run: Callable[[], object], device: torch.device) -> float:
    """Seconds of one call, until the device is done."""
    began = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def times(z: Tensor) -> Tensor:
    """The 257 times at which curves are measured."""
    return torch.linspace(0, 1, SEGMENTS + 1, dtype=z.dtype, device=z.device)


def ours(decoder: nn.Module, start: Tensor, end: Tensor) -> Outcome:
    """The default solver of latentgeo; every call makes its metric anew, the first to warm up is not counted."""
    kept = []
    seconds = [
        timed(lambda: kept.append(MinimizeEnergy().solve(pullback_metric(decoder), start, end)), start.device)
        for _ in range(1 + REPEATS)
    ]
    result = kept[-1]
    note = f"T = 32, first call {seconds[0]:.2f} s"
    return Outcome("latentgeo, defaults", result.at(times(start)), seconds[1:], share(result.converged), note)


def straight(start: Tensor, end: Tensor) -> Outcome:
    """The line that everything starts from."""
    t = times(start)[:, None]
    return Outcome("straight line", (1 - t) * start[:, None] + t * end[:, None], [], None)


def stochman(decoder: nn.Module, start: Tensor, end: Tensor) -> list[Outcome]:
    """Stochman's cubic splines: with its defaults (5 nodes, 150 steps of Adam), and with more of both."""
    try:
        from stochman.curves import CubicSpline
        from stochman.geodesic import geodesic_minimizing_energy
        from stochman.manifold import EmbeddedManifold
    except ImportError:
        print("Note: stochman is not installed, and left out")
        return []

    class Images(EmbeddedManifold):
        def embed(self, points: Tensor, jacobian: bool = False) -> Tensor | tuple[Tensor, Tensor]:
            if not jacobian:
                return decoder(points)
            return decoder(points), torch.func.vmap(torch.func.jacfwd(decoder))(points)

    found = []
    for name, nodes, steps, repeats in (("defaults", 5, 150, REPEATS), ("20 nodes, 1000 steps", 20, 1000, 1)):
        kept = []

        def solve(nodes: int = nodes, steps: int = steps, kept: list = kept) -> None:
            curve = CubicSpline(start, end, num_nodes=nodes).to(start.device)
            kept.append((curve, geodesic_minimizing_energy(curve, Images(), max_iter=steps)))

        seconds = [timed(solve, start.device) for _ in range(repeats)]
        curve, success = kept[-1]
        with torch.no_grad():
            points = curve(times(start)).reshape(len(start), SEGMENTS + 1, -1)
        found.append(Outcome(f"stochman, {name}", points, seconds, float(success), "one word for the batch"))
    return found


def boundary_value(decoder: nn.Module, start: Tensor, end: Tensor, pairs: int = 2) -> Outcome:
    """The geodesic equation of the first pairs by scipy's collocation, in float64, from straight lines."""
    metric, d = pullback_metric(copy.deepcopy(decoder).double()), start.shape[1]

    def system(_: np.ndarray, y: np.ndarray) -> np.ndarray:
        z, v = torch.from_numpy(np.ascontiguousarray(y.T)).to(start.device).chunk(2, dim=1)
        return np.concatenate([y[d:], geodesic_acceleration(metric, z, v).cpu().numpy().T])

    curves, words, seconds = [], [], 0.0
    t = np.linspace(0, 1, 33)
    for a, b in zip(start[:pairs].double().cpu().numpy(), end[:pairs].double().cpu().numpy(), strict=True):
        guess = np.concatenate([a[:, None] + t * (b - a)[:, None], np.tile((b - a)[:, None], len(t))])

        def ends(first: np.ndarray, last: np.ndarray, a: np.ndarray = a, b: np.ndarray = b) -> np.ndarray:
            return np.concatenate([first[:d] - a, last[:d] - b])

        began = time.perf_counter()
        found = solve_bvp(system, ends, t, guess)
        seconds += time.perf_counter() - began
        curves.append(torch.from_numpy(found.sol(np.linspace(0, 1, SEGMENTS + 1))[:d].T))
        words.append(bool(found.success))
    note = f"time extrapolated from {len(curves)} pairs, excess of these"
    scaled = [seconds * len(start) / len(curves)]
    name = f"scipy solve_bvp, {len(curves)} pairs"
    return Outcome(name, torch.stack(curves).to(start.device), scaled, float(np.mean(words)), note)


def share(flags: Tensor) -> float:
    """The share that is true."""
    return float(flags.double().mean())


def rows(decoder: nn.Module, found: list[Outcome], pairs: int) -> list[dict]:
    """One row a method. Excess: Σ (E - least E of any method) / Σ least E, over the pairs the method solved."""
    fine = copy.deepcopy(decoder).double()
    with torch.no_grad():
        chords = [fine(o.curves.double()).diff(dim=1).square().sum(-1) for o in found]
    energies = [SEGMENTS * c.sum(1).cpu() for c in chords]
    least = torch.full((pairs,), torch.inf, dtype=torch.float64)
    for e in energies:
        least[: len(e)] = least[: len(e)].minimum(e)
    first = statistics.median(found[0].seconds)
    table = []
    for o, e, c in zip(found, energies, chords, strict=True):
        seconds = statistics.median(o.seconds) if o.seconds else None
        row = {"method": o.method, "pairs": len(e), "seconds": seconds, "repeats": len(o.seconds)}
        row |= {"time_to_ours": seconds / first if seconds else None, "mean_energy": float(e.mean())}
        row |= {"excess": float((e - least[: len(e)]).sum() / least[: len(e)].sum())}
        row |= {"mean_length": float(c.sqrt().sum(1).mean()), "converged": o.converged, "note": o.note}
        table.append(row)
    return table


def markdown(d: int, table: list[dict]) -> str:
    """The table to print."""
    lines = [f"| d = {d} | seconds | time / ours | mean energy | excess | mean length | converged | note |"]
    lines.append("|---" * 8 + "|")
    for r in table:
        fast = f"{r['seconds']:.2f} | {r['time_to_ours']:.1f}" if r["seconds"] else "- | -"
        word = "-" if r["converged"] is None else f"{r['converged']:.0%}"
        numbers = f"{r['mean_energy']:.2f} | {r['excess']:.1e} | {r['mean_length']:.3f}"
        lines.append(f"| {r['method']} | {fast} | {numbers} | {word} | {r['note']} |")
    return "\n".join(lines)


def draw(tables: dict[int, list[dict]], data: str, pairs: int) -> plt.Figure:
    """Seconds against excess energy: down and left is better."""
    figure, axes = plt.subplots(1, len(tables), figsize=(5 * len(tables), 4), sharey=True, squeeze=False)
    for ax, (d, table) in zip(axes[0], tables.items(), strict=True):
        for r, marker in zip(table, "o-s^Dv", strict=False):
            excess = max(r["excess"], FLOOR)
            if r["seconds"] is None:
                ax.axhline(excess, color="0.5", linestyle="--", label=r["method"])
            else:
                ax.loglog(r["seconds"], excess, marker, markersize=9, linestyle="", label=r["method"])
        ax.set(title=f"d = {d}", xlabel=f"seconds for {pairs} pairs", ylim=(FLOOR / 2, None))
        ax.set(xscale="log", yscale="log")
        ax.grid(alpha=0.3)
        ax.legend(fontsize=8)
    axes[0, 0].set_ylabel(f"relative energy above the least found (floor {FLOOR:g})")
    figure.suptitle(f"Geodesics between encoded digits ({data})")
    figure.tight_layout()
    return figure


if __name__ == "__main__":
    main()
