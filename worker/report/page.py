"""The report as one page that needs nothing else: its counts, its charts and what draws them anew are within."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from worker.charts import STYLE, Rows, draw, runtime
from worker.report.cube import cube
from worker.report.drawn import Drawn, drawn, table
from worker.report.figures import Figures
from worker.report.rows import rows as rows_of
from worker.report.tables import Tables
from worker.report.words import WORDS

ROWS_MAX: Final = 200
UNFOLDED_ROWS_MAX: Final = 12  # of more, the script folds the table
DAY_SECONDS: Final = 86_400


PAIRS: Final = (("mql", "sal"), ("mql", "sql"), ("sql", "opportunity"), ("pql", "customer"))
"""Conversions that the page begins with, where the lifecycle has them."""

STAGE_COLUMNS: Final = ("stage", "from_stage", "to_stage")
WIDE: Final = 5  # columns from which on a table takes the page's whole width


def page(tables: Tables, found: Figures) -> str:
    """The whole page. It loads nothing from anywhere: its policy forbids it to."""
    here = Path(__file__).parent
    counts = cube(tables)
    charts, held = drawn(tables.names), rows_of(counts)
    name = escape(found.lifecycle)
    names = dict(zip(tables.stages, tables.names, strict=True))
    rest = _matrix(found, names) + "".join(_table(what, _named(rows, names)) for what, rows in _rest(found))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none';style-src 'unsafe-inline';script-src 'unsafe-inline'">
<title>{name}: figures</title><style>{STYLE}{(here / "page.css").read_text(encoding="utf-8")}</style>
<noscript><style>#filters,#theme{{display:none}}</style></noscript></head><body>
<a class="skip" href="#figures">To the figures</a>
<header><h1>{name}: from first contact to customer</h1>
<p class="soft">As of {escape(_instant(found.as_of))}, {found.contacts:,} contacts.
<button id="theme" type="button">Light or dark</button></p></header>
<main>{_headline(found, names)}<form id="filters" aria-label="Filters">
<label>Source (first touch)<select id="source"></select></label>
<label>Campaign (first touch)<select id="campaign"></select></label>
<label>Owner of stages<select id="owner"></select></label>
<label>Arrived from week<select id="since"></select></label><label>to week<select id="until"></select></label>
<button type="reset">All</button><output id="count" aria-live="polite"></output></form>
<noscript><p>The filters need JavaScript; drawings and tables, of all contacts, do not.</p></noscript>
<div id="figures" class="grid">{"".join(_drawn(figure, chart, held[figure]) for figure, chart in charts.items())}</div>
<h2 class="rest">Of all contacts, whatever the filters</h2>
<div class="grid">{_velocity(found, names)}{rest}</div>
</main><script type="application/json" id="data">{_json(counts)}</script>
<script type="application/json" id="charts">{_json({figure: one._asdict() for figure, one in charts.items()})}</script>
<script>{runtime()}</script>
<script>{(here / "page.js").read_text(encoding="utf-8")}</script></body></html>
"""


def _instant(text: str) -> str:
    """For people: to the minute."""
    return f"{text[:10]} {text[11:16]} UTC"


def _named(rows: Rows | str, names: dict[str, str]) -> Rows | str:
    if isinstance(rows, str):
        return rows
    return [{key: names.get(value, value) if key in STAGE_COLUMNS else value for key, value in row.items()}
            for row in rows]  # fmt: skip


def _headline(found: Figures, names: dict[str, str]) -> str:
    """The few figures that are asked for first."""
    told = found.velocity
    told_of = {(row["from_stage"], row["to_stage"]): row for row in found.conversions}
    tiles = [(f"{names[told['to']]}, ever", f"{told['arrived']:,}", f"of {found.contacts:,} contacts")]
    for pair in PAIRS:
        if pair in told_of and told_of[pair]["rate"] is not None:
            row = told_of[pair]
            of = f"{row['converted']:,} of {row['entered']:,}"
            tiles.append((f"{names[pair[0]]} → {names[pair[1]]}", f"{row['rate']:.0%}", of))
    if told["median_seconds_of_arrived"] is not None:
        tiles.append(("First contact to end", _days(told["median_seconds_of_arrived"]), "median of those who arrived"))
    kept, due = (sum(row[what] for row in found.sla) for what in ("kept", "breached"))
    if kept + due:
        tiles.append(("Promises kept", f"{kept / (kept + due):.0%}", f"{due:,} breached"))
    for row in found.deals:
        if row["standing"] == "open" and row["amount"] is not None:
            tiles.append(("Open pipeline", f"{row['amount']:,.0f} {row['currency'] or ''}", f"{row['deals']:,} deals"))
    shown = "".join(
        f"<div><dt>{escape(what)}</dt><dd><b>{escape(value)}</b> {escape(of)}</dd></div>" for what, value, of in tiles
    )
    return f'<dl class="headline">{shown}</dl>'


def _made_of(figure: str) -> str:
    return f'<p class="soft made">Made of: {escape(WORDS[figure].needs)}.</p>'


def _drawn(figure: str, chart: Drawn, held: Rows) -> str:
    """The drawing, and its numbers as a table, which is unfolded until the script folds it."""
    words = WORDS[figure]
    none, plot = (" hidden", "") if held else ("", " hidden")
    return (
        f'<section{_wide(chart.wide)} aria-labelledby="{figure}-title">'
        f'<h2 id="{figure}-title">{escape(words.title)}</h2>'
        f'<p class="soft">{escape(words.means)}</p>'
        f'<div class="plot" id="{figure}-plot" role="img" aria-label="{escape(chart.label)}"{plot}>'
        f"{draw(chart.spec, held) if held else ''}</div>"
        f'<p class="soft" id="{figure}-none"{none}>Nothing with these filters.</p>'
        f'<p class="look">{escape(words.look)}</p>'
        f"<details open><summary>{escape(words.title)}: the numbers</summary>"
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(words.title)}, table">'
        f'<table id="{figure}-table">{table(chart, held)}</table></div></details>{_made_of(figure)}</section>'
    )


def _wide(wide: bool) -> str:
    return ' class="wide"' if wide else ""


def _json(value: Any) -> str:
    """As a script's text can hold it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _rest(found: Figures) -> list[tuple[str, Rows | str]]:
    names = (
        "conversions_by_week", "outcomes", "quality", "skips", "deals", "cost", "touches", "list_growth",
        "hygiene", "by_hand", "customers", "statuses",
    )  # fmt: skip
    held = [(name, found.missing.get(name, "") if (rows := getattr(found, name)) is None else rows) for name in names]
    return [*held, *((f"{which}_touch", found.attribution[which]["entries"]) for which in ("first", "last")),
            *((f"{which}_value", found.attribution[which]["pipeline"]) for which in ("first", "last"))]  # fmt: skip


def _matrix(found: Figures, names: dict[str, str]) -> str:
    """Conversions from each stage (a row) to each above it (a column)."""
    words = WORDS["conversions"]
    stages = list(names)
    told = {(row["from_stage"], row["to_stage"]): row for row in found.conversions}

    def cell(row: dict[str, Any] | None) -> str:
        if row is None:
            return "<td></td>"
        if row["rate"] is None:
            return "<td>–</td>"
        took = "" if row["median_seconds"] is None else f", {_days(row['median_seconds'])}"
        now = "–" if row["snapshot_rate"] is None else f"{row['snapshot_rate']:.0%}"
        return f'<td><b>{row["rate"]:.0%}</b>{took}<br><span class="soft">now {now}</span></td>'

    head = "".join(f'<th scope="col">{escape(names[stage])}</th>' for stage in stages[1:])
    lines = "".join(
        f'<tr><th scope="row">{escape(names[low])}</th>'
        f"{''.join(cell(told.get((low, high))) for high in stages[1:])}</tr>"
        for low in stages[:-1]
    )
    return (
        f'<section class="wide"><h2>{escape(words.title)}</h2><p class="soft">{escape(words.means)}</p>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(words.title)}, table">'
        f'<table><thead><tr><th scope="col">From, to</th>{head}</tr></thead><tbody>{lines}</tbody></table></div>'
        f'<p class="look">{escape(words.look)}</p>{_made_of("conversions")}</section>'
    )


def _velocity(found: Figures, names: dict[str, str]) -> str:
    told = found.velocity
    fit = found.demand
    none = told["median_seconds"] is None
    half = "fewer than half of all so far" if none else f"half of all after {_days(told['median_seconds'])}"
    fitting = f"{fit['engaged']:,} of {fit['fit']:,}" if fit["fit"] else "none is known to fit"
    return (
        "<section><h2>End to end, and who fits</h2>"
        '<p class="soft">From the first change to the first entry of the end; contacts under way count as not there'
        " yet. Contacts that fit, and those of them ever where demand begins.</p>"
        f"<p>{escape(names[told['from']])} → {escape(names[told['to']])}: {told['arrived']:,} arrived,"
        f" {told['under_way']:,} under way; {half};"
        f" of those who arrived, half after {_days(told['median_seconds_of_arrived'])}.</p>"
        f"<p>Fitting contacts that came to {escape(names[fit['stage']])}: {fitting}.</p>"
        '<p class="look">Look whether the median of those who arrived grows: sales take longer.</p>'
        '<p class="soft made">Made of: changes.</p></section>'
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
        if len(rows) > UNFOLDED_ROWS_MAX:
            body = f"<details open><summary>{escape(words.title)}: {len(rows):,} rows</summary>{body}</details>"
    wide = not isinstance(rows, str) and bool(rows) and len(rows[0]) >= WIDE
    return (
        f'<section{_wide(wide)}><h2>{escape(words.title)}</h2><p class="soft">{escape(words.means)}</p>{body}'
        f'<p class="look">{escape(words.look)}</p>{_made_of(figure)}</section>'
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
    if seconds is None:
        return "not yet"
    if seconds < 60:
        return "at once"
    if seconds < 5_400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3_600:.0f} hours" if seconds < DAY_SECONDS else f"{seconds / DAY_SECONDS:,.1f} days"


def _name(text: str) -> str:
    return escape(text.replace("_", " "))
