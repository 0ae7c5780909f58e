"""A classifier of digits that knows nothing of the models whose images it judges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from latentgeo.experiments.datasets import load_images
from latentgeo.experiments.experiment import Place
from latentgeo.models import ConvEncoder
from latentgeo.training import fit

_CLASSES = 10
_ROWS = 1000


@dataclass(frozen=True)
class DigitClassifier:
    """Two strided convolutions and a linear layer, trained on the training images with the cross-entropy.

    Attributes:
        network: answers logits.
    """

    network: nn.Module

    def __call__(self, images: Float[Tensor, "n ..."]) -> Float[Tensor, "n 10"]:
        """The probabilities of the ten classes, on the CPU.

        Args:
            images: (n, channels, height, width), or (n, pixels) of grey squares.
        """
        return self.logits(images).softmax(1)

    def logits(self, images: Float[Tensor, "n ..."]) -> Float[Tensor, "n 10"]:
        """The logarithms of the probabilities, up to a constant an image, on the CPU."""
        side = round((images[0].numel()) ** 0.5)
        with torch.no_grad():
            parts = [self.network(part) for part in images.reshape(-1, 1, side, side).split(_ROWS)]
        return torch.cat(parts).cpu()

    def confidence(self, images: Float[Tensor, "n ..."]) -> Float[Tensor, " n"]:
        """The probability of the most probable class."""
        return self(images).amax(1)


class _Logits(nn.Module):
    """The means of an encoder with ten latents, as logits."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.encoder = ConvEncoder(shape, _CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.encoder(x).mean


def digit_classifier(
    data: Literal["digits", "mnist"], place: Place, *, epochs: int | None = None
) -> DigitClassifier:
    """The classifier, trained or taken from the cache.

    Args:
        data: what it is trained on.
        place: where the cache is, and the device.
        epochs: None for 3 on MNIST, 40 on the embedded digits: an accuracy of about 0.98 on either test set.
    """
    epochs = epochs or (3 if data == "mnist" else 40)
    train = load_images(data, "train", place)
    shape = tuple(train.images.shape[1:])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = _Logits(shape).to(place.device)
    targets = functional.one_hot(train.labels, _CLASSES).to(train.images.dtype)

    def cross_entropy(model: nn.Module, rows: Tensor) -> Tensor:
        images, classes = rows[:, :-_CLASSES], rows[:, -_CLASSES:]
        return functional.cross_entropy(model(images.reshape(-1, *shape)), classes)

    fit(
        network,
        torch.cat([train.images.flatten(1), targets], dim=1),
        objective=cross_entropy,
        epochs=epochs,
        batch_size=100,
        seed=0,
        checkpoint_dir=place.cache / "classifiers" / f"{data}-{epochs}",
        resume=True,
        progress=place.progress,
    )
    return DigitClassifier(network.eval())
