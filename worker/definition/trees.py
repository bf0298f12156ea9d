"""Syntax trees of expressions, copied: what rewrites one must not change what others hold."""

from __future__ import annotations

import ast
from typing import Any, TypeVar

Node = TypeVar("Node", bound=ast.AST)


def copied(node: Node) -> Node:
    """The same tree in nodes of its own; many times faster than `copy.deepcopy`, which a tree has no need of."""
    new = node.__class__.__new__(node.__class__)
    new.__dict__.update({name: _copied(value) for name, value in node.__dict__.items()})
    return new


def _copied(value: Any) -> Any:
    if isinstance(value, ast.AST):
        return copied(value)
    return [_copied(part) for part in value] if isinstance(value, list) else value
