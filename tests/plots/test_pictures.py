"""The page of pictures shows every function, by lines that run."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
from matplotlib.image import imread

import latentgeo.plots

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "pictures.md").read_text(encoding="utf-8")
PICTURES = re.findall(r"\]\((images/.+?)\)", PAGE)


def test_every_block_draws_its_picture(tmp_path):
    """As a user runs it, in a process of its own."""
    subprocess.run([sys.executable, str(DOCS / "draw_pictures.py"), str(tmp_path)], check=True)
    for picture in PICTURES:
        drawn = imread(tmp_path / picture.removeprefix("images/"))
        assert drawn[..., :3].std() > 0.05  # not blank


def test_every_function_is_on_the_page():
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
    public = (name for name in latentgeo.plots.__all__ if inspect.isfunction(getattr(latentgeo.plots, name)))
    assert {name for name in public if f"{name}(" not in code} == {"image_strip"}
    assert "`image_strip`" in PAGE


@pytest.mark.parametrize("picture", PICTURES)
def test_pictures_are_there_and_small(picture):
    assert 1_000 < (DOCS / picture).stat().st_size < 150_000
