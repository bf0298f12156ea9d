"""Curves of how many remain after a time, which runs from minutes to years."""

from __future__ import annotations

from typing import Final

from worker.charts.theme import COLOUR, NARROW, Spec, vega

HEIGHT: Final = 240
TICKS: Final = {60: "1 min", 3_600: "1 h", 86_400: "1 d", 604_800: "1 w", 2_592_000: "30 d", 31_536_000: "1 y"}


def curves() -> Spec:
    """Rows have `stage`, `place`, `seconds`, and the `share` that remains from then on."""
    named = "".join(f"datum.value == {seconds} ? '{name}' : " for seconds, name in TICKS.items())
    place = {"x": {"scale": "x", "field": "seconds"}, "y": {"scale": "y", "field": "share"}}
    told = "datum.stage + ': ' + format(datum.share, '.1%') + ' remain'"
    return vega(
        NARROW,
        HEIGHT,
        [
            {"name": "abreast", "update": "max(1, floor((room - 40) / (44 + 8 * (longest[1] || 0))))"},
            # Names go down the columns: no more columns than their rows fill.
            {"name": "columns", "update": "ceil(lines[1] / ceil(lines[1] / abreast)) || 1"},
        ],
        data=[
            {"name": "rows", "transform": [
                {"type": "formula", "as": "colour", "expr": COLOUR},
                {"type": "formula", "as": "letters", "expr": "length(datum.stage)"},
                {"type": "extent", "field": "letters", "signal": "longest"}]},
            {"name": "stages", "source": "rows", "transform": [
                {"type": "aggregate", "groupby": ["stage", "colour"]},
                {"type": "window", "ops": ["row_number"], "as": ["line"]},
                {"type": "extent", "field": "line", "signal": "lines"}]},
        ],
        scales=[
            {"name": "x", "type": "log", "domain": {"data": "rows", "field": "seconds"}, "range": "width"},
            {"name": "y", "type": "linear", "domain": [0, 1], "range": "height"},
            {"name": "colour", "type": "ordinal", "domain": {"data": "stages", "field": "stage"},
             "range": {"data": "stages", "field": "colour"}},
        ],
        axes=[
            {"orient": "left", "scale": "y", "grid": True, "format": ".0%", "tickCount": 4},
            {"orient": "bottom", "scale": "x", "grid": True, "values": list(TICKS), "labelPadding": 10,
             "encode": {"labels": {"update": {"text": {"signal": f"{named}''"}}}}},
        ],
        legends=[{"stroke": "colour", "symbolType": "stroke", "symbolStrokeWidth": 3, "symbolSize": 200,
                  "columns": {"signal": "columns"}, "columnPadding": 14}],
        marks=[
            {"type": "group", "from": {"facet": {"name": "curve", "data": "rows", "groupby": "stage"}}, "marks": [
                {"type": "line", "from": {"data": "curve"}, "encode": {"update": {
                    **place, "stroke": {"field": "colour"}, "strokeWidth": {"value": 2.5},
                    "interpolate": {"value": "step-after"}, "strokeJoin": {"value": "round"}}}}]},
            {"type": "symbol", "from": {"data": "rows"}, "encode": {"update": {
                **place, "fill": {"value": "transparent"}, "size": {"value": 160}, "tooltip": {"signal": told}}}},
        ],
    )  # fmt: skip
