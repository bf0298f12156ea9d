"""What all charts look like: colours by name, so that the page's theme decides, and one width until there is a page."""

from __future__ import annotations

from typing import Any, Final

Spec = dict[str, Any]
"""A specification as Vega-Lite or Vega has it; its rows, named `rows`, come later."""

Rows = list[dict[str, Any]]

VEGA: Final = "https://vega.github.io/schema/vega/v6.json"
VEGA_LITE: Final = "https://vega.github.io/schema/vega-lite/v6.json"
COLOURS: Final = 8
NARROW: Final = 520
"""Half of a page, where a chart isn't told another width."""

WIDE: Final = 1_100

COLOUR: Final = f"'var(--stage-' + (datum.place % {COLOURS} + 1) + ')'"
"""A stage's colour, by its place: the same one in all charts."""

INK: Final = "currentColor"
SOFT: Final = "var(--chart-soft)"
LINE: Final = "var(--chart-line)"
GOOD: Final = "var(--good)"
BAD: Final = "var(--bad)"
OPEN: Final = "var(--undecided)"

_LIGHT: Final = (
    "--stage-1:#5b6675;--stage-2:#0b62c4;--stage-3:#7a3db8;--stage-4:#b3206b;--stage-5:#9a5b00;--stage-6:#0e7490;"
    "--stage-7:#4a7310;--stage-8:#7c4a2d;--good:#1a7f37;--bad:#c62828;--undecided:#b6c0ca;--chart-soft:#57606a;--chart-line:#d9dfe6"
)
_DARK: Final = (
    "--stage-1:#a9b6c4;--stage-2:#6cb0ff;--stage-3:#cf9fff;--stage-4:#ff8cc6;--stage-5:#f2c060;--stage-6:#5cd0e6;"
    "--stage-7:#a3d65c;--stage-8:#dcab8d;--good:#6fdc8c;--bad:#ff8f86;--undecided:#5a6673;--chart-soft:#9aa7b4;--chart-line:#323b45"
)
STYLE: Final = (
    f":root{{{_LIGHT}}}"
    f"@media screen and (prefers-color-scheme:dark){{:root:not([data-theme=light]){{{_DARK}}}}}"
    f"@media screen{{:root[data-theme=dark]{{{_DARK}}}}}"
    ".plot svg{display:block;max-width:100%;height:auto;margin:.5rem 0}.plot svg text{font-family:inherit}"
)
"""The colours' values in both themes, and on paper. For the style of a page with charts."""


def config(width: int) -> dict[str, Any]:
    """`width` is what a chart has where no browser tells the width of its place."""
    label = {"labelColor": SOFT, "labelFontSize": 12, "labelFont": "system-ui, sans-serif"}
    return {
        "background": None,
        "font": "system-ui, sans-serif",
        "view": {"stroke": None, "continuousWidth": width, "discreteWidth": width},
        "axis": {
            **label, "gridColor": LINE, "domain": False, "ticks": False, "labelPadding": 6, "title": None,
        },
        "legend": {**label, "orient": "top", "title": None, "symbolType": "square", "symbolSize": 110, "padding": 0},
        "text": {"fill": INK, "fontSize": 13, "font": "system-ui, sans-serif"},
    }  # fmt: skip


def lite(width: int, height: int | dict[str, Any], **parts: Any) -> Spec:
    """A specification in Vega-Lite, as wide as its place."""
    return {
        "$schema": VEGA_LITE, "config": config(width), "width": "container", "height": height, "padding": 4,
        "autosize": {"type": "fit-x", "contains": "padding"}, "data": {"name": "rows"}, **parts,
    }  # fmt: skip


def vega(width: int, height: int, signals: list[Spec], **parts: Any) -> Spec:
    """A specification in Vega, as wide as its place."""
    return {
        "$schema": VEGA, "config": config(width), "height": height, "padding": 4,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "signals": [
            # What the chart may take. `width` is less by the axes, once those are laid out.
            {
                "name": "room",
                "init": f"isFinite(containerSize()[0]) ? containerSize()[0] : {width}",
                "on": [{"events": "window:resize", "update": "containerSize()[0]"}],
            },
            {"name": "width", "init": "room", "on": [{"events": {"signal": "room"}, "update": "room"}]},
            *signals,
        ],
        **parts,
    }  # fmt: skip


def text(**channels: Any) -> Spec:
    """What a text mark of Vega says of itself, beside what is given."""
    return {"font": {"value": "system-ui, sans-serif"}, "fontSize": {"value": 12}, "fill": {"value": INK}, **channels}
