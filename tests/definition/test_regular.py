"""Regular expressions of a guard end in time on every text."""

from __future__ import annotations

import re
import time

import pytest

from worker.definition.regular import TEXT_LIMIT, check_regular_expression

BOUND_S = 5.0  # of one match; those let through take a hundredth of it


@pytest.mark.parametrize(
    "pattern",
    [r"(?i).*\b(chief|vp|head|director)\b.*", r"[a-z]{2,5}\d?", r"(ab)*", r"\d+-\d+", r"(vp )?(of )?sales", r"a|b|c",
     r"(?P<x>a)", r"", r"[^@]+@[^@]+", r".*(sales|intern)"],
)  # fmt: skip
def test_usual_ones_are_let_through_and_are_quick(pattern: str) -> None:
    check_regular_expression(pattern)
    compiled = re.compile(pattern)
    for text in ("a" * TEXT_LIMIT, "ab" * (TEXT_LIMIT // 2), "1-" * (TEXT_LIMIT // 2), " vp" * (TEXT_LIMIT // 3)):
        start = time.perf_counter()
        compiled.fullmatch(text + "!")
        assert time.perf_counter() - start < BOUND_S


@pytest.mark.parametrize(
    "pattern",
    [r"(a+)+", r"(a|aa)*", r".*.*.*", r"(a|b|ab)*c", r"(?:x?){30}x{30}", r"(\w+\s?)*", r"(a*)*", r"(.*)\1", "(",
     "a" * 300, "(?:" * 150, r"(a|a)" * 39],
)  # fmt: skip
def test_those_that_could_take_for_ever_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"regular expression"):
        check_regular_expression(pattern)
