"""The items of a record: what takes them out of it, and where each of them stands.

A record may hold thousands: where one of them stands is put together when somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from worker.mapping.code import place
from worker.mapping.compile import compile_items
from worker.mapping.expression import ROOT, Ast, Expression
from worker.mapping.outcome import Bad, kind
from worker.mapping.semantics import is_false

MAX_ITEMS: Final = 10_000  # of one record; vendors send a thousand at most

Where = Callable[["Item"], tuple[str, str]]

_PASSED_OVER: Final[dict[tuple[str, str | None], Callable[[Any], bool]]] = {
    ("or_expression", None): is_false,
    ("function_expression", "not_null"): lambda value: value is None,
}
"""Of the ways that items may be taken, the first is gone that isn't so."""


class Item(msgspec.Struct, frozen=True, gc=False):
    """One thing of a record that the rules look at; the record itself has no `owner`.

    Where it stands is worked out when somebody asks: it is `number` in the list that `step` takes out of its owner.
    """

    value: Any
    parent: Any = None
    owner: Item | None = None
    step: Taking | None = None
    number: int | None = None

    @property
    def path(self) -> str:
        """`$` for the record itself, `$.events[3]` for an item."""
        if self.owner is None or self.step is None:
            return "$"
        path = self.step.path(self.owner)
        return path if self.number is None else f"{path}[{self.number}]"

    @property
    def parent_path(self) -> str:
        return "$" if self.owner is None else self.owner.path

    @property
    def record(self) -> Any:
        """The whole record that the item is of."""
        return self.value if self.owner is None else self.owner.record


class Taking:
    """One step of `each`, compiled: what it takes out of a record, or out of an item of the step before."""

    def __init__(self, expression: Expression) -> None:
        self.take = compile_items(expression)
        self._where = _where(expression.ast, expression.text)

    def path(self, owner: Item) -> str:
        """Where lies what is taken out of the owner."""
        scope, path = self._where(owner)
        return (owner.path if scope == ROOT else "$") + path


def _where(ast: Ast, text: str) -> Where:
    """What tells the scope and path of which of the ways was gone."""
    passed_over = _PASSED_OVER.get((ast["type"], ast.get("value")))
    if passed_over is None:
        told = place(ast, text)
        return lambda _: told
    *ways, last = ((compile_items(Expression(text, way)), _where(way, text)) for way in ast["children"])

    def where(owner: Item) -> tuple[str, str]:
        for take, inner in ways:
            if not passed_over(take(owner.value, owner.record, owner.parent, {}, None)):
                return inner(owner)
        return last[1](owner)

    return where


Taken = tuple[Item, Taking, Any]
"""An owner, a step, and what it took out of it: a list of items, or one thing by itself."""


def item_of(taken: Taken, number: int) -> Item:
    """The item at this place of the list; one thing by itself is its only item."""
    owner, step, found = taken
    if found.__class__ is list:
        return Item(found[number], owner.value, owner, step, number)
    return owner if found is owner.value else Item(found, owner.value, owner, step)


def items_of(taken: Sequence[Taken]) -> list[Item]:
    return [
        item_of(each, number) for each in taken for number in range(len(each[2]) if each[2].__class__ is list else 1)
    ]


def take_items(
    steps: Sequence[Taking], document: Any, first: Any, header: Mapping[str, str], key: Any
) -> tuple[list[Bad], list[Taken]]:
    """What the last of the steps takes, and what is wrong on the way there; `first` is what the first step took."""
    if len(steps) == 1 and first.__class__ is list and len(first) <= MAX_ITEMS:
        return [], [(Item(document), steps[0], first)]  # as most batches are
    bad: list[Bad] = []
    taken: list[Taken] = []
    for step in steps:
        owners = [Item(document)] if step is steps[0] else items_of(taken)
        taken, count = [], 0
        for owner in owners:
            found = step.take(owner.value, document, owner.parent, header, key) if step is not steps[0] else first
            if found.__class__ is list:
                count += len(found)
            elif found.__class__ is dict:
                count += 1
            else:
                at = step.path(owner)[1:]
                bad.append(Bad("wrong-type", "envelope", at, f"expected a list of items, got {kind(found)}"))
                continue
            taken.append((owner, step, found))
            if count > MAX_ITEMS:
                at = step.path(owner)[1:]
                bad.append(Bad("too-large", "envelope", at, f"expected at most {MAX_ITEMS} items, got more"))
                return bad, []
    return bad, taken
