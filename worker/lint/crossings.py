"""What one event can do: two transitions at once, stages left out, walked through or passed through, moves undone."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Final

from worker.lint.alphabet import Act
from worker.lint.explorer import Seen, Step
from worker.lint.findings import Remark
from worker.lint.formula import Formula, conjunction, negation
from worker.lint.machine import Look
from worker.lint.terms import Reading
from worker.lint.witness import History, fold, last_event, shortened, told
from worker.plan import Plan, compile_plan

STEPS_OF_A_SKIP: Final = 3  # single steps with one event from which on nobody is met between
PAIRS_MAX: Final = 12  # of transitions whose order is tried out


def crossings(look: Look) -> Iterator[Remark]:
    """Every finding about what one event does to a contact, each with events that show it."""
    rules = _Crossings(look)
    yield from rules.orders()
    yield from rules.leaps()
    yield from rules.walks()
    yield from rules.passed_through()


class _Crossings:
    def __init__(self, look: Look) -> None:
        self.look = look
        self.subject = look.subject
        self.lifecycle = look.lifecycle
        self.names = look.subject.stages
        self.plan = look.subject.plan
        self.assumed = [transition.assumed for transition in look.lifecycle.transitions]

    # Two at once.

    def orders(self) -> Iterator[Remark]:
        done: set[tuple[int, int]] = set()
        for (stage, first, other, kind), seen in self.look.found.together.items():
            if (first, other) in done or len(done) >= PAIRS_MAX:
                continue
            one, two = self.lifecycle.transitions[first], self.lifecycle.transitions[other]
            if (
                (one.to, one.status) == (two.to, two.status)
                or self.is_special_case(stage, first, other, kind)
                or self.is_shadowed(stage, other)
            ):
                continue
            done.add((first, other))
            yield from self.order(first, other, seen)

    def is_special_case(self, stage: int, first: int, other: int, kind: str) -> bool:
        """Whether the other holds whenever the first does: the special case stands first, as it must."""

        def ask(reading: Reading) -> Formula:
            return conjunction([reading.transition(first), negation(reading.transition(other))])

        return self.look.prover.holds(stage, kind or None, ask) is False

    def is_shadowed(self, stage: int, other: int) -> bool:
        """Whether the other is never taken from there: that is told by itself."""
        return (other, stage) not in self.look.found.fired and self.look.prover.can_fire_first(other, stage) is False

    def order(self, first: int, other: int, seen: Seen) -> Iterator[Remark]:
        turned = self.turned(first, other)
        transitions = self.lifecycle.transitions
        goes, would = transitions[first].to, transitions[other].to

        def decides(acts: Sequence[Act]) -> tuple[History, History] | None:
            now, then = fold(self.plan, acts), fold(turned, acts)
            last = last_event(acts)
            same = (now.stage, now.status) == (then.stage, then.status)
            takes = goes in now.path(last) and would in then.path(last)
            return None if same or not takes else (now, then)

        acts = seen.acts()
        if decides(acts) is None:
            return
        acts = shortened(acts, lambda given: decides(given) is not None)
        histories = decides(acts)
        assert histories is not None  # `shortened` keeps what the claim holds of
        now, then = histories
        by_status = now.stage == then.stage
        here, there = (now.status, then.status) if by_status else (now.stage, then.stage)
        what = "status " if by_status else ""
        yield Remark(
            ("transitions", first), "order-decides",
            f"this and the transition on line {self.look.line('transitions', other)} can hold at once, and only their"
            f" order decides: now to {what}'{here}', else to {what}'{there}'; let one guard exclude the other",
            witness=told(acts, f"to {what}{here}; with the other first to {what}{there}"),
            assumed=self.assumed[first] or self.assumed[other],
        )  # fmt: skip

    def turned(self, first: int, other: int) -> Plan:
        """The plan with the other transition before the first."""
        transitions = list(self.lifecycle.transitions)
        transitions.insert(first, transitions.pop(other))
        return compile_plan(self.lifecycle.model_copy(update={"transitions": transitions}))

    # One event, several stages.

    def leaps(self) -> Iterator[Remark]:
        """Transitions that leave a stage out from wherever they start, and don't say that they may."""
        for number, transition in enumerate(self.lifecycle.transitions):
            if isinstance(transition.from_, str) and transition.from_.split()[0] == "any":
                continue
            origins = [self.names.index(name) for name in self.lifecycle.origins(transition)]
            target = self.names.index(transition.to)
            if not origins or target <= max(origins) + 1:
                continue
            fired = self.look.found.fired
            taken = [fired[number, origin] for origin in origins if (number, origin) in fired]
            if not taken:
                continue
            between = ", ".join(f"'{name}'" for name in self.names[max(origins) + 1 : target])
            says = transition.says

            def goes(acts: Sequence[Act], says: str = says) -> bool:
                return says in fold(self.plan, acts).says(last_event(acts))

            acts = taken[0].acts()
            if not goes(acts):
                continue
            acts = shortened(acts, goes)
            path = " → ".join(fold(self.plan, acts).path(last_event(acts)))
            yield Remark(
                ("transitions", number), "skip",
                f"leaves out {between}: no contact taken by it is ever met there; lead to the next stage, or say the"
                f" jump with `from: any below {transition.to}`",
                witness=told(acts, path), assumed=transition.assumed,
            )  # fmt: skip

    def walks(self) -> Iterator[Remark]:
        """Events that go through to the last stage, through many stages, or back and forth."""
        bounced: set[int] = set()
        forward: list[tuple[list[Step], Seen]] = []
        for steps, seen in sorted(self.look.found.walks.items(), key=lambda item: len(item[1].acts())):
            moves = [step for step in steps if step[0] >= 0]
            back = next((place for place, step in enumerate(moves) if step[1] < step[0]), None)
            if back is not None:
                transition, after = moves[back][2], moves[back + 1 : back + 2]
                if transition is not None and transition not in bounced and after and after[0][1] > after[0][0]:
                    bounced.add(transition)
                    yield from self.bounce(moves[back], after[0], seen)
                continue
            if len(moves) > 1:
                forward.append((moves, seen))
        whole = [(moves, seen) for moves, seen in forward if (moves[0][0], moves[-1][1]) == (0, len(self.names) - 1)]
        if whole:
            yield from self.walk(*whole[0], "loose")
            return
        for moves, seen in forward:
            if self.single_steps(moves) >= STEPS_OF_A_SKIP:
                yield from self.walk(moves, seen, "skip")
                return

    def single_steps(self, moves: Sequence[Step]) -> int:
        """The longest run of moves by transitions that start from one stage only."""
        longest = run = 0
        for _, _, number in moves:
            single = number is not None and len(self.lifecycle.origins(self.lifecycle.transitions[number])) == 1
            run = run + 1 if single else 0
            longest = max(longest, run)
        return longest

    def walk(self, moves: Sequence[Step], seen: Seen, code: str) -> Iterator[Remark]:
        stages = [self.names[moves[0][0]], *(self.names[move[1]] for move in moves)]

        def goes(acts: Sequence[Act]) -> bool:
            return fold(self.plan, acts).path(last_event(acts)) == stages

        acts = seen.acts()
        if not goes(acts):
            return
        acts = shortened(acts, goes)
        kind = [act.kind for act in acts if not act.waits][-1]
        shown = " → ".join(stages)
        message = (
            f"one event ({kind}) can take a contact from the first stage through to the last: {shown}; ask for more on"
            " the way"
            if code == "loose"
            else f"one event ({kind}) can take a contact over {len(stages) - 2} stages: {shown}; nobody is met"
            " between; ask for what the stages between stand for"
        )
        numbers = [number for _, _, number in moves if number is not None]
        yield Remark(
            ("transitions", numbers[-1]), code, message,
            witness=told(acts, shown), assumed=any(self.assumed[number] for number in numbers),
        )  # fmt: skip

    def bounce(self, back: Step, onward: Step, seen: Seen) -> Iterator[Remark]:
        (origin, low, number), (_, high, forward) = back, onward
        if number is None:
            return
        stages = [self.names[origin], self.names[low], self.names[high]]

        def goes(acts: Sequence[Act]) -> bool:
            path = fold(self.plan, acts).path(last_event(acts))
            return any(path[place : place + 3] == stages for place in range(len(path) - 2))

        acts = seen.acts()
        if not goes(acts):
            return
        acts = shortened(acts, goes)
        shown = " → ".join(stages)
        line = f" by line {self.look.line('transitions', forward)}" if forward is not None else ""
        yield Remark(
            ("transitions", number), "bounce",
            f"is undone at once{line}: {shown} with one event; what came before a move back must not count after it:"
            " since(x, setback), and facts and the score may forget by `setback`",
            witness=told(acts, shown), assumed=self.assumed[number],
        )  # fmt: skip

    def passed_through(self) -> Iterator[Remark]:
        """Stages in which nobody rests, where that follows from the guards that lead in and out."""
        for place in sorted(self.look.found.stages):
            if place == 0 or place in self.look.found.rested:
                continue
            ways = [edge.transition for edge in self.subject.meaning.ways_out(place)]
            onward = [number for number in ways if self.lifecycle.transitions[number].event is None]
            entries = [
                (number, origin)
                for number, transition in enumerate(self.lifecycle.transitions)
                if self.names.index(transition.to) == place
                for origin in self.look.prover.origins(number)
            ]
            if all(self.leads_on(number, origin, place, onward) for number, origin in entries):
                name = self.names[place]
                lines = " and ".join(f"line {self.look.line('transitions', number)}" for number in onward[:3])
                yield Remark(
                    ("stages", name), "pass-through",
                    f"nobody ever rests in '{name}': whatever brings a contact in lets it out again at once, by"
                    f" {lines}; ask for something more there, or take the stage out",
                    on_key=True, assumed=self.lifecycle.stages[name].assumed,
                )  # fmt: skip

    def leads_on(self, number: int, origin: int, place: int, onward: list[int]) -> bool:
        """Proved that whoever enters by this transition leaves by one of `onward` with the same event."""
        transition = self.lifecycle.transitions[number]
        if transition.status is not None or origin > place or not self.same_after_move():
            return False

        def ask(reading: Reading) -> Formula:
            entering = reading.transition(number)
            reading.stage = place
            leaving = [self.at_entry(reading, other) for other in onward]
            return conjunction([entering, *(negation(formula) for formula in leaving)])

        prover = self.look.prover
        return all(prover.holds(origin, kind, ask) is False for kind in prover.kinds(number))

    def at_entry(self, reading: Reading, number: int) -> Formula:
        transition = self.lifecycle.transitions[number]
        timed = transition.when is not None and "days_in_stage" in ast.unparse(self.subject.expanded(transition.when))
        return False if transition.after is not None or timed else reading.transition(number)

    def same_after_move(self) -> bool:
        """Whether nothing that guards ask changes by moving forward: no signal and no status comes of it."""
        plan = self.plan
        return not (plan.entering or plan.leaving or plan.entered_signals or plan.left_signals)
