"""Time, peak memory and error of importance-sampled log-likelihoods, for images of MNIST's size.

    python benchmarks/log_likelihood.py [--images 1000] [--samples 5000] [--chunk-sizes 256 16384] [--out DIR]

The model is a VAE 784-200-200-50 with tanh and a Bernoulli likelihood, as Burda et al. measure; it is untrained, and
the images are noise: what the weights and the data are changes neither time nor memory. The default chunk size is
measured on all images, others on a few, each in a process of its own; its memory is the largest resident set in the
whole run of the process, imports included. The goal is below three minutes and 1 GiB, on two cores; one thread is
enough for it, and more wait for each other in busy loops where the machine has other work.

The error is that of a linear Gaussian model with as many latents and outputs, whose log-likelihood is known, from a
posterior that is too wide by a tenth: in units of the standard error that the effective sample size tells.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import torch
from memory import peak
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal

from latentgeo.diagnostics import log_likelihood
from latentgeo.experiments.environment import environment
from latentgeo.models import VAE, MLPDecoder, MLPEncoder

SECONDS, GIB = 180.0, 1.0  # goals, for 5e6 decoded rows
PIXELS, LATENTS = 784, 50
WORST = 4.5  # standard errors allowed to the worst image


def main() -> None:
    """Measures each chunk size in a process of its own; prints a table and writes JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=5000, help="of each posterior")
    parser.add_argument(
        "--chunk-sizes", type=int, nargs="*", default=[256, 1024, 16384], help="beside the default"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", type=torch.device, default="cpu")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument(
        "--alone", action="store_true", help="measure the first chunk size here, and print JSON"
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.alone:
        print(json.dumps(measure(args.images, args.samples, args.chunk_sizes[:1], args.device)))
        return
    # On Linux a process inherits the largest resident set of the one that starts it: errors come last.
    few = max(1, args.images // 25)
    table = []
    print("| chunk size | images | seconds | CPU seconds | rows a second | GiB |")
    print("|---" * 6 + "|", flush=True)
    for chunk, images in [([], args.images), *(([size], few) for size in args.chunk_sizes)]:
        row = alone(images, chunk, args)
        table.append(row)
        seconds = f"{row['seconds']:.1f} | {row['cpu_seconds']:.1f} | {row['rows']:.0f}"
        print(f"| {row['chunk']} | {images} | {seconds} | {row['gib']:.2f} |", flush=True)
    met = table[0]["seconds"] < SECONDS and table[0]["gib"] < GIB
    print(f"\n{'Below' if met else 'NOT below'} {SECONDS:g} s and {GIB:g} GiB for {args.images} images")
    error = errors(few, args.samples, args.device)
    print(f"Errors of the linear Gaussian: {error['rms']:.2f} standard errors, {error['worst']:.2f} at worst")
    report = {"date": str(datetime.date.today()), "environment": environment(args.device)}
    report |= {"load_average": os.getloadavg()[0], "samples": args.samples, "met": met}
    report |= {"goal": {"seconds": SECONDS, "gib": GIB}, "rows": table, "linear_gaussian": error}
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "log_likelihood.json").write_text(json.dumps(report, indent=1) + "\n")
    if error["worst"] > WORST:
        raise SystemExit(1)


def alone(images: int, chunk: list[int], args: argparse.Namespace) -> dict:
    """What `measure` finds in a process of its own."""
    options = ["--alone", "--images", images, "--samples", args.samples, "--threads", args.threads]
    options += ["--device", args.device, "--chunk-sizes", *chunk]
    words = [sys.executable, __file__, *map(str, options)]
    return json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout)


def measure(images: int, samples: int, chunk: list[int], device: torch.device) -> dict:
    """Seconds, and the largest memory of this process so far."""
    torch.manual_seed(0)
    encoder = MLPEncoder(PIXELS, LATENTS, activation=nn.Tanh)
    vae = VAE(encoder, MLPDecoder(LATENTS, PIXELS, activation=nn.Tanh)).to(device)
    x = torch.rand(images, PIXELS).to(device)
    log_likelihood(vae, x[:1], 2, seed=0)  # starts the threads
    cpu, began = processor_seconds(), time.perf_counter()
    result = log_likelihood(vae, x, samples, chunk_size=chunk[0] if chunk else None, seed=0)
    mean = float(result.log_likelihood.mean())  # waits for the device
    seconds = time.perf_counter() - began
    return {
        "chunk": chunk[0] if chunk else "default",
        "images": images,
        "seconds": seconds,
        "cpu_seconds": processor_seconds() - cpu,
        "rows": images * samples / seconds,
        "gib": peak(device) / 2**30,
        "mean": mean,
    }


def processor_seconds() -> float:
    """What all threads of this process have used: on a loaded machine steadier than the clock."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def errors(images: int, samples: int, device: torch.device) -> dict[str, float]:
    """Errors against the closed form, in standard errors."""
    torch.manual_seed(1)
    # Orthogonal columns make the exact posterior diagonal.
    weight = torch.linalg.qr(torch.randn(PIXELS, LATENTS, dtype=torch.float64)).Q.to(device)
    weight *= torch.linspace(0.1, 3, LATENTS).to(weight)
    variance = 1 / (1 + weight.square().sum(0))
    x = torch.randn(images, LATENTS).to(weight) @ weight.T
    x += torch.randn(x.shape).to(x)
    exact = MultivariateNormal(torch.zeros_like(x[0]), weight @ weight.T + torch.eye(PIXELS).to(x)).log_prob(
        x
    )
    model = SimpleNamespace(
        encode=lambda x: Independent(Normal(x @ weight * variance, 1.1 * variance.sqrt()), 1),
        decode=lambda z: Independent(Normal(z @ weight.T, 1.0), 1),
    )
    estimate, effective = log_likelihood(model, x, samples, seed=0)
    scores = (estimate - exact) / (1 / effective - 1 / samples).sqrt()
    return {
        "rms": float(scores.square().mean().sqrt()),
        "worst": float(scores.abs().max()),
        "nats": float((estimate - exact).square().mean().sqrt()),
        "effective_share": float(effective.mean()) / samples,
    }


if __name__ == "__main__":
    main()
