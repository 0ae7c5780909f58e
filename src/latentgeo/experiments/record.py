"""What an experiment leaves behind on its way: figures and tables, each as soon as it is there."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure as Drawing

from latentgeo.experiments.result import Figure

_DPI = 130


class Record:
    """A folder of figures and tables.

    Args:
        folder: it is made.

    Attributes:
        figures: in the order in which they were left.
        tables: the names of the CSV files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.figures: list[Figure] = []
        self.tables: list[str] = []
        folder.mkdir(parents=True, exist_ok=True)

    def figure(self, drawing: Drawing, file: str, *, title: str, caption: str, alt: str) -> None:
        """Keeps a drawing.

        Args:
            drawing: the drawing.
            file: name of the PNG.
            title: a few words.
            caption: what is to be seen, for a reader who sees it.
            alt: the same for one who does not.
        """
        drawing.savefig(self.folder / file, dpi=_DPI, bbox_inches="tight", pad_inches=0.05)
        self.figures.append(Figure(file, title, caption, alt))

    def table(self, file: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Keeps numbers.

        Args:
            file: name of the CSV.
            rows: at least one, all with the same columns.
        """
        with (self.folder / file).open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        self.tables.append(file)
