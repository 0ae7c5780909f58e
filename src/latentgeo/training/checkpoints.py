"""Checkpoints of a training run: one safetensors file, its header in JSON, never a pickle.

The tensors are `model.*` (the state dict), `optimizer.*` and `rng.*`; everything that is not a
tensor stands in the header as JSON, and beside it a checksum of that text and of the tensors.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from latentgeo.training.history import EpochRecord, History

_FORMAT = "latentgeo checkpoint 2"


@dataclass
class Checkpoint:
    """A training run at the end of an epoch, detached from the live model.

    Attributes:
        epoch: epochs completed.
        tensors: everything that is a tensor, by name, on the CPU.
        optimizer: the rest of the optimizer's state dict, and its class, or None where none was saved.
        history: the epochs so far.

    Examples:
        >>> model = nn.Linear(2, 3)
        >>> checkpoint = Checkpoint.of(model, torch.optim.Adam(model.parameters()), epoch=5)
        >>> checkpoint.epoch, sorted(checkpoint.tensors), len(checkpoint.history)
        (5, ['model.bias', 'model.weight'], 0)
        >>> checkpoint.optimizer["param_groups"][0]["lr"]
        0.001
    """

    epoch: int
    tensors: dict[str, Tensor]
    optimizer: dict[str, Any] | None = None
    history: History = field(default_factory=History)

    @classmethod
    def of(
        cls,
        model: nn.Module,
        optimizer: torch.optim.Optimizer | None = None,
        *,
        epoch: int = 0,
        history: History | None = None,
        rng: dict[str, Tensor] | None = None,
    ) -> "Checkpoint":
        """Copy the state of `model`, `optimizer` and the generators' states `rng`.

        Args:
            model: whose state dict is taken.
            optimizer: over its parameters, or None to leave it out.
            epoch: epochs completed.
            history: the epochs so far; none, if None.
            rng: the states of random generators, by device type.

        Raises:
            TypeError: the optimizer holds something that is neither a tensor nor fit for JSON.
        """
        tensors = {f"model.{name}": _copied(value) for name, value in model.state_dict().items()}
        tensors |= {f"rng.{name}": _copied(value) for name, value in (rng or {}).items()}
        plain = None
        if optimizer is not None:
            state = optimizer.state_dict()
            plain = {
                "class": type(optimizer).__name__,
                "state": {
                    str(key): _split(entry, f"optimizer.state.{key}", tensors)
                    for key, entry in state["state"].items()
                },
                "param_groups": [
                    _split(group, f"optimizer.group.{number}", tensors)
                    for number, group in enumerate(state["param_groups"])
                ],
            }
        records = History(list(history or ()))
        return cls(epoch=epoch, tensors=tensors, optimizer=plain, history=records)

    def restore(self, model: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> None:
        """Put the state into `model` and `optimizer`, which stay as they are where it does not fit.

        Raises:
            ValueError: the names or shapes do not fit, there is no optimizer in the checkpoint, or another one.
        """
        weights = self._part("model")
        _check_model(model, weights)
        if optimizer is None:
            model.load_state_dict(weights)
            return
        if self.optimizer is None:
            raise ValueError("optimizer: the checkpoint holds none")
        state = {
            int(key): plain | self._part(f"optimizer.state.{key}")
            for key, plain in self.optimizer["state"].items()
        }
        groups = [
            plain | self._part(f"optimizer.group.{number}")
            for number, plain in enumerate(self.optimizer["param_groups"])
        ]
        _check_optimizer(optimizer, self.optimizer.get("class"), groups)
        model.load_state_dict(weights)
        optimizer.load_state_dict({"state": state, "param_groups": groups})

    @property
    def rng(self) -> dict[str, Tensor]:
        """The states of the random generators, by device type."""
        return self._part("rng")

    def write(self, path: str | PathLike[str]) -> None:
        """Write the file beside its place and move it there, so that no reader sees half of it."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        header = json.dumps(
            {
                "format": _FORMAT,
                "epoch": self.epoch,
                "optimizer": self.optimizer,
                "history": [asdict(record) for record in self.history],
            }
        )
        metadata = {"latentgeo": header, "sha256": _digest(header, self.tensors)}
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            save_file(self.tensors, temporary, metadata=metadata)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    @classmethod
    def read(cls, path: str | PathLike[str]) -> "Checkpoint":
        """Read a file that `write` made, on the CPU.

        Raises:
            FileNotFoundError: there is none.
            ValueError: it is truncated, corrupt or of another kind.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"path: expected a checkpoint, found no file at {path}")
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise ValueError(f"path: {path} is truncated or no safetensors file: {error}") from error
        text = metadata.get("latentgeo", "")
        if not text.startswith(f'{{"format": "{_FORMAT}"'):
            raise ValueError(f"path: {path} is a safetensors file, but not a {_FORMAT!r}")
        if metadata.get("sha256") != _digest(text, tensors):
            raise ValueError(f"path: {path} is corrupt: its content does not match its checksum")
        header = json.loads(text)
        history = History([EpochRecord(**record) for record in header["history"]])
        return cls(epoch=header["epoch"], tensors=tensors, optimizer=header["optimizer"], history=history)

    def _part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors under `prefix.`, without it."""
        start = prefix + "."
        return {name[len(start) :]: value for name, value in self.tensors.items() if name.startswith(start)}


def save_checkpoint(
    path: str | PathLike[str],
    model: nn.Module,
    optimizer: torch.optim.Optimizer | None = None,
    *,
    epoch: int = 0,
    history: History | None = None,
) -> None:
    """Write the weights of `model`, and the state of `optimizer`, to one file, atomically.

    Args:
        path: the file, by custom `*.safetensors`; its folder is made, and an earlier file replaced.
        model: whose state dict is written.
        optimizer: over the parameters of `model`, or None to leave it out.
        epoch: epochs completed.
        history: the epochs so far.

    Raises:
        TypeError: the optimizer holds something that is neither a tensor nor fit for JSON.
        OSError: the file cannot be written.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_checkpoint(Path(folder, "model.safetensors"), nn.Linear(2, 3), epoch=5)
        ...     sorted(path.name for path in Path(folder).iterdir())
        ['model.safetensors']
    """
    Checkpoint.of(model, optimizer, epoch=epoch, history=history).write(path)


def load_checkpoint(
    path: str | PathLike[str],
    model: nn.Module,
    optimizer: torch.optim.Optimizer | None = None,
) -> Checkpoint:
    """Put a checkpoint's weights into `model`, in place, and its optimizer state into `optimizer`.

    Args:
        path: a file by `save_checkpoint`, or `checkpoint.safetensors` by `latentgeo.training.fit`.
        model: of the same structure; it keeps its device and its mode.
        optimizer: over the parameters of `model`, or None for the weights alone.

    Returns:
        What was read, with `epoch` and `history`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is truncated, corrupt or of another kind, or does not fit.

    Examples:
        >>> import tempfile
        >>> saved, fresh = nn.Linear(2, 3), nn.Linear(2, 3)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_checkpoint(Path(folder, "model.safetensors"), saved, epoch=5)
        ...     load_checkpoint(Path(folder, "model.safetensors"), fresh).epoch
        5
        >>> bool((fresh.weight == saved.weight).all())
        True
    """
    checkpoint = Checkpoint.read(path)
    checkpoint.restore(model, optimizer)
    return checkpoint


def _copied(value: Tensor) -> Tensor:
    return value.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)


def _check_model(model: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Refuse a model whose tensors have other names or shapes."""
    ours, theirs = (
        {name: str(tuple(value.shape)) for name, value in state.items()}
        for state in (model.state_dict(), tensors)
    )
    different = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
    if different:
        name, more = different[0], len(different) - 1
        raise ValueError(
            f"model: does not fit the checkpoint: {name} is {theirs.get(name, 'not there')} in the checkpoint and "
            f"{ours.get(name, 'not there')} in the model" + (f", and {more} more differ" if more else "")
        )


def _check_optimizer(
    optimizer: torch.optim.Optimizer, kind: str | None, groups: list[dict[str, Any]]
) -> None:
    """Refuse an optimizer of another class, which earlier files do not say, or over other groups of parameters."""
    ours = type(optimizer).__name__
    if kind not in (None, ours):
        raise ValueError(f"optimizer: does not fit the checkpoint: expected {kind}, got {ours}")
    sizes, expected = ([len(group["params"]) for group in part] for part in (optimizer.param_groups, groups))
    if sizes != expected:
        raise ValueError(
            f"optimizer: does not fit the checkpoint: expected groups of {expected} parameters, got {sizes}"
        )
    # One side may have options that the other lacks, by its version of PyTorch or by a scheduler; not both.
    for group, other in zip(optimizer.param_groups, groups, strict=True):
        missing, unknown = other.keys() - group.keys(), group.keys() - other.keys()
        if missing and unknown:
            raise ValueError(
                f"optimizer: does not fit the checkpoint: expected the options {', '.join(sorted(missing))}, "
                f"got {ours} with {', '.join(sorted(unknown))}"
            )


def _split(entry: dict[str, Any], prefix: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """The part of `entry` for JSON; its tensors go to `tensors` under `prefix`."""
    plain = {}
    for name, value in entry.items():
        if isinstance(value, Tensor):
            tensors[f"{prefix}.{name}"] = _copied(value)
            continue
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"optimizer: expected tensors, numbers and strings in its state, "
                f"got {type(value).__name__} for {prefix}.{name}"
            ) from error
        plain[name] = value
    return plain


def _digest(header: str, tensors: dict[str, Tensor]) -> str:
    """SHA-256 over the header, and the names, kinds and bytes of the tensors, in the order of the names."""
    digest = hashlib.sha256(header.encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
