"""Which name was meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.definition.nearest import distance, near_miss, nearest

NAMES = ["score", "score_behaviour", "stage", "icp_fit", "form.submitted", "to", "kind"]
_WORDS = st.text(alphabet="abc", max_size=6)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("scroe", "score"), ("Stage", "stage"), ("icp-fit", "icp_fit"), ("icpfit", "icp_fit"),
     ("behaviour", "score_behaviour"), ("form.submited", "form.submitted"), ("zebra", None), ("", None)],
)  # fmt: skip
def test_the_nearest_name_is_suggested(name: str, meant: str | None) -> None:
    assert nearest(name, NAMES) == meant


@pytest.mark.parametrize(
    ("name", "missed"),
    [("stgae", "stage"), ("stag", "stage"), ("form.sumbitted", "form.submitted"), ("knd", None), ("ta", None),
     ("stage", None), ("stalk", None), ("a" * 500, None)],
)  # fmt: skip
def test_a_slip_of_the_keyboard_is_a_near_miss(name: str, missed: str | None) -> None:
    assert near_miss(name, NAMES) == missed


@given(_WORDS, _WORDS)
def test_distance_is_none_only_to_itself_and_the_same_both_ways(one: str, other: str) -> None:
    assert (distance(one, other) == 0) == (one == other)
    assert distance(one, other) == distance(other, one) <= max(len(one), len(other))
