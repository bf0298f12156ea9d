"""Flows between stages that stand in their order: onward ones go right, those over a stage as arcs above it, and those
back along the bottom.

The geometry is reckoned by the transforms below, wherever the chart is drawn. Of one stage's flows, from its top: those
that go over most stages, the one to the next, those back; where they come in likewise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from worker.charts.theme import BAD, COLOUR, WIDE, Spec, text, vega

HEIGHT: Final = 380
NODE: Final = 12
LIFT: Final = 26  # of an arc, for each stage that it goes over
LANE: Final = 18  # between flows back, where a count has room
TIGHT: Final = 90  # between stages, below which their names stand aslant
LETTER: Final = 7.5  # of a name, in pixels
ARC: Final = 0.75  # of a Bézier curve's lift, what the curve itself comes to

_OVER: Final = "(datum.to - datum.from - 1)"
_BACK: Final = "datum.to < datum.from"


def sankey(stages: Sequence[str]) -> Spec:
    """Rows have `from` and `to`, which are places in `stages`, and `count`."""
    last = max(1, len(stages) - 1)
    return vega(
        WIDE,
        HEIGHT,
        [
            {"name": "margin", "update": "min(40, width / 16)"},
            {"name": "gap", "update": f"(width - 2 * margin - {NODE}) / {last}"},
            {"name": "tight", "update": f"gap < {_room(stages)}"},
            {"name": "top", "update": f"(tight ? 96 : 46) + {ARC * LIFT} * max(0, over[1] || 0)"},
            {"name": "each", "update": f"(height - top - 8 - {LANE} * (lanes[1] || 0))"
                                       " / max(1, (most[1] || 0) + (behind[1] || 0))"},
            {"name": "floor", "update": "top + (most[1] || 0) * each + 4"},
        ],
        data=[
            {"name": "rows", "transform": [
                {"type": "formula", "as": "over", "expr": _OVER},
                {"type": "extent", "field": "over", "signal": "over"},
                {"type": "formula", "as": "turn", "expr": f"{_BACK} ? 100 - {_OVER} : -{_OVER}"},
                _stacked("from", "leaves"), _stacked("to", "enters")]},
            {"name": "out", "source": "rows", "transform": [_summed("from")]},
            {"name": "in", "source": "rows", "transform": [_summed("to")]},
            {"name": "stages", "values": [{"place": place, "stage": stage} for place, stage in enumerate(stages)],
             "transform": [
                {"type": "lookup", "from": other, "key": key, "fields": ["place"], "values": ["total"], "as": [other],
                 "default": 0} for other, key in (("out", "from"), ("in", "to"))] + [
                {"type": "formula", "as": "size", "expr": "max(datum.out, datum['in'])"},
                {"type": "formula", "as": "colour", "expr": COLOUR},
                {"type": "extent", "field": "size", "signal": "most"}]},
            {"name": "backward", "source": "rows", "transform": [
                {"type": "filter", "expr": _BACK},
                {"type": "window", "sort": {"field": ["turn", "from"]}, "ops": ["sum", "row_number"],
                 "fields": ["count", None], "as": ["beneath", "lane"]},
                {"type": "extent", "field": "beneath", "signal": "behind"},
                {"type": "extent", "field": "lane", "signal": "lanes"}]},
            {"name": "back", "source": "backward", "transform": [
                *_ends(),
                {"type": "formula", "as": "y", "expr":
                 f"floor + (datum.beneath - datum.count / 2) * each + {LANE} * datum.lane"},
                {"type": "formula", "as": "bend", "expr":
                 "min(gap * 0.45, 16 + datum.thick / 2 + 3 * datum.lane)"},
                {"type": "formula", "as": "path", "expr": _loop()}]},
            {"name": "onward", "source": "rows", "transform": [
                {"type": "filter", "expr": f"!({_BACK})"}, *_ends(),
                {"type": "formula", "as": "lift", "expr": f"{LIFT} * datum.over"},
                {"type": "formula", "as": "colour", "expr": COLOUR.replace("datum.place", "datum.from")},
                {"type": "formula", "as": "path", "expr": _ribbon()}]},
        ],
        marks=[
            {"type": "path", "from": {"data": "onward"}, "encode": {
                "update": {"path": {"field": "path"}, "fill": {"field": "colour"}, "fillOpacity": {"value": 0.32},
                           "tooltip": {"signal": _TIP.replace("STAGES", str(list(stages)))}},
                "hover": {"fillOpacity": {"value": 0.55}}}},
            {"type": "path", "from": {"data": "back"}, "encode": {
                "update": {"path": {"field": "path"}, "stroke": {"value": BAD}, "strokeOpacity": {"value": 0.4},
                           "strokeWidth": {"field": "thick"},
                           "tooltip": {"signal": _TIP.replace("STAGES", str(list(stages)))}},
                "hover": {"strokeOpacity": {"value": 0.65}}}},
            {"type": "rect", "from": {"data": "stages"}, "encode": {"update": {
                "x": {"signal": "margin + gap * datum.place"}, "width": {"value": NODE}, "y": {"signal": "top"},
                "height": {"signal": "max(2, datum.size * each)"}, "fill": {"field": "colour"}}}},
            {"type": "text", "from": {"data": "stages"}, "encode": {"update": text(
                text={"signal": "tight ? datum.stage : split(datum.stage, ' ')"}, fontWeight={"value": 600},
                x={"signal": f"margin + gap * datum.place + {NODE} * (tight ? 0.5 : datum.place / {last})"},
                y={"signal": "tight ? 84 : 28 - 14 * (length(split(datum.stage, ' ')) - 1)"},
                lineHeight={"value": 14}, angle={"signal": "tight ? -50 : 0"},
                align={"signal": "tight || !datum.place ? 'left' : "
                                 f"datum.place < {last} ? 'center' : 'right'"})}},
            _counts("onward", "datum.over ? (datum.x0 + datum.x1) / 2 : datum.x0 + 8", f"(datum.over ? "
                    f"(datum.y0 + datum.y1 + datum.thick) / 2 - {ARC} * datum.lift : datum.y0 + datum.thick / 2)",
                    "datum.over ? 'center' : 'left'"),
            _counts("back", "(datum.x0 + datum.x1) / 2", "datum.y", "'center'"),
        ],
    )  # fmt: skip


def _room(stages: Sequence[str]) -> int:
    """How far apart stages must stand for their names to lie side by side, the outermost flush with the edges."""
    words = [LETTER * max(map(len, stage.split() or [stage])) for stage in stages]
    ends = (0, len(stages) - 1)
    sides = [width if place in ends else width / 2 for place, width in enumerate(words)]
    return max([TIGHT, *(math.ceil(one + other) + 8 for one, other in zip(sides, sides[1:], strict=False))])


def _counts(data: str, x: str, y: str, align: str) -> Spec:
    """How many a flow has: upon it, or above where it is too thin for that. Onward ones need room beside each other."""
    told = "format(datum.count, ',')"
    return {"type": "text", "from": {"data": data}, "encode": {"update": text(
        text={"signal": f"gap < 70 ? '' : {told}" if data == "onward" else told},
        x={"signal": x}, y={"signal": f"{y} - (datum.thick < 15 ? datum.thick / 2 + 7 : 0)"}, align={"signal": align},
        baseline={"value": "middle"})}}  # fmt: skip


_TIP: Final = "STAGES[datum.from] + ' → ' + STAGES[datum.to] + ': ' + format(datum.count, ',')"


def _stacked(end: str, name: str) -> Spec:
    return {"type": "stack", "groupby": [end], "sort": {"field": "turn"}, "field": "count",
            "as": [name, f"{name}_end"]}  # fmt: skip


def _summed(end: str) -> Spec:
    return {"type": "aggregate", "groupby": [end], "ops": ["sum"], "fields": ["count"], "as": ["total"]}


def _ends() -> list[Spec]:
    """Where a flow leaves (0) and enters (1), at its upper edge, and how thick it is."""
    places = {
        "x0": f"margin + gap * datum.from + {NODE}", "x1": "margin + gap * datum.to",
        "y0": "top + datum.leaves * each", "y1": "top + datum.enters * each", "thick": "max(1, datum.count * each)",
    }  # fmt: skip
    return [{"type": "formula", "as": name, "expr": expression} for name, expression in places.items()]


def _ribbon() -> str:
    """The area between two curves from stage to stage, lifted over those between them."""
    middle, lift, thick = "(datum.x0 + datum.x1) / 2", "datum.lift", "datum.thick"
    return _path(
        "M", "datum.x0", "datum.y0",
        "C", middle, f"datum.y0 - {lift}", middle, f"datum.y1 - {lift}", "datum.x1", "datum.y1",
        "L", "datum.x1", f"datum.y1 + {thick}",
        "C", middle, f"datum.y1 - {lift} + {thick}", middle, f"datum.y0 - {lift} + {thick}",
        "datum.x0", f"datum.y0 + {thick}", "Z",
    )  # fmt: skip


def _loop() -> str:
    """The middle of a band that turns down, goes back along the bottom, and turns up."""
    out, into = "datum.x0 + datum.bend", "datum.x1 - datum.bend"
    y0, y1 = "(datum.y0 + datum.thick / 2)", "(datum.y1 + datum.thick / 2)"
    return _path(
        "M", "datum.x0", y0, "C", out, y0, out, "datum.y", "datum.x0 - 2", "datum.y",
        "L", "datum.x1 + 2", "datum.y", "C", into, "datum.y", into, y1, "datum.x1", y1,
    )  # fmt: skip


def _path(*parts: str) -> str:
    """An expression for a path: letters as they are, anything longer reckoned."""
    return " + ' ' + ".join(f"'{part}'" if len(part) == 1 else f"({part})" for part in parts)
