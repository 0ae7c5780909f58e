"""Labelled images: what the loaders answer."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from latentgeo.models.arguments import check_count


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
            ValueError: no classes, a `per_class` below one, or fewer images than that of a class, or none.
        """
        if per_class is not None:
            check_count("per_class", per_class, words="a positive integer or None")
        chosen = []
        for label in classes:
            (rows,) = torch.nonzero(self.labels == label, as_tuple=True)
            wanted = per_class or 1
            if len(rows) < wanted:
                raise ValueError(f"classes: expected at least {wanted} images of {label}, got {len(rows)}")
            chosen.append(rows[:per_class])
        if not chosen:
            raise ValueError("classes: expected at least one, got none")
        order = torch.cat(chosen).unique()
        return LabelledImages(self.images[order], self.labels[order])
