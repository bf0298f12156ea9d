"""The report as one page that needs nothing else: its counts, its drawing and its words are within."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from worker.report.cube import cube
from worker.report.figures import Figures, Rows
from worker.report.tables import Tables
from worker.report.words import WORDS

DRAWN: Final = ("funnel", "moves", "stays", "trend", "cohorts", "attribution", "sla", "value", "returned")
"""Figures that the page draws, and filters."""

ROWS_MAX: Final = 200
DAY_SECONDS: Final = 86_400


def page(tables: Tables, found: Figures) -> str:
    """The whole page. It loads nothing from anywhere: its policy forbids it to."""
    here = Path(__file__).parent
    data = json.dumps(cube(tables), ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    name = escape(found.lifecycle)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none';style-src 'unsafe-inline';script-src 'unsafe-inline'">
<title>{name}: figures</title><style>{(here / "page.css").read_text(encoding="utf-8")}</style></head><body>
<a class="skip" href="#figures">To the figures</a>
<header><h1>{name}: from first contact to customer</h1>
<p class="soft">As of {escape(found.as_of)}, {found.contacts:,} contacts.
<button id="theme" type="button">Light or dark</button></p></header>
<main><form id="filters" aria-label="Filters">
<label>Source (first touch)<select id="source"></select></label>
<label>Campaign (first touch)<select id="campaign"></select></label>
<label>Owner of stages<select id="owner"></select></label>
<label>Arrived from week<select id="since"></select></label><label>to week<select id="until"></select></label>
<button type="reset">All</button><output id="count" aria-live="polite"></output></form>
<noscript><p>The drawings need JavaScript; the tables below do not.</p></noscript>
<div id="figures" class="grid">{"".join(map(_drawn, DRAWN))}</div>
<h2 style="margin-top:1.5rem">Of all contacts, whatever the filters</h2>
<div class="grid">{_velocity(found)}{"".join(_table(what, rows) for what, rows in _rest(found))}</div>
</main><script type="application/json" id="data">{data}</script>
<script>{(here / "page.js").read_text(encoding="utf-8")}</script></body></html>
"""


def _drawn(figure: str) -> str:
    words = WORDS[figure]
    return (
        f'<section aria-labelledby="{figure}-title"><h2 id="{figure}-title">{escape(words.title)}</h2>'
        f'<p class="soft">{escape(words.means)}</p><div id="{figure}-plot"></div>'
        f'<p class="look">{escape(words.look)}</p><details><summary>{escape(words.title)}: the numbers</summary>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(words.title)}, table">'
        f'<table id="{figure}-table"></table></div></details></section>'
    )


def _rest(found: Figures) -> list[tuple[str, Rows | str]]:
    names = (
        "conversions", "outcomes", "quality", "skips", "deals", "cost", "touches", "list_growth", "hygiene", "by_hand",
        "customers",
    )  # fmt: skip
    return [(name, found.missing.get(name, "") if (rows := getattr(found, name)) is None else rows) for name in names]


def _velocity(found: Figures) -> str:
    told = found.velocity
    fit = found.demand
    fitting = f"{fit['engaged']:,} of {fit['fit']:,}" if fit["fit"] else "none is known to fit"
    return (
        "<section><h2>End to end, and who fits</h2>"
        '<p class="soft">From the first change to the first entry of the end; contacts under way count as not there'
        " yet. Contacts that fit, and those of them ever where demand begins.</p>"
        f"<p>{_name(told['from'])} → {_name(told['to'])}: {told['arrived']:,} arrived,"
        f" {told['under_way']:,} under way; half of all after {_days(told['median_seconds'])};"
        f" of those who arrived, half after {_days(told['median_seconds_of_arrived'])}.</p>"
        f"<p>Fitting contacts that came to {_name(fit['stage'])}: {fitting}.</p>"
        '<p class="look">Look whether the median of those who arrived grows: sales take longer.</p></section>'
    )


def _table(figure: str, rows: Rows | str) -> str:
    words = WORDS[figure]
    if isinstance(rows, str):
        body = f"<p>Not here: {escape(rows)}.</p>"
    elif not rows:
        body = "<p>None.</p>"
    else:
        head = "".join(f'<th scope="col">{_name(column)}</th>' for column in rows[0])
        lines = "".join(_line(list(row), row) for row in rows[:ROWS_MAX])
        more = f"<p>{len(rows) - ROWS_MAX:,} more rows are in the tables.</p>" if len(rows) > ROWS_MAX else ""
        body = (
            f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(words.title)}, table">'
            f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>{more}"
        )
    return (
        f'<section><h2>{escape(words.title)}</h2><p class="soft">{escape(words.means)}</p>{body}'
        f'<p class="look">{escape(words.look)}</p></section>'
    )


def _line(columns: Sequence[str], row: dict[str, Any]) -> str:
    cells = [_cell(column, row[column]) for column in columns]
    return f'<tr><th scope="row">{cells[0]}</th>' + "".join(f"<td>{cell}</td>" for cell in cells[1:]) + "</tr>"


def _cell(column: str, value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if column.endswith("seconds"):
        return _days(value)
    if column.endswith(("rate", "share")):
        return f"{value:.1%}"
    if isinstance(value, float):
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else _name(str(value))


def _days(seconds: float | None) -> str:
    return "not yet" if seconds is None else f"{seconds / DAY_SECONDS:,.1f} days"


def _name(text: str) -> str:
    return escape(text.replace("_", " "))
