"""What happens with which events, and what has to be known before what."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from worker.definition.model import Lifecycle
from worker.definition.pattern import ParsedPattern, parse_pattern
from worker.definition.scope import Scope

Part = tuple[str, str]  # ("signal" | "fact" | "condition", its name)


class EventTypes:
    """Which event types can make a pattern happen."""

    def __init__(self, lifecycle: Lifecycle, scope: Scope) -> None:
        self.scope = scope
        self.signals = {name: signal.any for name, signal in lifecycle.signals.items()}

    def of_all(self, patterns: Iterable[str]) -> list[str]:
        """The types of any of the patterns, sorted. Raises: ExpressionError where one is none."""
        found: set[str] = set()
        for text in patterns:
            found |= self.of(parse_pattern(text, self.scope))
        return sorted(found)

    def of(self, pattern: ParsedPattern, within: frozenset[str] = frozenset()) -> set[str]:
        if pattern.kind == "type":
            return {pattern.name}
        if pattern.kind != "signal" or pattern.name in within:
            return set()
        inner = [parse_pattern(text, self.scope) for text in self.signals.get(pattern.name, ())]
        return {kind for part in inner for kind in self.of(part, within | {pattern.name})}


def signals_of_moves(lifecycle: Lifecycle) -> frozenset[str]:
    """Signals that entering or leaving a stage sets off; `setback` is one in every lifecycle, and not among them."""
    return frozenset(
        name
        for name, signal in lifecycle.signals.items()
        if any(text.split()[:1] in (["entering"], ["leaving"]) for text in signal.any)
    )


@dataclass(frozen=True)
class Need:
    """That `name` stands in an expression; `recalled`: as an argument of seen(), count() and the like, which tell of
    what was before where a thing asks about itself."""

    part: Part
    recalled: bool


def needs_of(node: ast.expr, scope: Scope) -> set[Need]:
    """The signals, facts and conditions that an expression reads."""
    recalled = {
        id(given)
        for call in ast.walk(node)
        if isinstance(call, ast.Call)
        for given in (*call.args, *(keyword.value for keyword in call.keywords))
        if isinstance(given, ast.Name)
    }
    found: set[Need] = set()
    for part in ast.walk(node):
        if not isinstance(part, ast.Name):
            continue
        for sort, names in (("signal", scope.every_signal), ("fact", scope.facts), ("condition", scope.conditions)):
            if part.id in names:
                found.add(Need((sort, part.id), id(part) in recalled))
    return found


def circle(needs: Mapping[Part, Iterable[Need]]) -> list[Part] | None:
    """Parts that need each other in a circle, the first one again at the end; None where there is none."""
    done: set[Part] = set()
    for first in needs:
        path: list[Part] = []
        pending: list[tuple[Part, bool]] = [(first, True)]
        while pending:
            part, entering = pending.pop()
            if not entering:
                path.pop()
                done.add(part)
            elif part in path:
                return [*path[path.index(part) :], part]
            elif part not in done:
                path.append(part)
                pending.append((part, False))
                pending.extend(
                    (need.part, True)
                    for need in sorted(needs.get(part, ()), key=lambda need: need.part)
                    if not (need.recalled and need.part == part)
                )
    return None
