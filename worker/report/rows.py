"""The rows of the page's drawn figures, for all contacts. The page's script adds up the same from what is filtered.

Chart and table of a figure are made of these rows: counts as numbers, shares from 0 to 1, stages by name and place.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from worker.charts import Rows

Cube = dict[str, Any]


def rows(cube: Cube) -> dict[str, Rows]:
    """By the figure's name."""
    names = [name for _, _, name in cube["stages"]]
    return {
        "funnel": _funnel(cube, names),
        "moves": _moves(cube, names),
        "stays": _stays(cube, names),
        "trend": _trend(cube, names),
        "cohorts": _ever(cube, names, 3, by_size=False),
        "attribution": _ever(cube, names, 1, by_size=True),
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


def share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _by_stage(cube: Cube, figure: str, names: Sequence[str]) -> list[float]:
    found = sums(cube[figure])
    return [found.get((place,), [0])[0] for place in range(len(names))]


def _funnel(cube: Cube, names: Sequence[str]) -> Rows:
    ever, now, came = (_by_stage(cube, figure, names) for figure in ("reached", "current", "converted"))
    return [
        {
            "stage": name, "place": place, "ever": ever[place], "now": now[place],
            "came": came[place - 1] if place else None, "share": share(came[place - 1], ever[place - 1])
            if place else None,
        }
        for place, name in enumerate(names)
    ]  # fmt: skip


def _ordered(found: dict[tuple[Any, ...], list[float]], by: Callable[[list[float]], float]) -> list[Any]:
    return sorted(found.items(), key=lambda item: (-by(item[1]), item[0]))


def _moves(cube: Cube, names: Sequence[str]) -> Rows:
    return [
        {
            "move": f"{names[left]} → {names[to]}", "direction": "forward" if to > left else "backward",
            "from": left, "to": to, "count": count,
        }
        for (left, to), (count,) in _ordered(sums(cube["moves"]), lambda values: values[0])
    ]  # fmt: skip


def _stays(cube: Cube, names: Sequence[str]) -> Rows:
    """Points of the curves, by bins of lengths: half have left by the end of the bin in which the share falls to it."""
    first, growth = cube["bin"]
    bins: dict[int, list[tuple[int, float, float]]] = defaultdict(list)
    for (place, length), (left, still) in sorted(sums(cube["stays"], 2).items()):
        bins[place].append((length, left, still))
    found: Rows = []
    for place in sorted(bins):
        visits, going_on = (sum(part) for part in ([a + b for _, a, b in bins[place]], [b for _, _, b in bins[place]]))
        risk, remain, half = visits, 1.0, None
        points = [(float(first), remain)]
        for length, left, still in bins[place]:
            remain *= 1 - left / risk
            risk -= left + still
            points.append((first * growth ** (length + 1), remain))
            if half is None and remain <= 0.5:
                half = points[-1][0]
        stage = {"stage": names[place], "place": place, "visits": visits, "open": going_on, "half": half}
        found += [{**stage, "seconds": seconds, "share": remain} for seconds, remain in points]
    return found


def _trend(cube: Cube, names: Sequence[str]) -> Rows:
    found = sums(cube["trend"])
    return [
        {"at": week, "stage": name, "place": place, "value": found.get((week, place), [0])[0]}
        for week in sorted({week for week, _ in found})
        for place, name in enumerate(names)
    ]


def _ever(cube: Cube, names: Sequence[str], column: int, *, by_size: bool) -> Rows:
    keys = {cell[0]: cell[column] for cell in cube["cells"]}
    size: dict[str, int] = defaultdict(int)
    for cell in cube["cells"]:
        size[cell[column]] += cell[4]
    ever: dict[str, list[float]] = defaultdict(lambda: [0] * len(names))
    for cell, place, count in cube["reached"]:
        ever[keys[cell]][place] += count
    order = sorted(size, key=lambda key: (-size[key], key) if by_size else (0, key))
    return [
        {"row": row, "key": key, "size": size[key], "stage": name, "place": place, "count": ever[key][place]}
        for row, key in enumerate(order)
        for place, name in enumerate(names)
    ]


def _sla(cube: Cube, names: Sequence[str]) -> Rows:
    return [
        {
            "owner": owner, "stage": names[place], "place": place, "kept": kept, "breached": late, "running": running,
            "share": share(kept, kept + late),
        }
        for (owner, place), (kept, late, running) in sorted(sums(cube["sla"], 3).items())
    ]  # fmt: skip


def _value(cube: Cube, names: Sequence[str]) -> Rows:
    return [
        {"stage": names[place], "place": place, "currency": currency, "deals": deals, "amount": amount}
        for (place, currency), (deals, amount) in sorted(sums(cube["value"], 2).items())
    ]


def _returned(cube: Cube, names: Sequence[str]) -> Rows:
    return [
        {"from": names[left], "to": names[to], "place": to, "reason": reason or "(none)", "count": count}
        for (left, to, reason), (count,) in _ordered(sums(cube["returned"]), lambda values: values[0])
    ]
