"""The mean of an objective over data, without training."""

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from latentgeo.models.arguments import check_count
from latentgeo.training.arrays import training_data
from latentgeo.training.generators import seeded_generators
from latentgeo.training.modes import eval_mode
from latentgeo.training.objectives import ELBO

Objective = Callable[[Any, Tensor], Tensor]
Transform = Callable[[Tensor], Tensor]


def evaluate(
    model: nn.Module,
    data: Tensor | np.ndarray,
    *,
    objective: Objective = ELBO(),  # noqa: B008 - frozen
    batch_size: int | None = 100,
    transform: Transform | None = None,
    seed: int | None = None,
) -> float:
    """The mean of an objective over data, such as the bound on a test set, in eval mode and without gradients.

    Args:
        model: left as it is, its mode included.
        data: (N, *event), floating; converted to the dtype and device of the model's parameters.
        objective: `objective(model, x)` is the scalar loss, a mean over the batch x (n, *event).
        batch_size: rows at a time; None takes all at once.
        transform: what is done to each batch before, as in `latentgeo.training.fit`.
        seed: of the samples, torch's global generators being left where they were; None draws from them.

    Returns:
        The loss of a datum; finite or not.

    Raises:
        ValueError: an argument out of range, or empty data.
        TypeError: data that are not floating.

    Examples:
        >>> import torch
        >>> from latentgeo.models import VAE, MLPDecoder, MLPEncoder
        >>> vae = VAE(MLPEncoder(64, 2), MLPDecoder(2, 64))
        >>> images = torch.rand(20, 64)
        >>> evaluate(vae, images, seed=0) == evaluate(vae, images, seed=0)
        True
    """
    check_batch_size(batch_size)
    data = training_data(model, data)
    rows = batch_size or len(data)
    with contextlib.ExitStack() as stack:
        stack.enter_context(seeded_generators(data.device, seed))
        stack.enter_context(eval_mode(model))
        stack.enter_context(torch.no_grad())
        # A batch is a part of the caller's data, into which a transform may write.
        losses = [
            objective(model, batch if transform is None else transform(batch.clone()))
            for batch in data.split(rows)
        ]
    return mean_over_rows(torch.stack(losses), len(data), rows)


def check_batch_size(batch_size: int | None) -> None:
    """Refuse what is neither a positive integer nor None."""
    if batch_size is not None:
        check_count("batch_size", batch_size, words="a positive integer or None")


def mean_over_rows(losses: Tensor, rows: int, batch_size: int) -> float:
    """The mean over the rows from the means over batches, the last of which may be smaller."""
    means = losses.cpu().double()
    sizes = torch.full_like(means, batch_size)
    sizes[-1] = rows - batch_size * (len(means) - 1)
    return float(means @ sizes) / rows
