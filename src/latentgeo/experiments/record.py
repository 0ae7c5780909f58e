"""What an experiment leaves behind on its way: figures and tables, each as soon as it is there, and its time."""

from __future__ import annotations

import contextlib
import csv
import io
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure as Drawing
from PIL import Image
from tqdm.auto import tqdm

from latentgeo.experiments.result import Figure

_DPI = 130


class Record:
    """A folder of figures and tables.

    Args:
        folder: it is made.
        progress: whether to say which stage has begun.

    Attributes:
        figures: in the order in which they were left.
        tables: the names of the CSV files.
        seconds: of each stage that has ended.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from latentgeo.experiments import Record
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     record = Record(Path(folder))
        ...     with record.stage("throwing"):
        ...         record.table("dice.csv", [{"seed": 0, "mean": 3.4}, {"seed": 1, "mean": 3.6}])
        ...     Path(folder, "dice.csv").read_text().split()
        ['seed,mean', '0,3.4', '1,3.6']
        >>> record.tables, list(record.seconds)
        (['dice.csv'], ['throwing'])
    """

    def __init__(self, folder: Path, *, progress: bool = False) -> None:
        self.folder = folder
        self.figures: list[Figure] = []
        self.tables: list[str] = []
        self.seconds: dict[str, float] = {}
        self._progress = progress
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
        drawn = io.BytesIO()
        drawing.savefig(drawn, dpi=_DPI, bbox_inches="tight", pad_inches=0.05)
        # maps are a third as large in 256 colours, and look the same
        Image.open(drawn).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
            self.folder / file, optimize=True
        )
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

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """A part of the study that takes a while, from entering to leaving."""
        began = time.perf_counter()
        with tqdm(bar_format="{desc}: {elapsed}", desc=name, disable=not self._progress):
            yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began
