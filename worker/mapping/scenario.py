"""Scenarios of a mapping, beside it as `NAME.scenarios.yaml`: a record as the system sends it, and what it becomes.

    - name: a paid checkout is a purchase
      record: {"id": "evt_1", ...}          # JSON as it came; `body` for a text that is none
      headers: {x-event: invitee.created}   # where the mapping reads any
      key: '{"id": 7}'                      # the record's key on its topic, where the mapping reads it
      becomes:                              # everything it comes to, in order
        - {type: purchase.confirmed, id: evt_1, time: "2026-01-05T09:00:00Z", subject: a@example.com, data: {…}}
        - {dropped: the reason holds these words}
        - {refused: wrong-type, path: "$.created"}
      again: {data.attempt: 2}              # sent once more, with these changes: the same events

An event is compared field by field; a digest's `id` may be left out, `again` shows that it holds.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping as Readonly
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from worker.definition.document import Document, Node, read_document
from worker.definition.errors import DefinitionError, Finding
from worker.fold.outcome import Event
from worker.instants import format_instant, parse_instant
from worker.mapping.mapping import Mapping
from worker.mapping.outcome import Dropped, Refused, Result

SCENARIOS_MAX: Final = 1_000

_KEYS: Final = frozenset({"name", "record", "body", "headers", "key", "becomes", "again"})
_EVENT_KEYS: Final = ("type", "id", "time", "subject", "data", "traits")
_STEP: Final = re.compile(r"[^.\[\]]+|\[\d+\]")


@dataclass(frozen=True)
class Scenario:
    """`record` is the bytes as they arrive, `again` those of the second delivery."""

    name: str
    record: bytes
    headers: tuple[tuple[str, bytes], ...]
    becomes: tuple[Readonly[str, Any], ...]
    again: bytes | None
    key: bytes | None = None
    source: str = "<text>"
    line: int = 1
    document: Any = field(default=None, repr=False)


def read_scenarios(given: Path | str | bytes, source: str | None = None) -> list[Scenario]:
    """The scenarios of a file (a `Path`) or a text. Raises: DefinitionError with all its faults."""
    document = read_document(given, source)
    findings: list[Finding] = []
    root = document.root
    if root.items is None or not root.is_list or len(root.items) > SCENARIOS_MAX:
        message = f"expected a list of up to {SCENARIOS_MAX} scenarios"
        raise DefinitionError([document.finding(root.start, "wrong-type", message)])
    scenarios = [_scenario(document, node, findings) for node in root.items.values()]
    if findings:
        raise DefinitionError(findings)
    return [scenario for scenario in scenarios if scenario is not None]


def _scenario(document: Document, node: Node, findings: list[Finding]) -> Scenario | None:
    given = node.plain()
    fault = _fault(given)
    if fault is not None:
        findings.append(document.finding(node.start, "wrong-type", fault))
        return None
    record = given.get("record")
    body = given["body"].encode() if "body" in given else msgspec.json.encode(record)
    again = None
    if "again" in given:
        try:
            again = msgspec.json.encode(_changed(record, given["again"]))
        except (KeyError, IndexError, TypeError) as error:
            findings.append(document.finding(node.start, "wrong-type", f"again: the record has no {error}"))
    return Scenario(
        name=given["name"],
        record=body,
        headers=tuple((str(name), str(value).encode()) for name, value in given.get("headers", {}).items()),
        becomes=tuple(given["becomes"]),
        again=again,
        key=given["key"].encode() if "key" in given else None,
        source=document.source,
        line=document.place(node.start)[0],
        document=record,
    )


def _fault(given: Any) -> str | None:
    """What is wrong with the form of a scenario."""
    if not isinstance(given, dict):
        return "a scenario has `key: value` lines"
    unknown = sorted(given.keys() - _KEYS)
    if unknown:
        return f"a scenario has no '{unknown[0]}'; there are: {', '.join(sorted(_KEYS))}"
    if not isinstance(given.get("name"), str):
        return "a scenario has a name"
    if ("record" in given) == ("body" in given):
        return "a scenario has a record, or the body of one"
    if "body" in given and not isinstance(given["body"], str):
        return "body: expected a text"
    if not isinstance(given.get("headers", {}), dict):
        return "headers: expected names and values"
    if not isinstance(given.get("key", ""), str):
        return "key: expected a text"
    if not isinstance(given.get("becomes"), list) or not all(isinstance(item, dict) for item in given["becomes"]):
        return "becomes: expected a list of events, `dropped` and `refused`"
    if "again" in given and not (isinstance(given["again"], dict) and "record" in given):
        return "again: expected paths and values, of a record"
    return None


def _changed(record: Any, changes: Readonly[str, Any]) -> Any:
    changed = copy.deepcopy(record)
    for path, value in changes.items():
        steps = [int(step[1:-1]) if step.startswith("[") else step for step in _STEP.findall(path)]
        place = changed
        for step in steps[:-1]:
            place = place[step]
        place[steps[-1]] = value
    return changed


# --------------------------------------------------------------------------------------------------------- comparing
def differences(mapping: Mapping, scenario: Scenario) -> list[str]:
    """What comes out otherwise than the scenario says; nothing where all is as expected."""
    results = mapping.apply(scenario.record, scenario.headers, scenario.key)
    found: list[str] = []
    for place in range(max(len(results), len(scenario.becomes))):
        if place >= len(results):
            found.append(f"{place + 1}: expected {_brief(scenario.becomes[place])}, got nothing more")
        elif place >= len(scenario.becomes):
            found.append(f"{place + 1}: expected nothing more, got {told(results[place])}")
        else:
            found += [f"{place + 1}: {line}" for line in _compared(results[place], scenario.becomes[place])]
    if scenario.again is not None:
        again = mapping.apply(scenario.again, scenario.headers, scenario.key)
        if [r for r in again if isinstance(r, Event)] != [r for r in results if isinstance(r, Event)]:
            found.append("again: sent once more, it is another event")
    return found


def _compared(result: Result, expected: Readonly[str, Any]) -> list[str]:
    match result:
        case Dropped():
            if "dropped" in expected and str(expected["dropped"]) in result.reason:
                return []
        case Refused():
            if expected.get("refused") == result.refusal.reason and expected.get("path", result.path) == result.path:
                return []
        case Event() if "type" in expected:
            return _fields(result, expected)
    return [f"expected {_brief(expected)}, got {told(result)}"]


def _fields(event: Event, expected: Readonly[str, Any]) -> list[str]:
    unknown = [f"an event has no '{name}'" for name in expected if name not in _EVENT_KEYS]
    actual: dict[str, Any] = {
        "type": event.type,
        "id": event.id,
        "time": event.time,
        "subject": event.subject,
        "data": event.data,
        "traits": event.traits or {},
    }
    wanted: dict[str, Any] = {"data": {}, "traits": {}, **expected}
    try:
        wanted["time"] = parse_instant(str(wanted.get("time")))
    except ValueError as error:
        return [*unknown, f"time: {error}"]
    found = []
    for name in _EVENT_KEYS:
        if name == "id" and name not in wanted:
            continue
        if actual[name] != wanted.get(name):
            shown = format_instant(actual[name]) if name == "time" else actual[name]
            found.append(f"{name}: expected {expected.get(name)!r}, got {shown!r}")
    return unknown + found


def told(result: Result) -> str:
    """A result in a line."""
    match result:
        case Dropped():
            return f"dropped: {result.reason}"
        case Refused():
            return f"refused: {result.refusal.reason}: {result.refusal.message}"
        case Event():
            return f"{result.type} of {result.subject} at {format_instant(result.time)}"


def _brief(expected: Readonly[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in list(expected.items())[:2])
