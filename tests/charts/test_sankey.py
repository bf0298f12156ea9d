"""Flows between stages are as thick as they are many, fill their stages, and stay within the chart."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.charts import draw
from worker.charts.sankey import HEIGHT, NODE, sankey
from worker.charts.theme import WIDE

pytest.importorskip("vl_convert", reason="the extra `report` is not installed")

STAGES = ["visitor", "lead", "mql", "sql", "customer"]
PAIRS = st.tuples(st.integers(0, 4), st.integers(0, 4)).filter(lambda pair: pair[0] != pair[1])
MOVES = st.dictionaries(PAIRS, st.integers(1, 5_000), min_size=1, max_size=12)
NUMBER = r"-?\d+(?:\.\d+)?(?:e-?\d+)?"


@settings(max_examples=25, deadline=None)
@given(moves=MOVES)
def test_flows_fill_their_stages_and_stay_within_the_chart(moves: dict[tuple[int, int], int]) -> None:
    drawn = draw(sankey(STAGES), [{"from": one, "to": to, "count": count} for (one, to), count in moves.items()])
    assert "NaN" not in drawn and "undefined" not in drawn
    onward, back, nodes = (re.findall(r'<path[^>]*? d="([^"]*)"[^>]*>', part) for part in marks(drawn))
    assert len(onward) == sum(to > one for one, to in moves) and len(back) == len(moves) - len(onward)
    boxes = [box(path) for path in nodes]
    assert len(boxes) == len(STAGES)
    assert [left for left, *_ in boxes] == sorted(left for left, *_ in boxes)
    top = min(y for _, y, _, _ in boxes)
    lowest = max(y + height for _, y, _, height in boxes)
    assert top > 0 and boxes[0][0] >= 0 and boxes[-1][0] + NODE <= WIDE
    edges = {round(left, 1) for left, *_ in boxes}
    for path in onward:
        numbers = [float(number) for number in re.findall(NUMBER, path)]
        assert round(numbers[0] - NODE, 1) in edges, "a flow leaves at a stage's right side"
        assert top - 0.1 <= numbers[1] <= lowest + 0.1
        assert min(numbers[1::2]) > -HEIGHT and max(numbers[1::2]) <= lowest + 1
    for path in back:
        numbers = [float(number) for number in re.findall(NUMBER, path)]
        assert lowest < max(numbers[1::2]) <= HEIGHT, "a flow back runs below all stages"


def test_a_stage_is_as_tall_as_the_greater_of_what_comes_and_what_goes() -> None:
    moves = {(0, 1): 600, (0, 2): 200, (1, 2): 100, (1, 0): 50, (2, 3): 300}
    drawn = draw(sankey(STAGES), [{"from": one, "to": to, "count": count} for (one, to), count in moves.items()])
    tall = [box(path)[3] for path in re.findall(r'<path[^>]*? d="([^"]*)"[^>]*>', marks(drawn)[2])]
    each = tall[0] / 800
    assert tall[1:4] == pytest.approx([600 * each, 300 * each, 300 * each], abs=0.5)


def marks(drawn: str) -> list[str]:
    """The flows onward, those back, and the stages, as the chart has them."""
    found = re.findall(r'<g class="mark-(?:path|rect) role-mark[^>]*?(?:/>|>(.*?)</g>)', drawn)
    assert len(found) == 3
    return found


def box(path: str) -> tuple[float, float, float, float]:
    """x, y, width and height of a rectangle drawn as `Mx,yhWvHh-WZ`."""
    x, y, width, height = (float(number) for number in re.findall(NUMBER, path)[:4])
    return x, y, width, height


NAMES = ["Known", "Subscriber", "Lead", "MQL", "SQL", "Opportunity", "Customer"]


@pytest.mark.parametrize("width", range(320, 1000, 40))
def test_names_of_stages_stand_beside_one_another_at_any_width(width: int) -> None:
    """Or aslant, where there is no room."""
    spec = sankey(NAMES)
    spec["signals"][0] = {"name": "room", "init": str(width)}
    drawn = draw(spec, [{"from": 0, "to": 1, "count": 3}])
    found = re.findall(
        r'<text text-anchor="(\w+)" transform="translate\(([\d.]+),[\d.]+\)([^"]*)"[^>]*>(\w+)</text>', drawn
    )
    spans = []
    for anchor, x, turned, name in found:
        if name not in NAMES:
            continue
        left = float(x) - {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor] * 7.3 * len(name)
        spans.append((left, left + 7.3 * len(name), turned))
    assert len(spans) == len(NAMES) and (spans[0][2] or width > 600), "on a phone they don't"
    for one, other in zip(spans, spans[1:], strict=False):
        assert one[2] or one[1] < other[0]
