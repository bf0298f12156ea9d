"""The grammar of guards and figures: text to a Python syntax tree that can hold nothing else.

Python's own parser never sees the text. What this grammar has no word for (a lambda, a comprehension, an assignment)
cannot come into being, so the allow-list of nodes is the grammar itself:

    choice    or [if or else choice]
    or        and {or and}            and     not {and not}           not     [not] not | compare
    compare   sum {(== != < <= > >=) sum | [not] in list}
    sum       product {(+ -) product}     product  sign {(* / %) sign}     sign  [-] sign | term
    term      number | duration | "text" | true false none | (choice)
              | name | name(arguments) | name.field | name["field"]
                        (days_in_stage is days_in_stage())
    list      ( constant or name, ... )  |  [ ... ]

Nodes carry `col_offset` and `end_col_offset` in characters of the text, on line 1. A duration such as `7d` is a
`Constant` of milliseconds with `kind="duration"`.
"""

from __future__ import annotations

import ast
from typing import TypeVar

from worker.definition.errors import ExpressionError
from worker.definition.habits import BETWEEN_VALUES, OPERATORS, duration_meant
from worker.definition.tokens import Token, tokens

DEPTH_MAX = 40  # nodes within nodes; everything after may walk the tree by recursion

BARE = frozenset({"days_in_stage"})  # functions without arguments: their name is enough

_COMPARES: dict[str, type[ast.cmpop]] = {
    "==": ast.Eq, "!=": ast.NotEq, "<": ast.Lt, "<=": ast.LtE, ">": ast.Gt, ">=": ast.GtE,
}  # fmt: skip
_SUMS: dict[str, type[ast.operator]] = {"+": ast.Add, "-": ast.Sub}
_PRODUCTS: dict[str, type[ast.operator]] = {"*": ast.Mult, "/": ast.Div, "%": ast.Mod}

_Node = TypeVar("_Node", bound=ast.expr)


def parse_syntax(text: str) -> ast.expr:
    """The tree of an expression, names unresolved. Raises: ExpressionError."""
    parser = _Parser(tokens(text))
    node = parser.choice()
    parser.expect_end()
    _check_depth(node)
    return node


def _check_depth(root: ast.expr) -> None:
    pending: list[tuple[ast.AST, int]] = [(root, 1)]
    while pending:
        node, depth = pending.pop()
        if depth > DEPTH_MAX:
            raise _too_deep(getattr(node, "col_offset", 0))
        pending.extend((child, depth + 1) for child in ast.iter_child_nodes(node))


def _too_deep(offset: int) -> ExpressionError:
    return ExpressionError(
        f"more than {DEPTH_MAX} parts within each other: name some of them under `conditions`", offset, 1, "too-deep"
    )


class _Parser:
    """Recursive descent over the tokens; `level` bounds the recursion before the tree exists."""

    def __init__(self, words: list[Token]) -> None:
        self.words = words
        self.place = 0
        self.level = 0

    @property
    def word(self) -> Token:
        return self.words[self.place]

    def take(self) -> Token:
        taken = self.word
        self.place += 1
        return taken

    def at(self, *words: str) -> bool:
        return self.word.kind in ("mark", "keyword") and self.word.word in words

    def fail(self, expected: str) -> ExpressionError:
        here = self.word
        if self.at("="):
            following = self.words[self.place + 1]
            length = 2 if following.word in ("=", "==", ">", "<") and following.offset == here.end else 1
            own = OPERATORS.get("=" + following.word) if length == 2 else "=="
            shown = "=" + following.word if length == 2 else "="
            return ExpressionError(f"`{shown}` is written `{own}` here", here.offset, length, "syntax", own)
        return ExpressionError(f"{expected}, not {here.shown}", here.offset, max(1, len(here.word)), "syntax")

    def expect_end(self) -> None:
        here, before = self.word, self.words[self.place - 1]
        if here.kind == "end":
            return
        if here.kind == "name" and before.kind == "constant" and not isinstance(before.value, str):
            meant = duration_meant(f"{before.word} {here.word}")
            if meant is not None:
                raise ExpressionError(
                    f"a duration is written without a space, such as {meant}", before.offset, here.end - before.offset,
                    "bad-duration", meant,
                )  # fmt: skip
        if self.at(",") and before.kind == "constant" and not isinstance(before.value, str):
            raise self.fail("expected the rest of a figure, which has no comma (1000, 1.5)")
        instead = f" (write {BETWEEN_VALUES[here.word]})" if here.word in BETWEEN_VALUES else ""
        raise self.fail(f"expected `and`, `or`, a comparison or the end{instead}")

    def expect(self, mark: str) -> Token:
        if not self.at(mark):
            raise self.fail(f"expected `{mark}`")
        return self.take()

    def deeper(self) -> None:
        self.level += 1
        if self.level > DEPTH_MAX:
            raise _too_deep(self.word.offset)

    def choice(self) -> ast.expr:
        self.deeper()
        node = self.either()
        if self.at("if"):
            self.take()
            test = self.either()
            if not self.at("else"):
                raise self.fail("expected `else`: a choice is written A if C else B")
            self.take()
            other = self.choice()
            node = _over(ast.IfExp(test=test, body=node, orelse=other), node, other)
        self.level -= 1
        return node

    def either(self) -> ast.expr:
        parts = [self.both()]
        while self.at("or"):
            self.take()
            parts.append(self.both())
        return parts[0] if len(parts) == 1 else _over(ast.BoolOp(op=ast.Or(), values=parts), parts[0], parts[-1])

    def both(self) -> ast.expr:
        parts = [self.negation()]
        while self.at("and"):
            self.take()
            parts.append(self.negation())
        return parts[0] if len(parts) == 1 else _over(ast.BoolOp(op=ast.And(), values=parts), parts[0], parts[-1])

    def negation(self) -> ast.expr:
        if not self.at("not"):
            return self.comparison()
        start = self.take()
        self.deeper()
        operand = self.negation()
        self.level -= 1
        return _span(ast.UnaryOp(op=ast.Not(), operand=operand), start.offset, _end(operand))

    def comparison(self) -> ast.expr:
        left = self.sum()
        ops: list[ast.cmpop] = []
        rights: list[ast.expr] = []
        while True:
            if self.word.kind == "mark" and self.word.word in _COMPARES:
                ops.append(_COMPARES[self.take().word]())
                rights.append(self.sum())
            elif self.at("in") or (self.at("not") and self.words[self.place + 1].word == "in"):
                negated = self.take().word == "not"
                if negated:
                    self.take()
                ops.append(ast.NotIn() if negated else ast.In())
                rights.append(self.members())
            else:
                break
        return _over(ast.Compare(left=left, ops=ops, comparators=rights), left, rights[-1]) if ops else left

    def sum(self) -> ast.expr:
        node = self.product()
        while self.word.kind == "mark" and self.word.word in _SUMS:
            operator = _SUMS[self.take().word]()
            right = self.product()
            node = _over(ast.BinOp(left=node, op=operator, right=right), node, right)
        return node

    def product(self) -> ast.expr:
        node = self.sign()
        while self.word.kind == "mark" and self.word.word in _PRODUCTS:
            operator = _PRODUCTS[self.take().word]()
            right = self.sign()
            node = _over(ast.BinOp(left=node, op=operator, right=right), node, right)
        return node

    def sign(self) -> ast.expr:
        if not self.at("-"):
            return self.term()
        start = self.take()
        self.deeper()
        operand = self.sign()
        self.level -= 1
        return _span(ast.UnaryOp(op=ast.USub(), operand=operand), start.offset, _end(operand))

    def term(self) -> ast.expr:
        word = self.word
        if word.kind in ("constant", "duration"):
            return _constant(self.take())
        if word.kind == "name":
            return self.named()
        if self.at("("):
            start = self.take()
            node = self.choice()
            if self.at(","):
                raise ExpressionError(
                    "a list stands only after `in`, such as event.kind in (\"demo\", \"pricing\")",
                    start.offset, 1, "syntax",
                )  # fmt: skip
            self.expect(")")
            return node
        if self.at("["):
            raise self.fail(
                'a list stands only after `in`, such as event.kind in ("demo", "pricing"); expected a value'
            )
        raise self.fail("expected a value, a name or `(`")

    def named(self) -> ast.expr:
        word = self.take()
        name = _span(ast.Name(id=word.word, ctx=ast.Load()), word.offset, word.end)
        if self.at("("):
            return self.call(name)
        if self.at("."):
            self.take()
            field = self.word
            if field.kind not in ("name", "keyword") and not (field.kind == "constant" and field.word.isidentifier()):
                raise self.fail(f"expected a field's name after `{word.word}.`")
            self.take()
            node = ast.Attribute(value=name, attr=field.word, ctx=ast.Load())
            if self.at(".", "(", "["):
                raise self.fail("a field has no fields and can't be called; expected an operator")
            return _span(node, word.offset, field.end)
        if self.at("["):
            return self.subscript(name)
        if word.word in BARE:
            return _span(ast.Call(func=name, args=[], keywords=[]), word.offset, word.end)
        return name

    def subscript(self, name: ast.Name) -> ast.expr:
        self.take()
        field = self.word
        if field.kind != "constant" or not isinstance(field.value, str):
            raise self.fail("expected a field's name in quotes")
        if field.value.startswith("_") or not field.value:
            raise ExpressionError(
                f"'{field.value}' is no field's name: it is empty or starts with an underscore",
                field.offset, len(field.word), "private-name",
            )  # fmt: skip
        self.take()
        end = self.expect("]")
        node = ast.Attribute(value=name, attr=field.value, ctx=ast.Load())
        node.quoted = True  # type: ignore[attr-defined]  # in quotes it is meant as it stands: no near miss is looked for
        return _span(node, name.col_offset, end.end)

    def call(self, name: ast.Name) -> ast.expr:
        self.take()
        args: list[ast.expr] = []
        keywords: list[ast.keyword] = []
        while not self.at(")"):
            following = self.words[self.place + 1] if self.word.kind == "name" else None
            if following is not None and following.kind == "mark" and following.word == "=":
                key = self.take()
                self.take()
                value = self.choice()
                keyword = ast.keyword(arg=key.word, value=value)
                keyword.lineno = keyword.end_lineno = 1
                keyword.col_offset, keyword.end_col_offset = key.offset, _end(value)
                keywords.append(keyword)
            else:
                if keywords:
                    raise self.fail("an argument without a name stands before those with one")
                args.append(self.choice())
            if not self.at(")"):
                self.expect(",")
        end = self.expect(")")
        return _span(ast.Call(func=name, args=args, keywords=keywords), name.col_offset, end.end)

    def members(self) -> ast.expr:
        """The list after `in`: constants and names; a single one in parentheses is a list of one."""
        if not self.at("(", "["):
            raise self.fail('expected a list after `in`, such as ("demo", "pricing")')
        start = self.take()
        close = ")" if start.word == "(" else "]"
        members: list[ast.expr] = []
        while True:
            if self.word.kind == "name":
                word = self.take()
                members.append(_span(ast.Name(id=word.word, ctx=ast.Load()), word.offset, word.end))
            elif self.word.kind in ("constant", "duration"):
                members.append(_constant(self.take()))
            elif self.at("-") and isinstance(number := self.words[self.place + 1].value, int | float):
                sign = self.take()
                members.append(_span(ast.Constant(value=-number), sign.offset, self.take().end))
            else:
                raise self.fail("expected a text, a number or a parameter in the list")
            if self.at(","):
                self.take()
                if self.at(close):
                    break
            elif self.at(close):
                break
            else:
                raise self.fail(f"expected `,` or `{close}`")
        end = self.take()
        return _span(ast.Tuple(elts=members, ctx=ast.Load()), start.offset, end.end)


def _constant(word: Token) -> ast.Constant:
    kind = "duration" if word.kind == "duration" else None
    return _span(ast.Constant(value=word.value, kind=kind), word.offset, word.end)


def _span(node: _Node, start: int, end: int) -> _Node:
    node.lineno = node.end_lineno = 1
    node.col_offset, node.end_col_offset = start, end
    return node


def _over(node: _Node, first: ast.expr, last: ast.expr) -> _Node:
    return _span(node, first.col_offset, _end(last))


def _end(node: ast.expr) -> int:
    return node.end_col_offset if node.end_col_offset is not None else node.col_offset
