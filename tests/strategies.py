"""Lifecycles and traffic out of thin air: valid definitions with every part that moves a contact, and events for them.

Grown with each feature: what a definition may hold and the fold must read stands here, so that the properties of
tests/machine and tests/fold see it. A definition that the checks refuse is thrown away.
"""

from __future__ import annotations

from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from worker.definition.check import check
from worker.definition.model import Lifecycle
from worker.fold.outcome import Event

START = 1_767_600_000_000  # 2026-01-05T08:00:00Z, a Monday
HOUR = 3_600_000
DAY = 24 * HOUR

STAGES = ("s0", "s1", "s2", "s3", "s4")
TRACK = ("open", "warm", "hot")
ASIDE = ("later", "never")
SIGNALS = ("alpha", "beta", "gamma", "delta")
TRUTHS, NUMBERS, TEXTS, IDS = ("fits", "needs"), ("amount", "most"), ("reply", "why"), ("deals", "contracts")

# Known types with fields of their kinds, and types of one's own with a field that may hold anything.
FIELDS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "page.viewed": {"high_intent": st.booleans()},
    "form.submitted": {"kind": st.sampled_from(["demo", "pricing", "other", ""])},
    "email.replied": {
        "sentiment": st.sampled_from(["positive", "negative"]),
        "intent": st.sampled_from(["later", "never"]),
        "machine": st.booleans(),
    },
    "deal.created": {"deal_id": st.sampled_from(["d1", "d2", ""]), "amount": st.integers(0, 30)},
    "deal.lost": {"deal_id": st.sampled_from(["d1", "d2", ""]), "reason": st.sampled_from(["price", ""])},
    "sales.qualified": {"need": st.booleans(), "fit": st.booleans()},
    "crm.status_changed": {
        "status": st.sampled_from([*TRACK, *ASIDE, "SECOND"]),
        "by": st.sampled_from(["rep", "lifecycle-worker"]),
    },
    "acme.used": {"level": st.one_of(st.integers(-2, 3), st.booleans(), st.sampled_from(["2", "high", ""]))},
    "acme.left": {},
}
TYPES = tuple(FIELDS)
TRAITS = st.fixed_dictionaries(
    {},
    optional={
        "icp_fit": st.booleans(),
        "employees": st.integers(0, 200),
        "title": st.sampled_from(["VP Sales", "Intern", ""]),
        "score": st.one_of(st.integers(0, 5), st.sampled_from(["x"])),
    },
)
_DURATIONS = st.sampled_from(["1h", "12h", "1d", "3d", "span"])
_NUMBERS = st.sampled_from(["0", "1", "2", "5", "-1", "20", "bound"])
_ORDERS = st.sampled_from(["<", "<=", ">", ">="])
_COMPARES = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])


class Pool:
    """The names that a guard being drawn may use."""

    def __init__(self, draw: st.DrawFn, *, event: bool, state: bool, timed: bool = True) -> None:
        self.draw = draw
        self.event = event  # there is an event at hand
        self.state = state  # stage, status and score may be read
        self.timed = timed
        self.signals: list[str] = []
        self.conditions: list[str] = []
        self.facts: dict[str, str] = {}
        self.stages: tuple[str, ...] = STAGES
        self.statuses: tuple[str, ...] = ()

    def pick(self, *options: str) -> str:
        return self.draw(st.sampled_from(options))

    def guard(self, depth: int = 2) -> str:
        """A text that is true or false."""
        if depth > 0 and self.draw(st.integers(0, 2)) == 0:
            match self.draw(st.integers(0, 3)):
                case 0:
                    return f"not ({self.guard(depth - 1)})"
                case 1:
                    return f"({self.guard(depth - 1)}) and ({self.guard(depth - 1)})"
                case 2:
                    return f"({self.guard(depth - 1)}) or ({self.guard(depth - 1)})"
            return f"({self.guard(depth - 1)}) if ({self.guard(depth - 1)}) else ({self.guard(depth - 1)})"
        return self.atom()

    def atom(self) -> str:
        draw, choices = self.draw, ["traits", "traits", "constant"]
        if self.event:
            choices += ["event", "event", "event"]
        if self.signals:
            choices += ["seen", "since", "count", *(["last", "window"] if self.timed else []), *(["bare"] * self.event)]
        choices += ["fact"] * bool(self.facts) + ["condition"] * bool(self.conditions)
        if self.state:
            choices += ["stage", "score", *(["status"] * bool(self.statuses)), *(["days"] * self.timed)]
        match draw(st.sampled_from(choices)):
            case "constant":
                return self.pick("true", "false", '"x" == "x"', "none == 0")
            case "traits":
                return self.of_traits()
            case "event":
                return self.of_event()
            case "seen":
                return f"seen({self.signal()})"
            case "since":
                return f"since({self.signal()}, {self.signal()})"
            case "count":
                return f"count({self.signal()}) {draw(_COMPARES)} {draw(_NUMBERS)}"
            case "window":
                after = f", since={self.signal()}" if draw(st.booleans()) else ""
                return f"count({self.signal()}, {draw(_DURATIONS)}{after}) {draw(_COMPARES)} {draw(_NUMBERS)}"
            case "last":
                return f"last({self.signal()}) {draw(_ORDERS)} {draw(_DURATIONS)}"
            case "bare":
                return self.signal()
            case "condition":
                return draw(st.sampled_from(self.conditions))
            case "stage":
                return self.pick(f'stage == "{self.stage()}"', f'at_least("{self.stage()}")')
            case "status":
                return f'status {self.pick("==", "!=")} "{draw(st.sampled_from(self.statuses))}"'
            case "score":
                return f"{self.pick('score.behaviour', 'score')} {draw(_ORDERS)} {draw(_NUMBERS)}"
            case "days":
                return f"days_in_stage() {draw(_ORDERS)} {draw(_NUMBERS)}"
        return self.of_fact()

    def signal(self) -> str:
        return self.draw(st.sampled_from([*self.signals, "setback"]))

    def stage(self) -> str:
        return self.draw(st.sampled_from(self.stages))

    def of_traits(self) -> str:
        draw = self.draw
        return self.pick(
            "traits.icp_fit", "traits.icp_fit == none", f"traits.employees {draw(_COMPARES)} {draw(_NUMBERS)}",
            'contains(traits.title, "vp")', f"traits.score {draw(_COMPARES)} {draw(_NUMBERS)}",
            'matches(traits.title, "(?i).*(sales|intern)")', "traits.employees * 2 + 1 > 50", "traits.score in (1, 2)",
            'starts_with(traits.title, "in")',
        )  # fmt: skip

    def of_event(self) -> str:
        draw = self.draw
        return self.pick(
            "event.high_intent", 'event.kind in ("demo", "pricing")', 'event.kind == ""', "event.need != none",
            f"event.amount {draw(_COMPARES)} {draw(_NUMBERS)}", f"event.level {draw(_COMPARES)} {draw(_NUMBERS)}",
            'event.sentiment == "positive"', 'event.intent != "never"', "not event.need", 'event.type == "acme.used"',
            "event.level", "event.level in (1, 2)", 'event.level not in ("high", "2")', 'event.level == "2"',
            "min(event.amount, 5) >= 5", "event.amount / event.level > 1", 'event.ce_source == "/test"',
            "event.fit == false",
        )  # fmt: skip

    def of_fact(self) -> str:
        name = self.draw(st.sampled_from(sorted(self.facts)))
        match self.facts[name]:
            case "boolean":
                return self.pick(name, f"{name} == true", f"{name} != none")
            case "number":
                return f"{name} {self.draw(_COMPARES)} {self.draw(_NUMBERS)}"
            case "text":
                return self.pick(
                    f'{name} == "demo"', f'{name} in ("price", "")', f'contains({name}, "E")', f'{name} != ""'
                )
        return self.pick(
            f"size({name}) {self.draw(_COMPARES)} {self.draw(_NUMBERS)}", f'contains({name}, "d1")',
            f"contains({name}, event.deal_id)" if self.event else f'contains({name}, "")',
        )  # fmt: skip

    def pattern(self, depth: int = 1) -> str:
        """Something that an event does."""
        name = self.draw(st.sampled_from([*TYPES, *(name for name in self.signals if name != "moved")]))
        return f"{name} when {self.guard(depth)}" if self.draw(st.integers(0, 2)) == 0 else name


@st.composite
def lifecycles(draw: st.DrawFn) -> Lifecycle:
    """A definition without a fault."""
    stages = STAGES[: draw(st.integers(2, len(STAGES)))]
    statuses = draw(st.booleans())

    def pool(*, event: bool = True, state: bool = True, timed: bool = True) -> Pool:
        made = Pool(draw, event=event, state=state, timed=timed)
        made.stages = stages
        made.statuses = (*TRACK, *ASIDE) if statuses else ()
        return made

    given: dict[str, Any] = {
        "lifecycle": "made",
        "version": 1,
        "title": "Made",
        "horizon": "90d",
        "parameters": {
            "span": {"value": draw(st.sampled_from(["6h", "2d"])), "means": "a span"},
            "bound": {"value": draw(st.integers(-1, 12)), "means": "a bound"},
        },
    }
    # Signals name only those before them, and facts only signals: nothing needs itself.
    # A type that nothing names has no meaning, so those of one's own are named here.
    signals: dict[str, Any] = {"own": {"any": ["acme.used", "acme.left"]}}
    for name in SIGNALS[: draw(st.integers(1, len(SIGNALS)))]:
        source = pool(timed=False)
        source.signals = list(signals)
        patterns = [source.pattern() for _ in range(draw(st.integers(1, 2)))]
        signals[name] = {
            "any": patterns,
            "publish": draw(st.integers(0, 3)) == 0,
            "keep": draw(st.sampled_from([1, 2, 20])),
        }
    if draw(st.booleans()):
        signals["setback"] = [draw(st.sampled_from(["deal.lost", *signals]))]
    if draw(st.integers(0, 2)) == 0:
        word = draw(st.sampled_from(["entering", "leaving"]))
        signals["moved"] = {"any": [f"{word} {draw(st.sampled_from(stages))}"], "publish": draw(st.booleans())}
    given["signals"] = signals
    facts = draw(_facts([name for name in signals if name not in ("moved", "setback")]))
    given["facts"] = facts
    kinds = {name: fact["type"] for name, fact in facts.items()}

    def full(*, event: bool = True, state: bool = True, timed: bool = True) -> Pool:
        made = pool(event=event, state=state, timed=timed)
        made.signals = [name for name in signals if name != "setback"]
        made.facts = kinds
        return made

    given["score"] = draw(_scores(full(state=False, timed=False), full(event=False, state=False, timed=False)))
    conditions: dict[str, str] = {}
    for name in ("one", "two")[: draw(st.integers(0, 2))]:
        source = full(event=False)
        source.conditions = list(conditions)
        conditions[name] = source.guard()
    given["conditions"] = conditions

    def whole(*, event: bool = True) -> Pool:
        made = full(event=event)
        made.conditions = list(conditions)
        return made

    given["stages"] = {name: _stage(draw, name, whole) for name in stages}
    given["transitions"] = [_transition(draw, stages, bool(statuses), whole) for _ in range(draw(st.integers(1, 7)))]
    if statuses:
        given["statuses"] = _statuses(draw, whole, stages)
    if draw(st.integers(0, 3)) == 0:
        given["segments"] = {"grouped": {"when": whole(event=False).guard(), "means": "a group"}}
    if draw(st.integers(0, 3)) == 0:
        given["hygiene"] = {"faulty": {"when": whole(event=False).guard(), "says": "a fault"}}
    if draw(st.integers(0, 5)) == 0:
        given["ignore"] = ["email.replied when event.machine"]
    lifecycle = Lifecycle.model_validate(given)
    assume(not check(lifecycle))
    return lifecycle


@st.composite
def _facts(draw: st.DrawFn, signals: list[str]) -> dict[str, Any]:
    happens = st.sampled_from([*TYPES, *signals])
    facts: dict[str, Any] = {}
    for name in draw(st.lists(st.sampled_from([*TRUTHS, *NUMBERS, *TEXTS, *IDS]), unique=True, max_size=4)):
        if name in IDS:
            facts[name] = {
                "type": "ids", "from": "event.deal_id", "added_by": [draw(happens)],
                "removed_by": draw(st.lists(happens, max_size=1)),
            }  # fmt: skip
        else:
            kind, sources = (
                ("boolean", ["traits.icp_fit", "event.high_intent", "traits.employees > 20"]) if name in TRUTHS
                else ("number", ["traits.employees", "event.amount", "traits.employees * 2", "traits.score"])
                if name in NUMBERS else ("text", ["event.kind", "event.reason", "traits.title", "stage"])
            )  # fmt: skip
            facts[name] = {"type": kind, "from": draw(st.sampled_from(sources))}
            if facts[name]["from"] == "stage" or draw(st.integers(0, 2)) == 0:
                facts[name]["of"] = [draw(happens)]
        if draw(st.integers(0, 3)) == 0:
            facts[name]["forget"] = [
                draw(st.one_of(happens, st.sampled_from(["setback", "setback when event.reason != none"])))
            ]
    return facts


@st.composite
def _scores(draw: st.DrawFn, acts: Pool, traits: Pool) -> dict[str, Any]:
    acts.timed = traits.timed = False
    behaviour: dict[str, Any] = {"points": {}, "cap": draw(st.sampled_from([30, 100]))}
    for _ in range(draw(st.integers(0, 3))):
        behaviour["points"][acts.pattern(0)] = draw(st.integers(-5, 20))
    if draw(st.booleans()):
        behaviour["half_life"] = draw(st.sampled_from(["2d", "10d"]))
    score: dict[str, Any] = {"behaviour": behaviour}
    if draw(st.booleans()):
        score["fit"] = {"points": {traits.guard(0): draw(st.integers(0, 9))}}
    if draw(st.integers(0, 2)) == 0:
        score["forget"] = [draw(st.sampled_from(["setback", "deal.lost", *acts.signals]))]
    return score


def _stage(draw: st.DrawFn, name: str, whole: Any) -> dict[str, Any]:
    stage: dict[str, Any] = {
        "name": name.upper(), "means": "a stage", "goal": "go on",
        "owner": draw(st.sampled_from(["marketing", "sales"])),
        "manual": True,
    }  # fmt: skip
    if draw(st.integers(0, 3)) == 0:
        sla: dict[str, Any] = {"within": draw(_DURATIONS), "late": stage["owner"]}
        if draw(st.booleans()):
            sla["met_by"] = [whole().pattern(0)]
        if draw(st.booleans()):
            sla["warn_after"] = "1h"
        if draw(st.booleans()):
            sla["unless"] = whole(event=False).guard(1)
        sla["business_hours"] = draw(st.booleans())
        stage["sla"] = sla
    return stage


def _transition(draw: st.DrawFn, stages: tuple[str, ...], statuses: bool, whole: Any) -> dict[str, Any]:
    place = draw(st.integers(0, len(stages) - 1))
    origins = [stage for stage in stages if stage != stages[place]]
    by_event = draw(st.booleans())
    # Without an event mostly upward: of those that also go down, most would go round.
    if not by_event and place > 0 and draw(st.integers(0, 4)) > 0:
        origins = list(stages[:place])
    given: dict[str, Any] = {"to": stages[place], "says": "moves on"}
    given["from"] = draw(st.lists(st.sampled_from(origins), unique=True, min_size=1, max_size=2))
    if place > 0 and draw(st.integers(0, 3)) == 0:
        given["from"] = f"any below {stages[place]}"
    if by_event:
        given["event"] = [whole().pattern(1) for _ in range(draw(st.integers(1, 2)))]
    if not by_event or draw(st.booleans()):
        given["when"] = whole(event=by_event).guard()
    if not by_event and draw(st.integers(0, 3)) == 0:
        given["after"] = draw(_DURATIONS)
    if statuses and draw(st.integers(0, 3)) == 0:
        given["status"] = draw(st.sampled_from([*TRACK, *ASIDE]))
    return given


def _statuses(draw: st.DrawFn, whole: Any, stages: tuple[str, ...]) -> dict[str, Any]:
    given: dict[str, Any] = {"track": list(TRACK), "aside": list(ASIDE), "implied_by": {}}
    given["meanings"] = {"warm": {"name": "Warm", "means": "a status", "crm": ["Second"]}}
    if draw(st.booleans()):
        given["set_by"] = "crm.status_changed"
    for name in draw(st.lists(st.sampled_from([*TRACK[1:], *ASIDE]), unique=True, max_size=3)):
        moves = draw(st.integers(0, 3)) == 0
        word = draw(st.sampled_from(["entering", "leaving"]))
        pattern = f"{word} {draw(st.sampled_from(stages))}" if moves else whole().pattern(1)
        given["implied_by"][name] = {"any": [pattern], "from_aside": draw(st.booleans())}
    if draw(st.booleans()):
        given["reopen"] = {"by": [whole().pattern(0)], "to": draw(st.sampled_from(TRACK))}
        if draw(st.booleans()):
            given["reopen"]["when"] = whole().guard(1)
    return given


@st.composite
def event_sequences(
    draw: st.DrawFn, most: int = 12, spread: int = 12 * DAY, step: int = 6 * HOUR, placed: bool = False
) -> list[Event]:
    """Events of one contact in the order of their time; equal times happen. `placed`: people place the contact too."""
    count = draw(st.integers(1, most))
    times = sorted(draw(st.integers(0, spread // step)) * step for _ in range(count))
    events: list[Event] = []
    for number, at in enumerate(times):
        kind = draw(st.sampled_from([*TYPES, *(["stage.set"] * placed)]))
        data = (
            draw(st.fixed_dictionaries({}, optional=FIELDS[kind]))
            if kind in FIELDS
            else {"stage": draw(st.sampled_from(STAGES[:2]))}
        )
        traits = draw(TRAITS) if draw(st.integers(0, 2)) == 0 else None
        events.append(Event(START + at, kind, f"e{number}", "/test", "c1", data, traits or None))
    return events
