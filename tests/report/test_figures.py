"""Each figure agrees with a second computation, a plain one over lists, on histories out of thin air."""

from __future__ import annotations

import re
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.report.naive import Naive
from tests.report.published import OWNERS, STAGES, at, changed, corrected, said, touch, write
from worker.instants import parse_instant
from worker.report import Figures, ReportError, Tables, figures

pytest.importorskip("duckdb", reason="the extra `report` is not installed")

AS_OF = 1_000.0


def report(
    published: list[dict[str, Any]], events: list[dict[str, Any]] | None = None, hours: float = AS_OF
) -> Figures:
    with tempfile.TemporaryDirectory() as name, Tables(STAGES, OWNERS, Path(name)) as tables:
        tables.changes(write(Path(name) / "changes.jsonl", published), "changes.jsonl")
        if events is not None:
            tables.events(write(Path(name) / "events.jsonl", events), "events.jsonl", "plain")
        tables.finish(parse_instant(at(hours)))
        return figures(tables, "made")


UNTOLD = {"amount": None, "currency": None}  # to a contact on a deal whose worth only another one's events say
DEALS = {"d1": (100.0, "EUR"), "d2": (250.0, "EUR"), "d3": (None, "USD")}
PEOPLE = [f"c{number}" for number in range(6)]
HOURS = st.integers(0, 600)


@st.composite
def walks(draw: st.DrawFn, contact: str) -> list[dict[str, Any]]:
    """A contact's changes in order: some at once, some back, some over a stage; and what is said beside them."""
    hours, since, stage = float(draw(st.integers(0, 300))), 0.0, None
    visits: Counter[str] = Counter()
    source = draw(st.sampled_from([None, "ads", "fair"]))
    told: list[dict[str, Any]] = []
    for _ in range(draw(st.integers(1, 6))):
        to = draw(st.sampled_from([name for name in STAGES if name != stage])) if stage else STAGES[0]
        visits[to] += 1
        due = hours + draw(st.sampled_from([5, 20, 2_000]))
        deals = draw(st.sets(st.sampled_from(sorted(DEALS)), max_size=2))
        more: dict[str, Any] = {
            "visit": visits[to], "reason": draw(st.sampled_from(["", "price"])),
            "score": {"total": float(draw(st.integers(0, 9)))},
            "attribution": touch(source) | {"last": touch(draw(st.sampled_from(["ads", "web"])))["last"]},
            "icp_fit": draw(st.sampled_from([None, True, False])), "qualified": draw(st.booleans()),
            "status": draw(st.sampled_from([None, "active", "inactive"])),
            "value": {
                deal: draw(st.sampled_from([dict(zip(("amount", "currency"), DEALS[deal], strict=True)), UNTOLD]))
                for deal in sorted(deals)
            },
        }  # fmt: skip
        if draw(st.integers(0, 3)) == 0:
            more["cause"] = {"kind": "person", "by": draw(st.sampled_from(["kim", "sam"])), "type": "stage.set"}
        if draw(st.booleans()):
            more["sla"] = {"due_at": at(due), "late": OWNERS[STAGES.index(to)]}
        told.append(changed(contact, stage, to, hours, since if stage else None, **more))
        if "sla" in more and draw(st.booleans()):
            told.append(said("sla.breached", contact, due, stage=to, visit=visits[to], owner="x", due_at=at(due)))
        if draw(st.integers(0, 2)) == 0:
            status = draw(st.sampled_from(["active", "inactive"]))
            told.append(said("status.changed", contact, hours + draw(st.sampled_from([0, 3])), to=status, stage=to))
        if draw(st.integers(0, 2)) == 0:
            rules = draw(st.sets(st.sampled_from(["no_next_step", "no_email"]), min_size=1))
            failures = [{"rule": rule, "field": None} for rule in sorted(rules)]
            told.append(said("hygiene.failed", contact, hours, failures=failures, stage=to))
        stage, since = to, hours
        hours += draw(st.sampled_from([0, 1, 7, 50]))
    return told


@st.composite
def publications(draw: st.DrawFn) -> list[dict[str, Any]]:
    """What was published: some of it wrong or too early at first, some twice; merges, erasures, companies."""
    published: list[dict[str, Any]] = []
    people = draw(st.integers(1, len(PEOPLE)))
    for contact in PEOPLE[:people]:
        history = draw(walks(contact))
        cut = draw(st.integers(0, len(history)))
        wrong = [changed(contact, None, "sql", 1.0, reason="wrong")] if draw(st.booleans()) else []
        late: bool = draw(st.booleans())
        if wrong or late:
            published += [*history[:cut], *wrong]
            again = history[:cut] if draw(st.booleans()) else []  # withdrawn and said again, word for word
            published.append(corrected(contact, 700.0, [*wrong, *again], [*again, *history[cut:]]))
        else:
            published += history
        if draw(st.integers(0, 3)) == 0:
            published.append(draw(st.sampled_from(history)))  # delivered twice
    for number in range(1, people):
        if draw(st.integers(0, 3)) == 0:
            into = PEOPLE[draw(st.integers(0, number - 1))]
            published.append(said("contact.merged", into, draw(HOURS), **{"contact": into, "from": PEOPLE[number]}))
    if draw(st.integers(0, 3)) == 0:
        gone = draw(st.sampled_from(PEOPLE[:people]))
        published.append(said("contact.erased", gone, draw(HOURS), contact=gone))
        if draw(st.booleans()):
            published.append(changed(gone, None, "lead", 650.0))  # comes again
    for revision in range(draw(st.integers(0, 3))):
        company, status = draw(st.sampled_from(["o1", "o2"])), draw(st.sampled_from([None, "active", "inactive"]))
        content = {"company": company, "revision": revision + 1, "customer_status_to": status, "stage_to": "customer"}
        published.append(said("company.changed", company, draw(HOURS), **content))
    return published


@st.composite
def inputs(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Events that the worker read: touches, subscriptions, deals, spend, some delivered twice."""
    found = []
    for number in range(draw(st.integers(0, 12))):
        subject, hours = draw(st.sampled_from([*PEOPLE, "stranger"])), draw(HOURS)
        kind = draw(st.sampled_from(
            ["page.viewed", "list.subscribed", "list.unsubscribed", "deal.created", "deal.won", "deal.lost",
             "proposal.sent", "spend.recorded"]
        ))  # fmt: skip
        data: dict[str, Any] = {}
        if kind.startswith(("deal.", "proposal.")):
            data = {"deal_id": draw(st.sampled_from([*DEALS, "d9"])), "currency": "EUR"}
            if draw(st.booleans()):
                data["amount"] = float(draw(st.integers(1, 9)))
        elif kind == "spend.recorded":
            subject = draw(st.sampled_from(["ads-1", "fair-1"]))
            data = {"amount": float(draw(st.integers(1, 99))), "currency": draw(st.sampled_from(["EUR", "USD"]))}
        found.append(_event(f"e{number}", kind, subject, hours, **data))
    return found + (draw(st.lists(st.sampled_from(found), max_size=2)) if found else [])


def agree(found: Any, naive: Any, where: str = "") -> None:
    """The same but for rounding, and for the order of rows."""
    if isinstance(naive, dict):
        assert set(found) == set(naive), where
        for key, value in naive.items():
            agree(found[key], value, f"{where}.{key}")
    elif isinstance(naive, list):
        assert len(found) == len(naive), (where, found, naive)
        pairs = zip(sorted(found, key=_named), sorted(naive, key=_named), strict=True)
        for one, other in pairs:
            agree(one, other, f"{where}[{_named(other)}]")
    elif isinstance(naive, float):
        assert found == pytest.approx(naive, rel=1e-9, abs=1e-9), where
    else:
        assert found == naive, where


def _named(row: dict[str, Any]) -> str:
    """What tells a row apart: its words."""
    return repr(sorted((key, value) for key, value in row.items() if value is None or isinstance(value, str)))


def check(published: list[dict[str, Any]], events: list[dict[str, Any]], hours: float) -> None:
    naive = Naive(published, events, STAGES, OWNERS, parse_instant(at(hours)))
    if not naive.changes:
        with pytest.raises(ReportError, match="no stage changes"):
            report(published, events, hours)
        return
    found = report(published, events, hours).document()
    expected = naive.document()
    assert set(found) == set(expected) | {"lifecycle", "as_of", "missing"}, "every figure has a second computation"
    agree({name: found[name] for name in expected}, expected)
    for name in ("from_stage", "stage"):  # rows that stand in the order of stages
        places = [STAGES.index(row[name]) for row in found["stages" if name == "stage" else "conversions"]]
        assert places == sorted(places)


@settings(max_examples=15, deadline=None)
@given(publications(), inputs(), st.sampled_from([AS_OF, 120.0]))
def test_every_figure_agrees_with_a_plain_computation(
    published: list[dict[str, Any]], events: list[dict[str, Any]], hours: float
) -> None:
    check(published, events, hours)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(publications(), inputs(), st.sampled_from([AS_OF, 300.0, 120.0]))
def test_every_figure_agrees_with_a_plain_computation_at_length(
    published: list[dict[str, Any]], events: list[dict[str, Any]], hours: float
) -> None:
    check(published, events, hours)


def test_a_merged_contact_is_one_who_began_with_its_first_id() -> None:
    found = report(
        [
            changed("visitor", None, "lead", 0),
            changed("ada", None, "lead", 10),
            changed("ada", "lead", "mql", 12, 10),
            said("contact.merged", "ada", 20, **{"contact": "ada", "from": "visitor"}),
            changed("ada", "mql", "customer", 30, 12),
        ]
    )
    assert found.contacts == 1
    assert found.velocity["median_seconds_of_arrived"] == 30 * 3600
    lead = found.stages[0]
    assert (lead["entries"], lead["contacts"], lead["current"]) == (2, 1, 0)
    assert (lead["visits_left"], lead["visits_open"]) == (1, 1)  # the visitor's is known to have lasted 20 hours


def test_an_erased_contact_is_in_no_figure() -> None:
    found = report(
        [
            changed("ada", None, "lead", 0),
            changed("bob", None, "lead", 1),
            said("contact.erased", "ada", 5, contact="ada"),
        ]
    )
    assert (found.contacts, found.stages[0]["entries"]) == (1, 1)


def test_a_deal_of_two_contacts_counts_once_and_ends_as_the_events_say() -> None:
    deal = {"d1": {"amount": 100.0, "currency": "EUR"}}
    published = [changed(name, None, "lead", 0, value=deal) for name in ("ada", "bob")]
    assert report(published).deals == [{"standing": "open", "currency": "EUR", "deals": 1, "amount": 100.0}]
    won = _event("e1", "deal.won", "ada", 5, deal_id="d1", amount=120.0, currency="EUR")
    found = report(published, [won])
    assert found.deals == [{"standing": "won", "currency": "EUR", "deals": 1, "amount": 120.0}]


def test_spend_is_counted_once_and_never_added_across_currencies() -> None:
    published = [changed(f"c{n}", None, "lead", n, attribution=touch("ads")) for n in range(4)]
    published.append(changed("c0", "lead", "mql", 9, 0, attribution=touch("ads")))
    spend = [
        _event("s1", "spend.recorded", "ads-1", 1, amount=80, currency="EUR"),
        _event("s1", "spend.recorded", "ads-1", 1, amount=80, currency="EUR"),  # delivered twice
        _event("s2", "spend.recorded", "ads-1", 2, amount=20, currency="EUR"),
        _event("s3", "spend.recorded", "ads-1", 2, amount=7, currency="USD"),
    ]
    cost = report(published, spend).cost
    assert cost is not None
    found = {(row["currency"], row["stage"]): row["cost_per_contact"] for row in cost}
    assert found["EUR", "lead"] == 25
    assert found["EUR", "mql"] == 100
    assert found["USD", "mql"] == 7
    assert found["EUR", "customer"] is None


def test_figures_that_need_events_say_so_without_them() -> None:
    found = report([changed("ada", None, "lead", 0)])
    assert found.cost is None and found.list_growth is None and found.touches is None
    assert "--events" in found.missing["cost"]


def test_a_stage_of_another_lifecycle_is_refused_by_name() -> None:
    event = changed("ada", None, "lead", 0)
    event["data"]["to"] = "evangelist"
    with pytest.raises(ReportError, match="evangelist"):
        report([event])


def test_a_file_without_published_events_is_refused() -> None:
    with pytest.raises(ReportError, match=r"changes\.jsonl"):
        report([{"id": "1", "type": "form.submitted", "subject": "ada", "time": at(0), "data": {}}])


def _event(name: str, kind: str, subject: str, hours: float, **data: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": name, "source": "/s", "type": kind, "subject": subject, "time": at(hours), "data": data}  # fmt: skip  # noqa: E501


DOCUMENTED = Path(__file__).parents[2] / "docs" / "figures.md"


def _documented(heading: str) -> list[list[str]]:
    """The rows of the documentation's table with that heading."""
    lines = DOCUMENTED.read_text(encoding="utf-8").splitlines()
    start = lines.index(heading) + 2
    end = next(n for n in range(start, len(lines) + 1) if n == len(lines) or not lines[n].startswith("|"))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[start:end]]


def _more(key: str, word: str) -> dict[str, Any]:
    if key == "from":
        return {"attribution": touch(word)}
    if key == "due":
        return {"sla": {"due_at": at(float(word)), "late": "marketing"}}
    if key == "by":
        return {"cause": {"kind": "person", "by": word, "type": "stage.set"}}
    return {"reason": word} if key == "reason" else {"value": {word: {"amount": None, "currency": "EUR"}}}


def _published() -> list[dict[str, Any]]:
    """The documentation's history: each row says what was published, in words."""
    found: list[dict[str, Any]] = []
    entered: dict[str, tuple[str, float]] = {}
    for contact, hour, what in _documented("| contact | hour | published |"):
        hours = float(hour)
        words = re.findall(r"`([^`]+)`", what)
        if "is merged into" in what:
            found.append(said("contact.merged", words[0], hours, **{"contact": words[0], "from": contact}))
        elif "breaches" in what:
            found.append(said("sla.breached", contact, hours, stage=words[0], visit=1, owner="x", due_at=at(hours)))
        else:
            left, since = entered.get(contact, (None, None))
            to = words[0] if left is None else words[1]
            told: dict[str, Any] = {}
            for key, word in re.findall(r", (from|due|by|deal|reason) `?(\w+)`?", what):
                told |= _more(key, word)
            change = changed(contact, left, to, hours, since, **told)
            found.append(change)
            if "withdrawn" in what:
                found.append(corrected(contact, hours + 5, [change], []))
            else:
                entered[contact] = (to, hours)
    return found


def _found(document: Any, path: str) -> Any:
    """Along the path: a field's name, or a word of the rows that are meant; of the one row that is left, the field."""
    for step in path.split("."):
        if isinstance(document, list):
            rows = [row for row in document if step in row.values()]
            document = rows or [row[step] for row in document]
            if len(document) == 1:
                (document,) = document
        elif step in document:
            document = document[step]
        else:
            assert step in document.values(), f"{step}, of {path}, is neither a field nor a word of the row"
    return document


def _value(told: str) -> float | None:
    """`none`, `20 h` in seconds, `2 of 3` as a share, or a number."""
    words = told.split()
    if told == "none":
        return None
    if words[1:] == ["h"]:
        return float(words[0]) * 3600
    return float(words[0]) / float(words[2]) if len(words) == 3 else float(told)


def test_the_history_of_the_documentation_comes_to_what_it_says() -> None:
    events = []
    for number, (subject, hour, what) in enumerate(_documented("| subject | hour | event |")):
        kind, amount = re.findall(r"`(.+)` ?(\d*)", what)[0]
        data = {"amount": float(amount), "currency": "EUR", "deal_id": "d1"} if amount else {}
        events.append(_event(f"e{number}", kind, subject, float(hour), **data))
    found = report(_published(), events, 100).document()
    rows = _documented("| figure | comes to | because |")
    assert len(rows) > 30
    for path, value, _ in rows:
        expected = _value(value)
        assert _found(found, path.strip("`")) == (None if expected is None else pytest.approx(expected)), path


def test_a_missing_extra_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(ReportError, match=r"^a report needs duckdb: pip install 'lifecycle-worker\[report\]'$"):
        Tables(STAGES, OWNERS, tmp_path)
