"""What a mapping reads of a record, found from its expressions: for a decoder that skips the rest, and for people.

Paths are of the whole record; `[]` is any element of a list.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, TypedDict, Union

from worker.mapping.expression import ELEMENT, ROOT, Expression, Path, item_paths, reads
from worker.mapping.model import Digest, Fields, Ident, Making, Model, Rule, Time, Value

PATHS_MAX: Final = 2_000  # past them all is read: such a mapping gains nothing by skipping


def reads_of_rules(model: Model) -> set[Path]:
    """What the rules read, from the item: the first step is the scope."""
    found: set[Path] = set()
    for expression in _expressions_of_all(model):
        found |= reads(expression.ast)
    for rule in (*model.rules, model.otherwise):
        found |= reads_of_rule(model, rule)
    return found


def reads_of_rule(model: Model, rule: Rule) -> set[Path]:
    """What one rule reads, its condition apart."""
    found: set[Path] = set()
    for expression in _of_rule(model, rule):
        found |= reads(expression.ast)
    return found


def of_record(model: Model, paths: Iterable[Path]) -> set[Path]:
    """Paths from an item as paths from the whole record; those into headers are left out."""
    starts: dict[str, set[Path]] = {"envelope": {()}, ROOT: {()}, "parent": {()}}
    for step in model.each:
        starts["parent"], starts[ROOT] = (
            starts[ROOT],
            {(*start, *end) for start in starts[ROOT] for end in item_paths(step.ast)},
        )
    return {(*start, *path[1:]) for path in paths for start in starts.get(path[0], ())}


def reads_of_each(model: Model) -> set[Path]:
    """What is read on the way to the items, from the whole record: ends that are read on from aren't among them."""
    found: set[Path] = set()
    starts: set[Path] = {()}
    for step in model.each:
        ends = item_paths(step.ast)
        inner = {path[1:] for path in reads(step.ast) if path[0] == ROOT} - set(ends)
        inner -= {end[:-1] for end in ends if end and end[-1] == ELEMENT}
        found |= {(*start, *path) for start in starts for path in inner}
        starts = {(*start, *end) for start in starts for end in ends}
    return found


def shape(paths: Iterable[Path]) -> Any:
    """A type for msgspec that holds these paths and skips all else; `Any` where nothing is to be gained."""
    tree: dict[str, Any] = {}
    for count, path in enumerate(paths):
        if not path or count >= PATHS_MAX:
            return Any
        node = tree
        for step in path:
            node = node.setdefault(step, {})
        node[_WHOLE] = {}
    return _type(tree, [0])


_WHOLE: Final = "\0"
_typed_dict: Final[Any] = TypedDict  # its fields come from the mapping: no type checker can know them


def _type(tree: dict[str, Any], count: list[int]) -> Any:
    if _WHOLE in tree or not tree:
        return Any
    kinds: list[Any] = []
    names = {name: _type(child, count) for name, child in tree.items() if name != ELEMENT}
    if names:
        count[0] += 1
        kinds.append(_typed_dict(f"Part{count[0]}", names, total=False))
    if ELEMENT in tree:
        kinds.append(list[_type(tree[ELEMENT], count)])  # type: ignore[misc]  # a type made at run time
    return Union[(*kinds, None)]  # of a number of types only known at run time


# --------------------------------------------------------------------------------------------------------- expressions
def _expressions_of_all(model: Model) -> Iterator[Expression]:
    if model.takes is not None:
        yield model.takes
    if model.version is not None:
        yield model.version.expression
    yield from model.shows
    for rule in model.rules:
        if rule.when is not None:
            yield rule.when


def reads_of_admission(model: Model) -> set[Path]:
    """What every record is looked at for, whichever rule takes it."""
    return {path for expression in _expressions_of_all(model) for path in reads(expression.ast)}


def _of_rule(model: Model, rule: Rule) -> Iterator[Expression]:
    for name in rule.joins:
        yield from _of_value(model.identities[name].value)
    for making in rule.makes:
        yield from _of_making(model, making)


def _of_making(model: Model, making: Making) -> Iterator[Expression]:
    if making.when is not None:
        yield making.when
    yield from _of_value(making.type)
    yield from _of_ident(making.id)
    yield from _of_time(making.time)
    for name in making.subject:
        yield from _of_value(model.identities[name].value)
    yield from _of_fields(making.data)
    yield from _of_fields(making.traits)


def _of_fields(fields: Fields) -> Iterator[Expression]:
    for value in fields.named.values():
        yield from _of_value(value)
    yield from fields.rest


def _of_ident(ident: Ident) -> Iterator[Expression]:
    for part in ident:
        if isinstance(part, Digest):
            yield from part.parts
        else:
            yield from _of_value(part)


def _of_time(time: Time) -> Iterator[Expression]:
    for source in time.sources:
        yield source.expression


def _of_value(value: Value) -> Iterator[Expression]:
    yield from value.sources
    if value.test is not None:
        yield value.test
    for part in (*value.any_of, value.times, value.divide, value.otherwise):
        if part is not None:
            yield from _of_value(part)
    if value.scanner is not None:
        yield from (part for part in (value.scanner.agent, value.scanner.address) if part is not None)
        if value.scanner.sent is not None:
            yield from _of_time(value.scanner.sent)
