"""JMESPath with names of our own: parsed once, checked, and taken apart for the compiler.

Four first names are set apart in every expression: `envelope` is the whole record that a fan-out started from,
`parent` what the item was taken from, `header` the record's headers by their names in lower case, `record_key` the
record's key on its topic. The names of the mapping's `let` stand for their expressions. Where a function doesn't apply
to what it gets, the result is null, as everywhere else in a path: records of others are never trusted to have a shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import jmespath
import msgspec
from jmespath import exceptions, functions
from jmespath.visitor import TreeInterpreter

from worker.definition.errors import ExpressionError
from worker.definition.nearest import nearest, suggestion

Ast = Any
"""A node as the library has it: a mapping of `type`, `children` and, for some types, `value`."""

Path = tuple[str, ...]

ELEMENT: Final = "[]"
"""The step of a path that goes into a list: which of its elements doesn't matter."""

ROOT: Final = "record"
RECORD_KEY: Final = "record_key"
SCOPES: Final = frozenset({"envelope", "parent", "header", RECORD_KEY})
LENGTH_MAX: Final = 1_000  # characters of one expression


class _Functions(functions.Functions):
    """What the language itself lacks for tidying texts; and null, not an error, for what a function can't take."""

    def call_function(self, function_name: str, resolved_args: Iterable[Any]) -> Any:
        try:
            return super().call_function(function_name, resolved_args)
        except (exceptions.JMESPathTypeError, msgspec.MsgspecError, TypeError, ValueError, AttributeError):
            return None

    @functions.signature({"types": ["string"]})
    def _func_lower(self, text: str) -> str:
        return text.lower()

    @functions.signature({"types": ["string"]})
    def _func_upper(self, text: str) -> str:
        return text.upper()

    @functions.signature({"types": ["string"]})
    def _func_trim(self, text: str) -> str:
        return text.strip()

    @functions.signature({"types": ["string"]}, {"types": ["string"]})
    def _func_split(self, text: str, separator: str) -> list[str] | None:
        return text.split(separator) if separator else None

    @functions.signature({"types": ["string"]}, {"types": ["string"]})
    def _func_before(self, text: str, separator: str) -> str:
        return text.partition(separator)[0] if separator else text

    @functions.signature({"types": ["string"]}, {"types": ["string"]})
    def _func_after(self, text: str, separator: str) -> str:
        return text.partition(separator)[2] if separator else ""

    @functions.signature({"types": ["string"]}, {"types": ["string"]}, {"types": ["string"]})
    def _func_replace(self, text: str, old: str, new: str) -> str | None:
        return text.replace(old, new) if old else None

    @functions.signature({"types": ["string"]})
    def _func_from_json(self, text: str) -> Any:
        return _read_json(text)


class _Interpreter(TreeInterpreter):
    """The library's, but for a text compared with a number: they have no order, which is null and no error."""

    def visit_comparator(self, node: Ast, value: Any) -> Any:
        try:
            return super().visit_comparator(node, value)
        except TypeError:
            return None


def _null_else(function: Callable[..., Any], *kinds: type) -> Callable[..., Any]:
    """The function without the library's look at its arguments: null where they aren't of these kinds."""

    def call(*values: Any) -> Any:
        for value, kind in zip(values, kinds, strict=True):
            if value.__class__ is not kind:
                return None
        try:
            return function(*values)
        except (msgspec.MsgspecError, TypeError, ValueError, RecursionError):
            return None

    return call


_own: Final = _Functions()
DIRECT: Final[Mapping[str, Callable[..., Any]]] = {
    "split": _null_else(_own._func_split, str, str),
    "before": _null_else(_own._func_before, str, str),
    "after": _null_else(_own._func_after, str, str),
    "replace": _null_else(_own._func_replace, str, str, str),
    "from_json": _null_else(_own._func_from_json, str),
    "to_string": _own._func_to_string,  # type: ignore[attr-defined]  # the stubs leave it out
}
"""Functions that the compiler calls without the library, by their names: the same results."""

_read_json: Final = msgspec.json.Decoder().decode
_OPTIONS: Final = jmespath.Options(custom_functions=_Functions())
FUNCTIONS: Final = frozenset(_Functions.FUNCTION_TABLE)


@dataclass(frozen=True, slots=True)
class Expression:
    """`text` as it was written; `ast` with the names of `let` replaced by what they stand for."""

    text: str
    ast: Ast


def parse(text: str, names: Mapping[str, Ast] | None = None) -> Expression:
    """The expression of a text. Raises: ExpressionError with the place of the fault."""
    if len(text) > LENGTH_MAX:
        raise ExpressionError(f"the path is longer than {LENGTH_MAX} characters", 0, 1, "too-long")
    try:
        ast: Ast = jmespath.compile(text).parsed
    except exceptions.JMESPathError as error:
        offset = getattr(error, "lex_position", None)
        where = min(offset if isinstance(offset, int) else 0, max(0, len(text) - 1))
        raise ExpressionError(_complaint(error, text), where, 1, "path") from None
    except RecursionError:
        raise ExpressionError("the path is nested too deep", 0, 1, "path") from None
    for node in _nodes(ast):
        if node["type"] == "subexpression" and node["children"][0]["type"] == "not_expression":
            raise ExpressionError(
                "`!` takes only the name next to it here: write `!(a.b)`, not `!a.b`",
                max(0, text.find("!")),
                1,
                "path",
            )
        if node["type"] == "function_expression" and node["value"] not in FUNCTIONS:
            name = node["value"]
            raise ExpressionError(
                f"there is no function '{name}'{suggestion(nearest(name, FUNCTIONS))}",
                max(0, text.find(name)),
                len(name),
                "unknown-function",
            )
    return Expression(text, _rebind(ast, names or {}))


def _complaint(error: exceptions.JMESPathError, text: str) -> str:
    if isinstance(error, exceptions.EmptyExpressionError):
        return "an empty path"
    if isinstance(error, exceptions.IncompleteExpressionError):
        return f"the path ends in the middle: {text}"
    token: object = getattr(error, "token_value", None)
    if token == "-" or (isinstance(token, str) and token.startswith("-")):
        return 'a name with a hyphen stands in double quotes: headers."content-type"'
    return "this is no JMESPath" + (f": {token!r} can't stand there" if token else f": {text}")


def _nodes(ast: Ast) -> Iterator[Ast]:
    yield ast
    for child in ast.get("children", ()):
        if isinstance(child, dict):
            yield from _nodes(child)


# Which children of a node are read in the node's own scope; the others are read within what the first one gives.
_FIRST_ONLY: Final = frozenset(
    {"subexpression", "index_expression", "projection", "value_projection", "filter_projection", "flatten", "pipe"}
)


def _rebind(ast: Ast, names: Mapping[str, Ast]) -> Ast:
    """The tree with the names that stand at its root replaced."""
    if ast["type"] == "field":
        return names.get(ast["value"], ast)
    children = ast.get("children", [])
    if not children or ast["type"] == "expref":
        return ast
    if ast["type"] in _FIRST_ONLY:
        changed = [_rebind(children[0], names), *children[1:]]
    else:
        changed = [_rebind(child, names) if isinstance(child, dict) else child for child in children]
    return {**ast, "children": changed}


def searcher(ast: Ast) -> Callable[[Any], Any]:
    """The library's own reading of a tree: the long way, for what the compiler doesn't write out."""
    visit = _Interpreter(_OPTIONS).visit

    def search(value: Any) -> Any:
        try:
            return visit(ast, value)
        except (exceptions.JMESPathError, msgspec.MsgspecError, TypeError, ValueError, AttributeError, RecursionError):
            return None

    return search


# ------------------------------------------------------------------------------------------------------- what it reads
def scopes(ast: Ast) -> set[str]:
    """Which of `ROOT` and `SCOPES` the expression reads."""
    return {path[0] for path in reads(ast)}


def reads(ast: Ast) -> set[Path]:
    """The paths that the expression may read, whole from where they end; the first step is the scope."""
    found: set[Path] = set()
    found.update(_walk(ast, None, found))
    return {tuple(step for step in path if step != _LISTED) for path in found}


_LISTED: Final = "*"  # after a projection: a list that the expression made, which the record doesn't have


def _elements(end: Path) -> Path:
    return end[:-1] if end[-1] == _LISTED else (*end, ELEMENT)


def _walk(ast: Ast, base: Path | None, found: set[Path]) -> list[Path]:
    """Where the value may come from, as paths that are read on from; what is read on the way goes to `found`.

    `base` is None at the root, where a first name may be a scope.
    """
    kind, children = ast["type"], ast.get("children", [])
    here = (ROOT,) if base is None else base
    match kind:
        case "field":
            if base is None and ast["value"] in SCOPES:
                return [(ast["value"],)]
            return [(*here, ast["value"])]
        case "current" | "identity" | "slice":
            return [here]
        case "literal":
            return []
        case "index":
            return [_elements(here)]
        case "subexpression" | "index_expression" | "pipe":
            ends = _walk(children[0], base, found)
            for child in children[1:]:
                ends = [end for start in ends for end in _walk(child, start, found)]
            return ends
        case "flatten":
            ends = _walk(children[0], base, found)
            flat = [_elements(end) for end in ends]
            flat += [_elements(_elements(end)) for end in ends if end[-1] == _LISTED]  # lists among what was listed
            return [(*end, _LISTED) for end in flat]
        case "projection":
            starts = [_elements(end) for end in _walk(children[0], base, found)]
            return [(*end, _LISTED) for start in starts for end in _walk(children[1], start, found)]
        case "filter_projection":
            starts = [_elements(end) for end in _walk(children[0], base, found)]
            for start in starts:
                found.update(_walk(children[2], start, found))
            return [(*end, _LISTED) for start in starts for end in _walk(children[1], start, found)]
        case "or_expression":
            return [end for child in children for end in _walk(child, base, found)]
        case "and_expression":
            found.update(_walk(children[0], base, found))
            return _walk(children[1], base, found)
        case "function_expression" if ast["value"] == "not_null":
            return [end for child in children for end in _walk(child, base, found)]
        case "function_expression" if len(children) > 1 and children[1]["type"] == "expref":
            ends = _walk(children[0], base, found)  # as `max_by(list, &field)`: what is asked of each element
            found.update(ends)
            for end in ends:
                found.update(_walk(children[1]["children"][0], _elements(end), found))
            return []
        case "comparator" | "not_expression" | "function_expression" | "multi_select_list" | "multi_select_dict":
            for child in children:
                found.update(_walk(child, base, found))
            return []
        case "key_val_pair":
            return _walk(children[0], base, found)
    # value projections, references to expressions: all of what they start from
    found.update(_walk(children[0], base, found) if children and kind != "expref" else [here])
    return []


def simple(ast: Ast) -> Path | None:
    """The path of an expression that is nothing but names and places in lists; None of any other."""
    text = _simple(ast, None)
    return tuple(text) if text is not None else None


def _simple(ast: Ast, base: list[str] | None) -> list[str] | None:
    kind, children = ast["type"], ast.get("children", [])
    here = [ROOT] if base is None else base
    if kind == "field":
        return [ast["value"]] if base is None and ast["value"] in SCOPES else [*here, ast["value"]]
    if kind in ("current", "identity"):
        return here
    if kind == "index":
        return [*here, f"[{ast['value']}]"]
    if kind in ("subexpression", "index_expression"):
        steps = _simple(children[0], base)
        for child in children[1:]:
            steps = None if steps is None else _simple(child, steps)
        return steps
    return None


def shown(path: Path) -> str:
    """`.payload.items[3]."a b"`: the path after its scope, as it is written behind `$`."""
    parts = []
    for step in path[1:]:
        if step.startswith("["):
            parts.append(step)
        elif step.replace("_", "a").isalnum() and step.isascii():
            parts.append("." + step)
        else:
            parts.append(f'."{step}"')
    return "".join(parts)


def demands(ast: Ast) -> Iterator[tuple[Ast, str]]:
    """What a condition asks for, one by one, where it is written as `a && b.c && (d || e)`: each with its name."""
    if ast["type"] == "and_expression":
        for child in ast["children"]:
            yield from demands(child)
        return
    path = simple(ast)
    if path is not None and len(path) > 1:
        yield ast, shown(path).removeprefix(".")
    elif ast["type"] == "or_expression":
        named = [name for child in ast["children"] for _, name in demands(child)]
        if all(child["type"] != "and_expression" for child in ast["children"]):
            yield ast, "` or `".join(named)
    elif ast["type"] == "comparator" and ast["value"] == "eq":
        (path, literal) = simple(ast["children"][0]), ast["children"][1]
        if path is not None and literal["type"] == "literal":
            yield ast, f"{shown(path).removeprefix('.')} == {literal['value']!r}"


def item_paths(ast: Ast) -> set[Path]:
    """Where the items of a fan-out come from, without the scope: the elements of a list, or one thing by itself."""
    found: set[Path] = set()
    for end in _walk(ast, None, set()):
        if end[-1] == _LISTED:
            found.add(tuple(step for step in end[1:-1] if step != _LISTED))
        else:
            plain = tuple(step for step in end[1:] if step != _LISTED)
            found |= {plain, (*plain, ELEMENT)}
    return found
