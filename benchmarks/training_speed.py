"""Seconds of an epoch of training: `fit` and the barest loop in PyTorch, one sample and several.

    python benchmarks/training_speed.py [--rows 20000] [--samples 5 50] [--device cpu] [--compile] [--out DIR]

The model is a Bernoulli VAE 784-200-200-50, mirrored, in batches of 100 digits of MNIST with Adam. The barest
loops have no library in them: linear layers, cross-entropy, the divergence and the weights written out. The goal is
`fit` within 1.15 of them. Beside it: Adam as it comes, which is not fused, bfloat16, compiled networks, and VR-max
through all samples and through the largest alone. Everything in a table is timed in turns in one run; epochs of
S samples are over 1 / 2S of the rows.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
from collections.abc import Callable
from pathlib import Path

import torch
from timing import interleaved
from torch import Tensor, nn
from torch.nn import functional

from latentgeo.data import load_mnist
from latentgeo.experiments.environment import environment
from latentgeo.models import VAE, MLPDecoder, MLPEncoder
from latentgeo.training import ELBO, IWAE, Renyi, fit

GOAL = 1.15
LATENTS, BATCH, RATE = 50, 100, 1e-3
BARE, FIT = "barest loop", "fit"


def main() -> None:
    """Times epochs; prints tables and writes JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000, help="digits in an epoch of one sample")
    parser.add_argument("--samples", type=int, nargs="*", default=[5, 50], help="S, of weighted bounds")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--device", type=torch.device, default="cpu")
    parser.add_argument("--compile", action="store_true", help="also networks that torch.compile made")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--data-dir", type=Path, help="where the files of MNIST are")
    args = parser.parse_args()
    images = load_mnist("train", data_dir=args.data_dir).images.flatten(1)[: args.rows].to(args.device)
    tables = {"ELBO": table(one_sample(images, compiled=args.compile), len(images), args)}
    for samples in args.samples:
        few = images[: max(args.rows // (2 * samples), BATCH)]
        title = f"{samples} samples"
        tables[title] = table(several_samples(few, samples), len(few), args)
    ratios = {title: table[FIT]["to_bare"] for title, table in tables.items()}
    met = max(ratios.values()) <= GOAL
    print("\n" + ", ".join(f"{title}: {ratio:.3f}" for title, ratio in ratios.items()))
    print(f"{'Within' if met else 'NOT within'} {GOAL:g} of the barest loop")
    report = {"date": str(datetime.date.today()), "environment": environment(args.device)}
    report |= {"rows": args.rows, "repeats": args.repeats, "goal": GOAL, "met": met, "tables": tables}
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "training_speed.json").write_text(json.dumps(report, indent=1) + "\n")
    if not met:
        raise SystemExit(1)


def one_sample(images: Tensor, *, compiled: bool) -> dict[str, Callable[[], object]]:
    """Epochs with one sample a datum."""
    runs = {
        BARE: bare(images, elbo),
        FIT: library(images, ELBO()),
        f"{BARE}, Adam not fused": bare(images, elbo, fused=False),
        f"{FIT}, bfloat16": library(images, ELBO(), autocast=torch.bfloat16),
    }
    if compiled:
        runs[f"{FIT}, compiled"] = library(images, ELBO(), compiled=True)
    return runs


def several_samples(images: Tensor, samples: int) -> dict[str, Callable[[], object]]:
    """Epochs with several weighted samples a datum."""
    return {
        BARE: bare(images, lambda encoder, decoder, x: iwae(encoder, decoder, x, samples)),
        FIT: library(images, IWAE(samples)),
        f"{FIT}, bfloat16": library(images, IWAE(samples), autocast=torch.bfloat16),
        "VR-max through all": library(images, Renyi(-math.inf, samples)),
        "VR-max through one": library(images, Renyi(-math.inf, samples, backward="one")),
        "ELBO, one sample": library(images, ELBO()),
    }


def table(runs: dict[str, Callable[[], object]], rows: int, args: argparse.Namespace) -> dict[str, dict]:
    """Seconds an epoch, µs a row, and ratios to the barest loop, printed as they come."""
    seconds = interleaved(runs, args.repeats, args.device, most=math.inf)
    found = {
        name: {"seconds": s, "micro_a_row": 1e6 * s / rows, "to_bare": s / seconds[BARE]}
        for name, s in seconds.items()
    }
    print(f"\n| {rows} rows | seconds an epoch | µs a row | to the {BARE} |\n|---|---|---|---|")
    for name, row in found.items():
        print("| {} | {seconds:.3f} | {micro_a_row:.1f} | {to_bare:.3f} |".format(name, **row), flush=True)
    return found


def library(
    images: Tensor, objective: Callable, *, compiled: bool = False, autocast: torch.dtype | None = None
) -> Callable[[], object]:
    """An epoch of `fit`, all of it: checks, generators, the mean loss."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vae = VAE(MLPEncoder(784, LATENTS), MLPDecoder(LATENTS, 784)).to(images.device)
    if compiled:
        vae.encoder.compile()
        vae.decoder.compile()
    adam = torch.optim.Adam(vae.parameters(), lr=RATE, fused=True)
    options = {"objective": objective, "batch_size": BATCH, "optimizer": adam, "autocast": autocast}
    return lambda: fit(vae, images, epochs=1, seed=0, progress=False, **options)


def bare(images: Tensor, loss_of: Callable, *, fused: bool = True) -> Callable[[], object]:
    """An epoch with nothing but what it takes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder, decoder = (
            nn.Sequential(nn.Linear(a, 200), nn.ReLU(), nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, b)).to(
                images.device
            )
            for a, b in ((784, 2 * LATENTS), (LATENTS, 784))
        )
    parameters = [*encoder.parameters(), *decoder.parameters()]
    adam = torch.optim.Adam(parameters, lr=RATE, fused=fused)

    def epoch() -> None:
        for rows in torch.randperm(len(images)).to(images.device).split(BATCH):
            loss = loss_of(encoder, decoder, images[rows])
            adam.zero_grad()
            loss.backward()
            adam.step()

    return epoch


def elbo(encoder: nn.Module, decoder: nn.Module, x: Tensor) -> Tensor:
    """The negative evidence lower bound."""
    mean, log_variance = encoder(x).chunk(2, dim=1)
    z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
    error = functional.binary_cross_entropy_with_logits(decoder(z), x, reduction="sum")
    return (error + 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum()) / len(x)


def iwae(encoder: nn.Module, decoder: nn.Module, x: Tensor, samples: int) -> Tensor:
    """The negative importance-weighted bound."""
    mean, log_variance = encoder(x).chunk(2, dim=1)
    noise = torch.randn(samples, *mean.shape, device=x.device)
    z = mean + (0.5 * log_variance).exp() * noise
    logits = decoder(z)
    error = functional.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none").sum(-1)
    log_weights = 0.5 * (noise.square() - z.square() + log_variance).sum(-1) - error
    return -(log_weights.logsumexp(0) - math.log(samples)).mean()


if __name__ == "__main__":
    main()
