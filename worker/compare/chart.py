"""A line chart as SVG: a few series over the values of a parameter, each named at its end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from math import ceil, floor, log10
from typing import Final

WIDTH, HEIGHT = 860, 340
LEFT, RIGHT, TOP, BOTTOM = 64, 170, 18, 42
APART: Final = 16  # of names at the ends of lines
COLOURS: Final = ("c0", "c1", "c2", "c3", "c4", "c5")


def chart(
    labels: Sequence[str], series: Sequence[tuple[str, Sequence[float]]], title: str, own: str = "", unit: str = "",
    first: int = 0,
) -> str:  # fmt: skip
    """The chart. `own` is the label at which a line stands for the value in force; `first` the first line's colour."""
    return "".join(_chart(labels, series, title, own, unit, first))


def _chart(
    labels: Sequence[str], series: Sequence[tuple[str, Sequence[float]]], title: str, own: str, unit: str, first: int
) -> Iterator[str]:
    top, step = _scale(max((value for _, values in series for value in values), default=0), whole=not unit)
    across = (WIDTH - LEFT - RIGHT) / max(1, len(labels) - 1)

    def x(place: int) -> float:
        return LEFT + across * place

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top

    yield f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
    yield f"<style>{_STYLE}</style>"
    value = 0.0
    while value <= top + step / 1000:
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
        yield f'<text class="tick" text-anchor="end" x="{LEFT - 8}" y="{y(value) + 4:.1f}">{value:,.10g}{unit}</text>'
        value += step
    every = ceil(len(labels) / 12)
    for place, label in enumerate(labels):
        if place % every == 0 or label == own:
            yield (
                f'<text class="tick" text-anchor="middle" x="{x(place):.1f}" y="{HEIGHT - BOTTOM + 20}">'
                f"{escape(label)}</text>"
            )
    if own in labels:
        at = x(labels.index(own))
        yield f'<line class="own" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
        yield f'<text class="tick" text-anchor="middle" x="{at:.1f}" y="{HEIGHT - 6}">in force</text>'
    ends = _spread([y(values[-1]) for _, values in series])
    for number, (name, values) in enumerate(series):
        colour = COLOURS[(first + number) % len(COLOURS)]
        points = " ".join(f"{x(place):.1f},{y(value):.1f}" for place, value in enumerate(values))
        yield f'<polyline class="series {colour}" points="{points}"/>'
        for place, value in enumerate(values):
            told = f"{escape(name)} at {escape(labels[place])}: {value:,.10g}{unit}"
            if unit:
                told = f"{escape(name)} at {escape(labels[place])}: {value:.1f}{unit}"
            where = f'cx="{x(place):.1f}" cy="{y(value):.1f}"'
            yield f'<circle class="{colour}" {where} r="3.5"><title>{told}</title></circle>'
        yield f'<text class="name {colour}" x="{WIDTH - RIGHT + 12}" y="{ends[number] + 4:.1f}">{escape(name)}</text>'
    yield "</svg>"


def _scale(most: float, whole: bool) -> tuple[float, float]:
    """The axis' end and step: round numbers, four to eight of them; of things that are counted only whole ones."""
    if most <= 0:
        return 1.0, 1.0
    unit = 10.0 ** floor(log10(most))
    step = next(step for step in (unit / 5, unit / 2, unit, 2 * unit) if most / step <= 7)
    if whole:
        step = max(1.0, step)
    return ceil(most / step) * step, step


def _spread(places: Sequence[float]) -> list[float]:
    """The places, moved apart where two would stand on each other; none below the axis."""
    order = sorted(range(len(places)), key=lambda number: places[number])
    found = list(places)
    for before, after in zip(order, order[1:], strict=False):
        found[after] = max(found[after], found[before] + APART)
    lowest: float = HEIGHT - BOTTOM
    for number in reversed(order):  # back up from the axis, and only what stands in the way of those below
        found[number] = min(found[number], lowest)
        lowest = found[number] - APART
    return found


_STYLE: Final = (
    "svg.chart{width:100%;max-width:860px;height:auto;font:12px ui-sans-serif,system-ui,sans-serif;"
    "--c0:#2563c9;--c1:#137a4f;--c2:#a14a06;--c3:#6d3fc4;--c4:#0c7280;--c5:#b02a5b}"
    "@media screen and (prefers-color-scheme:dark){svg.chart{--c0:#7fb0ff;--c1:#5fd3a0;--c2:#f2ad6b;--c3:#b79cf5;"
    "--c4:#63cbd8;--c5:#f48fb1}}"
    "svg.chart .grid{stroke:var(--rule,#dde1e9)}svg.chart .tick{fill:var(--soft,#566075)}"
    "svg.chart .own{stroke:var(--soft,#566075);stroke-dasharray:3 4}"
    "svg.chart .series{fill:none;stroke-width:2.2;stroke-linejoin:round}svg.chart .name{font-weight:600}"
    + "".join(
        f"svg.chart .series.c{n}{{stroke:var(--c{n})}}svg.chart circle.c{n},svg.chart .name.c{n}{{fill:var(--c{n})}}"
        for n in range(6)
    )
)
