"""The training loop: one, for every model and objective."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from latentgeo.models.arguments import check_count
from latentgeo.training.arrays import training_data
from latentgeo.training.checkpoints import Checkpoint
from latentgeo.training.evaluation import (
    Objective,
    Transform,
    check_batch_size,
    evaluate,
    mean_over_rows,
)
from latentgeo.training.generators import borrowed_generators, rng_states, seeded_generators, set_rng_states
from latentgeo.training.history import EpochRecord, History
from latentgeo.training.modes import eval_mode
from latentgeo.training.objectives import ELBO

Schedule = Callable[[int], float]
Callback = Callable[[nn.Module, int, int], object]

_HISTORY = "history.csv"
_VALIDATION_SEED = 0  # the same draws after every epoch, so that its noise does not hide the progress


def fit(
    model: nn.Module,
    data: Tensor | np.ndarray,
    *,
    objective: Objective = ELBO(),  # noqa: B008 - frozen
    epochs: int,
    batch_size: int | None = 100,
    optimizer: torch.optim.Optimizer | None = None,
    schedule: Schedule | None = None,
    transform: Transform | None = None,
    validation: Tensor | np.ndarray | None = None,
    callback: Callback | None = None,
    autocast: torch.dtype | None = None,
    seed: int | None = None,
    checkpoint_dir: str | PathLike[str] | None = None,
    checkpoint_every: int = 1,
    resume: bool = False,
    progress: bool = True,
) -> History:
    """Minimize an objective over the parameters of a model, in minibatches.

    The data stay in memory, on the model's device, and are shuffled anew for every epoch. The model is
    in training mode during the call and in **eval mode after it**, as metrics want it.

    Networks can be compiled before, by `model.encoder.compile()` and `model.decoder.compile()`, which leaves the
    names in checkpoints as they are. Small perceptrons on a processor gain nothing by it.

    Args:
        model: changed in place.
        data: (N, *event), floating; converted to the dtype and device of the model's parameters.
        objective: `objective(model, x)` is the scalar loss, a mean over the batch x (n, *event).
        epochs: passes over the data; after a resumed run, those before it included.
        batch_size: rows a step; the last batch of an epoch may be smaller. None takes all rows in each
            step, in their order.
        optimizer: over the parameters of `model`; by default Adam with rate 1e-3, fused.
        schedule: the learning rate of every epoch, `schedule(epoch)` with epochs from 1, such as
            `CosineSchedule(epochs=epochs)`; None leaves it to the optimizer.
        transform: what is done to each batch before the objective sees it; `torch.bernoulli` draws grey
            levels anew as black and white each time. Its draws follow `seed`.
        validation: held-out data (M, *event), whose loss is recorded after each epoch: in eval mode, with the same
            `transform`, and always with the same draws. The run goes as it would without.
        callback: `callback(model, epoch, step)` is called after each step, both from 1, with the model in eval
            mode. What it draws from torch's generators does not change the run; what it does to the weights does.
        autocast: `torch.bfloat16` computes linear maps and convolutions in that precision; weights, and the
            optimizer's state, keep theirs. It pays on GPUs, and on processors with instructions for it.
        seed: of shuffling and sampling. The run then draws from torch's global generators as seeded
            by it, and they are put back to where they were: the caller notices nothing. With None the run draws from
            them, and advances them, like any PyTorch code. Initial weights belong to the caller.
        checkpoint_dir: where `checkpoint.safetensors` and `history.csv` are kept, overwriting
            those of an earlier run; None keeps nothing. Without `resume` the earlier ones are set aside, as
            `*.previous`, until the run has its first checkpoint: should it fail before, they are not resumed from,
            and not lost.
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

    References:
        Kingma and Ba, Adam: a Method for Stochastic Optimization, 2015, arXiv 1412.6980.

    Examples:
        >>> import torch
        >>> from latentgeo.models import VAE, MLPDecoder, MLPEncoder
        >>> vae = VAE(MLPEncoder(64, 2, hidden=(32,)), MLPDecoder(2, 64, hidden=(32,)))
        >>> images = torch.rand(100, 64)
        >>> history = fit(vae, images, epochs=2, transform=torch.bernoulli, seed=0, progress=False)
        >>> len(history), vae.training
        (2, False)
    """
    check_count("epochs", epochs)
    check_batch_size(batch_size)
    check_count("checkpoint_every", checkpoint_every)
    if autocast not in (None, torch.bfloat16):
        raise ValueError(f"autocast: expected torch.bfloat16, which needs no loss scaling, got {autocast}")
    if resume and checkpoint_dir is None:
        raise ValueError("checkpoint_dir: expected a directory with resume=True, got None")
    data = training_data(model, data)
    if validation is not None:
        validation = training_data(model, validation, "validation")
    device, rows = data.device, batch_size or len(data)
    if optimizer is None:
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    file = None if checkpoint_dir is None else Path(checkpoint_dir) / "checkpoint.safetensors"
    earlier = file if resume and file is not None and file.exists() else None
    history = History()
    done = saved = 0

    with contextlib.ExitStack() as stack:
        if earlier is not None:  # their states are the checkpoint's
            stack.enter_context(borrowed_generators(device))
        stack.enter_context(seeded_generators(device, seed))
        if earlier is not None:
            checkpoint = Checkpoint.read(earlier)
            if not checkpoint.rng:
                raise ValueError(f"checkpoint_dir: {earlier} is not by fit: it holds no generator states")
            checkpoint.restore(model, optimizer)
            set_rng_states(checkpoint.rng, device)
            history = checkpoint.history
            done = saved = checkpoint.epoch
        elif file is not None:
            _set_aside(file)
        stack.callback(model.eval)
        model.train()
        snapshot = None
        losses = data.new_empty(-(-len(data) // rows))
        bar = tqdm(total=max(epochs - done, 0) * len(losses), unit="step", disable=not progress)
        stack.callback(bar.close)
        precision = contextlib.nullcontext() if autocast is None else torch.autocast(device.type, autocast)
        try:
            for epoch in range(done + 1, epochs + 1):
                began = time.perf_counter()
                if schedule is not None:
                    # A number of NumPy's would be nothing for a checkpoint.
                    _set_learning_rate(optimizer, float(schedule(epoch)), epoch)
                for step, batch in enumerate(_batches(data, batch_size)):
                    x = batch if transform is None else transform(batch.clone() if batch is data else batch)
                    with precision:
                        loss = objective(model, x)
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    losses[step] = loss.detach()
                    if callback is not None:
                        with borrowed_generators(device), eval_mode(model):
                            callback(model, epoch, step + 1)
                    bar.update()
                _check_losses(losses, epoch)
                _check_weights(model, epoch)
                mean, seconds = mean_over_rows(losses, len(data), rows), time.perf_counter() - began
                held_out = None
                if validation is not None:
                    options = {"objective": objective, "batch_size": batch_size, "transform": transform}
                    held_out = evaluate(model, validation, **options, seed=_VALIDATION_SEED)
                history.records.append(EpochRecord(epoch, mean, seconds, held_out))
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


def _batches(data: Tensor, batch_size: int | None) -> Iterator[Tensor]:
    """The batches of one epoch, shuffled; all the data as they are where there is no size."""
    if batch_size is None:
        yield data
        return
    for rows in torch.randperm(len(data)).to(data.device).split(batch_size):
        yield data[rows]


def _set_learning_rate(optimizer: torch.optim.Optimizer, rate: float, epoch: int) -> None:
    """Give every group of parameters this rate."""
    if not 0.0 <= rate < math.inf:
        raise ValueError(f"schedule: expected a learning rate for epoch {epoch}, got {rate!r}")
    for group in optimizer.param_groups:
        group["lr"] = rate


def _save(checkpoint: Checkpoint, file: Path) -> None:
    """Write the checkpoint and, beside it, its history to read."""
    checkpoint.write(file)
    checkpoint.history.to_csv(file.with_name(_HISTORY))
    for _, previous in _set_asides(file):
        previous.unlink(missing_ok=True)


def _set_aside(file: Path) -> None:
    """Rename what an earlier run left, so that nobody resumes from it."""
    for kept, previous in _set_asides(file):
        if kept.exists():
            kept.replace(previous)


def _set_asides(file: Path) -> list[tuple[Path, Path]]:
    """The files of a run, and what they are called when the next one has begun."""
    return [(kept, kept.with_name(f"{kept.name}.previous")) for kept in (file, file.with_name(_HISTORY))]


def _check_losses(losses: Tensor, epoch: int) -> None:
    """Refuse losses that are not finite, read from the device once an epoch."""
    spoilt = (~losses.isfinite()).nonzero()
    if len(spoilt):
        step = int(spoilt[0])
        raise FloatingPointError(
            f"the loss was {float(losses[step])} in epoch {epoch}, step {step + 1} of {len(losses)}: "
            "lower the learning rate, or look for NaN and infinity in the data"
        )


def _check_weights(model: nn.Module, epoch: int) -> None:
    """Refuse spoilt weights: the last step of an epoch can spoil them after a loss that was finite."""
    for name, parameter in model.named_parameters():
        if not bool(parameter.isfinite().all()):
            raise FloatingPointError(
                f"{name} held NaN or infinity after epoch {epoch}, its losses being finite: "
                "lower the learning rate, or look for a gradient that is not finite"
            )
