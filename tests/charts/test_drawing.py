"""Charts are in the colours of their page, and the script that draws them asks for nothing."""

from __future__ import annotations

import re

import pytest

from worker.charts import STYLE, compiled, draw, runtime
from worker.charts.theme import VEGA
from worker.report.drawn import drawn

pytest.importorskip("vl_convert", reason="the extra `report` is not installed")


def test_all_colours_of_a_chart_are_the_page_s() -> None:
    """A colour that is written down in a chart would be right in one theme only."""
    rows = [
        {"stage": name, "place": place, "ever": 9 - place, "now": 2, "came": None, "share": None}
        for place, name in enumerate(["lead", "customer"])
    ]
    svg = draw(drawn(["lead", "customer"])["funnel"].spec, rows)
    used = set(re.findall(r'(?:fill|stroke)="([^"]+)"', svg))
    assert used <= {"none", "currentColor", "transparent"} | {f"var({name})" for name in re.findall(r"--[\w-]+", STYLE)}
    assert {"var(--stage-1)", "var(--stage-2)"} <= used


def test_what_is_compiled_is_vega_and_stays_as_it_is() -> None:
    for figure in drawn(["lead", "customer"]).values():
        assert figure.spec["$schema"] == VEGA
        assert compiled(figure.spec) is figure.spec


def test_the_script_can_stand_in_a_page() -> None:
    assert "</script" not in runtime().lower() and "<!--" not in runtime()
