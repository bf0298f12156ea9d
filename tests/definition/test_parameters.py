"""Turning a figure, and telling two definitions apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.definition.base import BASE
from worker.definition.errors import ParameterError
from worker.definition.parameters import fingerprint, kind_of, parameter_values, resolve
from worker.definition.reader import read, turn

SHOP = read(BASE)


def test_durations_are_milliseconds_to_expressions() -> None:
    assert parameter_values(SHOP) == {"threshold": 40, "window": 7 * 86_400_000, "strict": False, "region": "north"}


@pytest.mark.parametrize(
    ("value", "kind"),
    [(True, "boolean"), (3, "number"), (2.5, "number"), ("7d", "duration"), ("500ms", "duration"), ("7 days", "text"),
     ("", "text"), ("12", "text")],
)  # fmt: skip
def test_kinds_of_values(value: bool | int | float | str, kind: str) -> None:
    assert kind_of(value) == kind


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [("threshold", "55", 55), ("threshold", "-2.5", -2.5), ("threshold", 60, 60), ("window", "36h", 36 * 3_600_000),
     ("strict", "TRUE", True), ("strict", False, False), ("region", "south", "south")],
)  # fmt: skip
def test_a_parameter_is_turned(name: str, given: str | int | bool, value: object) -> None:
    turned = resolve(SHOP, {name: given})
    assert parameter_values(turned)[name] == value
    assert parameter_values(SHOP)[name] != value or value is False
    assert turned.parameters[name].means == SHOP.parameters[name].means


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("treshold", "5", "did you mean 'threshold'?"),
        ("nothing", "5", "there is threshold, window, strict, region"),
        ("threshold", "many", "it is a number (in the file: 40)"),
        ("threshold", "7d", "it is a number"),
        ("threshold", True, "it is a number"),
        ("threshold", "1e9", "it is a number"),
        ("threshold", "9999999999999999", "it is a number"),
        ("window", "7", "a duration such as 7d"),
        ("window", 7, "a duration such as 7d"),
        ("strict", "perhaps", "true or false"),
        ("strict", 1, "true or false"),
        ("region", 5, "it is a text"),
    ],
)
def test_a_value_of_another_kind_is_refused(name: str, given: str | int | bool, says: str) -> None:
    with pytest.raises(ParameterError) as caught:
        resolve(SHOP, {name: given})
    assert says in str(caught.value)


def test_a_value_that_the_definition_can_not_have_is_refused() -> None:
    text = BASE.replace("after: 90d, when: not keen", "after: window, when: not keen")
    assert read(text, turned={"window": "2d"}).parameters["window"].value == "2d"
    with pytest.raises(
        ParameterError, match=r"with window=0d, `transitions\.3\.after` is wrong: must be longer than nothing"
    ):
        read(text, turned={"window": "0d"})
    assert turn(SHOP, {"threshold": 3}) == resolve(SHOP, {"threshold": 3})


def test_layout_remarks_signatures_and_order_of_names_leave_the_fingerprint() -> None:
    other = BASE.replace("# A shop's customers.", "# Something else.").replace("  - {role: Head of Marketing}", "  []")
    lines = other.splitlines()
    first, second = (
        next(n for n, line in enumerate(lines) if line.startswith(f"  {name}:")) for name in ("keen", "bound")
    )
    lines[first], lines[second] = lines[second], lines[first]
    assert fingerprint(read("\n\n".join(lines))) == fingerprint(SHOP)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("value: 40", "value: 41"),
        ("says: buys", "says: pays"),
        ("horizon: 7d", "horizon: 8d"),
        ("when: not bound", "when: not bound and fit"),
        ("won: {any: subscription.started, from_aside: true}", "won: subscription.started"),
        ("track: [open, working, won]", "track: [open, won, working]"),
    ],
)
def test_what_means_something_changes_the_fingerprint(old: str, new: str) -> None:
    assert old in BASE
    assert fingerprint(read(BASE.replace(old, new))) != fingerprint(SHOP)


@given(st.integers(-1000, 1000), st.integers(-1000, 1000))
def test_fingerprints_are_equal_where_values_are(one: int, other: int) -> None:
    same = fingerprint(resolve(SHOP, {"threshold": one})) == fingerprint(resolve(SHOP, {"threshold": other}))
    assert same == (one == other)


def test_the_order_of_what_is_kept_by_place_changes_the_fingerprint() -> None:
    fact = "  reason:  {type: text, from: event.reason, of: [sales.rejected, deal.lost]}\n"
    moved = BASE.replace(fact, "").replace("facts:\n", "facts:\n" + fact)
    assert fingerprint(read(moved)) != fingerprint(SHOP)
