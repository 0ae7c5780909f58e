"""The images that experiments train and test on."""

from __future__ import annotations

from typing import Literal

import torch

from latentgeo.data import LabelledImages, load_cifar10, load_digits, load_mnist
from latentgeo.experiments.experiment import Place
from latentgeo.experiments.result import UnusableData

_TEST_DIGITS = 297  # of the 1797 embedded ones, drawn once and for all


def load_images(
    data: Literal["digits", "mnist", "cifar10"],
    split: Literal["train", "test"],
    place: Place,
    *,
    classes: tuple[int, ...] | None = None,
    per_class: int | None = None,
) -> LabelledImages:
    """Images of some classes.

    Args:
        data: "digits", 8 x 8 and embedded, of which 1500 are for training; "mnist"; or "cifar10", in colours.
        split: which part.
        place: where MNIST and CIFAR-10 lie.
        classes: None for all ten.
        per_class: how many of each, the first ones; None for all.

    Raises:
        UnusableData: the data are missing, corrupt or too few.
    """
    try:
        if data == "mnist":
            every = load_mnist(split, data_dir=place.data_dir)
        elif data == "cifar10":
            every = load_cifar10(split, data_dir=place.data_dir)
        else:
            digits = load_digits()
            order = torch.randperm(len(digits.labels), generator=torch.Generator().manual_seed(0))
            rows = order[_TEST_DIGITS:] if split == "train" else order[:_TEST_DIGITS]
            every = LabelledImages(digits.images[rows], digits.labels[rows])
        if classes is None and per_class is None:
            return every
        return every.of_classes(tuple(range(10)) if classes is None else classes, per_class=per_class)
    except (FileNotFoundError, ValueError) as error:
        raise UnusableData(str(error)) from error
