"""Labelled images: what the loaders answer."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor


class LabelledImages(NamedTuple):
    """Images with grey levels (or colours) in [0, 1], and their classes.

    Attributes:
        images: float32, (N, channels, height, width).
        labels: int64, (N,).

    Examples:
        >>> import torch
        >>> digits = LabelledImages(torch.zeros(4, 1, 8, 8), torch.tensor([0, 1, 1, 2]))
        >>> digits.of_classes((1, 2)).labels
        tensor([1, 1, 2])
    """

    images: Float[Tensor, "n channels height width"]
    labels: Int[Tensor, " n"]

    def of_classes(self, classes: Sequence[int], *, per_class: int | None = None) -> "LabelledImages":
        """The images of some classes alone, in their order here.

        Args:
            classes: the labels to keep.
            per_class: how many of each, the first ones; None keeps all.

        Raises:
            ValueError: there are fewer than `per_class` of a class, or none.
        """
        chosen = []
        for label in classes:
            (rows,) = torch.nonzero(self.labels == label, as_tuple=True)
            wanted = len(rows) if per_class is None else per_class
            if wanted < 1 or len(rows) < wanted:
                raise ValueError(
                    f"classes: expected at least {max(wanted, 1)} images of {label}, got {len(rows)}"
                )
            chosen.append(rows[:wanted])
        order = torch.cat(chosen).unique()
        return LabelledImages(self.images[order], self.labels[order])
