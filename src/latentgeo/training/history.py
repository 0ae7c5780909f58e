"""What a training run recorded: one line an epoch."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, field, fields
from os import PathLike
from pathlib import Path
from typing import overload


@dataclass(frozen=True)
class EpochRecord:
    """One epoch.

    Attributes:
        epoch: its number, from 1.
        loss: the mean over the training data, each batch met with the weights of its step.
        seconds: how long the training took, without validation.
        validation: the mean of the loss over held-out data after the epoch; None where there were none.

    Examples:
        >>> import torch
        >>> from latentgeo.models import VAE, MLPDecoder, MLPEncoder
        >>> from latentgeo.training import fit
        >>> vae = VAE(MLPEncoder(64, 2, hidden=()), MLPDecoder(2, 64, hidden=()))
        >>> (record,) = fit(vae, torch.rand(20, 64), epochs=1, seed=0, progress=False)
        >>> record.epoch, record.loss > 0, record.validation
        (1, True, None)
    """

    epoch: int
    loss: float
    seconds: float
    validation: float | None = None


@dataclass
class History(Sequence[EpochRecord]):
    """The epochs of a training run in order, as a sequence of `EpochRecord`.

    Attributes:
        records: one an epoch.

    Examples:
        >>> history = History([EpochRecord(1, 120.5, 0.8), EpochRecord(2, 101.25, 0.7)])
        >>> history[-1].epoch, history.losses
        (2, [120.5, 101.25])
    """

    records: list[EpochRecord] = field(default_factory=list)

    @property
    def losses(self) -> list[float]:
        """The mean loss of every epoch."""
        return [record.loss for record in self.records]

    @property
    def validation(self) -> list[float | None]:
        """The held-out loss after every epoch, None where there were no data for it."""
        return [record.validation for record in self.records]

    def to_csv(self, path: str | PathLike[str]) -> None:
        """Write the columns epoch, loss, seconds and validation, the last one empty where it is None."""
        with Path(path).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(column.name for column in fields(EpochRecord))
            writer.writerows(astuple(record) for record in self.records)

    def __len__(self) -> int:
        return len(self.records)

    @overload
    def __getitem__(self, index: int) -> EpochRecord: ...
    @overload
    def __getitem__(self, index: slice) -> list[EpochRecord]: ...
    def __getitem__(self, index: int | slice) -> EpochRecord | list[EpochRecord]:
        return self.records[index]

    def __iter__(self) -> Iterator[EpochRecord]:
        return iter(self.records)
