"""A decoder of images 3 x 32 x 32 that is a ResNet18 backwards, and its recipe as an autoencoder of CIFAR-10."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from autoencoders import Trained, encoded
from torch import Tensor, nn

from latentgeo import Metric, pullback_metric

_COLOUR = 3.0  # additional weight of the errors of colour
_WIDTHS = (512, 256, 128, 64)  # ResNet18's, at 4, 8, 16 and 32 pixels


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut, the first after doubling the size where ``up``."""

    def __init__(self, channels: int, out: int, *, up: bool) -> None:
        super().__init__()
        self.grow = nn.Upsample(scale_factor=2, mode="nearest") if up else nn.Identity()
        last = nn.BatchNorm2d(out)
        nn.init.constant_(last.weight, 0.1)  # at first the shortcut is nearly everything
        self.residual = nn.Sequential(
            nn.Conv2d(channels, out, 3, padding=1, bias=False),
            nn.BatchNorm2d(out),
            nn.SiLU(),
            nn.Conv2d(out, out, 3, padding=1, bias=False),
            last,
        )
        same = channels == out
        self.shortcut = nn.Identity() if same else nn.Conv2d(channels, out, 1, bias=False)
        self.activation = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, h, h) to (N, out, h, h), or twice that size."""
        x = self.grow(x)
        return self.activation(self.shortcut(x) + self.residual(x))


class ResidualDecoder(nn.Module):
    """ResNet18 backwards: four stages of two basic blocks, nearest-neighbour upsampling between them.

    SiLU takes the place of ReLU, so that the metric is smooth; BatchNorm is affine in eval mode.

    Args:
        latent_dim: d.
        widths: channels of the four stages, at 4, 8, 16 and 32 pixels.
    """

    def __init__(self, latent_dim: int, widths: tuple[int, ...] = _WIDTHS) -> None:
        super().__init__()
        blocks = [BasicBlock(widths[0], widths[0], up=False) for _ in range(2)]
        for before, after in pairwise(widths):
            blocks += [BasicBlock(before, after, up=True), BasicBlock(after, after, up=False)]
        self.net = nn.Sequential(
            nn.Linear(latent_dim, 16 * widths[0]),
            nn.Unflatten(1, (widths[0], 4, 4)),
            *blocks,
            nn.Conv2d(widths[-1], 3, 3, padding=1),
            nn.Sigmoid(),
        )

    def forward(self, z: Tensor) -> Tensor:
        """(N, d) to colours (N, 3, 32, 32) in [0, 1]."""
        return self.net(z)


@dataclass(frozen=True, kw_only=True)
class ResidualColours:
    """An autoencoder of CIFAR-10: principal components for codes, and ResNet18 backwards to decode them.

    The codes are the first d principal components, in one scale such that their mean variance is one. They need no
    training, and let the decoder learn within hundreds of steps what a trained encoder would only begin to tell it.

    Attributes:
        latent_dim: d.
        widths: channels of the stages of the decoder.
        steps: of AdamW, with one cycle of learning rates.
        batch_size: rows a step.
        learning_rate: the largest.
        seed: of everything that is drawn.
    """

    latent_dim: int = 256
    widths: tuple[int, ...] = _WIDTHS
    steps: int = 600
    batch_size: int = 8
    learning_rate: float = 3e-3
    seed: int = 0

    @property
    def description(self) -> str:
        """The decoder and the data, in a line."""
        return (
            f"ResNet18 backwards {self.latent_dim}-3x32x32, SiLU; 10,000 images of CIFAR-10, principal components "
            f"for codes, {self.steps} steps of {self.batch_size} images"
        )

    @property
    def source(self) -> str:
        """The name of the data."""
        return "CIFAR-10"

    def decoder(self) -> nn.Module:
        """The decoder with any weights."""
        return ResidualDecoder(self.latent_dim, self.widths)

    def metric(self, decoder: nn.Module) -> Metric:
        """The pull-back metric."""
        return pullback_metric(decoder)

    def train(self, data_dir: Path | None) -> Trained:
        """Trains it; the loss is the mean square error of the last hundred steps."""
        train, test = (read_cifar10(split, data_dir) for split in ("train", "test"))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            decoder = ResidualDecoder(self.latent_dim, self.widths)
            mean, flat = train.flatten(1).mean(0), train.flatten(1)
            _, spread, axes = torch.pca_lowrank(flat, self.latent_dim)
            scale = (spread.square().mean() / len(train)).sqrt()
            encode = lambda x: (x.flatten(1) - mean) @ axes / scale  # noqa: E731
            order = torch.cat([torch.randperm(len(train)) for _ in range(1 + self._rows // len(train))])
            losses = self._descend(decoder, encode, train[order[: self._rows]])
        return Trained(decoder.eval(), *encoded(encode, train, test, self.seed), losses[-100:].mean().item())

    @property
    def _rows(self) -> int:
        return self.steps * self.batch_size

    def _descend(self, decoder: nn.Module, encode: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        """The mean square errors of all steps."""
        decoder.train().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        adam = torch.optim.AdamW(decoder.parameters(), lr=self.learning_rate, weight_decay=1e-2)
        rate = torch.optim.lr_scheduler.OneCycleLR(adam, self.learning_rate, self.steps, pct_start=0.15)
        losses = []
        for x in images.split(self.batch_size):
            error = decoder(encode(x)) - x
            # colours vary far less than brightness, and would be learned last
            colour = (error - error.mean(1, keepdim=True)).square().mean()
            losses.append(error.square().mean())
            adam.zero_grad()
            (losses[-1] + _COLOUR * colour).backward()
            losses[-1] = losses[-1].detach()
            adam.step()
            rate.step()
        return torch.stack(losses)


def read_cifar10(split: str, data_dir: Path | None) -> Tensor:
    """Images (N, 3, 32, 32) in [0, 1] of the binary files of CIFAR-10: a byte of class, 3072 of pixels each.

    They are looked for, gzipped or not, in ``data_dir`` and in the directory that LATENTGEO_DATA names, in each also
    under ``cifar10/``; to train on, the first of the five batches.

    Raises:
        FileNotFoundError: the file is in none of the places.
        ValueError: it is of another kind.
    """
    name = {"train": "data_batch_1.bin", "test": "test_batch.bin"}[split]
    roots = [Path(root) for root in (data_dir, os.environ.get("LATENTGEO_DATA")) if root]
    places = [
        folder / file
        for root in roots
        for folder in (root, root / "cifar10")
        for file in (name, name + ".gz")
    ]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f"CIFAR-10: {name}[.gz] was not found; name its directory by --data-dir or LATENTGEO_DATA"
        )
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    if not content or len(content) % 3073:
        raise ValueError(
            f"{path} is no binary file of CIFAR-10: {len(content)} bytes are no multiple of 3073"
        )
    records = torch.frombuffer(bytearray(content), dtype=torch.uint8).reshape(-1, 3073)
    if int(records[:, 0].max()) > 9:
        raise ValueError(f"{path} is no binary file of CIFAR-10: it has a class above 9")
    return records[:, 1:].reshape(-1, 3, 32, 32).float() / 255
