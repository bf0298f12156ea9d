"""Definitions that differ in little are folded as one: what comes of it is what each by itself would come to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from worker.compare import Comparison, Variant, compare
from worker.compare import fold as fold_module
from worker.compare.alike import alike
from worker.definition.errors import ParameterError
from worker.definition.model import Lifecycle
from worker.definition.parameters import kind_of, resolve
from worker.definition.reader import read
from worker.demo.traffic import make
from worker.plan import compile_plan
from worker.replay import Source, Terms
from worker.shipped import lifecycle_names, lifecycle_path

WALL = 1_900_000_000_000


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made traffic: late, doubled and broken events, merged and erased contacts are in it."""
    path = tmp_path_factory.mktemp("events") / "events.jsonl"
    path.write_bytes(b"\n".join(arrival.value.replace(b"\n", b" ") for arrival in make(5, 60).arrivals) + b"\n")
    return path


def turned(lifecycle: Lifecycle) -> list[Variant]:
    """The lifecycle, and it with each parameter turned, where that is a definition still."""
    found = [Variant("own", lifecycle)]
    for name, parameter in lifecycle.parameters.items():
        kind = kind_of(parameter.value)
        values: list[Any] = []
        if kind == "boolean":
            values = [not parameter.value]
        elif kind == "number":
            values = [3]
        elif kind == "duration":
            values = ["3d"]
        for value in values:
            try:
                found.append(Variant(f"{name}={value}", resolve(lifecycle, {name: str(value).lower()})))
            except ParameterError:
                continue
    return found


def compared(variants: list[Variant], events: Path, **terms: Any) -> tuple[Comparison, list[bytes]]:
    lines: list[bytes] = []
    found = compare(variants, [Source(events, "events")], Terms(wall=WALL, **terms), each=lines.append)
    return found, lines


@pytest.mark.parametrize(("name", "terms"), [*((name, {}) for name in lifecycle_names()), ("10ex", {"by_time": True})])
def test_one_fold_for_all_comes_to_what_separate_ones_do(
    name: str, terms: dict[str, Any], events: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variants = turned(read(lifecycle_path(name)))
    plans = {id(variant.lifecycle): compile_plan(variant.lifecycle) for variant in variants}
    monkeypatch.setattr(fold_module, "compile_plan", lambda lifecycle: plans[id(lifecycle)])
    together, lines = compared(variants, events, **terms)
    monkeypatch.setattr(fold_module, "alike", lambda first, other: False)
    apart, others = compared(variants, events, **terms)
    assert lines == others
    assert together.moved == apart.moved and together.contacts == apart.contacts
    for variant, one, other in zip(variants, together.figures, apart.figures, strict=True):
        assert one == other, variant.name
    assert together.changed == apart.changed
    assert any(together.changed), "some of them must matter"


def plan(name: str = "10ex", **values: Any) -> Any:
    return compile_plan(resolve(read(lifecycle_path(name)), values))


def test_guards_and_deadlines_may_differ() -> None:
    assert alike(plan(), plan())
    assert alike(plan(), plan(mql_score="60"))
    assert alike(plan(), plan(accept_within="2h"))


def edited(old: str, new: str) -> Any:
    text = lifecycle_path("10ex").read_text()
    assert text.count(old) == 1, old
    return compile_plan(read(text.replace(old, new)))


def test_a_transition_more_may_differ_but_what_is_kept_of_a_contact_may_not() -> None:
    first = plan()
    more = "\n  - {from: lead, to: sql, when: seen(intent) and score >= 500, says: more}\n"
    assert alike(first, edited("\nstatuses:", f"{more}\nstatuses:"))
    assert not alike(first, edited("\nignore:\n", "\nignore:\n  - page.viewed when event.high_intent\n"))
    assert not alike(first, plan("agency34"))
