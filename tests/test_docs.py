"""The documentation: its code runs as it stands, links lead somewhere, and pages are made without a warning."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
APART = {"many_points.md", "pictures.md"}  # which have tests of their own
PAGES = sorted(page for page in DOCS.glob("*.md") if page.name not in APART)


@pytest.mark.filterwarnings("ignore::latentgeo.ConvergenceWarning")
@pytest.mark.filterwarnings("default")  # of the packages that pages bring decoders from
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_code_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    names: dict = {"__name__": "__main__"}
    missing = []
    for package, code in re.findall(
        r"^```python(?: needs (\w+))?\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    ):
        if package and importlib.util.find_spec(package) is None:
            missing.append(package)
        else:
            exec(compile(code, page.name, "exec"), names)
    if missing:
        pytest.skip(f"all ran but the parts that need {', '.join(missing)}: pip install '.[others]'")


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.stem)
def test_files_named_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = [
        link for link in re.findall(r"\]\(([^)#:]+)\)", text) if not link.startswith(("gallery/", "api/"))
    ]
    scripts = re.findall(r"(?:benchmarks|examples)/\w+\.py", text)
    assert [link for link in links if not (DOCS / link).exists()] == []
    assert [script for script in scripts if not (ROOT / script).exists()] == []


def test_every_citation_is_in_the_bibliography() -> None:
    known = set(
        re.findall(r"^@\w+\{(\w+),", (DOCS / "references.bib").read_text(encoding="utf-8"), re.MULTILINE)
    )
    cited = {
        key
        for page in DOCS.glob("*.md")
        for keys in re.findall(r"\{cite:p\}`([\w,]+)`", page.read_text(encoding="utf-8"))
        for key in keys.split(",")
    }
    assert cited
    assert cited <= known


def test_pages_are_made_without_a_warning(tmp_path: Path) -> None:
    """The gallery's examples are not run here: tests/experiments/test_examples.py runs them."""
    pytest.importorskip("sphinx_gallery")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", "-D", "plot_gallery=0"]
    done = subprocess.run([*command, str(DOCS), str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "index.html").exists()
