"""One scenario: its events in their order, the clock at its end, and where that differs from what is expected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from worker.company.rollup import decode_company
from worker.definition.errors import UnknownNames
from worker.definition.model import Lifecycle
from worker.definition.parameters import Value
from worker.definition.reader import read, turn
from worker.definition.scenario import CONTACT, Expected, ExpectedContact, Scenario
from worker.events import decode, encode
from worker.fold.engine import Engine
from worker.fold.outcome import Event, Output, Refusal
from worker.fold.state import Record, decode_entry
from worker.fold.tell import fit_of
from worker.plan import Plan, compile_plan
from worker.replay.rows import broken_rules, company_row, contact_row
from worker.replay.world import World, in_order
from worker.scenarios.coverage import Coverage, watched
from worker.shipped import UnknownLifecycle, lifecycle_path

NEAR: Final = 0.005  # scores are given in hundredths
STAGE_CHANGED: Final = "lifecycle.stage.changed.v1"
BREACHED: Final = "lifecycle.sla.breached.v1"
ROW: Final = (
    "stage", "status", "qualified", "suppressed", "icp_fit", "score", "segments", "hygiene", "owner", "customer_status",
)  # fmt: skip
SIGNAL: Final = "lifecycle.signal.v1"
UNORDERED: Final = ("segments", "hygiene")


class Difference(NamedTuple):
    """`what` is the place in `expect`, such as `stage` or `companies.acme.stage`."""

    what: str
    expected: Any
    actual: Any


@dataclass(frozen=True)
class Result:
    """What came of a scenario. `histories` are the events out, by contact or company, in order."""

    scenario: Scenario
    differences: Sequence[Difference]
    histories: Mapping[str, Sequence[Output]]
    refused: Sequence[Refusal]

    @property
    def passed(self) -> bool:
        return not self.differences


class Runner:
    """Runs scenarios of any lifecycles; each definition is read and compiled once."""

    def __init__(self, *, coverage: bool = False) -> None:
        self.coverage: dict[str, Coverage] = {}
        self._covering = coverage
        self._lifecycles: dict[Path, Lifecycle] = {}
        self._plans: dict[tuple[Path, tuple[tuple[str, Value], ...]], Plan] = {}

    def run(self, scenario: Scenario) -> Result:
        """Raises: DefinitionError for a definition with faults; UnknownNames for a lifecycle that isn't there, and for
        a name or parameter that it doesn't have."""
        path = _definition(scenario)
        unknown = scenario.unknown_names(self._lifecycle(path))
        if unknown:
            raise UnknownNames(unknown)
        plan = self._plan(path, scenario.parameters)
        world = World(Engine(plan, grace=False), scenario.until_ms)
        refused: list[Refusal] = []
        for sent in scenario.sent:
            event = decode(None, encode(Event(*sent)))
            if isinstance(event, Refusal):
                refused.append(event)
            else:
                refused += [refusal for _, refusal in world.arrive([event])]
        world.advance(scenario.until_ms)
        refused += world.refused
        histories = in_order(world.outputs)
        found = _Found(plan, world, histories, len(refused), scenario.until_ms)
        if self._covering:
            self.coverage[str(path)].told(histories, found.contacts)
        return Result(scenario, list(found.differences(scenario.expect)), histories, refused)

    def _lifecycle(self, path: Path) -> Lifecycle:
        found = self._lifecycles.get(path)
        if found is None:
            found = self._lifecycles[path] = read(path)
        return found

    def _plan(self, path: Path, parameters: Mapping[str, Value]) -> Plan:
        key = path, tuple(sorted(parameters.items()))
        plan = self._plans.get(key)
        if plan is None:
            whole = self._lifecycle(path)
            plan = compile_plan(turn(whole, parameters) if parameters else whole)
            if self._covering:
                plan, self.coverage[str(path)] = watched(plan, self.coverage.get(str(path)))
            self._plans[key] = plan
        return plan

    def lifecycles(self) -> list[Lifecycle]:
        """Those that the scenarios so far were about."""
        return list(self._lifecycles.values())


def _definition(scenario: Scenario) -> Path:
    """The definition that the scenario names: a shipped one, or a path from the working folder or its own.

    Raises: UnknownNames where there is none.
    """
    try:
        return lifecycle_path(scenario.lifecycle)
    except UnknownLifecycle as error:
        beside = Path(scenario.source).parent / scenario.lifecycle
        if beside.is_file():
            return beside
        raise UnknownNames(scenario.findings("lifecycle", "unknown-lifecycle", str(error))) from None


class _Found:
    """What there is to compare an expectation with."""

    def __init__(
        self, plan: Plan, world: World, histories: Mapping[str, Sequence[Output]], dead_letters: int, at: int
    ) -> None:
        entries = [decode_entry(state) for key, state in world.states.items() if key.startswith(b"c:")]
        records = {entry.name: entry for entry in entries if isinstance(entry, Record) and entry.state.stage >= 0}
        companies = [decode_company(state) for key, state in world.states.items() if key.startswith(b"o:")]
        self.contacts = {
            name: {
                **contact_row(plan, name, record.state, at),
                "hygiene": broken_rules(plan, record.state),
                "icp_fit": bool(fit_of(plan, record.state, at)),
            }
            for name, record in records.items()
        }
        self.companies = {company.name: company_row(plan, company) for company in companies}
        self.histories = histories
        self.dead_letters = dead_letters

    def differences(self, expect: Expected) -> Iterator[Difference]:
        yield from self._contact(CONTACT, expect, "")
        for contact, wanted in expect.contacts.items():
            yield from self._contact(contact, wanted, f"contacts.{contact}.")
        for company, expected in expect.companies.items():
            row = self.companies.get(company, {})
            for what in sorted(expected.model_fields_set):
                yield from _differ(f"companies.{company}.{what}", getattr(expected, what), row.get(what))
        if expect.dead_letters is not None:
            yield from _differ("dead_letters", expect.dead_letters, self.dead_letters)

    def _contact(self, contact: str, expect: ExpectedContact, prefix: str) -> Iterator[Difference]:
        row, said = self.contacts.get(contact, {}), [output.body for output in self.histories.get(contact, ())]
        actual: dict[str, Any] = {
            **{what: row.get(what) for what in ROW},
            "known": bool(row),
            "visited": [body["data"]["to"] for body in said if body["type"] == STAGE_CHANGED],
            "signals": [body["data"]["signal"] for body in said if _occurred(body)],
            "sla_breaches": [body["data"]["stage"] for body in said if body["type"] == BREACHED],
        }
        for what in ExpectedContact.model_fields:
            if what not in expect.model_fields_set:
                continue
            expected = getattr(expect, what)
            if what == "segment":
                segments = row.get("segments", [])
                if expected not in segments if expected is not None else segments:
                    yield Difference(f"{prefix}segment", expected, segments)
            elif what in UNORDERED and expected is not None:
                yield from _differ(f"{prefix}{what}", sorted(expected), sorted(actual[what] or []))
            else:
                yield from _differ(f"{prefix}{what}", expected, actual[what])


def _occurred(body: Mapping[str, Any]) -> bool:
    return bool(body["type"] == SIGNAL and body["data"].get("action") == "occurred")


def _differ(what: str, expected: Any, actual: Any) -> Iterator[Difference]:
    if isinstance(expected, float | int) and not isinstance(expected, bool) and isinstance(actual, float | int):
        same = abs(expected - actual) <= NEAR
    else:
        same = expected == actual
    if not same:
        yield Difference(what, expected, actual)
