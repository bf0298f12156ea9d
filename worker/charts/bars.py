"""Bars with their words above them, which so have room on a narrow screen too: one for each row of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from worker.charts.theme import COLOUR, NARROW, SOFT, Spec, lite

ROW: Final = 44
THICK: Final = 14


def bars(
    label: str, told: str, layers: Sequence[Spec], first: Sequence[Spec] = (), *, width: int = NARROW
) -> Spec:  # fmt: skip
    """`label` (one for each row) and `told` are expressions; so are the rows' first transforms, and the layers' own."""
    words = {"type": "text", "baseline": "middle", "yOffset": -10, "fontSize": {"expr": "width < 400 ? 12 : 13"}}
    return lite(
        width,
        {"step": ROW},
        transform=[*first, *({"calculate": what, "as": name} for name, what in
                             (("label", label), ("told", told), ("colour", COLOUR)))],
        encoding={"y": {"field": "label", "type": "nominal", "sort": None, "axis": None, "scale": {"padding": 0}}},
        layer=[
            {"mark": {**words, "align": "left", "fontWeight": 600,
                      "limit": {"expr": "width - 12 - 7 * length(datum.told)"}},
             "encoding": {"x": {"value": 0}, "text": {"field": "label"}}},
            {"mark": {**words, "align": "right", "fill": SOFT}, "encoding": {"x": {"value": "width"},
                                                                            "text": {"field": "told"}}},
            *layers,
        ],
    )  # fmt: skip


def bar(field: str, *, colour: str | None = None, opacity: float = 1.0, thick: int = THICK, at: int = 8) -> Spec:
    """A bar as long as the field, in the stage's colour unless one is given, `at` so far below the row's middle."""
    return {
        "mark": {"type": "bar", "height": thick, "yOffset": at, "opacity": opacity, "cornerRadiusEnd": 2},
        "encoding": {"x": _length(field), "color": {"field": "colour", "type": "nominal", "scale": None}
                     if colour is None else {"value": colour}},
    }  # fmt: skip


def stack(fields: Mapping[str, str]) -> Spec:
    """The fields behind each other, each in its colour, with a legend."""
    names = list(fields)
    return {
        "transform": [{"fold": names, "as": ["part", "length"]},
                      {"calculate": f"indexof({names}, datum.part)", "as": "order"}],
        "mark": {"type": "bar", "height": THICK, "yOffset": 8},
        "encoding": {
            "x": {**_length("length"), "stack": "zero"}, "order": {"field": "order", "type": "quantitative"},
            "color": {"field": "part", "type": "nominal",
                      "scale": {"domain": names, "range": list(fields.values())}, "legend": {}},
        },
    }  # fmt: skip


def _length(field: str) -> dict[str, Any]:
    return {"field": field, "type": "quantitative", "axis": None, "scale": {"nice": False}}
