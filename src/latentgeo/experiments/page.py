"""One HTML page for a result, with everything in it: nothing is fetched from anywhere."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from latentgeo.experiments.result import Result

_SIGNS = {">=": "≥", "<=": "≤"}
STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8881; --good: #2a8a50; --bad: #c8501e; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0.5rem 0; }
h2 { font-size: 1.15rem; margin: 2rem 0 0.5rem; }
h3 { font-size: 1rem; margin: 1rem 0 0.5rem; }
.verdict { border-left: 0.4rem solid var(--good); padding: 0.5rem 0.8rem; background: var(--soft); }
.verdict.failed { border-color: var(--bad); }
.figures { display: flex; flex-wrap: wrap; gap: 1.5rem; align-items: flex-start; }
figure { flex: 1 1 20rem; margin: 0; min-width: 0; }
figure.wide { flex-basis: 100%; }
figure img { width: 100%; height: auto; display: block; background: #fff; border-radius: 0.4rem; }
figcaption { font-size: 0.9rem; margin-top: 0.4rem; }
.table { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-size: 0.9rem; padding-bottom: 0.3rem; }
th, td { text-align: left; vertical-align: top; padding: 0.3rem 0.8rem 0.3rem 0; }
th, td { border-bottom: 1px solid var(--line); }
th[scope="row"] { font-weight: normal; }
td.number { text-align: right; white-space: nowrap; }
details { margin-top: 1rem; }
summary { cursor: pointer; font-weight: 600; }
"""


def page(result: Result, folder: Path, *, introduction: str = "") -> str:
    """The page of a result as HTML, its figures embedded.

    Args:
        result: what to show.
        folder: where the result's figures lie as PNG.
        introduction: plain text under the title.

    Returns:
        A document that is complete in itself.
    """
    verdict = result.skipped or (
        "Every criterion was met." if result.passed else "Not every criterion was met."
    )
    body = [
        f"<h1>{escape(result.title)}</h1>",
        f"<p>{escape(introduction)}</p>" if introduction else "",
        f'<p class="verdict {"passed" if result.passed else "failed"}">{verdict}</p>',
        _criteria(result),
        '<div class="figures">',
        *(
            figure_html((folder / figure.file).read_bytes(), figure.title, figure.caption, figure.alt)
            for figure in result.figures
        ),
        "</div>",
        "<h2>Numbers</h2>",
        *_tables(result.numbers),
    ]
    for title, sentences in (("Deviations", result.deviations), ("Remarks", result.remarks)):
        if sentences:
            body += [f"<h2>{title}</h2>", "<ul>", *(f"<li>{escape(s)}</li>" for s in sentences), "</ul>"]
    body += [
        settings_html("Settings", result.settings),
        settings_html("Seconds", {stage: f"{s:.1f}" for stage, s in result.seconds.items()}),
        settings_html("Environment", result.environment),
    ]
    return document(result.title, [part for part in body if part], style=STYLE)


def document(title: str, body: list[str], *, style: str) -> str:
    """An HTML document from the parts of its body."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def settings_html(title: str, values: Mapping[str, Any]) -> str:
    """A table that is folded away."""
    return f"<details><summary>{escape(title)}</summary>{_table('', _flat(values))}</details>"


def sign(relation: str) -> str:
    """A relation as mathematicians write it."""
    return _SIGNS.get(relation, relation)


def figure_html(png: bytes, title: str, caption: str, alt: str) -> str:
    """A figure with its picture in it."""
    encoded = base64.b64encode(png).decode("ascii")
    width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))  # of the PNG's header
    kind = ' class="wide"' if width > 1.5 * height else ""
    return (
        f'<figure{kind}><h3>{escape(title)}</h3><img src="data:image/png;base64,{encoded}" '
        f'width="{width}" height="{height}" alt="{escape(alt, quote=True)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _criteria(result: Result) -> str:
    rows = "".join(
        f"<tr><td>{'✓ met' if c.passed else '✗ not met'}</td><td>{escape(c.claim)}</td>"
        f'<td class="number">{c.measured:.4g} {escape(sign(c.relation))} {c.bound:g}</td></tr>'
        for c in result.criteria
    )
    columns = ("Verdict", "Claim", "Measured")
    head = "<tr>" + "".join(f'<th scope="col">{name}</th>' for name in columns) + "</tr>"
    return f'<div class="table"><table>{head}{rows}</table></div>'


def _tables(numbers: Mapping[str, Any]) -> Iterator[str]:
    """One table for each group of numbers."""
    for title, values in numbers.items():
        yield _table(title, _flat(values) if isinstance(values, Mapping) else [(title, values)])


def _table(title: str, rows: list[tuple[str, Any]]) -> str:
    caption = f"<caption>{escape(title)}</caption>" if title else ""
    cells = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td class="number">{escape(shown(value))}</td></tr>'
        for name, value in rows
    )
    return f'<div class="table"><table>{caption}{cells}</table></div>'


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{name}: ")
        else:
            rows.append((f"{prefix}{name}".replace("_", " "), value))
    return rows


def shown(value: Any) -> str:
    """A value in a few digits."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(shown(item) for item in value)
    return str(value)
