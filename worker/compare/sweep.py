"""A parameter turned step by step: which values, and the definition under each."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Final

from worker.compare.fold import Comparison, Variant
from worker.definition.errors import ParameterError
from worker.definition.model import Lifecycle
from worker.definition.parameters import kind_of, resolve

VALUES_MAX: Final = 60
_NUMBER: Final = re.compile(r"(-?\d+(?:\.\d+)?)([a-z]*)")


def sweep(lifecycle: Lifecycle, name: str, given: str) -> list[Variant]:
    """The lifecycle at each value of `a..b:step` (both ends included), or of a list `a,b,c`; durations keep their unit.

    Raises: ParameterError for a parameter or range that there isn't.
    """
    variants = [Variant(value, resolve(lifecycle, {name: value})) for value in values(given)]
    if variants and kind_of(lifecycle.parameters[name].value) not in ("number", "duration"):
        raise ParameterError(f"'{name}' is no number or duration: only those can be swept")
    return variants


def swept(
    lifecycle: Lifecycle, name: str, given: str, compared: Callable[[Sequence[Variant]], Comparison]
) -> Comparison:
    """The comparison of all values, in their order, each with the value in force. `compared` folds the variants."""
    own = Variant(str(lifecycle.parameters[name].value) if name in lifecycle.parameters else "", lifecycle)
    asked = sweep(lifecycle, name, given)
    found = compared([own, *(variant for variant in asked if variant.name != own.name)])
    place = {variant.name: number for number, variant in enumerate(found.variants)}
    order = [place[variant.name] for variant in asked]
    return replace(
        found, variants=tuple(asked), figures=[found.figures[number] for number in order],
        changed=[found.changed[number] for number in order],
    )  # fmt: skip


def values(given: str) -> list[str]:
    """`40..80:5` as 40, 45, … 80; `12h..48h:12h`, or a list `40,60,80`. Raises ParameterError."""
    if ".." not in given:
        return [value.strip() for value in given.split(",")]
    span, _, step = given.partition(":")
    low, _, high = span.partition("..")
    found = [_NUMBER.fullmatch(part.strip()) for part in (low, high, step or "1")]
    if not all(found):
        raise ParameterError(f"'{given}' is no range such as 40..80:5 or 12h..48h:12h")
    numbers = [Decimal(match[1]) for match in found if match]
    units = {match[2] for match in found if match and match[2]}
    first, last, by = numbers
    if len(units) > 1 or by <= 0 or last < first:
        raise ParameterError(f"'{given}': a range goes up, by a step above 0, in one unit")
    count = int((last - first) / by) + 1
    if count > VALUES_MAX:
        raise ParameterError(f"'{given}' has {count} values; at most {VALUES_MAX} are folded at once")
    unit = next(iter(units), "")
    return [f"{(first + by * place).normalize():f}{unit}" for place in range(count)]
