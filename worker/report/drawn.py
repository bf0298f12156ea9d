"""The figures that the page draws: for each its chart, what it says to those who don't see it, and its table's columns.

The page's script is given the same, so that what it draws of filtered contacts looks as what is drawn here of all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any, Final, NamedTuple

from worker.charts import Rows, Spec, compiled
from worker.charts.bars import bar, bars, stack
from worker.charts.curves import curves
from worker.charts.lines import lines
from worker.charts.matrix import matrix
from worker.charts.sankey import sankey
from worker.charts.theme import BAD, GOOD, OPEN


class Drawn(NamedTuple):
    """`columns` are a table's: head, the rows' field, and its kind. Rows alike in all of them are one line of it, which
    has the `across` of each of them as further cells, under their stages.
    """

    label: str
    spec: Spec
    columns: Sequence[tuple[str, str, str]]
    across: str = ""
    wide: bool = False


RETURNED_MAX: Final = 12  # rows drawn; the table has all


def drawn(stages: Sequence[str]) -> dict[str, Drawn]:
    """By the figure's name, in the order of the page. `stages` are their names."""
    charts = {
        "funnel": Drawn(
            "Funnel: contacts ever in each stage, and now",
            _funnel(),
            [("Stage", "stage", "text"), ("Ever", "ever", "number"), ("Now", "now", "number"),
             ("From the stage before", "came", "number"), ("Share", "share", "share")],
        ),
        "stays": Drawn(
            "Share of visits that still go on, by time in stage",
            curves(),
            [("Stage", "stage", "text"), ("Visits", "visits", "number"), ("Going on", "open", "number"),
             ("Half have left after", "half", "half")],
        ),
        "moves": Drawn(
            "Moves between stages, as wide as there are many; those back run along the bottom",
            sankey(stages),
            [("Move", "move", "text"), ("Direction", "direction", "text"), ("Changes", "count", "number")],
            wide=True,
        ),
        "trend": Drawn("Entries of each stage by week", lines(), [("Week", "at", "text")], across="value"),
        "sla": Drawn(
            "Promises kept, breached and running by owner",
            _sla(),
            [("Owner", "owner", "name"), ("Stage", "stage", "text"), ("Kept", "kept", "number"),
             ("Breached", "breached", "number"), ("Running", "running", "number"), ("Share kept", "share", "share")],
        ),
        "cohorts": Drawn(
            "Share of each week's arrivals ever in each stage",
            matrix(len(stages), newest=True),
            [("Week", "key", "text"), ("Contacts", "size", "number")],
            across="count",
            wide=True,
        ),
        "attribution": Drawn(
            "Share of each source's contacts ever in each stage",
            matrix(len(stages)),
            [("Source", "key", "text"), ("Contacts", "size", "number")],
            across="count",
            wide=True,
        ),
        "value": Drawn(
            "Open deals by stage",
            _value(),
            [("Stage", "stage", "text"), ("Currency", "currency", "text"), ("Deals", "deals", "number"),
             ("Amount", "amount", "number")],
        ),
        "returned": Drawn(
            "Moves to a lower stage by reason",
            _returned(),
            [("From", "from", "text"), ("To", "to", "text"), ("Reason", "reason", "text"),
             ("Moves", "count", "number")],
        ),
    }  # fmt: skip
    return {figure: chart._replace(spec=compiled(chart.spec)) for figure, chart in charts.items()}


def _funnel() -> Spec:
    came = "isValid(datum.share) ? ', ' + format(datum.share, '.0%') + (width < 400 ? '' : ' of those before') : ''"
    return bars(
        "datum.stage", f"format(datum.ever, ',') + ' ever, ' + format(datum.now, ',') + ' now' + ({came})",
        [bar("ever", opacity=0.35), bar("now", thick=6)],
    )  # fmt: skip


def _sla() -> Spec:
    return bars(
        "replace(datum.owner, /_/g, ' ') + ' on ' + datum.stage",
        "isValid(datum.share) ? format(datum.share, '.0%') + ' of ' + format(datum.kept + datum.breached, ',')"
        " + (width < 400 ? '' : ' kept')"
        " : 'none due yet'",
        [stack({"kept": GOOD, "breached": BAD, "running": OPEN})],
    )  # fmt: skip


def _value() -> Spec:
    return bars(
        "datum.stage + ' (' + datum.currency + ')'",
        "format(datum.amount, ',.0f') + ', ' + format(datum.deals, ',') + (datum.deals == 1 ? ' deal' : ' deals')",
        [bar("length", opacity=0.7)],
        [{"joinaggregate": [{"op": "max", "field": "amount", "as": "most"}], "groupby": ["currency"]},
         {"calculate": "datum.most ? datum.amount / datum.most : 0", "as": "length"}],
    )  # fmt: skip


def _returned() -> Spec:
    return bars(
        "(datum.reason == '(none)' ? 'no reason' : datum.reason) + ': ' + datum.from + ' → ' + datum.to",
        "format(datum.count, ',')",
        [bar("count", colour=BAD, opacity=0.7)],
        [{"window": [{"op": "row_number", "as": "row"}]}, {"filter": f"datum.row <= {RETURNED_MAX}"}],
    )  # fmt: skip


def table(figure: Drawn, rows: Rows) -> str:
    """The rows as the inside of an HTML table."""
    lines: dict[tuple[str, ...], list[str]] = {}
    heads = [head for head, _, _ in figure.columns]
    further: dict[str, None] = {}
    for row in rows:
        cells = lines.setdefault(tuple(_written(row[field], kind) for _, field, kind in figure.columns), [])
        if figure.across:
            cells.append(_written(row[figure.across], "number"))
            further[row["stage"]] = None
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in [*heads, *further])
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in [*others, *cells])
        + "</tr>"
        for (first, *others), cells in lines.items()
    )  # fmt: skip
    return f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"


def _written(value: Any, kind: str) -> str:
    """As the script writes it: halves go up."""
    if value is None:
        return "more than half remain" if kind == "half" else "–"
    match kind:
        case "number":
            return f"{math.floor(value + 0.5):,}"
        case "share":
            return f"{math.floor(1_000 * value + 0.5) / 10:.1f} %".replace(".0 %", " %")
        case "half":
            return f"up to {_long(value)}"
        case "name":
            return str(value).replace("_", " ")
    return str(value)


def _long(seconds: float) -> str:
    if seconds < 5_400:
        return f"{math.floor(seconds / 60 + 0.5)} min"
    if seconds < 129_600:
        return f"{math.floor(seconds / 3_600 + 0.5)} h"
    return f"{math.floor(seconds / 8_640 + 0.5) / 10:.1f} d"
