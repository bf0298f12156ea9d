"""Reading a lifecycle: every fault at its very place, in words that say what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.definition.base import BASE, place_of, shown
from worker.definition.errors import DefinitionError, Finding
from worker.definition.model import Assumable
from worker.definition.reader import read


def findings_of(text: str | bytes) -> list[Finding]:
    with pytest.raises(DefinitionError) as caught:
        read(text, "x.yaml")
    return caught.value.findings


def spoilt(old: str, new: str) -> str:
    assert BASE.count(old) >= 1, f"{old!r} is not in the base"
    return BASE.replace(old, new, 1)


def test_a_whole_lifecycle_is_read() -> None:
    lifecycle = read(BASE, "shop.yaml")
    assert list(lifecycle.stages) == ["visitor", "lead", "customer"]
    assert lifecycle.signals["action"].any[0].startswith("form.submitted")
    assert lifecycle.stages["lead"].owner == Assumable(value="marketing", assumed=True)
    assert lifecycle.transitions[3].after == "90d"
    assert lifecycle.score.fit.points == {"icp_fit": "40"}


def test_a_file_is_read_by_its_path_and_named_by_it(tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text(BASE)
    assert read(path).lifecycle == "shop"
    path.write_text(spoilt("horizon", "horizn"))
    with pytest.raises(DefinitionError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}:5:1: unknown-field: ")


def test_a_missing_file_is_one_finding(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="unreadable: the file can't be read: No such file"):
        read(tmp_path / "none.yaml")


def test_a_byte_order_mark_and_windows_line_ends_change_nothing() -> None:
    assert read(b"\xef\xbb\xbf" + BASE.replace("\n", "\r\n").encode()) == read(BASE)


# What is spoilt, how («: where the fault is told), the code, and what the message must say.
FAULTS = [
    ("horizon: 7d", "«horizn: 7d", "unknown-field", "did you mean 'horizon'?"),
    ("late: sales", "«lat: sales", "unknown-field", "did you mean 'late'?"),
    ("goal: Make known.", "«gaol: Make known.", "unknown-field", "did you mean 'goal'?"),
    ("version: 3", "version: «three", "wrong-type", "a whole number, not the text 'three'"),
    ("version: 3", "version: «0", "bad-value", "0 is not at least 1"),
    ("lifecycle: shop", "lifecycle: «The Shop", "bad-value", "small letters, digits, - and _"),
    ("horizon: 7d", "horizon: «7 days", "bad-value", "a duration such as 7d"),
    ("horizon: 7d", "horizon: «0d", "bad-value", "longer than nothing"),
    ("publish: true", "publish: «yes", "wrong-type", "true or false, not the text 'yes'"),
    ("keep: 30", "keep: «5000", "bad-value", "5000 is not at most 1000"),
    ("type: text,", "type: «txt,", "bad-value", "did you mean 'text'?"),
    ("value: 40,", "value: «[40],", "wrong-type", "not a list"),
    ("notes: [Seen by nobody yet.]", "notes: «none", "wrong-type", "a list, not the text 'none'"),
    ("track: [open, working, won]", "track: «[]", "bad-value", "at least 1"),
    ("from: visitor, to: lead", "from: [«Visitor], to: lead", "bad-value", "'Visitor' is not a name"),
    ("from: visitor, to: lead", "from: «5, to: lead", "wrong-type", "a list, not 5"),
    ("name: Visitor\n", 'name: «""\n', "bad-value", "an empty text"),
    ("company_id, parent", "company_id, stage: «lowest, parent", "bad-value", "none of highest"),
    ("    amount: event.amount\n", "    «amuont: event.amount\n", "unknown-field", "did you mean 'amount'?"),
    ("days: mon-fri", "days: «mon-fry", "bad-value", "did you mean 'fri'?"),
    ("days: mon-fri", "days: «mon-wed-fri", "bad-value", "no day or range of days"),
    ('close: "17:30"', 'close: «"08:00"', "bad-value", "not after it opens at 09:00"),
    ('close: "17:30"', 'close: «"1730"', "bad-value", 'a time of day such as "18:00"'),
    ("Europe/Berlin", "«Europe/Berln", "bad-value", "did you mean 'Europe/Berlin'?"),
    ("  region:    {", "  «since:    {", "reserved-name", "a meaning of its own"),
    ("  region:    {", "  «setback:    {", "reserved-name", "a meaning of its own"),
    (
        "  fit:    icp_fit",
        "  «region:    true\n  fit:    icp_fit",
        "duplicate-name",
        "already stands under `parameters`",
    ),
    ("late: sales", "late: «slaes", "unknown-owner", "did you mean 'sales'?"),
    ("owner: sales", "owner: «markting", "unknown-owner", "did you mean 'marketing'?"),
    ("from: any below customer", "from: any below «custmer", "unknown-stage", "did you mean 'customer'?"),
    ("from: any below customer", "from: «anybody", "unknown-stage", "'anybody' is no stage"),
    ("from: any below customer", "from: «all below customer", "bad-value", "is no origin"),
    ("from: any below customer", "from: «any below visitor", "bad-value", "none is there"),
    ("from: any below customer", "from: [lead, «leed]", "unknown-stage", "did you mean 'lead'?"),
    ("from: any below customer", "from: [lead, «lead]", "duplicate-name", "stands there twice"),
    ("to: lead, when", "to: «leed, when", "unknown-stage", "did you mean 'lead'?"),
    ("to: lead, when", "to: «visitor, when", "bad-value", "from 'visitor' to 'visitor'"),
    ("status: lost\n", "status: «losst\n", "unknown-status", "did you mean 'lost'?"),
    ("aside: [lost]", "aside: [lost, «won]", "duplicate-name", "the status 'won' stands there twice"),
    ("    working: [leaving", "    «workin: [leaving", "unknown-status", "did you mean 'working'?"),
    ("    open: {name: Open", "    «opne: {name: Opne", "unknown-status", "did you mean 'open'?"),
    ("crm: [New, Open]", "crm: [New, «Won]", "duplicate-name", "already means 'won'"),
    ("reopen: {from: lost", "reopen: {from: «open", "unknown-aside", "'open' is no aside; there is lost"),
    ("when: fit, to: open}", "when: fit, to: «opened}", "unknown-status", "did you mean 'open'?"),
    ("from_parent: customer", "from_parent: «customr", "unknown-stage", "did you mean 'customer'?"),
    ("forget: {stage: visitor", "forget: {stage: «visitr", "unknown-stage", "did you mean 'visitor'?"),
    ("- email.replied when", "- «email.repleid when", "unknown-type", "did you mean 'email.replied'?"),
    ("- visit when", "- «visits when", "unknown-signal", "did you mean 'visit'?"),
    ("removed_by: ended", "removed_by: «endd", "unknown-signal", "did you mean 'ended'?"),
    ("arrived: entering customer", "arrived: entering «custmer", "unknown-stage", "did you mean 'customer'?"),
    ("arrived: entering customer", "arrived: «entering customer when fit", "not-allowed", "without a guard"),
    ("event: sales.rejected\n", "event: «entering lead\n", "not-allowed", "moves come after all of it"),
    ("event: sales.rejected\n", "event: «arrived\n", "not-allowed", "seen(arrived)"),
    ("event: sales.rejected\n", "event: sales.rejected «and x\n", "syntax", "expected `TYPE`, `SIGNAL`"),
    ("  - email.clicked when", "  - «visit when", "not-allowed", "a signal can't be used in `ignore`"),
    ("set_by: crm.status_changed", "set_by: «intent", "not-allowed", "here stands an event type"),
    ("{action: 20,", "{«acton: 20,", "unknown-signal", "did you mean 'action'?"),
    (
        "'page.viewed when event.high_intent': 10",
        "'page.viewed when event.«high_intnt': 10",
        "unknown-field",
        "did you mean 'high_intent'?",
    ),
    ("event.kind in", "event.«kindd in", "unknown-field", "did you mean 'kind'?"),
    ('"demo", "pricing"', '"demo", «"prcing"', "unknown-value", "did you mean 'pricing'?"),
    ("when: fit and keen", "when: fit and «keeen", "unknown-name", "did you mean 'keen'?"),
    ("when: fit and keen", "when: fit an«d", "syntax", "not the end"),
    ("when: fit and keen", "when: fit «&& keen", "syntax", "`&&` is written `and` here"),
    ("when: fit and keen", "when: fit and «lead", "unknown-name", 'write stage == "lead"'),
    ("when: fit and keen", 'when: fit and «event.kind == "demo"', "not-allowed", "name the events"),
    ("when: fit and keen", "when: fit and «agreements", "wrong-kind", "size(agreements)"),
    ("when: fit and keen", "when: fit and seen(«icp_fit)", "unknown-signal", "'icp_fit' is no signal"),
    ("when: fit and keen", "when: fit and «sen(intent)", "unknown-function", "did you mean 'seen'?"),
    ("when: fit and keen", "when: fit and «intent(1)", "unknown-function", "seen(intent)"),
    ("when: fit and keen", 'when: at_least(«"leed")', "unknown-stage", "did you mean 'lead'?"),
    ("when: fit and keen", 'when: stage == «"leed"', "unknown-stage", "did you mean 'lead'?"),
    ("when: fit and keen", 'when: status != «"losst"', "unknown-status", "did you mean 'lost'?"),
    ("when: fit and keen", 'when: «stage > "lead"', "wrong-kind", "at_least"),
    ("when: fit and keen", "when: traits.«emial", "unknown-field", "did you mean 'email'?"),
    ("when: fit and keen", "when: fit and «__import__", "private-name", "starts with an underscore"),
    ("when: fit and keen", "when: last(intent) > «7", "wrong-kind", "give it a unit"),
    ("when: fit and keen", "when: days_in_stage() > «7d", "wrong-kind", "a number of days"),
    ("when: fit and keen", 'when: score.fit > «"x"', "wrong-kind", "a number is compared with a text"),
    ("when: fit and keen", "when: «last(intent) + 1d > 7d", "timed", "stands alone on its side"),
    ("when: fit and keen", "when: «1d < last(intent) < 7d", "timed", "two comparisons joined by `and`"),
    ("when: fit and keen", "when: «score", "timed", "compare it with a figure"),
    ("when: fit and keen", "when: «days_in_stage() == 7", "timed", "< <= > >="),
    ("when: fit and keen", "when: «last(intent) > last(visit)", "timed", "both sides"),
    ("count(visit, window,", "count(visit, «threshold,", "wrong-kind", "`within` takes a duration"),
    ("half_life: 30d", "half_life: «threshold", "wrong-kind", "a duration such as 7d, not a number"),
    ("half_life: 30d", "half_life: «0d", "bad-value", "longer than nothing"),
    ("within: 2d", "within: «48", "wrong-kind", "a duration such as 7d, not a number"),
    ("fit:       {cap: 40", "fit:       {cap: «window", "wrong-kind", "not a duration"),
    ("fit:       {cap: 40", "fit:       {cap: «score.fit", "not-allowed", "the same for every contact"),
    ("{icp_fit: 40}", "{«score > 3: 40}", "not-allowed", "in the fit score"),
    ("{icp_fit: 40}", "{«keen: 40}", "not-allowed", "'keen' uses `score`"),
    ("after: 90d, when", "after: «last(intent), when", "not-allowed", "the same for every contact"),
    ("from: traits.icp_fit", "from: «event.amount > 3", "missing-field", "say in `of` which events set it"),
    ("id: traits.company_id", "id: «traits.company_id + 1", "wrong-kind", "one trait"),
    ("sleepers: {when: last(intent) > 30d", "sleepers: {when: «intent", "not-allowed", "seen(intent)"),
    ("unless: not fit", "unless: «event.machine", "not-allowed", "only time may have passed"),
    ("when: fit and keen", "when: fit and traits.country == «null", "unknown-name", "did you mean 'none'?"),
    ("when: fit and keen", "when: «len(agreements) > 1", "unknown-function", "write size("),
    ("when: fit and keen", "when: traits.title «contains x", "syntax", "write contains(text, part)"),
    ("when: fit and keen", "when: traits.employees «between 1 and 5", "syntax", "write 1 <= value <= 5"),
    ("when: fit and keen", "when: last(intent) > «7 days", "bad-duration", "such as 7d"),
    ("when: fit and keen", "when: 'traits.employees > 1«,000'", "syntax", "no comma"),
    ("when: fit and keen", "when: 'fit and «[keen]'", "syntax", "a list stands only after `in`"),
    ("when: fit and keen", "when: since(intent, «setback)", "unknown-field", "ends at its comma. Within [ ] or { }"),
    ("says: buys", "says: buys, «at once", "unknown-field", "ends at its comma. Within [ ] or { }"),
    ("window:    {value: 7d", "window:    {value: «7 days", "bad-duration", "write 7d"),
    ("within: 2d", "within: «2mo", "bad-duration", "such as 60d"),
    (
        "  icp_fit: {type: boolean, from: traits.icp_fit}",
        "  «icp_fit: {type: boolean, from: icp_fit}",
        "circle",
        "event.icp_fit",
    ),
    ("notes: [Seen by nobody yet.]", "«notes:", "wrong-type", "a list, not nothing"),
    ("ended: [subscription", "«ended: [ended, subscription", "circle", "needs itself: ended → ended"),
    ("  fit:    icp_fit or", "  «fit:    keen and fit or", "circle", "needs itself: fit → fit"),
]


@pytest.mark.parametrize(("old", "new", "code", "says"), FAULTS)
def test_a_fault_is_told_at_its_words(old: str, new: str, code: str, says: str) -> None:
    marked = spoilt(old, new)
    line, column = place_of(marked, "«")
    findings = findings_of(marked.replace("«", ""))
    assert [(finding.line, finding.column, finding.code) for finding in findings] == [(line, column, code)], shown(
        findings
    )
    assert says in findings[0].message


@pytest.mark.parametrize(
    ("old", "new", "shown_circle"),
    [
        ("when: not keen, says", "when: keen, says", None),  # after a setback no intent speaks, and 90 days must pass
        ("after: 90d, when: not keen", "when: keen", "visitor → lead → visitor"),
        ("after: 90d, when: not keen", "when: icp_fit", "visitor → lead → visitor"),
        ("after: 90d, when: not keen", "when: not keen", None),
    ],
)
def test_a_circle_that_one_event_could_go_is_refused(old: str, new: str, shown_circle: str | None) -> None:
    text = spoilt(old, new)
    if shown_circle is None:
        read(text)
        return
    (finding,) = findings_of(text)
    assert (finding.line, finding.column, finding.code) == (*place_of(text, "{from: lead, to: visitor"), "endless")
    assert shown_circle in finding.message


def test_a_stage_that_nothing_leads_to_is_refused() -> None:
    text = spoilt(
        "  customer:\n    name", "  partner: {name: P, means: P, owner: sales, goal: P}\n  customer:\n    name"
    )
    (finding,) = findings_of(text)
    assert (finding.line, finding.column, finding.code) == (*place_of(text, "partner:"), "unreachable-stage")


def test_a_missing_key_is_told_at_what_it_is_missing_from() -> None:
    text = spoilt("    goal: Qualify.\n", "")
    (finding,) = findings_of(text)
    assert (finding.line, finding.column, finding.code) == (*place_of(text, "lead:\n"), "missing-field")
    assert finding.message == "'goal' is missing"


def test_a_guard_cut_by_a_comma_in_brackets_says_so() -> None:
    text = spoilt("visit: page.viewed when event.high_intent", "visit: [page.viewed when count(action, window) > 3]")
    findings = findings_of(text)
    assert "a text with a comma, a bracket" in findings[0].message


def test_every_fault_is_told_and_in_the_order_of_the_file() -> None:
    text = BASE.replace("late: sales", "late: slaes").replace("to: lead, when", "to: leed, when")
    text = text.replace("from: traits.icp_fit", "from: traits.icp_fti")
    assert [finding.code for finding in findings_of(text)] == ["unknown-field", "unknown-owner", "unknown-stage"]


@pytest.mark.parametrize("quote", ["'{}'", '"{}"', ">-\n      {}", "|\n      {}", "{}"])
def test_a_fault_is_found_inside_any_kind_of_text(quote: str) -> None:
    guard = "icp_fit or not strict or\n      icp_fit and not stritc" if "\n" in quote else "icp_fit or not stritc"
    text = spoilt("  fit:    icp_fit or not strict", f"  fit:    {quote.format(guard)}")
    assert [(finding.line, finding.column) for finding in findings_of(text)] == [place_of(text, "stritc")]


def test_a_fault_is_found_behind_escapes() -> None:
    text = spoilt("  fit:    icp_fit or not strict", r"""  fit:    "traits.email == \"a\" or stritc" """)
    assert [(finding.line, finding.column) for finding in findings_of(text)] == [place_of(text, "stritc")]
    text = spoilt("  fit:    icp_fit or not strict", "  fit:    'traits.email == ''a'' or stritc'")
    assert [(finding.line, finding.column) for finding in findings_of(text)] == [place_of(text, "stritc")]


def test_a_status_may_be_implied_by_what_the_stage_is() -> None:
    """`working: stage is lead` says the same as `working: entering lead`, and its faults have the same columns."""
    text = BASE.replace("  implied_by:\n", "  implied_by:\n    lost: [sales.disqualified, stage is lead]\n", 1)
    statuses = read(text).statuses
    assert statuses is not None
    assert statuses.implied_by["lost"].any == ["sales.disqualified", "entering lead"]
    with pytest.raises(DefinitionError) as caught:
        read(text.replace("stage is lead", "stage is leed"))
    (finding,) = caught.value.findings
    line = text.splitlines().index("    lost: [sales.disqualified, stage is lead]") + 1
    assert (finding.line, finding.column, finding.code) == (line, 41, "unknown-stage")
