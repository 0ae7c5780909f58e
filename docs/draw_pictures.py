"""Draws the pictures of pictures.md from the lines that stand there: python docs/draw_pictures.py [FOLDER]."""

import re
import sys
from pathlib import Path

from matplotlib.figure import Figure

HERE = Path(__file__).parent
_WIDTH = 5.0  # inches


def draw(page: Path, folder: Path) -> list[Path]:
    """Runs the first block of a page, then each block under a picture on new axes, and saves what it drew.

    Args:
        page: with pictures ``![words](images/NAME.png)``, each above its block of Python.
        folder: the files go to, for ``images``.

    Returns:
        The files.
    """
    text = page.read_text(encoding="utf-8")
    setting, *blocks = re.split(r"^!\[[^\]]*\]\(images/(.+?)\)$", text, flags=re.MULTILINE)
    names: dict[str, object] = {}
    exec(_code(setting), names)
    files = []
    for name, below in zip(blocks[::2], blocks[1::2], strict=True):
        code = _code(below)
        wide = "strip" in code or "grid" in code
        figure = Figure(figsize=(_WIDTH, 1.5 if wide else 0.8 * _WIDTH), layout="constrained")
        exec(code, names | {"axes": figure.subplots()})
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file, dpi=80, bbox_inches="tight", pil_kwargs={"optimize": True})
        files.append(file)
    return files


def _code(text: str) -> str:
    block = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    if block is None:
        raise ValueError(f"expected a block of Python, got {text!r}")
    return block.group(1)


if __name__ == "__main__":
    draw(HERE / "pictures.md", Path(sys.argv[1]) if sys.argv[1:] else HERE / "images")
