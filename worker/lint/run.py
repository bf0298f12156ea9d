"""All of lint over one file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from worker.definition.check import check
from worker.definition.document import Document, read_document
from worker.definition.errors import DefinitionError, Fault
from worker.definition.form import located, validated
from worker.definition.model import Lifecycle
from worker.definition.scenario import read_scenarios
from worker.lint.agreement import agreement
from worker.lint.codes import CODES
from worker.lint.crossings import crossings
from worker.lint.explorer import SEEKS_MAX, Explorer
from worker.lint.findings import ORDER, Finding, Remark, Severity
from worker.lint.guards import guards
from worker.lint.machine import Look, machine
from worker.lint.names import names
from worker.lint.proof import Prover
from worker.lint.subject import Subject
from worker.shipped import SCENARIOS


def lint(given: Path | str | bytes, source: str | None = None) -> list[Finding]:
    """Every finding about a definition (a `Path`, or a text called `source`), in the file's order.

    What makes it unreadable is among them, as errors; then nothing else is. A file of scenarios is only read.
    """
    try:
        if isinstance(given, Path) and given.name.endswith(SCENARIOS):
            read_scenarios(given, source)
            return []
        document = read_document(given, source)
        lifecycle = validated(document, Lifecycle)
        faults = check(lifecycle)
        if faults:
            raise DefinitionError(located(document, faults))
    except DefinitionError as error:
        return [Finding(*found[:4], "error", found.message) for found in error.findings]
    found = [_placed(document, remark) for remark in remarks(lifecycle, document)]
    found.sort(key=lambda finding: (finding.line, finding.column, ORDER[finding.severity], finding.code))
    told: set[tuple[int, int]] = set()
    return [finding for finding in found if finding.code != "always-holds" or _new(told, finding)]


def _new(told: set[tuple[int, int]], finding: Finding) -> bool:
    """Whether this is the first of its place: of a guard of one part, part and whole would both be told."""
    place = finding.line, finding.column
    seen = place in told
    told.add(place)
    return not seen


def remarks(lifecycle: Lifecycle, document: Document) -> Iterator[Remark]:
    """Everything to be said of a definition that can be read."""
    subject = Subject(lifecycle)
    explorer = Explorer(subject)
    found = explorer.explore()
    prover = Prover(subject, explorer.probe, found)
    _seek(explorer, prover)
    look = Look(subject, document, explorer, found, prover)
    yield from machine(look)
    yield from crossings(look)
    yield from guards(look)
    yield from names(look)
    yield from agreement(look)


def _seek(explorer: Explorer, prover: Prover) -> None:
    """Look closer for transitions that were not come upon and can't be ruled out."""
    fired = {number for number, _ in explorer.found.fired}
    seeks = 0
    for number in range(len(explorer.subject.lifecycle.transitions)):
        for origin in prover.origins(number) if number not in fired else ():
            if seeks < SEEKS_MAX and prover.can_fire_first(number, origin) is not False:
                seeks += 1
                if explorer.seek(number, origin):
                    break


def _placed(document: Document, remark: Remark) -> Finding:
    fault = Fault(remark.path, remark.code, remark.message, remark.offset, remark.length, remark.on_key)
    place = located(document, [fault])[0]
    return Finding(*place[:3], remark.code, severity(remark), remark.message, remark.witness)


def severity(remark: Remark) -> Severity:
    """A warning about what is marked as assumed is a note: nobody has decided it yet."""
    given = CODES[remark.code].severity
    return "note" if remark.assumed and given == "warning" else given
