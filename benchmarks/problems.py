"""The problems of the benchmarks: trained decoders, pairs of encoded data to join, and encoded data for graphs.

    python benchmarks/problems.py [NAME ...] [--pairs 64] [--device cpu] [--cache DIR] [--data-dir DIR]

    from problems import load
    problem = load("mnist10")
    result = geodesic(problem.metric(), problem.start, problem.end)

A decoder is trained at its first use, on the CPU and from a fixed seed, and kept in the cache under the hash of its
recipe: a safetensors file with the weights and the encoded data, and beside it a header in JSON, to read. Who has the
cache needs neither the data nor the time. MNIST and CIFAR-10 are found through --data-dir or LATENTGEO_DATA.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from autoencoders import GreyLevels, RBFDigits, Recipe
from residual import ResidualColours
from torch import Tensor, nn

from latentgeo import Metric
from latentgeo.experiments.environment import environment
from latentgeo.training.checkpoints import Checkpoint

CACHE = Path(__file__).parent / ".cache"
RECIPES: dict[str, Recipe] = {
    "mnist2": GreyLevels(latent_dim=2),
    "mnist10": GreyLevels(latent_dim=10),
    "mnist50": GreyLevels(latent_dim=50),
    "rbf2": RBFDigits(),
    "cifar256": ResidualColours(),
}
NAMES = tuple(RECIPES)


@dataclass(frozen=True, eq=False)
class Problem:
    """Pairs of latent points to join by geodesics of a trained decoder.

    Attributes:
        name: what it is loaded by.
        decoder: maps (N, d) to (N, *event), or to a pair (mean, std) of such; in eval mode, without gradients.
        metric: makes its metric, a new one at each call, so that nothing a metric remembers is carried over.
        start: (B, d) encoded test data.
        end: (B, d) others.
        latents: (N, d) encoded training data, in their order; N is 10,000, or what there is.
        recipe: how the decoder was made.
    """

    name: str
    decoder: nn.Module
    metric: Callable[[], Metric]
    start: Tensor
    end: Tensor
    latents: Tensor
    recipe: Recipe

    @property
    def description(self) -> str:
        """The decoder and the data, in a line."""
        return self.recipe.description


def load(
    name: str,
    *,
    pairs: int = 64,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    cache: Path | str = CACHE,
    data_dir: Path | None = None,
) -> Problem:
    """A problem by its name, from the cache or trained now.

    The pairs are the same for every device, dtype and run: the first ``pairs`` encoded test data of a fixed
    permutation, each joined to that of the next ``pairs``. Where MNIST is not to be had, the digits of scikit-learn
    stand in for the grey levels and the recipe says so.

    Args:
        name: one of ``NAMES``.
        pairs: B.
        device: of decoder and points; training is always on the CPU.
        dtype: of decoder and points, trained in float32.
        cache: the folder of trained decoders.
        data_dir: where the files of MNIST and CIFAR-10 are.

    Raises:
        ValueError: an unknown name, more pairs than test data, a corrupt file.
        FileNotFoundError: neither the decoder is in the cache nor its data are to be found.
    """
    if name not in RECIPES:
        raise ValueError(f"name: expected one of {', '.join(NAMES)}, got {name!r}")
    recipe = RECIPES[name]
    try:
        return prepare(name, recipe, pairs=pairs, device=device, dtype=dtype, cache=cache, data_dir=data_dir)
    except FileNotFoundError:
        if not isinstance(recipe, GreyLevels):
            raise
        print("Note: MNIST was not found, so the digits of scikit-learn are taken")
        recipe = dataclasses.replace(recipe, data="digits", epochs=60)
        return prepare(name, recipe, pairs=pairs, device=device, dtype=dtype, cache=cache, data_dir=data_dir)


def prepare(
    name: str,
    recipe: Recipe,
    *,
    pairs: int = 64,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    cache: Path | str = CACHE,
    data_dir: Path | None = None,
) -> Problem:
    """The problem of any recipe; see :func:`load`."""
    file = Path(cache) / f"{name}-{digest(recipe)}.safetensors"
    if not file.is_file():
        _train(name, recipe, file, data_dir)
    found = Checkpoint.read(file)
    with torch.random.fork_rng(devices=[]):  # any weights are drawn, too
        decoder = recipe.decoder()
    found.restore(decoder)
    decoder.eval().requires_grad_(False).to(device, dtype)
    latents, ends = (found.tensors[key].to(device, dtype) for key in ("latents", "ends"))
    if not 1 <= pairs <= len(ends) // 2:
        raise ValueError(f"pairs: expected a number from 1 to {len(ends) // 2} for {name}, got {pairs!r}")
    start, end = (points.clone() for points in ends[: 2 * pairs].chunk(2))
    return Problem(name, decoder, lambda: recipe.metric(decoder), start, end, latents, recipe)


def digest(recipe: Recipe) -> str:
    """Twelve hexadecimal digits that differ where anything about the recipe does."""
    return hashlib.sha256(json.dumps(_plain(recipe), sort_keys=True).encode()).hexdigest()[:12]


def _plain(recipe: Recipe) -> dict:
    return {"recipe": type(recipe).__name__, **dataclasses.asdict(recipe)}


def _train(name: str, recipe: Recipe, file: Path, data_dir: Path | None) -> None:
    """Trains a decoder and leaves it in the cache with the encoded data, and the header beside it."""
    began = time.perf_counter()
    with torch.inference_mode(False), torch.enable_grad():
        trained = recipe.train(data_dir)
    checkpoint = Checkpoint.of(trained.decoder)
    checkpoint.tensors |= {"latents": trained.latents.contiguous(), "ends": trained.ends.contiguous()}
    checkpoint.write(file)
    header = {"name": name, "description": recipe.description, **_plain(recipe), "loss": trained.loss}
    header |= {"seconds": time.perf_counter() - began, "date": str(datetime.date.today())}
    header |= {"environment": environment(torch.device("cpu"))}
    file.with_suffix(".json").write_text(json.dumps(header, indent=1) + "\n")


def main() -> None:
    """Trains what is not in the cache, and says what there is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all by default")
    parser.add_argument("--pairs", type=int, default=64)
    parser.add_argument("--device", type=torch.device, default="cpu", help="where the metric is evaluated")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where trained decoders are kept")
    parser.add_argument("--data-dir", type=Path, help="where the files of MNIST and CIFAR-10 are")
    args = parser.parse_args()
    if unknown := set(args.names) - set(NAMES):
        parser.error(f"unknown problem {', '.join(sorted(unknown))}: choose from {', '.join(NAMES)}")
    print(
        "| name | d | pairs | latents | eigenvalues of G, medians | made of |\n" + "|---" * 6 + "|",
        flush=True,
    )
    for name in args.names or NAMES:
        folders = {"cache": args.cache, "data_dir": args.data_dir}
        problem = load(name, pairs=args.pairs, device=args.device, **folders)
        few = problem.start[: max(1, 256 // problem.start.shape[1])]
        with torch.no_grad():
            spectrum = torch.linalg.eigvalsh(problem.metric()(few[:16]).double())
        least, most = (float(values.median()) for values in (spectrum[:, 0], spectrum[:, -1]))
        sizes = (problem.start.shape[1], len(problem.start), len(problem.latents))
        cells = [name, *map(str, sizes), f"{least:.1e} to {most:.1e}", problem.description]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
