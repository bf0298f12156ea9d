"""A matrix of shares: a row for each key, a column for each stage, the fuller the larger the share."""

from __future__ import annotations

from typing import Final

from worker.charts.theme import COLOUR, WIDE, Spec, lite

ROWS_MAX: Final = 20
ROW: Final = 28
HEADS: Final = "(width < 400 ? 96 : 200)"
"""The width that the rows' heads take."""


def matrix(columns: int, *, newest: bool = False) -> Spec:
    """Rows have `row` (its number), `key`, `size`, `stage`, `place` and `count`, the part of `size` in the stage.

    Of many the first ones are drawn, or with `newest` the last ones.
    """
    few = f"datum.row > datum.last - {ROWS_MAX}" if newest else f"datum.row < {ROWS_MAX}"
    tight = f"(width - {HEADS}) / {columns} < 90"
    return lite(
        WIDE,
        {"step": ROW},
        transform=[
            {"joinaggregate": [{"op": "max", "field": "row", "as": "last"}]},
            {"filter": few},
            {"calculate": "datum.count / datum.size", "as": "share"},
            {"calculate": COLOUR, "as": "colour"},
            {"calculate": f"datum.key + ({tight} ? '' : ' (' + format(datum.size, ',') + ')')", "as": "head"},
            {"joinaggregate": [{"op": "min", "field": "place", "as": "first"}]},
            {"calculate": "datum.key + ', ' + datum.stage + ': ' + format(datum.count, ',') + ' of '"
                          " + format(datum.size, ',')", "as": "tip"},
        ],
        encoding={"y": {"field": "row", "type": "ordinal", "axis": None, "scale": {"padding": 0.04}}},
        layer=[
            {"transform": [{"filter": "datum.place == datum.first"}],
             "mark": {"type": "text", "align": "left", "baseline": "middle", "limit": {"expr": f"{HEADS} - 8"},
                      "fontSize": {"expr": f"{tight} ? 12 : 13"}},
             "encoding": {"x": {"value": 0}, "text": {"field": "head"}}},
            {"mark": {"type": "rect", "cornerRadius": 3},
             "encoding": {**_columns(tight), "tooltip": {"field": "tip"},
                          "color": {"field": "colour", "type": "nominal", "scale": None},
                          "opacity": {"field": "share", "type": "quantitative", "legend": None,
                                      "scale": {"domain": [0, 1], "range": [0.06, 0.42]}}}},
            {"transform": [{"calculate": f"{tight} ? format(100 * datum.share, '.0f')"
                                         " : replace(format(100 * datum.share, '.1f'), '.0', '') + ' %'",
                            "as": "written"}],
             "mark": {"type": "text", "baseline": "middle", "fontSize": {"expr": f"{tight} ? 11 : 13"}},
             "encoding": {**_columns(tight), "text": {"field": "written"}, "tooltip": {"field": "tip"}}},
        ],
    )  # fmt: skip


def _columns(tight: str) -> Spec:
    return {
        "x": {
            "field": "stage", "type": "nominal", "sort": None,
            "scale": {"padding": 0.01, "range": [{"expr": HEADS}, {"expr": "width"}]},
            "axis": {"orient": "top", "labelAngle": {"expr": f"{tight} ? -50 : 0"}, "labelOverlap": False,
                     "labelAlign": {"expr": f"{tight} ? 'left' : 'center'"}, "labelLimit": 130},
        }
    }  # fmt: skip
