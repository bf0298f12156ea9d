"""What a reader of the published events holds, and whether it may be so."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

Body = dict[str, Any]

COMPANY_CHANGED = "lifecycle.company.changed.v1"
CORRECTED = "lifecycle.corrected.v1"
ERASED = "lifecycle.contact.erased.v1"
REFUSED_EVENT = re.compile(r"event '([^']+)'")


def by_contact(published: Iterable[Body]) -> dict[str, list[Body]]:
    """The events of each contact, in the order of the reader."""
    found: dict[str, list[Body]] = defaultdict(list)
    for body in published:
        if "contact" in body["data"]:
            found[body["subject"]].append(body)
    return found


def check_revisions(bodies: Mapping[str, list[Body]]) -> None:
    """Of each contact every revision once, and in order. An erasure says none, and takes one."""
    for contact, of_contact in bodies.items():
        revisions = [(body["data"]["current"] or {}).get("revision") for body in of_contact]
        told = [number if found is None else found for number, found in enumerate(revisions, start=1)]
        assert told == list(range(1, len(told) + 1)), f"{contact}: lost, twice or out of order: {revisions}"


def standing(bodies: Iterable[Body]) -> list[Body]:
    """What a reader holds who takes out what is withdrawn and adds what is restated, in the order of time.

    What was said before an erasure is of no account after it.
    """
    held: list[Body] = []
    for body in bodies:
        if body["type"] == ERASED:
            held = [body]
        elif body["type"] != CORRECTED:
            held.append(body)
        else:
            gone = set(body["data"]["withdrawn"])
            missing = gone - {each["id"] for each in held}
            assert not missing, f"withdrawn, but not there: {missing}"
            held = [each for each in held if each["id"] not in gone] + body["data"]["restated"]
    return held


def check_histories(found: Mapping[str, list[Body]], wanted: Mapping[str, list[Body]]) -> None:
    """After corrections the same events stand, in the same order, of every contact."""
    for contact in sorted(found.keys() | wanted.keys()):
        mine, theirs = standing(found.get(contact, ())), standing(wanted.get(contact, ()))
        assert [body["id"] for body in mine] == [body["id"] for body in theirs], difference(contact, mine, theirs)


def check_present(found: Mapping[str, list[Body]], latest: Mapping[str, Body | None]) -> None:
    """What the contacts topic says at last was said with the events. `None`: the contact has ended."""
    assert found.keys() <= latest.keys(), found.keys() - latest.keys()
    for contact, present in latest.items():
        if present is not None:
            current = found[contact][-1]["data"]["current"]
            assert {name: present[name] for name in current} == current, f"{contact}: a torn batch"


def check_stands(latest: Mapping[str, Body | None], stands: Mapping[str, Body]) -> None:
    """Contacts are where they should be at the end, and those that ended have."""
    alive = {contact: present for contact, present in latest.items() if present is not None}
    assert alive.keys() == stands.keys(), alive.keys() ^ stands.keys()
    for contact, present in alive.items():
        for name in ("stage", "status", "qualified", "entered_at"):
            assert present[name] == stands[contact][name], f"{contact}: {name}"


def companies(published: Iterable[Body]) -> dict[str, str]:
    """The stage of each company that has one."""
    latest = {body["subject"]: body["data"]["stage_to"] for body in published if body["type"] == COMPANY_CHANGED}
    return {company: stage for company, stage in latest.items() if stage is not None}


def check_refused(messages: Iterable[str], crossings: Iterable[tuple[str, ...]]) -> set[str]:
    """Of claims that cross or go in a circle one is refused, and nothing else is. The ids of the events that were.

    `messages` are those of the dead letters. A refused claim that comes again is refused again.
    """
    refused = refused_events(messages)
    for claims in (known := list(crossings)):
        assert len(refused.intersection(claims)) == 1, f"of {claims} not one was refused: {refused}"
    assert refused <= {claim for claims in known for claim in claims}, f"refused: {refused}, crossing: {known}"
    return refused


def refused_events(messages: Iterable[str]) -> set[str]:
    """The ids of events that these refusals are about."""
    return {found for message in messages for found in REFUSED_EVENT.findall(message)}


def difference(contact: str, found: list[Body], wanted: list[Body]) -> str:
    def told(bodies: list[Body]) -> str:
        return "\n  ".join(f"{b['id'][:8]} {b['time']} {b['type']} {b['data'].get('to', '')}" for b in bodies)

    return f"{contact}: published\n  {told(found)}\nwanted\n  {told(wanted)}"
