"""All results under a folder as one HTML page, or as a table for a README."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from latentgeo.experiments.page import STYLE, document, figure_html, settings_html, shown, sign

_LONG = 10_000  # bytes of a table
_WORDS = {"passed": "✓ passed", "failed": "✗ failed", "skipped": "– skipped"}


class NoResults(Exception):
    """There is nothing to report; the message is a sentence."""


def read_results(folder: Path) -> list[tuple[Path, Mapping[str, Any]]]:
    """Every result under a folder and where it lies, sorted by its path.

    Raises:
        NoResults: there is no such folder, or no ``metrics.json`` in it that an experiment wrote.
    """
    if not folder.is_dir():
        raise NoResults(f"expected a folder of results, got {folder}")
    found = []
    for path in sorted(folder.rglob("metrics.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise NoResults(f"{path} is no result: {error}") from error
        if isinstance(content, dict) and {"name", "criteria", "status"} <= set(content):
            found.append((path.parent, content))
    if not found:
        raise NoResults(f"expected results, each a metrics.json, under {folder}; got none")
    return found


def markdown(results: list[tuple[Path, Mapping[str, Any]]]) -> str:
    """A table of every criterion: documented, measured, passed."""
    lines = ["| experiment | criterion | documented | measured | |", "|---|---|---|---|---|"]
    for _, result in results:
        name = f"`{result['name']}`"
        if result["status"] == "skipped":
            lines.append(f"| {name} | skipped: {_cell(result['skipped'])} | | | – |")
        for c in result["criteria"]:
            verdict = "✓" if c["passed"] else "✗"
            lines.append(
                f"| {name} | {_cell(c['claim'])} | {_cell(c.get('documented', ''))} | {_measured(c)} | {verdict} |"
            )
            name = ""
    return "\n".join(lines) + "\n"


def report(results: list[tuple[Path, Mapping[str, Any]]]) -> str:
    """One page that is complete in itself: a table of every criterion, then each experiment with its figures."""
    passed = sum(result["status"] == "passed" for _, result in results)
    body = [
        "<h1>The documented experiments, reproduced</h1>",
        f"<p>{passed} of {len(results)} experiments passed: every one of their criteria was met.</p>",
        '<div class="table"><table>',
        "<tr>" + "".join(f'<th scope="col">{h}</th>' for h in _HEAD) + "</tr>",
        *(row for _, result in results for row in _rows(result)),
        "</table></div>",
    ]
    for folder, result in results:
        body += _section(folder, result)
    return document("Reproduction", body, style=STYLE)


_HEAD = ("Experiment", "Claim", "Documented", "Measured", "Verdict")


def _rows(result: Mapping[str, Any]) -> Iterator[str]:
    link = f'<a href="#{escape(result["name"])}">{escape(result["name"])}</a>'
    if result["status"] == "skipped":
        why = escape(result["skipped"])
        yield f'<tr><th scope="row">{link}</th><td colspan="3">{why}</td><td>– skipped</td></tr>'
    for c in result["criteria"]:
        verdict = "✓ met" if c["passed"] else "✗ not met"
        yield (
            f'<tr><th scope="row">{link}</th><td>{escape(c["claim"])}</td><td>{escape(c.get("documented", ""))}</td>'
            f'<td class="number">{escape(_measured(c))}</td><td>{verdict}</td></tr>'
        )
        link = ""


def _section(folder: Path, result: Mapping[str, Any]) -> list[str]:
    name = escape(result["name"])
    parts = [
        f'<section id="{name}"><h2>{name}: {_WORDS[result["status"]]}</h2>',
        f"<p>{escape(result['title'])} ({escape(result.get('source', ''))})</p>",
    ]
    parts += [f"<p>{escape(result['skipped'])}</p>"] if result["skipped"] else []
    figures = [f for f in result["figures"] if (folder / f["file"]).is_file()]
    parts.append('<div class="figures">')
    parts += [
        figure_html((folder / f["file"]).read_bytes(), f["title"], f["caption"], f["alt"]) for f in figures
    ]
    parts.append("</div>")
    for title in ("deviations", "remarks"):
        if result[title]:
            items = "".join(f"<li>{escape(sentence)}</li>" for sentence in result[title])
            parts.append(f"<h3>{title.capitalize()}</h3><ul>{items}</ul>")
    tables = [folder / file for file in result.get("tables", ()) if (folder / file).is_file()]
    if tables:
        links = ", ".join(_link(table) for table in tables)
        parts.append(f"<p>Numbers: {links}</p>")
    for title in ("numbers", "settings", "seconds", "environment"):
        parts.append(settings_html(title.capitalize(), result[title]))
    return [*parts, "</section>"]


def _link(table: Path) -> str:
    """To the table itself, which is in the page; compressed where it would be most of it."""
    name, kind, content = table.name, "text/csv", table.read_bytes()
    if len(content) > _LONG:
        name, kind, content = f"{name}.gz", "application/gzip", gzip.compress(content, mtime=0)
    text = base64.b64encode(content).decode("ascii")
    return f'<a download="{name}" href="data:{kind};base64,{text}">{escape(name)}</a>'


def _measured(criterion: Mapping[str, Any]) -> str:
    value = criterion["measured"]
    return f"{'NaN' if value is None else shown(value)} {sign(criterion['relation'])} {criterion['bound']:g}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
