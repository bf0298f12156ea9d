"""Lines over steps, a line for each stage, named where it ends."""

from __future__ import annotations

import json
from typing import Any, Final

from worker.charts.theme import COLOUR, NARROW, SOFT, Spec, text, vega

HEIGHT: Final = 240
DOTS_MAX: Final = 60  # steps; with more the dots would hide the lines
APART: Final = 16  # of names at the ends of lines


def lines(*, share: bool = False, own: str = "", width: int = NARROW, height: int = HEIGHT) -> Spec:
    """Rows have `at` (the step, as text), `stage`, `place` and `value`: a count, or a `share`.

    `own`: the step at which a line stands for what is in force.
    """
    form = "'.1%'" if share else "','"
    return vega(
        width,
        height,
        [{"name": "gutter", "update": "min(width * 0.52, 14 + (width < 400 ? 7.8 : 8.6) * longest[1])"},
         {"name": "top", "update": f"max({0.01 if share else 1}, most[1] || 0)"}],
        data=[
            {"name": "rows", "transform": [
                {"type": "formula", "as": "colour", "expr": COLOUR},
                {"type": "formula", "as": "letters", "expr": "length(datum.stage)"},
                {"type": "extent", "field": "letters", "signal": "longest"},
                {"type": "extent", "field": "value", "signal": "most"}]},
            {"name": "ends", "source": "rows", "transform": _ends()},
        ],
        scales=[
            {"name": "x", "type": "point", "domain": {"data": "rows", "field": "at"},
             "range": [0, {"signal": "width - gutter"}]},
            {"name": "y", "type": "linear", "nice": True, "domain": [0, {"signal": "top"}],
             "range": [{"signal": "height"}, 0]},
        ],
        axes=[
            {"orient": "left", "scale": "y", "grid": True, "gridScale": "x",
             "tickCount": 5 if share else {"signal": "min(5, top)"},  # of contacts, whole ones
             "format": ".1~%" if share else ",.0f"},
            {"orient": "bottom", "scale": "x", "labelOverlap": "parity", "labelPadding": 10},
        ],
        marks=[
            *_own(own),
            {"type": "group", "from": {"facet": {"name": "line", "data": "rows", "groupby": "stage"}}, "marks": [
                {"type": "line", "from": {"data": "line"}, "encode": {"update": {
                    **_place(), "stroke": {"field": "colour"}, "strokeWidth": {"value": 2.5},
                    "strokeJoin": {"value": "round"}}}}]},
            {"type": "symbol", "from": {"data": "rows"}, "encode": {"update": {
                **_place(), "fill": {"field": "colour"}, "size": {"value": 36},
                "fillOpacity": {"signal": f"length(domain('x')) > {DOTS_MAX} ? 0 : 1"}, "tooltip": {
                    "signal": f"datum.stage + ', ' + datum.at + ': ' + format(datum.value, {form})"}}}},
            {"type": "text", "from": {"data": "ends"}, "encode": {"update": text(
                text={"field": "stage"}, fill={"field": "colour"}, fontWeight={"value": 600},
                x={"signal": "width - gutter + 10"}, y={"field": "stands"}, baseline={"value": "middle"},
                limit={"signal": "gutter - 10"}, fontSize={"signal": "width < 400 ? 11 : 12"})}},
        ],
    )  # fmt: skip


def _place() -> dict[str, Any]:
    return {"x": {"scale": "x", "field": "at"}, "y": {"scale": "y", "field": "value"}}


def _ends() -> list[Spec]:
    """Names stand at the ends of their lines; of those that would stand on each other the lower one goes down, and
    where that leads below the axis, all above it go up. What each is pushed to is the most that one above it asks for.
    """
    from_above = {"field": ["end", "place"], "order": ["ascending", "ascending"]}
    return [
        {"type": "filter", "expr": "datum.at === peek(domain('x'))"},
        {"type": "formula", "as": "end", "expr": "scale('y', datum.value)"},
        {"type": "joinaggregate", "ops": ["count"], "as": ["names"]},
        {"type": "window", "sort": from_above, "ops": ["row_number"], "as": ["rank"]},
        {"type": "formula", "as": "asked", "expr": f"datum.end - {APART} * datum.rank"},
        {"type": "window", "sort": from_above, "ops": ["max"], "fields": ["asked"], "as": ["pushed"],
         "frame": [None, 0]},
        {"type": "formula", "as": "stands",
         "expr": f"min(datum.pushed + {APART} * datum.rank, height - {APART} * (datum.names - datum.rank))"},
    ]  # fmt: skip


def _own(own: str) -> list[Spec]:
    if not own:
        return []
    x = {"signal": f"scale('x', {json.dumps(own)})"}
    return [
        {"type": "rule", "encode": {"update": {"x": x, "y": {"value": -4}, "y2": {"signal": "height"},
                                               "stroke": {"value": SOFT}, "strokeDash": {"value": [3, 4]}}}},
        {"type": "text", "encode": {"update": text(text={"value": "in force"}, x=x, y={"value": -10},
                                                   align={"value": "center"}, fill={"value": SOFT})}},
    ]  # fmt: skip
