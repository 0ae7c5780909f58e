"""Recipes of the perceptrons that the benchmarks solve for: how each is built, and how it is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn

from latentgeo import Metric, expected_pullback_metric, pullback_metric
from latentgeo.data import load_digits, load_mnist
from latentgeo.models import VAE, MLPDecoder, MLPEncoder, RBFPrecision
from latentgeo.training import fit
from latentgeo.training.rbf_vae import RBFVAEConfig, train_rbf_vae

_LATENTS = 10_000  # encoded training data that are kept
_PIXELS = {"mnist": 784, "digits": 64}
_NAMES = {"mnist": "MNIST", "digits": "digits of scikit-learn"}


class Trained(NamedTuple):
    """What training leaves: the decoder, encoded training data (N, d), encoded test data (M, d) in random order."""

    decoder: nn.Module
    latents: Tensor
    ends: Tensor
    loss: float


class Recipe(Protocol):
    """A frozen dataclass of everything that the trained decoder depends on."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def description(self) -> str:
        """The decoder and the data, in a line."""
        ...

    @property
    def source(self) -> str:
        """The name of the data."""
        ...

    def decoder(self) -> nn.Module:
        """The decoder with any weights."""
        ...

    def metric(self, decoder: nn.Module) -> Metric:
        """The metric of the decoder."""
        ...

    def train(self, data_dir: Path | None) -> Trained:
        """Trains it, on the CPU; torch's global generators are left where they were."""
        ...


@dataclass(frozen=True, kw_only=True)
class GreyLevels:
    """A Bernoulli VAE with softplus networks; the decoder gives its means, grey levels.

    Attributes:
        latent_dim: d. With many, most latents are dead, and the metric is all but singular.
        data: "mnist", or "digits" of scikit-learn.
        hidden: widths of the encoder and of the decoder.
        epochs: passes over the training data.
        seed: of weights, order and samples, and of which test data are taken.
    """

    latent_dim: int
    data: str = "mnist"
    hidden: tuple[int, ...] = (200, 200)
    epochs: int = 3
    seed: int = 0

    @property
    def description(self) -> str:
        """The decoder and the data, in a line."""
        widths = "-".join(map(str, (self.latent_dim, *self.hidden, _PIXELS[self.data])))
        return f"VAE {widths}, softplus, sigmoid means; {self.source}, {self.epochs} epochs"

    @property
    def source(self) -> str:
        """The name of the data."""
        return _NAMES[self.data]

    def decoder(self) -> nn.Module:
        """The decoder with any weights."""
        return nn.Sequential(self._vae().decoder, nn.Sigmoid())

    def metric(self, decoder: nn.Module) -> Metric:
        """The pull-back metric."""
        return pullback_metric(decoder)

    def train(self, data_dir: Path | None) -> Trained:
        """Trains it."""
        train, test = _digits(self.data, data_dir)
        vae = self._vae()
        history = fit(vae, train, epochs=self.epochs, seed=self.seed, progress=False)
        decoder = nn.Sequential(vae.decoder, nn.Sigmoid())
        return Trained(decoder, *encoded(_means(vae), train, test, self.seed), history[-1].loss)

    def _vae(self) -> VAE:
        sizes: dict[str, Any] = {"hidden": self.hidden, "activation": nn.Softplus}
        pixels = _PIXELS[self.data]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            encoder = MLPEncoder(pixels, self.latent_dim, **sizes)
            return VAE(encoder, MLPDecoder(self.latent_dim, pixels, **sizes))


@dataclass(frozen=True, kw_only=True)
class RBFDigits:
    """The VAE of the demo: two latents, a mean, and a standard deviation that grows away from the data.

    Attributes:
        data: "mnist", or "digits" of scikit-learn.
        classes: which digits.
        per_class: how many of each to train on.
        epochs: passes over them.
        batch_size: rows a step.
        learning_rate: of Adam.
        num_centers: K, radial basis functions of the precision.
        seed: of everything that is drawn.
    """

    data: str = "mnist"
    classes: tuple[int, ...] = (0, 1, 2)
    per_class: int = 1000
    epochs: int = 60
    batch_size: int = 100
    learning_rate: float = 3e-3
    num_centers: int = 64
    seed: int = 0

    @property
    def description(self) -> str:
        """The decoder and the data, in a line."""
        count, digits = self.per_class * len(self.classes), ", ".join(map(str, self.classes))
        return (
            f"Gaussian VAE 2-32-64-{_PIXELS[self.data]}, tanh, sigmoid means, precision of {self.num_centers} "
            f"radial basis functions; {count} digits {digits} of {self.source}, {self.epochs} epochs"
        )

    @property
    def source(self) -> str:
        """The name of the data."""
        return _NAMES[self.data]

    def decoder(self) -> nn.Module:
        """The decoder with any weights."""
        pixels = _PIXELS[self.data]
        layers: dict[str, Any] = {"hidden": (32, 64), "activation": nn.Tanh, "output_activation": nn.Sigmoid}
        centers = torch.zeros(self.num_centers, 2)
        precision = RBFPrecision(centers, torch.ones(self.num_centers), pixels, zeta=1.0)
        return MeanAndStd(MLPDecoder(2, pixels, **layers), precision)

    def metric(self, decoder: nn.Module) -> Metric:
        """The expected pull-back metric."""
        return expected_pullback_metric(decoder)

    def train(self, data_dir: Path | None) -> Trained:
        """Trains it."""
        train, test = _digits(self.data, data_dir, self.classes, self.per_class)
        config = RBFVAEConfig(
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            num_centers=self.num_centers,
        )
        vae, loss = train_rbf_vae(train, config, seed=self.seed, device=torch.device("cpu"))
        decoder = MeanAndStd(vae.decoder, cast(RBFPrecision, vae.variance))
        return Trained(decoder, *encoded(_means(vae), train, test, self.seed), loss)


class MeanAndStd(nn.Module):
    """A stochastic decoder z -> (mean, std)."""

    def __init__(self, mean: nn.Module, precision: nn.Module) -> None:
        super().__init__()
        self.mean, self.precision = mean, precision

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (N, D) at latent points (N, d)."""
        return self.mean(z), self.precision(z).rsqrt()


def _digits(
    data: str,
    data_dir: Path | None,
    classes: tuple[int, ...] = tuple(range(10)),
    per_class: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Images (N, D) to train on, and to encode, of some classes."""
    if data == "digits":
        every = load_digits()
        train, test = (
            type(every)(*part) for part in zip(*(x.split([1500, 297]) for x in every), strict=True)
        )
    else:
        train, test = (load_mnist(split, data_dir=data_dir) for split in ("train", "test"))
    chosen = train.of_classes(classes, per_class=per_class), test.of_classes(classes)
    return chosen[0].images.flatten(1), chosen[1].images.flatten(1)


def _means(vae: VAE) -> Callable[[Tensor], Tensor]:
    return lambda x: vae.encode(x).mean


@torch.no_grad()
def encoded(
    encode: Callable[[Tensor], Tensor], train: Tensor, test: Tensor, seed: int
) -> tuple[Tensor, Tensor]:
    """The latent points of the first training data, and of the test data in a random order."""
    order = torch.randperm(len(test), generator=torch.Generator().manual_seed(seed))
    latents, ends = (
        torch.cat([encode(x) for x in images.split(500)]) for images in (train[:_LATENTS], test[order])
    )
    return latents, ends
