"""The page's drawn figures as tables of all contacts: what a reader without JavaScript has.

They are added up from the same counts as the drawings (`cube`), in the same words.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

Cube = dict[str, Any]
Table = tuple[list[str], list[list[str]]]
"""Heads of the columns, and rows; the first cell of each names it."""


def tables(cube: Cube) -> dict[str, Table]:
    """A table for each figure that the page draws, by the figure's name."""
    names = [name for _, _, name in cube["stages"]]
    return {
        "funnel": _funnel(cube, names),
        "moves": _moves(cube, names),
        "stays": _stays(cube, names),
        "trend": _trend(cube, names),
        "cohorts": _ever(cube, names, "Week", 3, by_size=False),
        "attribution": _ever(cube, names, "Source", 1, by_size=True),
        "sla": _sla(cube, names),
        "value": _value(cube, names),
        "returned": _returned(cube, names),
    }


def sums(rows: Iterable[Sequence[Any]], values: int = 1) -> dict[tuple[Any, ...], list[float]]:
    """The rows of all cells added up by the columns between the cell and the last `values` ones."""
    found: dict[tuple[Any, ...], list[float]] = defaultdict(lambda: [0] * values)
    for row in rows:
        total = found[tuple(row[1 : len(row) - values])]
        for place in range(values):
            total[place] += row[len(row) - values + place]
    return dict(found)


def number(count: float) -> str:
    return f"{count:,.0f}"


def percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %".replace(".0 %", " %") if whole else "–"


def _by_stage(cube: Cube, figure: str, names: Sequence[str]) -> list[float]:
    found = sums(cube[figure])
    return [found.get((place,), [0])[0] for place in range(len(names))]


def _funnel(cube: Cube, names: Sequence[str]) -> Table:
    ever, now, came = (_by_stage(cube, figure, names) for figure in ("reached", "current", "converted"))
    rows = []
    for place, name in enumerate(names):
        before = [number(came[place - 1]), percent(came[place - 1], ever[place - 1])] if place else ["", ""]
        rows.append([name, number(ever[place]), number(now[place]), *before])
    return ["Stage", "Ever", "Now", "From the stage before", "Share"], rows


def _ordered(found: dict[tuple[Any, ...], list[float]], by: Callable[[list[float]], float]) -> list[Any]:
    return sorted(found.items(), key=lambda item: (-by(item[1]), item[0]))


def _moves(cube: Cube, names: Sequence[str]) -> Table:
    rows = [
        [f"{names[left]} → {names[to]}", "forward" if to > left else "backward", number(count)]
        for (left, to), (count,) in _ordered(sums(cube["moves"]), lambda values: values[0])
    ]
    return ["Move", "Direction", "Changes"], rows


def _stays(cube: Cube, names: Sequence[str]) -> Table:
    """By the bins of the curves: half have left by the end of the bin in which the share falls to a half."""
    first, growth = cube["bin"]
    bins: dict[int, list[tuple[int, float, float]]] = defaultdict(list)
    for (place, length), (left, still) in sorted(sums(cube["stays"], 2).items()):
        bins[place].append((length, left, still))
    rows = []
    for place in sorted(bins):
        visits, still_open = (
            sum(part) for part in ([a + b for _, a, b in bins[place]], [b for _, _, b in bins[place]])
        )
        risk, share, half = visits, 1.0, None
        for length, left, still in bins[place]:
            share *= 1 - left / risk
            risk -= left + still
            if half is None and share <= 0.5:
                half = first * growth ** (length + 1)
        told = "more than half remain" if half is None else f"up to {_long(half)}"
        rows.append([names[place], number(visits), number(still_open), told])
    return ["Stage", "Visits", "Going on", "Half have left after"], rows


def _long(seconds: float) -> str:
    if seconds < 5_400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3_600:.0f} h" if seconds < 129_600 else f"{seconds / 86_400:.1f} d"


def _trend(cube: Cube, names: Sequence[str]) -> Table:
    found = sums(cube["trend"])
    rows = [
        [week, *(number(found.get((week, place), [0])[0]) for place in range(len(names)))]
        for week in sorted({week for week, _ in found})
    ]
    return ["Week", *names], rows


def _ever(cube: Cube, names: Sequence[str], head: str, column: int, *, by_size: bool) -> Table:
    keys = {cell[0]: cell[column] for cell in cube["cells"]}
    size: dict[str, int] = defaultdict(int)
    for cell in cube["cells"]:
        size[cell[column]] += cell[4]
    ever: dict[str, list[float]] = defaultdict(lambda: [0] * len(names))
    for cell, place, count in cube["reached"]:
        ever[keys[cell]][place] += count
    order = sorted(size, key=lambda key: (-size[key], key) if by_size else (0, key))
    return [head, "Contacts", *names], [[key, number(size[key]), *map(number, ever[key])] for key in order]


def _sla(cube: Cube, names: Sequence[str]) -> Table:
    rows = [
        [owner, names[place], number(kept), number(late), number(running), percent(kept, kept + late)]
        for (owner, place), (kept, late, running) in sorted(sums(cube["sla"], 3).items())
    ]
    return ["Owner", "Stage", "Kept", "Breached", "Running", "Share kept"], rows


def _value(cube: Cube, names: Sequence[str]) -> Table:
    rows = [
        [names[place], currency, number(deals), number(amount)]
        for (place, currency), (deals, amount) in sorted(sums(cube["value"], 2).items())
    ]
    return ["Stage", "Currency", "Deals", "Amount"], rows


def _returned(cube: Cube, names: Sequence[str]) -> Table:
    rows = [
        [names[left], names[to], reason or "(none)", number(count)]
        for (left, to, reason), (count,) in _ordered(sums(cube["returned"]), lambda values: values[0])
    ]
    return ["From", "To", "Reason", "Moves"], rows
