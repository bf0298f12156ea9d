"""A chart's lines are named where they end, and its axis has round steps."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.charts import Rows, draw
from worker.charts.lines import APART, HEIGHT, lines

pytest.importorskip("vl_convert", reason="the extra `report` is not installed")

VALUES = st.lists(st.integers(0, 100), min_size=1, max_size=6)
PLACE = r'transform="translate\(([\d.-]+),([\d.-]+)\)'


def rows(values: list[int]) -> Rows:
    return [
        {"at": at, "stage": f"line {place}", "place": place, "value": value}
        for at in ("1", "2")
        for place, value in enumerate(values)
    ]


@settings(max_examples=40, deadline=None)
@given(values=VALUES)
def test_a_line_s_name_stands_at_its_end_unless_another_one_does(values: list[int]) -> None:
    drawn = draw(lines(), rows(values))
    named = re.findall(rf'<text[^>]*{PLACE}"[^>]*font-weight="600"[^>]*>line (\d+)<', drawn)
    names = {int(place): float(y) for _, y, place in named}
    points = re.search(r'class="mark-symbol.*?</g>', drawn)
    assert points is not None and len(names) == len(values)
    ends = [float(y) for _, y in re.findall(PLACE, points[0])][len(values) :]
    tall = float(APART * 0.35)  # a text's place is its foot, a third of a line below its middle
    placed = sorted(names.values())
    assert all(other - one >= APART - 0.2 for one, other in zip(placed, placed[1:], strict=False))
    assert placed[0] >= 0 and placed[-1] <= HEIGHT + tall
    for place, end in enumerate(ends):
        crowded = any(other != place and abs(y - end) < APART * len(ends) for other, y in enumerate(ends))
        assert crowded or abs(names[place] - end) < tall


def test_an_axis_of_contacts_counts_whole_ones() -> None:
    assert ticks(lines(), [1, 0]) == ["0", "1"]
    assert "20%" in ticks(lines(share=True), [1, 0])


def test_a_chart_of_nothing_but_zeros_has_an_axis() -> None:
    assert ticks(lines(), [0, 0]) == ["0", "1"]


def ticks(spec: dict[str, object], values: list[int]) -> list[str]:
    """What stands left of the axis."""
    return re.findall(r'transform="translate\(-[^>]*>([^<]*)<', draw(spec, rows(values)))


@pytest.mark.parametrize("own", ["2", "it's", '"'])
def test_what_is_in_force_is_marked_whatever_it_is_called(own: str) -> None:
    drawn = draw(lines(own=own), [{**row, "at": own if row["at"] == "2" else "1"} for row in rows([3])])
    assert "in force" in drawn and "NaN" not in drawn
