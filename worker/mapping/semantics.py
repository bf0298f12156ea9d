"""What JMESPath's truth, order and lists are in Python, and what an expression tells of itself before it is read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from worker.mapping.expression import Ast

NUMBERS: Final = (int, float)


def is_false(value: Any) -> bool:
    """What JMESPath takes for false: null, false, and a text, list or object with nothing in it; never a number."""
    return not value and value.__class__ not in NUMBERS


def holds(name: str) -> str:
    """Python that is true where `is_false` would be false of the value."""
    return f"({name} or {name} is not None and {name}.__class__ in NUMBERS)"


def equal(left: Any, right: Any) -> bool:
    """Equal values of one kind: 1 is not true."""
    if left.__class__ is bool or right.__class__ is bool:
        return left is right
    return bool(left == right)


def ordered(left: Any, right: Any) -> bool:
    """Two numbers or two texts: nothing else has an order."""
    if left.__class__ is str:
        return right.__class__ is str
    return left.__class__ in NUMBERS and right.__class__ in NUMBERS


def flattened(value: list[Any]) -> list[Any]:
    """The elements, those that are lists with their own elements in their place."""
    merged: list[Any] = []
    for part in value:
        if part.__class__ is list:
            merged += part
        else:
            merged.append(part)
    return merged


def contains(value: Any, part: Any) -> bool:
    if value.__class__ is str:
        return part.__class__ is str and part in value
    return value.__class__ is list and part in value


def projected(ast: Ast) -> tuple[Ast, bool] | None:
    """What a projection goes through, and whether it is flattened; None for slices, which are left to the library."""
    if ast["type"] not in ("projection", "filter_projection"):
        return None
    source = ast["children"][0]
    if source["type"] == "flatten":
        return source["children"][0], True
    if source["type"] == "index_expression" and source["children"][1]["type"] == "slice":
        return None
    return source, False


def is_first(ast: Ast) -> bool:
    """`[0]` of what a pipe hands on."""
    children = ast.get("children", [])
    if ast["type"] != "index_expression" or children[0]["type"] != "identity":
        return False
    return bool(children[1]["type"] == "index" and children[1]["value"] == 0)


def terms(ast: Ast, kind: str = "and_expression") -> Iterator[Ast]:
    """What all has to hold for the expression to hold; of another kind, what one of has to."""
    if ast["type"] == kind:
        for child in ast["children"]:
            yield from terms(child, kind)
    else:
        yield ast


def is_plain(ast: Ast) -> bool:
    return bool(ast["type"] != "expref")


def asks_an_object(ast: Ast) -> bool:
    """Whether a condition can only hold of an object: one that asks for a field of it, or for what a field is."""
    kind, children = ast["type"], ast.get("children", [])
    match kind:
        case "field":
            return True
        case "subexpression" | "index_expression" if children[1]["type"] in ("field", "index"):
            return asks_an_object(children[0])
        case "and_expression":
            return any(asks_an_object(child) for child in children)
        case "or_expression":
            return all(asks_an_object(child) for child in children)
        case "comparator" if ast["value"] == "eq":
            sides = [side for side in children if side["type"] != "literal" or side["value"] is None]
            return len(sides) == 1 and asks_an_object(sides[0])
        case "function_expression" if ast["value"] in ("contains", "starts_with", "ends_with"):
            return asks_an_object(children[0])
    return False
