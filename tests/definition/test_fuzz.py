"""Whatever becomes of a file, reading it ends in a lifecycle or in findings, never in anything else."""

from __future__ import annotations

import contextlib
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.definition.base import BASE
from worker.definition.errors import DefinitionError
from worker.definition.reader import read
from worker.definition.scenario import read_scenarios
from worker.plan import compile_plan

SCENARIOS = """\
- name: buys
  lifecycle: shop
  events:
    - {at: "2026-01-05T09:00:00Z", type: form.submitted, kind: demo, traits: {icp_fit: true}}
    - {at: +1d, type: subscription.started, contact: c2, data: {agreement_id: a}}
    - {at: -2h, type: email.replied, id: x, source: /mail, sentiment: positive}
  until: +2d
  expect: {stage: lead, visited: [visitor, lead], contacts: {c2: {stage: customer}}, companies: {}, dead_letters: 0}
"""
SCRAPS = st.one_of(
    st.sampled_from(
        [":", ": ", "-", "- ", "{", "}", "[", "]", ",", "#", "&a ", "*a", "!!str ", "|", ">", "'", '"', "\n", "\n  ",
         "\t", "%", "@", "`", "~", "null", "true", "no", "1", "-1", "1e5", ".inf", "0x1", "7d", "2026-01-05", "?", "? ",
         "<<: ", "---\n", "...\n", "\r", "\x00", "\x85", "\u2028", "\ufeff", "é", "\U0001f600", "when", " and ",
         "(", ")", "\\", "event.", "[]", "{}", "any", "setback"]
    ),
    st.text(max_size=5),
)  # fmt: skip


@st.composite
def spoilt(draw: st.DrawFn, text: str) -> str:
    """The text after a few accidents: pieces lost, doubled, moved, put in."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.sampled_from([0, 0, 1, 2, 5, 20, 80])))
        piece = text[start:end]
        match draw(st.integers(0, 3)):
            case 0:
                text = text[:start] + draw(SCRAPS) + text[end:]
            case 1:
                text = text[:start] + text[end:]
            case 2:
                text = text[:start] + piece * 2 + text[end:]
            case _:
                other = draw(st.integers(0, len(text)))
                text = text[:start] + text[end:]
                text = text[:other] + piece + text[other:]
    return text


@st.composite
def shuffled_values(draw: st.DrawFn, text: str) -> str:
    """The text with the right sides of some lines exchanged: keys with values of another kind."""
    lines = text.split("\n")
    keyed = [number for number, line in enumerate(lines) if ": " in line]
    for _ in range(draw(st.integers(1, 3))):
        one, other = draw(st.sampled_from(keyed)), draw(st.sampled_from(keyed))
        left, _, right = lines[one].partition(": ")
        left_other, _, right_other = lines[other].partition(": ")
        lines[one], lines[other] = f"{left}: {right_other}", f"{left_other}: {right}"
    return "\n".join(lines)


def _as_read(text: str) -> None:
    try:
        lifecycle = read(text, "x.yaml")
    except DefinitionError as error:
        _sound(error, text)
    else:
        assert compile_plan(lifecycle).stages  # what the checks let through can be compiled


def _sound(error: DefinitionError, text: str) -> None:
    lines = len(text.splitlines()) + 1
    assert error.findings
    for finding in error.findings:
        assert 1 <= finding.line <= lines + text.count("\r") + 1
        assert finding.column >= 1
        assert finding.code
        assert finding.message


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(spoilt(BASE))
def test_a_spoilt_lifecycle_is_read_or_refused(text: str) -> None:
    _as_read(text)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(shuffled_values(BASE))
def test_values_at_the_wrong_keys_are_read_or_refused(text: str) -> None:
    _as_read(text)


@given(st.one_of(st.text(max_size=200), st.binary(max_size=200), st.lists(SCRAPS, max_size=40).map("".join)))
def test_any_text_is_read_or_refused(text: str | bytes) -> None:
    for reads in (read, read_scenarios):
        with contextlib.suppress(DefinitionError):
            reads(text, "x.yaml")


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(spoilt(SCENARIOS), shuffled_values(SCENARIOS)))
def test_a_spoilt_scenario_is_read_or_refused(text: str) -> None:
    try:
        read_scenarios(text, "x.yaml")
    except DefinitionError as error:
        _sound(error, text)


def test_the_shipped_files_are_read() -> None:
    folder = Path(__file__).resolve().parents[2] / "statemachine"
    files = sorted(folder.glob("*.yaml"))
    assert files
    for file in files:
        if file.name.endswith(".scenarios.yaml"):
            assert read_scenarios(file)
        else:
            assert read(file).stages
