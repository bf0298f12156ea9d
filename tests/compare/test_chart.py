"""A chart's lines are named where they end."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from worker.compare.chart import APART, BOTTOM, HEIGHT, TOP, chart

VALUES = st.lists(st.integers(0, 100), min_size=1, max_size=6)


@given(values=VALUES)
def test_a_line_s_name_stands_at_its_end_unless_another_one_does(values: list[int]) -> None:
    drawn = chart(["1", "2"], [(f"line {n}", [value, value]) for n, value in enumerate(values)], "t")
    names = [float(y) - 4 for y in re.findall(r'<text class="name[^>]* y="([\d.-]+)"', drawn)]
    ends = [float(y) for y in re.findall(r'cy="([\d.]+)"', drawn)][1::2]
    assert len(names) == len(ends) == len(values)
    placed = sorted(names)
    assert all(other - one >= APART - 0.2 for one, other in zip(placed, placed[1:], strict=False))
    assert placed[0] >= TOP - 0.1 and placed[-1] <= HEIGHT - BOTTOM + 0.1
    for name, end in zip(names, ends, strict=True):
        crowded = any(other is not end and abs(other - end) < APART * len(ends) for other in ends)
        assert crowded or abs(name - end) < 0.2
