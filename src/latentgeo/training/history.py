"""What a training run recorded: one line an epoch."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import overload


@dataclass(frozen=True)
class EpochRecord:
    """One epoch: its number from 1, the mean loss over its data, and its duration in seconds."""

    epoch: int
    loss: float
    seconds: float


@dataclass
class History(Sequence[EpochRecord]):
    """The epochs of a training run in order, as a sequence of `EpochRecord`.

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

    def to_csv(self, path: str | PathLike[str]) -> None:
        """Write the columns epoch, loss and seconds."""
        with Path(path).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("epoch", "loss", "seconds"))
            writer.writerows((record.epoch, record.loss, record.seconds) for record in self.records)

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
