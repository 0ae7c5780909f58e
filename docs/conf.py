"""The documentation, for Sphinx: make docs."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
from pathlib import Path

from sphinx.application import Sphinx

HERE = Path(__file__).parent

project, author = "latentgeo", "The latentgeo developers"
release = importlib.metadata.version("latentgeo")
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.intersphinx",
    "sphinx.ext.viewcode",
    "sphinxcontrib.bibtex",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "gallery/*.ipynb"]
suppress_warnings = ["config.cache"]  # the scraper below is a function
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "plain"

autodoc_typehints = "none"  # the shapes stand in the docstrings
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # attributes of named tuples are documented once
napoleon_attr_annotations = False  # the shapes stand in the words
intersphinx_mapping: dict[str, tuple[str, None]] = {}  # nothing is fetched while the pages are made

html_theme = "furo"
html_title = "latentgeo"
html_static_path = ["_static"]
html_css_files = ["style.css"]


HEADER = """Gallery
=======

One idea each, below eighty lines, with its picture. Each runs by itself: ``python examples/NAME.py``.
"""


def examples_with_titles(source: Path, target: Path) -> Path:
    """The examples as the gallery wants them: the first clause of each docstring as its title."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    (target / "GALLERY_HEADER.rst").write_text(HEADER, encoding="utf-8")
    for example in source.glob("*.py"):
        text = example.read_text(encoding="utf-8").removeprefix('"""')
        words, code = text.split('"""', maxsplit=1)
        title, words = re.split(r"[:.]", words, maxsplit=1)[0], re.sub(r"([*|])", r"\\\\\1", words)
        text = f'"""{title}\n{"=" * len(title)}\n\n{words}"""{code}'
        (target / example.name).write_text(text, encoding="utf-8")
    return target


def as_rest(app: object, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Docstrings are plain text: their stars and bars are mathematics, and formulas keep their lines."""
    del app, what, name, thing, options
    code = section = False
    for i, line in enumerate(lines):
        code = line.lstrip().startswith(">>>") or (code and bool(line.strip()))
        if line and not line.startswith(" "):
            section = re.fullmatch(r"\w+:", line) is not None
        if code:
            continue
        parts = re.split(r"(``.*?``|:\w+:`.*?`)", line)
        parts[::2] = [re.sub(r"([*|])", r"\\\1", part) for part in parts[::2]]
        formula = not section and line.startswith("    ")
        text = re.sub(r"^(\s*[A-Z])\. ", r"\1\\. ", "".join(parts))  # initials of an author, no enumeration
        lines[i] = f"    | {text.strip()}" if formula else text


def with_underscores(
    app: object, what: str, name: str, thing: object, options: object, lines: list[str]
) -> None:
    """The last underscore of what a fit leaves would be taken for that of a link."""
    del app, what, name, thing, options
    lines[:] = [re.sub(r"^:ivar (\w+)_:", r":ivar \1\\_:", line) for line in lines]


def without_routing(
    app: object, what: str, name: str, thing: object, skip: bool, options: object
) -> bool | None:
    """What scikit-learn adds to estimators by itself is left out."""
    del app, what, thing, skip, options
    return True if re.fullmatch(r"set_\w+_request", name) else None


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", as_rest, priority=1)  # before napoleon
    app.connect("autodoc-process-docstring", with_underscores, priority=900)  # after it
    app.connect("autodoc-skip-member", without_routing)


def picture_of_example(block: tuple, variables: dict, gallery: dict) -> str:
    """The picture that an example has saved beside itself, moved to where the gallery looks for it."""
    from sphinx_gallery.scrapers import figure_rst

    del block
    folder = Path(variables["src_file"]).parent
    moved = []
    for picture, target in zip(sorted(folder.glob("*.png")), variables["image_path_iterator"], strict=False):
        shutil.move(picture, target)
        moved.append(target)
    return figure_rst(moved, gallery["src_dir"])


sphinx_gallery_conf = {
    "examples_dirs": str(examples_with_titles(HERE.parent / "examples", HERE / "_build" / "examples")),
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "ignore_pattern": r"__init__\.py",
    "image_scrapers": (picture_of_example,),
    "reset_modules": (),
    "download_all_examples": False,
    "show_memory": False,
    "min_reported_time": 1,
    "abort_on_example_error": True,
    "nested_sections": False,
}
