"""Stages and transitions that contacts can't come to: what the search did not find, proved to be impossible."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from worker.definition.document import Document
from worker.definition.model import Lifecycle, Transition
from worker.lint.explorer import Explorer, Found
from worker.lint.findings import Remark
from worker.lint.formula import Formula, conjunction, disjunction
from worker.lint.proof import Prover
from worker.lint.subject import Subject, conjuncts
from worker.lint.terms import Reading
from worker.plan.generate import in_words


@dataclass
class Look:
    """What the rules have to go by."""

    subject: Subject
    document: Document
    explorer: Explorer
    found: Found
    prover: Prover

    @property
    def lifecycle(self) -> Lifecycle:
        return self.subject.lifecycle

    def line(self, *path: str | int) -> int:
        """The line that a part of the definition begins on."""
        node, _ = self.document.find(path)
        return self.document.place(node.start)[0]

    def fired(self, number: int) -> list[int]:
        """The stages from which a transition was taken."""
        return sorted(stage for transition, stage in self.found.fired if transition == number)


def machine(look: Look) -> Iterator[Remark]:
    """Every finding about stages and transitions by themselves."""
    rules = _Machine(look)
    yield from rules.stages()
    for number in range(len(look.lifecycle.transitions)):
        yield from rules.transition(number)
    yield from rules.dead_ends()


class _Machine:
    def __init__(self, look: Look) -> None:
        self.look = look
        self.subject = look.subject
        self.lifecycle = look.lifecycle
        self.names = look.subject.stages

    def stages(self) -> Iterator[Remark]:
        for place, name in enumerate(self.names):
            path = ("stages", name)
            if place not in self.look.prover.world.stages:
                yield Remark(
                    path, "unreachable-stage",
                    f"no event sequence reaches '{name}': {self.why_unreached(name)}; mend that, or take the stage out",
                    on_key=True,
                )  # fmt: skip
            elif place not in self.look.found.stages and not self.lifecycle.stages[name].manual:
                yield self.undecided(path, f"a contact in '{name}'", on_key=True)

    def why_unreached(self, name: str) -> str:
        """Of the transitions that lead to a stage the first that starts where contacts come, and why it isn't taken."""
        prover = self.look.prover
        for number, transition in enumerate(self.lifecycle.transitions):
            origins = prover.origins(number)
            if transition.to == name and origins:
                line = self.look.line("transitions", number)
                if any(prover.can_fire(number, origin) is not False for origin in origins):
                    return f"instead of what leads to it on line {line}, {self.instead(number, origins)}"
                return f"on line {line}, {self.why_never(number, origins)}"
        return "what leads to it starts in stages that no contact comes to"

    def undecided(self, path: tuple[str | int, ...], what: str, on_key: bool = False) -> Remark:
        bound = "ended at its bound of" if not self.look.found.exhausted else "tried all that it tells apart in"
        return Remark(
            path, "undecided",
            f"no events were found that show {what}, and it is not proved that there are none; the search {bound}"
            f" {self.look.found.steps:,} steps: a scenario that shows it settles the question",
            on_key=on_key,
        )  # fmt: skip

    # Transitions, one by one.

    def transition(self, number: int) -> Iterator[Remark]:
        prover, path = self.look.prover, ("transitions", number)
        origins, fired = prover.origins(number), self.look.fired(number)
        transition = self.lifecycle.transitions[number]
        if fired:
            yield from self.idle(number, transition, origins, fired)
            return
        if not origins or self.names.index(transition.to) not in prover.world.stages:
            return  # its stages are told
        can = {origin: prover.can_fire(number, origin) for origin in origins}
        if all(answer is False for answer in can.values()):
            switch = prover.switch(number, origins[0])
            if switch is not None:
                value = str(self.lifecycle.parameters[switch].value).lower()
                yield Remark(path, "switched-off", f"is never taken while the parameter '{switch}' is {value}")
                return
            yield self.never(number, origins)
        elif all(prover.can_fire_first(number, origin) is False for origin in origins if can[origin] is not False):
            yield self.shadowed(number, [origin for origin in origins if can[origin] is not False])
        else:
            yield self.undecided(path, f"this transition ({transition.says})")

    def idle(self, number: int, transition: Transition, origins: list[int], fired: list[int]) -> Iterator[Remark]:
        """Origins written one by one from which it can't be taken, where it can be from others."""
        if not isinstance(transition.from_, list) or len(transition.from_) < 2:
            return
        for place, name in enumerate(transition.from_):
            origin = self.names.index(name)
            if origin in fired or origin not in origins:
                continue
            if self.look.prover.can_fire_first(number, origin) is False:
                yield Remark(
                    ("transitions", number, "from", place), "idle-origin",
                    f"can never be taken from '{name}'; take the stage out, or mend the guard",
                    assumed=transition.assumed,
                )  # fmt: skip

    def never(self, number: int, origins: list[int]) -> Remark:
        """At the part of its guard that can't hold, else at its event."""
        kept, with_events = self.impossible_parts(number, origins)
        message = f"can never be taken: {self.why_never(number, origins)}; mend it, or take the transition out"
        path = ("transitions", number)
        if kept:
            first = kept[0]
            length = (first.end_col_offset or first.col_offset + 1) - first.col_offset
            return Remark((*path, "when"), "never-fires", message, offset=first.col_offset, length=length)
        return Remark((*path, "event") if with_events else path, "never-fires", message)

    def impossible_parts(self, number: int, origins: list[int]) -> tuple[list[ast.expr], bool]:
        """The parts of what it asks for that can't hold, made as few as show it, and whether its events are needed."""
        transition = self.lifecycle.transitions[number]
        parts = conjuncts(self.subject.meaning.parse(transition.when)) if transition.when else []
        expand = self.subject.meaning.names.expand

        def impossible(kept: Sequence[ast.expr], with_events: bool) -> bool:
            def ask(reading: Reading) -> Formula:
                formulas = [reading.guard(expand(part)) for part in kept]
                if with_events and transition.event is not None:
                    patterns = map(self.subject.pattern, transition.event)
                    formulas.append(disjunction(reading.pattern(pattern) for pattern in patterns))
                return conjunction(formulas)

            prover = self.look.prover
            return all(prover.holds(origin, kind, ask) is False for origin in origins for kind in prover.kinds(number))

        with_events = not impossible(parts, False)
        kept = list(parts)
        for part in parts:
            fewer = [other for other in kept if other is not part]
            if impossible(fewer, with_events):
                kept = fewer
        return kept, with_events

    def why_never(self, number: int, origins: list[int]) -> str:
        """The part of what it asks for that can't hold, in words."""
        transition = self.lifecycle.transitions[number]
        kept, with_events = self.impossible_parts(number, origins)
        words = [f"`{in_words(part)}`" for part in kept]
        events = f"`{', '.join(transition.event or ())}`"
        if with_events and not words:
            return f"{events} can't happen in the stages it starts from"
        asked = " and ".join([*([events] if with_events else []), *words])
        if len(words) + with_events > 1:
            return f"{asked} can't hold together"
        return f"{asked} can't hold in the stages it starts from"

    def shadowed(self, number: int, origins: list[int]) -> Remark:
        return Remark(
            ("transitions", number), "shadowed",
            f"can never be taken: whenever it holds, {self.instead(number, origins)} instead; put the special case"
            " first, or take one out",
        )  # fmt: skip

    def instead(self, number: int, origins: list[int]) -> str:
        """What is taken before it whenever it holds."""
        by = sorted({other for origin in origins for other in self.look.prover.shadowing(number, origin)})
        lines = " and ".join(f"line {self.look.line('transitions', other)}" for other in by[:3])
        if not by:
            return "others before it are taken"
        return f"that on {lines} is taken" if len(by) == 1 else f"those on {lines} are taken"

    def dead_ends(self) -> Iterator[Remark]:
        can_leave = {stage for _, stage in self.look.found.fired}
        for place, name in enumerate(self.names[:-1]):
            stage = self.lifecycle.stages[name]
            if stage.exit is not None or place in can_leave or place not in self.look.prover.world.stages:
                continue
            ways = [
                number
                for number, transition in enumerate(self.lifecycle.transitions)
                if name in self.lifecycle.origins(transition)
            ]
            if all(self.look.prover.can_fire(number, place) is False for number in ways):
                why = "no transition starts from it" if not ways else "no transition from it can be taken"
                yield Remark(
                    ("stages", name), "dead-end",
                    f"contacts in '{name}' can never leave it: {why}; add one, or say with `exit` why it ends there",
                    on_key=True,
                )  # fmt: skip
