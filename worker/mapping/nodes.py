"""Values of a YAML document taken one by one, and every one that isn't what it should be a finding with its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, cast

from worker.definition.document import Document, Node
from worker.definition.errors import ExpressionError, Finding
from worker.definition.nearest import nearest, suggestion
from worker.mapping.expression import Ast, Expression, parse


class Reading:
    """A document under reading: what was found wrong with it so far, and the names of its `let`."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.findings: list[Finding] = []
        self.names: dict[str, Ast] = {}

    def fail(self, offset: int, code: str, message: str) -> None:
        self.findings.append(self.document.finding(offset, code, message))

    def mapping(self, node: Node, keys: Iterable[str] | None, what: str) -> dict[str, Node]:
        """The items of a mapping; an unknown key and another kind of node are findings."""
        if node.items is None or node.is_list:
            self.fail(node.start, "wrong-type", f"{what}: expected `key: value` lines, got {kind_of(node)}")
            return {}
        items = cast(dict[str, Node], node.items)
        if keys is not None:
            allowed = sorted(keys)
            for key, item in items.items():
                if key not in allowed:
                    near = nearest(key, allowed)
                    hint = suggestion(near) or f"; there are: {', '.join(allowed)}"
                    self.fail(item.key or item.start, "unknown-key", f"{what} has no '{key}'{hint}")
        return items

    def several(self, node: Node) -> list[Node]:
        """The items of a list; anything else counts as a list of one."""
        if node.items is not None and node.is_list:
            if not node.items:
                self.fail(node.start, "empty", "an empty list")
            return list(node.items.values())
        return [node]

    def text(self, node: Node, what: str) -> str:
        if isinstance(node.value, str) and node.value.strip():
            return node.value.strip()
        self.fail(node.start, "wrong-type", f"{what}: expected a text, got {kind_of(node)}")
        return ""

    def one_of(self, node: Node, choices: Iterable[str], what: str) -> str:
        text = self.text(node, what)
        known = list(choices)
        if text and text not in known:
            self.fail(node.start, "unknown-value", f"{what}: '{text}' is none of {', '.join(known)}")
        return text

    def flag(self, items: Mapping[str, Node], key: str) -> bool:
        if key not in items:
            return False
        if not isinstance(items[key].value, bool):
            self.fail(items[key].start, "wrong-type", f"{key}: expected true or false, got {kind_of(items[key])}")
        return items[key].value is True

    # --------------------------------------------------------------------------------------------------- expressions
    def expression(self, node: Node, what: str) -> Expression | None:
        if not isinstance(node.value, str):
            self.fail(node.start, "wrong-type", f"{what}: expected a path, got {kind_of(node)}")
            return None
        try:
            return parse(node.value, self.names)
        except ExpressionError as error:
            self.fail(self.document.within(node, error.offset), error.code, f"{what}: {error.message}")
            return None

    def expressions(self, node: Node, what: str) -> tuple[Expression, ...]:
        found = [self.expression(item, what) for item in self.several(node)]
        return tuple(item for item in found if item is not None)


_WORDS_FOR: Final[tuple[tuple[Callable[[Node], bool], str], ...]] = (
    (lambda node: node.items is not None and node.is_list, "a list"),
    (lambda node: node.items is not None, "`key: value` lines"),
    (lambda node: node.value is None, "nothing"),
    (lambda node: isinstance(node.value, bool), "true or false"),
    (lambda node: isinstance(node.value, int | float), "a number"),
)


def kind_of(node: Node) -> str:
    return next((words for fits, words in _WORDS_FOR if fits(node)), "a text")
