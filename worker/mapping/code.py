"""Python source for expressions: what is a plain path, comparison or alternative is written out, the rest is called.

A path is looked up once in a stretch of code, however often the mapping names it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final, TypeVar

from worker.mapping.expression import DIRECT, ROOT, SCOPES, Ast, Path, scopes, searcher, shown, simple
from worker.mapping.semantics import (
    NUMBERS,
    asks_an_object,
    contains,
    equal,
    flattened,
    holds,
    is_first,
    is_plain,
    ordered,
    projected,
    terms,
)

Part = TypeVar("Part")

_METHODS: Final = {"lower": "lower", "upper": "upper", "trim": "strip"}
_NESTED_MAX: Final = 8  # blocks within each other for one condition or choice; Python takes a hundred in all
_COMPARED: Final = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">="}


_LONG: Final = frozenset(
    {"projection", "filter_projection", "function_expression", "pipe", "index_expression", "subexpression"}
    | {"multi_select_list", "multi_select_dict", "value_projection", "or_expression", "and_expression"}
)


class Code:
    """Lines of a function under way: names for values, a pool of constants, blocks."""

    def __init__(self, *, root_is_object: bool) -> None:
        self.lines: list[str] = []
        self._root_is_object = root_is_object
        self.constants: dict[str, Any] = {
            "NUMBERS": NUMBERS, "equal": equal, "ordered": ordered, "contains": contains, "flattened": flattened,
            **{f"call_{name}": function for name, function in DIRECT.items()},
        }  # fmt: skip
        self._depth = 0
        self._count = 0
        self._known: list[dict[tuple[str, str], str]] = [{}]
        self._objects: list[set[str]] = [set()]
        self._constant_names: dict[tuple[type, Any], str] = {}

    def emit(self, line: str) -> None:
        self.lines.append("    " * self._depth + line)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """What is found out within is forgotten after: it may not have run."""
        self.emit(head)
        self._depth += 1
        self._known.append({})
        self._objects.append(set())
        yield
        self._known.pop()
        self._objects.pop()
        self._depth -= 1

    @contextmanager
    def function(self, head: str) -> Iterator[None]:
        """A function of its own: what was found out outside doesn't hold in it."""
        known, self._known = self._known, [{}]
        with self.block(head):
            yield
        self._known = known

    def name(self) -> str:
        self._count += 1
        return f"v{self._count}"

    def constant(self, value: Any) -> str:
        """A name, or the text itself, under which the code reads a constant."""
        if value is None or value is True or value is False or value.__class__ is str:
            return repr(value)
        self._count += 1
        name = f"k{self._count}"
        self.constants[name] = value
        return name

    def known(self, what: tuple[str, str], source: str) -> str:
        """The name of something found out before, or its source assigned to one: nobody may assign to it anew."""
        for known in reversed(self._known):
            if what in known:
                return known[what]
        self._known[-1][what] = self.assign(source)
        return self._known[-1][what]

    def assign(self, source: str) -> str:
        name = self.name()
        self.emit(f"{name} = {source}")
        return name

    # ------------------------------------------------------------------------------------------------------- values
    def value(self, ast: Ast, base: str | None = None) -> str:
        """An atom that holds the value of the expression; `base` is None at the root, where scopes have names.

        What takes a loop, a call or a comparison is worked out once in a stretch of code, too.
        """
        if ast["type"] not in _LONG:
            return self._value(ast, base)
        what = (f"{ast!r}", base or "")
        for known in reversed(self._known):
            if what in known:
                return known[what]
        found = self._value(ast, base)
        self._known[-1][what] = found
        return found

    def _value(self, ast: Ast, base: str | None) -> str:
        kind, children = ast["type"], ast.get("children", [])
        here = ROOT if base is None else base
        match kind:
            case "field":
                if base is None and ast["value"] in SCOPES:
                    return str(ast["value"])
                return self.field(here, ast["value"])
            case "current" | "identity":
                return here
            case "literal":
                return self.constant(ast["value"])
            case "index":
                return self.item(here, ast["value"])
            case "pipe" if is_first(children[1]) and projected(children[0]) is not None:
                return self.projection(children[0], base, first=True)
            case "subexpression" | "index_expression" | "pipe":
                found = self.value(children[0], base)
                for child in children[1:]:
                    found = self.value(child, found)
                return found
            case "or_expression" | "and_expression":
                return self.choice(ast, base)
            case "function_expression" if ast["value"] in _METHODS and len(children) == 1:
                text = self.value(children[0], base)
                return self.known(
                    (ast["value"], text), f"{text}.{_METHODS[ast['value']]}() if {text}.__class__ is str else None"
                )
            case "function_expression" if ast["value"] == "not_null" and children:
                return self.first_there(children, base)
            case "function_expression" if ast["value"] in DIRECT and all(is_plain(child) for child in children):
                return self.call(ast["value"], [self.value(child, base) for child in children])
            case "projection" | "filter_projection" if projected(ast) is not None:
                return self.projection(ast, base, first=False)
            case "multi_select_list" if all(child["type"] == "literal" for child in children):
                return self.constant([child["value"] for child in children])
            case "comparator" if ast["value"] in _COMPARED:
                return self.assign(f"{self.comparison(ast, base)} if {self.ordering(ast, base)} else None")
            case "comparator" | "not_expression":
                return self.assign(self.truth(ast, base))
        return self.search(ast, base)

    def field(self, base: str, field: str) -> str:
        plain = f"{base}.get({field!r})"
        certain = (base == ROOT and self._root_is_object) or any(base in names for names in self._objects)
        return self.known(("." + field, base), plain if certain else f"{plain} if {base}.__class__ is dict else None")

    def item(self, base: str, place: int) -> str:
        length = place + 1 if place >= 0 else -place
        source = f"{base}[{place}] if {base}.__class__ is list and len({base}) >= {length} else None"
        return self.known((f"[{place}]", base), source)

    def projection(self, ast: Ast, base: str | None, first: bool) -> str:
        """A loop over a list: all that its elements give, or the first of it, with no list made in between."""
        source, flat = projected(ast) or (ast, False)
        of = self.value(source, base)
        name = self.assign("None")
        element = self.name()
        with self.block(f"if {of}.__class__ is list:"):
            if not first:
                self.emit(f"{name} = []")
            with self.block(f"for {element} in {f'flattened({of})' if flat else of}:"):
                if ast["type"] == "filter_projection":
                    if asks_an_object(ast["children"][2]):
                        with self.block(f"if {element}.__class__ is not dict:"):
                            self.emit("continue")
                        self._objects[-1].add(element)
                    with self.block(f"if not {self.truth(ast['children'][2], element)}:"):
                        self.emit("continue")
                part = self.value(ast["children"][1], element)
                with self.block(f"if {part} is not None:"):
                    self.emit(f"{name} = {part}" if first else f"{name}.append({part})")
                    if first:
                        self.emit("break")
        return name

    def call(self, function: str, arguments: list[str]) -> str:
        """Called only for what it can take, which is a text first; but anything can be made a text."""
        first, called = arguments[0], f"call_{function}({', '.join(arguments)})"
        if function == "to_string":
            number = f"str({first}) if {first}.__class__ is int else {called}"
            return self.assign(f"{first} if {first}.__class__ is str else {number}")
        return self.assign(f"{called} if {first}.__class__ is str else None")

    def choice(self, ast: Ast, base: str | None) -> str:
        first, *others = terms(ast, ast["type"])
        name = self.assign(self.value(first, base))
        test = f"not {holds(name)}" if ast["type"] == "or_expression" else holds(name)
        for other in self.one_after_another(test, others):
            self.emit(f"{name} = {self.value(other, base)}")
        return name

    def first_there(self, children: list[Ast], base: str | None) -> str:
        first, *others = children
        name = self.assign(self.value(first, base))
        for other in self.one_after_another(f"{name} is None", others):
            self.emit(f"{name} = {self.value(other, base)}")
        return name

    def one_after_another(self, test: str, parts: Iterable[Part]) -> Iterator[Part]:
        """Each part in a block within that of the part before: a test that fails is not made again for the rest."""
        with ExitStack() as blocks:
            for number, part in enumerate(parts):
                if number % _NESTED_MAX == 0:
                    blocks.close()
                blocks.enter_context(self.block(f"if {test}:"))
                yield part

    def search(self, ast: Ast, base: str | None) -> str:
        found = self.constant(searcher(ast))
        named = sorted(scopes(ast) & SCOPES) if base is None else []
        if not named:
            return self.assign(f"{found}({ROOT if base is None else base})")
        inner = ROOT if ROOT in scopes(ast) else "{}"
        pairs = ", ".join(f"{name!r}: {name}" for name in named)
        return self.assign(f"{found}({{**({inner} if {inner}.__class__ is dict else {{}}), {pairs}}})")

    # -------------------------------------------------------------------------------------------------------- truth
    @contextmanager
    def where(self, ast: Ast) -> Iterator[None]:
        """Blocks that run where the expression holds: what only its later terms need isn't worked out before them."""
        with ExitStack() as blocks:
            tests: list[str] = []
            depth = 0
            for term in terms(ast):
                if tests and depth < _NESTED_MAX and not self._is_at_hand(term):
                    blocks.enter_context(self.block(f"if {' and '.join(tests)}:"))
                    tests, depth = [], depth + 1
                tests.append(self.truth(term))
            blocks.enter_context(self.block(f"if {' and '.join(tests)}:"))
            self.assume(ast)
            yield

    def assume(self, ast: Ast) -> None:
        """The expression holds from here on: what a field was found in is an object, which needs no further look."""
        for term in terms(ast):
            if term["type"] == "comparator" and asks_an_object(term):
                term = next(side for side in term["children"] if side["type"] != "literal")
            while term["type"] == "subexpression" and term["children"][1]["type"] == "field":
                term = term["children"][0]
                if not self._is_at_hand(term, self.value):
                    break
                self._objects[-1].add(self.value(term))

    def _is_at_hand(self, ast: Ast, look: Callable[[Ast], str] | None = None) -> bool:
        """Whether nothing has to be worked out to know the expression, or if it holds: it is tried, and undone."""
        lines, known = len(self.lines), [dict(found) for found in self._known]
        (look or self.truth)(ast)
        at_hand = len(self.lines) == lines
        del self.lines[lines:]
        self._known = known
        return at_hand

    def truth(self, ast: Ast, base: str | None = None) -> str:
        """Python that is true where the expression's value counts as true."""
        kind, children = ast["type"], ast.get("children", [])
        match kind:
            case "and_expression" | "or_expression":
                word = "and" if kind == "and_expression" else "or"
                return f"({f' {word} '.join(self.truth(term, base) for term in terms(ast, kind))})"
            case "not_expression":
                return f"(not {self.truth(children[0], base)})"
            case "comparator":
                return self.comparison(ast, base)
            case "function_expression" if ast["value"] == "contains" and len(children) == 2:
                return f"contains({self.value(children[0], base)}, {self.value(children[1], base)})"
            case "function_expression" if ast["value"] in ("starts_with", "ends_with") and len(children) == 2:
                text, part = self.value(children[0], base), self.value(children[1], base)
                method = ast["value"].replace("_", "")
                return f"({text}.__class__ is str and {part}.__class__ is str and {text}.{method}({part}))"
        return holds(self.value(ast, base))

    def ordering(self, ast: Ast, base: str | None) -> str:
        """Whether the two sides have an order: without one their comparison is null."""
        left, right = ast["children"]
        return f"ordered({self.value(left, base)}, {self.value(right, base)})"

    def comparison(self, ast: Ast, base: str | None) -> str:
        left, right = ast["children"]
        if left["type"] == "literal":
            left, right = right, left
            swapped = {"lt": "gt", "gt": "lt", "lte": "gte", "gte": "lte"}
            ast = {**ast, "value": swapped.get(ast["value"], ast["value"])}
        this, word = self.value(left, base), ast["value"]
        if word in _COMPARED:
            other = self.value(right, base)
            return f"(ordered({this}, {other}) and {this} {_COMPARED[word]} {other})"
        literal = right["value"] if right["type"] == "literal" else ...
        if literal is None or literal is True or literal is False:
            return f"({this} is {'not ' if word == 'ne' else ''}{literal})"
        if isinstance(literal, str):
            return f"({this} {'!=' if word == 'ne' else '=='} {literal!r})"
        if literal.__class__ is int or literal.__class__ is float:
            return f"({'not ' if word == 'ne' else ''}({this} == {literal!r} and {this}.__class__ is not bool))"
        return f"({'not ' if word == 'ne' else ''}equal({this}, {self.value(right, base)}))"


def place(ast: Ast, text: str) -> tuple[str, str]:
    """Scope and path for a message about the value of an expression."""
    while ast["type"] == "or_expression" or (ast["type"] == "function_expression" and ast["value"] == "not_null"):
        ast = ast["children"][0]
    path: Path | None = simple(ast)
    if path is not None:
        return path[0], shown(path)
    found = sorted(scopes(ast))
    return (found[0] if len(found) == 1 else ROOT), f" ({text})"
