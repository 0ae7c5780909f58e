"""The training loop: one, for every model and objective."""

import contextlib
import time
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from latentgeo.training.arrays import training_data
from latentgeo.training.checkpoints import Checkpoint, load_checkpoint
from latentgeo.training.generators import borrowed_generators, rng_states, set_rng_states
from latentgeo.training.history import EpochRecord, History
from latentgeo.training.objectives import ELBO

Objective = Callable[[Any, Tensor], Tensor]


def fit(
    model: nn.Module,
    data: Tensor | np.ndarray,
    *,
    objective: Objective = ELBO(),  # noqa: B008 - frozen
    epochs: int,
    batch_size: int = 100,
    optimizer: torch.optim.Optimizer | None = None,
    seed: int | None = None,
    checkpoint_dir: str | PathLike[str] | None = None,
    checkpoint_every: int = 1,
    resume: bool = False,
    progress: bool = True,
) -> History:
    """Minimize an objective over the parameters of a model, in minibatches.

    The data stay in memory, on the model's device, and are shuffled anew for every epoch. The model is
    in training mode during the call and in **eval mode after it**, as metrics want it.

    Args:
        model: changed in place.
        data: (N, *event), floating; converted to the dtype and device of the model's parameters.
        objective: `objective(model, x)` is the scalar loss, a mean over the batch x (n, *event).
        epochs: passes over the data; after a resumed run, those before it included.
        batch_size: rows a step; the last batch of an epoch may be smaller.
        optimizer: over the parameters of `model`; by default Adam with rate 1e-3.
        seed: of shuffling and sampling. The run then draws from torch's global generators as seeded
            by it, and they are put back to where they were: the caller notices nothing. With None the run draws from
            them, and advances them, like any PyTorch code. Initial weights belong to the caller.
        checkpoint_dir: where `checkpoint.safetensors` and `history.csv` are kept, overwriting
            those of an earlier run; None keeps nothing.
        checkpoint_every: epochs between checkpoints. The last epoch always has one; so has
            the last complete epoch when the run ends in Ctrl-C or a non-finite loss.
        resume: continue from the checkpoint in `checkpoint_dir`, if there is one, exactly as the run
            would have gone on by itself; `seed` then matters no more.
        progress: show a bar with the loss of the last epoch.

    Returns:
        A record for every epoch, those before a resumed run included.

    Raises:
        ValueError: an argument out of range, empty data, `resume` without a `checkpoint_dir`,
            a checkpoint that is corrupt or does not fit.
        TypeError: data that are not floating.
        FloatingPointError: a loss was NaN or infinite, or the weights became so. It comes at the end of the
            epoch, which it names with the step; the weights in memory are spoilt, the last checkpoint is not.
        KeyboardInterrupt: passed on from Ctrl-C, after saving the last complete epoch.

    Examples:
        >>> import torch
        >>> from latentgeo.models import VAE, MLPDecoder, MLPEncoder
        >>> vae = VAE(MLPEncoder(64, 2, hidden=(32,)), MLPDecoder(2, 64, hidden=(32,)))
        >>> history = fit(vae, torch.rand(100, 64), epochs=2, seed=0, progress=False)
        >>> len(history), vae.training
        (2, False)
    """
    for name, value in {
        "epochs": epochs,
        "batch_size": batch_size,
        "checkpoint_every": checkpoint_every,
    }.items():
        if value < 1:
            raise ValueError(f"{name}: expected a positive integer, got {value!r}")
    if resume and checkpoint_dir is None:
        raise ValueError("checkpoint_dir: expected a directory with resume=True, got None")
    data = training_data(model, data)
    device = data.device
    if optimizer is None:
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    file = None if checkpoint_dir is None else Path(checkpoint_dir) / "checkpoint.safetensors"
    history = History()
    done = saved = 0

    with contextlib.ExitStack() as stack:
        if seed is not None or resume:
            stack.enter_context(borrowed_generators(device, seed=seed))
        if resume and file is not None and file.exists():
            checkpoint = load_checkpoint(file, model, optimizer)
            if not checkpoint.rng:
                raise ValueError(f"checkpoint_dir: {file} is not by fit: it holds no generator states")
            set_rng_states(checkpoint.rng, device)
            history = checkpoint.history
            done = saved = checkpoint.epoch
        stack.callback(model.eval)
        model.train()
        snapshot = None
        losses = data.new_empty(-(-len(data) // batch_size))
        bar = tqdm(total=max(epochs - done, 0) * len(losses), unit="step", disable=not progress)
        stack.callback(bar.close)
        try:
            for epoch in range(done + 1, epochs + 1):
                began = time.perf_counter()
                order = torch.randperm(len(data)).to(device)
                for step, rows in enumerate(order.split(batch_size)):
                    loss = objective(model, data[rows])
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    losses[step] = loss.detach()
                    bar.update()
                mean = _mean_loss(losses, epoch, len(data), batch_size)
                _check_finite(model, epoch)
                history.records.append(EpochRecord(epoch, mean, time.perf_counter() - began))
                bar.set_postfix(epoch=epoch, loss=f"{mean:.5g}")
                if file is not None:
                    rng = rng_states(device)
                    snapshot = Checkpoint.of(model, optimizer, epoch=epoch, history=history, rng=rng)
                    if epoch % checkpoint_every == 0 or epoch == epochs:
                        _save(snapshot, file)
                        saved = epoch
        except (KeyboardInterrupt, FloatingPointError):
            if file is not None and snapshot is not None and snapshot.epoch > saved:
                _save(snapshot, file)
            raise
    return history


def _save(checkpoint: Checkpoint, file: Path) -> None:
    """Write the checkpoint and, beside it, its history to read."""
    checkpoint.write(file)
    checkpoint.history.to_csv(file.with_name("history.csv"))


def _mean_loss(losses: Tensor, epoch: int, rows: int, batch_size: int) -> float:
    """The mean over the rows, from the means over the batches, read from the device once an epoch."""
    losses = losses.double().cpu()
    spoilt = (~losses.isfinite()).nonzero()
    if len(spoilt):
        step = int(spoilt[0])
        raise FloatingPointError(
            f"the loss was {float(losses[step])} in epoch {epoch}, step {step + 1} of {len(losses)}: "
            "lower the learning rate, or look for NaN and infinity in the data"
        )
    sizes = torch.full_like(losses, batch_size)
    sizes[-1] = rows - batch_size * (len(losses) - 1)
    return float((losses @ sizes) / rows)


def _check_finite(model: nn.Module, epoch: int) -> None:
    """Refuse spoilt weights: the last step of an epoch can spoil them after a loss that was finite."""
    for name, parameter in model.named_parameters():
        if not bool(parameter.isfinite().all()):
            raise FloatingPointError(
                f"{name} held NaN or infinity after epoch {epoch}, its losses being finite: "
                "lower the learning rate, or look for a gradient that is not finite"
            )
