"""Seconds for the metric G(z) = JᵀJ of trained decoders, and for products with it: the library and plain torch.

    python benchmarks/metric_speed.py [--dims 2 10 50] [--points 1 64 1024] [--device cpu] [--out DIR]

Matrices: `pullback_metric` beside vmap(jacfwd), vmap(jacrev) and Python loops over single points of
torch.func.jacrev and torch.autograd.functional.jacobian. The loops take the same time for every point, so they
are timed on at most four of them. `expected_pullback_metric` has twice the outputs: a standard deviation beside
the mean; `fisher_pullback_metric` takes the same network for a Bernoulli decoder, by its logits. Products: `norm`
and `inner` beside the same from a matrix formed for them. Second derivatives d²F(v, v), on which accelerations of
geodesics rest, beside torch.func.jvp of torch.func.jvp. Everything is timed in turns in one run, and compared on the
same points with plain torch in float64.
"""

from __future__ import annotations

import argparse
import copy
import datetime
import json
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from autoencoders import MeanAndStd
from matplotlib.figure import Figure
from problems import CACHE, Problem, load
from timing import interleaved, slope
from torch import Tensor, nn
from torch.distributions import Bernoulli, Independent
from torch.func import jacfwd, jacrev, jvp, vmap

from latentgeo import expected_pullback_metric, fisher_pullback_metric, pullback_metric
from latentgeo.experiments.environment import environment
from latentgeo.metrics.immersion import Immersion
from latentgeo.models import MLPDecoder, RBFPrecision

OURS = "pullback_metric"
FEW = 4  # points on which loops are timed and everything is compared
OUTPUTS = (784, 3136, 12544)  # of untrained decoders, for the growth in D
AGREEMENT = 1e-4  # bound on relative errors in float32
STYLES = {  # of the lines in the picture
    OURS: ("C0", "o-"),
    "vmap(jacfwd)": ("C2", "s--"),
    "vmap(jacrev)": ("C3", "^--"),
    "loop of jacrev": ("0.4", "v:"),
    "loop of autograd.functional.jacobian": ("0.7", "x:"),
    "expected_pullback_metric": ("C1", "D-"),
    "fisher_pullback_metric": ("C5", "*-"),
    "norm": ("C4", "P-"),
}


def main() -> None:
    """Times everything at every latent dimension and size; prints tables, writes JSON and a picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dims", type=int, nargs="+", choices=(2, 10, 50), default=[2, 10, 50])
    parser.add_argument("--points", type=int, nargs="+", default=[1, 64, 1024], help="sizes N of batches")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", type=torch.device, default="cpu")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where trained decoders are kept")
    parser.add_argument("--data-dir", type=Path, help="where the files of MNIST are")
    args = parser.parse_args()
    dims, sizes = sorted(args.dims), sorted(args.points)
    table: list[dict] = []
    options = {"device": args.device, "cache": args.cache, "data_dir": args.data_dir}
    problems = [load(f"mnist{d}", pairs=sizes[-1], **options) for d in dims]
    for problem in problems:
        noisy = stochastic(problem.decoder, problem.latents)
        for n in sizes:
            new = rows(problem.decoder, noisy, problem.start[:n].clone(), args.repeats)
            print(f"\n{markdown(new)}", flush=True)
            table += new
    grown = growth(problems, sizes, args.repeats)
    print("\n| growth of seconds | exponent |\n|---|---|")
    print("\n".join(f"| {name} | {exponent:.2f} |" for name, exponent in grown.items()))
    worst = max(row["error"] for row in table)
    agree = worst < AGREEMENT
    print(f"\nLargest relative error {worst:.1e}: {'all agree' if agree else 'NOT all agree'} to rounding")
    report = {"date": str(datetime.date.today()), "decoders": [p.description for p in problems]}
    report |= {"environment": environment(args.device), "repeats": args.repeats}
    report |= {"largest_error": worst, "growth": grown, "rows": table}
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "metric_speed.json").write_text(json.dumps(report, indent=1) + "\n")
    draw(table, args.device).savefig(args.out / "metric_speed.png", dpi=150)
    if not agree:
        raise SystemExit(1)


def rows(decoder: nn.Module, noisy: nn.Module, z: Tensor, repeats: int) -> list[dict]:
    """Times of every method at points (N, d), in turns, and relative errors at the first of them."""
    single = lambda point: decoder(point[None])[0]  # noqa: E731
    metric, expected, few = pullback_metric(decoder), expected_pullback_metric(noisy), z[:FEW]
    second = Immersion(decoder).second_pushforward
    logits = logits_of(decoder)
    fisher = fisher_pullback_metric(lambda z: Independent(Bernoulli(logits=logits(z)), 1))
    u, v = torch.randn(2, *z.shape, generator=torch.Generator().manual_seed(0)).to(z)
    backward = torch.autograd.functional.jacobian
    runs: dict[str, Callable[[], Tensor]] = {
        OURS: lambda: metric(z),
        "vmap(jacfwd)": lambda: gram(vmap(jacfwd(single))(z)),
        "vmap(jacrev)": lambda: gram(vmap(jacrev(single))(z)),
        "loop of jacrev": lambda: torch.stack([gram(jacrev(single)(x)) for x in few]),
        "loop of autograd.functional.jacobian": lambda: torch.stack([gram(backward(single, x)) for x in few]),
        "expected_pullback_metric": lambda: expected(z),
        "fisher_pullback_metric": lambda: fisher(z),
        "norm": lambda: metric.norm(z, v),
        "norm from G": lambda: product(metric(z), v, v).sqrt(),
        "inner": lambda: metric.inner(z, u, v),
        "inner from G": lambda: product(metric(z), u, v),
        "second derivative": lambda: second(z, v),
        "second derivative by torch.func.jvp": lambda: bend(decoder, z, v),
    }
    seconds = interleaved(runs, repeats, z.device)
    exact, exact_expected = (exact_matrix(f, few) for f in (decoder, noisy))
    a, b = u[:FEW].double(), v[:FEW].double()
    norms = product(exact, a, a).sqrt(), product(exact, b, b).sqrt()
    true = {"expected_pullback_metric": exact_expected, "fisher_pullback_metric": exact_fisher(logits, few)}
    bent = bend(copy.deepcopy(decoder).double(), few.double(), b)
    true |= {"second derivative": bent, "second derivative by torch.func.jvp": bent}
    for suffix in ("", " from G"):
        true["norm" + suffix], true["inner" + suffix] = norms[1], product(exact, a, b)
    scale = {"norm": norms[1], "inner": norms[0] * norms[1]}
    table = []
    for name, run in runs.items():
        value = true.get(name, exact)
        size = scale.get(name.split()[0], value.flatten(1).norm(dim=1) if value.ndim > 1 else value)
        gap = (run()[:FEW].double() - value).abs()
        error = (gap.flatten(1).norm(dim=1) if gap.ndim > 1 else gap) / size
        count = len(few) if name.startswith("loop") else len(z)
        row = {"d": z.shape[1], "points": len(z), "method": name, "timed_points": count}
        table.append(row | {"seconds_per_point": seconds[name] / count, "error": float(error.max())})
    ours = table[0]["seconds_per_point"]
    return [{**row, "time_to_ours": row["seconds_per_point"] / ours} for row in table]


def gram(jacobian: Tensor) -> Tensor:
    """JᵀJ of Jacobians (..., D, d)."""
    return jacobian.mT @ jacobian


def bend(f: Callable[[Tensor], Tensor], z: Tensor, v: Tensor) -> Tensor:
    """d²f(v, v) (N, D) by plain forward mode, twice."""
    return jvp(lambda x: jvp(f, (x,), (v,))[1], (z,), (v,))[1]


def product(matrix: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """The products uᵀ G v."""
    return torch.einsum("...i,...ij,...j->...", u, matrix, v)


def exact_matrix(decoder: nn.Module, z: Tensor) -> Tensor:
    """G (N, d, d) in float64 by reverse mode, of a mean and a standard deviation together if there are both."""
    fine = copy.deepcopy(decoder).double()

    def single(point: Tensor) -> Tensor:
        output = fine(point[None])
        return torch.cat(output, 1)[0] if isinstance(output, tuple) else output[0]

    return gram(vmap(jacrev(single))(z.double()))


def logits_of(decoder: nn.Module) -> nn.Module:
    """The decoder without the sigmoid at its end, if it has one."""
    ends = isinstance(decoder, nn.Sequential) and isinstance(decoder[-1], nn.Sigmoid)
    return decoder[:-1] if ends else decoder


def exact_fisher(logits: nn.Module, z: Tensor) -> Tensor:
    """Jᵀ diag(p (1 - p)) J (N, d, d) in float64 by reverse mode."""
    fine = copy.deepcopy(logits).double()
    jacobian = vmap(jacrev(lambda point: fine(point[None])[0]))(z.double())
    p = fine(z.double()).sigmoid()
    return jacobian.mT @ ((p * (1 - p))[..., None] * jacobian)


def stochastic(decoder: nn.Module, latents: Tensor) -> nn.Module:
    """The decoder with an untrained precision beside it: what its weights are does not change its speed."""
    outputs = decoder(latents[:1]).shape[1]
    precision = RBFPrecision.from_latents(latents[:1000], 64, outputs, random_state=0)
    return MeanAndStd(decoder, precision.to(latents)).requires_grad_(False)


def growth(problems: list[Problem], sizes: list[int], repeats: int) -> dict[str, float]:
    """Exponents of the seconds for a batch in N, in d and in D, each from timings in turns.

    In N between the two largest batches, in d at the largest, in D of untrained decoders 10-200-200-D at 64 points.
    """
    middle, device = problems[len(problems) // 2], problems[0].start.device
    z = torch.randn(64, 10, generator=torch.Generator().manual_seed(0)).to(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        wide = [MLPDecoder(10, n, activation=nn.Softplus).to(device).requires_grad_(False) for n in OUTPUTS]
    d, n = middle.start.shape[1], sizes[-1]
    series = {
        f"in N from {sizes[-2:][0]} to {n}, d = {d}": [
            (k, middle.decoder, middle.start[:k].clone()) for k in sizes[-2:]
        ],
        f"in d, N = {n}": [(p.start.shape[1], p.decoder, p.start[:n]) for p in problems],
        f"in D from {OUTPUTS[0]} to {OUTPUTS[-1]}, N = 64, d = 10": [
            (k, f, z) for k, f in zip(OUTPUTS, wide, strict=True)
        ],
    }
    found = {}
    for where, cases in series.items():
        if len(cases) < 2:
            continue
        metrics = [(str(k), pullback_metric(f), x, torch.ones_like(x)) for k, f, x in cases]
        runs = {f"{OURS} {k}": lambda m=m, x=x: m(x) for k, m, x, _ in metrics}
        runs |= {f"norm {k}": lambda m=m, x=x, v=v: m.norm(x, v) for k, m, x, v in metrics}
        seconds = interleaved(runs, repeats, device)
        for name in (OURS, "norm"):
            found[f"{name}, {where}"] = slope(
                [c[0] for c in cases], [seconds[f"{name} {c[0]}"] for c in cases]
            )
    return found


def markdown(table: list[dict]) -> str:
    """The table of one dimension and size."""
    lines = [f"| d = {table[0]['d']}, N = {table[0]['points']} | µs a point | time / ours | relative error |"]
    lines.append("|---" * 4 + "|")
    for r in table:
        micro = 1e6 * r["seconds_per_point"]
        lines.append(f"| {r['method']} | {micro:.4g} | {r['time_to_ours']:.3g} | {r['error']:.0e} |")
    return "\n".join(lines)


def draw(table: list[dict], device: torch.device) -> Figure:
    """Time a point against the size of the batch, one panel a latent dimension."""
    dims = sorted({r["d"] for r in table})
    figure, axes = plt.subplots(
        1, len(dims), figsize=(3.6 * len(dims) + 0.8, 4.6), sharey=True, squeeze=False
    )
    for ax, d in zip(axes[0], dims, strict=True):
        for name, (color, style) in STYLES.items():
            line = [r for r in table if r["d"] == d and r["method"] == name]
            micro = [1e6 * r["seconds_per_point"] for r in line]
            ax.plot([r["points"] for r in line], micro, style, color=color, label=name, markersize=6)
        ax.set(title=f"d = {d}", xlabel="points in the batch, N", xscale="log", yscale="log")
        ax.grid(alpha=0.3)
    axes[0, 0].set_ylabel("µs a point")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=4, fontsize=9, frameon=False)
    figure.suptitle(f"The metric G(z) of decoders d-200-200-784, on the {device.type.upper()}", fontsize=11)
    figure.tight_layout(rect=(0, 0.12, 1, 1))
    return figure


if __name__ == "__main__":
    main()
