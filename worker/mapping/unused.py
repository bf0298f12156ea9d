"""Which fields of a record a mapping looked at, and which it passed over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from worker.mapping.expression import ELEMENT, Path
from worker.mapping.mapping import Step
from worker.mapping.model import Model
from worker.mapping.reading import of_record, reads_of_admission, reads_of_each, reads_of_rule, reads_of_rules

LEAVES_MAX: Final = 10_000  # of one record; what lies past them isn't told


def leaves(value: Any, path: Path = ()) -> Iterator[Path]:
    """The paths of all values of a document that hold no others; `[]` is any element of a list."""
    if isinstance(value, dict) and value:
        for name, part in value.items():
            yield from leaves(part, (*path, str(name)))
    elif isinstance(value, list) and value:
        for part in value:
            yield from leaves(part, (*path, ELEMENT))
    else:
        yield path


def unused(model: Model, document: Any, steps: Iterable[Step]) -> list[Path]:
    """The document's fields that nothing looked at which took part in what it came to, in their order."""
    rules = (*model.rules, model.otherwise)
    read: set[Path] = set()
    for step in steps:
        if step.rule is None:
            read |= reads_of_rules(model) - reads_of_admission(model)
        else:
            read |= reads_of_rule(model, rules[step.rule])
    used = of_record(model, read) | reads_of_each(model)
    asked = of_record(model, reads_of_admission(model))
    found: dict[Path, None] = {}
    for count, leaf in enumerate(leaves(document)):
        if count >= LEAVES_MAX:
            break
        if leaf in found or not leaf or any(_covers(path, leaf) for path in used):
            continue
        if not any(_asks(path, leaf) for path in asked):
            found[leaf] = None
    return list(found)


def _covers(used: Path, leaf: Path) -> bool:
    """Whether the one lies on the way to the other: what is read whole is read with all its parts."""
    return leaf[: len(used)] == used or used[: len(leaf)] == leaf


def _asks(asked: Path, leaf: Path) -> bool:
    """Whether a condition looked at the leaf: that an object is there says nothing of what it holds."""
    return leaf in (asked, (*asked, ELEMENT)) or asked[: len(leaf)] == leaf


def written(path: Path) -> str:
    """`payload.items[].name`."""
    text = "".join(step if step == ELEMENT else f".{step}" for step in path)
    return text.removeprefix(".") or "@"
