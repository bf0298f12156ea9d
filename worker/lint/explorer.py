"""Event sequences that the fold itself has gone through: what contacts can come to, with the events that led there.

Breadth-first over states that differ in what the definition asks about a contact: a state is gone on from if, in its
stage, some question has an answer, or some figure a value, that no state before it had (a search of width one). The
search ends by itself or at a fixed number of steps, never by time, so that everyone gets the same verdict.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any, Final

from worker.fold import step
from worker.fold.state import Kept, State, decode_state, encoder
from worker.lint.alphabet import FIRST_MS, Act, alphabet, with_traits
from worker.lint.probe import Probe
from worker.lint.subject import Subject
from worker.plan.plan import Move

STEPS_MAX: Final = 16_000
SEEK_STEPS_MAX: Final = 6_000  # for one transition that the search did not come upon
SEEKS_MAX: Final = 4
TIMERS_MAX: Final = 64  # fired one after the other before one event


Step = tuple[int, int, int | None]  # stage left (-1: none yet), stage entered, transition (None: without one)


@dataclass(frozen=True, slots=True)
class Node:
    """A state that was come to: by `act` from `parent`, at `now` (epoch ms)."""

    state: bytes
    now: int
    stage: int
    parent: Node | None
    act: Act | None
    depth: int

    def acts(self) -> list[Act]:
        found: list[Act] = []
        node: Node | None = self
        while node is not None and node.act is not None:
            found.append(node.act)
            node = node.parent
        return found[::-1]


@dataclass(frozen=True, slots=True)
class Seen:
    """Something that happened with `act`, in the state of `node`."""

    node: Node
    act: Act

    def acts(self) -> list[Act]:
        return [*self.node.acts(), self.act]


class _Moves:
    """A teller of moves: (stage left, stage entered, transition or None) in order; promises broken."""

    tells_guards = False

    def __init__(self) -> None:
        self.moves: list[Step] = []
        self.late: list[int] = []
        self.marks: list[tuple[int, bool]] = []

    def moved(self, state: State, at: int, left: int, passed: int, move: Move | None, why: Any) -> None:
        self.moves.append((left, state.stage, None if move is None else move.place))

    def breached(self, state: State, at: int) -> None:
        self.late.append(state.stage)

    def marked(self, state: State, at: int, flag: int, holds: bool, why: Any) -> None:
        self.marks.append((flag, holds))

    def status(self, state: State, at: int, before: int, why: Any) -> None: ...

    def merged(self, state: State, at: int, other: Any, why: Any) -> None: ...

    def warned(self, state: State, at: int) -> None: ...

    def signalled(self, state: State, at: int, signal: int, why: Any) -> None: ...


@dataclass
class Found:
    """What the search came upon, each with the first events that showed it."""

    stages: dict[int, Seen] = field(default_factory=dict)  # entered, if only on the way
    fired: dict[tuple[int, int], Seen] = field(default_factory=dict)  # (transition, stage it left)
    together: dict[tuple[int, int, int, str], Seen] = field(default_factory=dict)  # (stage, first, other, event type)
    walks: dict[tuple[Step, ...], Seen] = field(default_factory=dict)  # moves with one event, two and more
    rested: dict[int, Seen] = field(default_factory=dict)  # stages entered and not left with the same event
    marked: dict[tuple[int, bool], Seen] = field(default_factory=dict)  # segments and hygiene rules, both ways
    late: dict[int, Seen] = field(default_factory=dict)
    answers: set[tuple[int, bool]] = field(default_factory=set)  # (question, answer)
    steps: int = 0
    exhausted: bool = True  # nothing was left to go on from


class Explorer:
    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.probe = Probe(subject)
        self.acts: list[Act] = alphabet(subject)
        self.found = Found()
        self.nodes: list[Node] = []
        self.known: set[tuple[int, int, int]] = set()  # (stage, question, answer) and (stage, -figure, size)
        self.queues: list[deque[Node]] = [deque() for _ in subject.stages]
        self.expanded = [0] * len(subject.stages)

    def explore(self, steps_max: int = STEPS_MAX) -> Found:
        """Search from a contact of which nothing is known."""
        start = Node(encoder.encode(step.begin(self.subject.plan)), FIRST_MS, -1, None, None, 0)
        for act in [*self.acts, *with_traits(self.subject, self.acts)]:
            if act.kept is not None:
                self.go(start, act)
        while self.found.steps < steps_max:
            node = self.next()
            if node is None:
                return self.found
            for act in self.acts:
                self.go(node, act)
        self.found.exhausted = False
        return self.found

    def seek(self, number: int, origin: int) -> bool:
        """Search on for one transition from one stage: whether it has been seen to be taken.

        From the states that are nearest to what its guard asks of the contact, the nearest first; states that answer
        its questions alike count once.
        """
        wanted = self.probe.wanted(number)
        order = 0
        pending: list[tuple[int, int, int, Node]] = []
        known: set[tuple[Any, ...]] = set()

        def add(node: Node) -> None:
            nonlocal order
            state = decode_state(node.state)
            answers = self.probe.features(state, node.now)
            told = tuple(answers[place] if place >= 0 else not answers[-1 - place] for place in wanted)
            sizes = tuple(int(value) for value in self.probe.measures(state, node.now))
            key = (node.stage, state.status, told, sizes)
            if key not in known:
                known.add(key)
                order += 1
                heappush(pending, (told.count(False) + (node.stage != origin), node.depth, order, node))

        for node in self.nodes:
            add(node)
        left = SEEK_STEPS_MAX
        while pending and left > 0 and (number, origin) not in self.found.fired:
            node = heappop(pending)[-1]
            left -= len(self.acts)
            for act in self.acts:
                after = self.go(node, act)
                if after.stage >= 0:
                    add(after)
        return (number, origin) in self.found.fired

    def next(self) -> Node | None:
        """From the stage that was gone on from least, so that all get their share."""
        waiting = [stage for stage, queue in enumerate(self.queues) if queue]
        if not waiting:
            return None
        stage = min(waiting, key=lambda stage: (self.expanded[stage], stage))
        self.expanded[stage] += 1
        return self.queues[stage].popleft()

    def go(self, node: Node, act: Act) -> Node:
        """The state after the act; noted, and kept to go on from where it is new."""
        self.found.steps += 1
        plan = self.probe.plan
        state = decode_state(node.state)
        now = node.now + act.gap
        told = _Moves()
        for _ in range(TIMERS_MAX):
            due = step.next_due(plan, state) if state.stage >= 0 else 0
            if not 0 < due < now:
                break
            self.step(node, act, state, told, due, None)
        if act.kept is not None:
            kept = act.kept
            event = Kept(now, kept.type, kept.id, kept.source, dict(kept.data), kept.traits, bare=kept.bare)
            self.step(node, act, state, told, now, event)
        after = Node(encoder.encode(state), now, state.stage, node, act, node.depth + 1)
        if state.stage >= 0 and self.is_new(after, state):
            self.nodes.append(after)
            self.queues[after.stage].append(after)
        return after

    def step(self, node: Node, act: Act, state: State, told: _Moves, at: int, event: Kept | None) -> None:
        plan, asked = self.probe.plan, self.probe.asked
        asked.clear()
        told.moves.clear()
        told.late.clear()
        told.marks.clear()
        if event is None:
            step.fire(plan, state, at, told)
        else:
            step.take(plan, state, event, told)
        self.note(node, act, state, told)

    def note(self, node: Node, act: Act, state: State, told: _Moves) -> None:
        found, seen = self.found, Seen(node, act)
        for left, _, transition in told.moves:
            if transition is not None:
                found.fired.setdefault((transition, left), seen)
        for stage, held, by_event in self.probe.asked:
            for other in held[1:]:
                found.together.setdefault((stage, held[0], other, act.kind if by_event else ""), seen)
        if told.moves:
            if len(told.moves) > 1:
                found.walks.setdefault(tuple(told.moves), seen)
            for _, entered, _ in told.moves:
                found.stages.setdefault(entered, seen)
            found.rested.setdefault(told.moves[-1][1], seen)
        for stage in told.late:
            found.late.setdefault(stage, seen)
        for mark in told.marks:
            found.marked.setdefault(mark, seen)

    def is_new(self, node: Node, state: State) -> bool:
        stage, known, new = node.stage, self.known, False
        for place, answer in enumerate(self.probe.features(state, node.now)):
            if (stage, place, answer) not in known:
                known.add((stage, place, answer))
                self.found.answers.add((place, answer))
                new = True
        for place, value in enumerate(self.probe.measures(state, node.now)):
            least, most = self.probe.bounds[place]
            # how far it has come, in twentieths of the way to the greatest bound
            size = int(20 * min(max(value, min(least, 0) - 1), most + 1) / (abs(most) or 1))
            if (stage, -1 - place, size) not in known:
                known.add((stage, -1 - place, size))
                new = True
        if (stage, -1000, state.status) not in known:
            known.add((stage, -1000, state.status))
            new = True
        return new
