"""Each figure agrees with a second computation, a plain one over lists, on histories out of thin air."""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.report.published import OWNERS, STAGES, at, changed, corrected, said, touch, write
from worker.report import Figures, ReportError, Tables, figures

pytest.importorskip("duckdb", reason="the extra `report` is not installed")

AS_OF = 1_000.0


def report(
    published: list[dict[str, Any]], events: list[dict[str, Any]] | None = None, hours: float = AS_OF
) -> Figures:
    from worker.instants import parse_instant

    with tempfile.TemporaryDirectory() as name, Tables(STAGES, OWNERS, Path(name)) as tables:
        tables.changes(write(Path(name) / "changes.jsonl", published), "changes.jsonl")
        if events is not None:
            tables.events(write(Path(name) / "events.jsonl", events), "events.jsonl", "plain")
        tables.finish(parse_instant(at(AS_OF)))
        return figures(tables, "made")


@st.composite
def walks(draw: st.DrawFn) -> list[list[dict[str, Any]]]:
    """For each contact its changes in order: some at once, some back, some over a stage; breaches beside them."""
    found: list[list[dict[str, Any]]] = []
    for number in range(draw(st.integers(1, 6))):
        contact, hours, since = f"c{number}", float(draw(st.integers(0, 300))), 0.0
        stage: str | None = None
        visits: Counter[str] = Counter()
        source = draw(st.sampled_from([None, "ads", "fair"]))
        changes: list[Any] = []
        for _ in range(draw(st.integers(1, 6))):
            to = draw(st.sampled_from([name for name in STAGES if name != stage])) if stage else STAGES[0]
            visits[to] += 1
            due = hours + draw(st.sampled_from([5, 20, 2_000]))
            more: dict[str, Any] = {
                "visit": visits[to], "reason": draw(st.sampled_from(["", "price"])),
                "score": {"total": float(draw(st.integers(0, 9)))}, "attribution": touch(source),
                "icp_fit": draw(st.sampled_from([None, True, False])), "qualified": draw(st.booleans()),
            }  # fmt: skip
            if draw(st.booleans()):
                more["sla"] = {"due_at": at(due), "late": OWNERS[STAGES.index(to)]}
            if draw(st.booleans()):
                deal = draw(st.sampled_from(["d1", "d2"]))
                more["value"] = {deal: {"amount": 100.0 if deal == "d1" else 250.0, "currency": "EUR"}}
            changes.append(changed(contact, stage, to, hours, since if stage else None, **more))
            broken = draw(st.booleans())
            if broken and "sla" in more and due < AS_OF:
                changes.append(
                    said("sla.breached", contact, due, stage=to, visit=visits[to], owner="x", due_at=at(due))
                )
            stage, since = to, hours
            hours += draw(st.sampled_from([0, 1, 7, 50]))
        found.append(changes)
    return found


@st.composite
def publications(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[list[dict[str, Any]]]]:
    """What was published, with some of it said wrong or too early at first, and the histories that it comes to."""
    histories = draw(walks())
    published: list[dict[str, Any]] = []
    for history in histories:
        contact = history[0]["subject"]
        cut = draw(st.integers(0, len(history)))
        wrong = [changed(contact, None, "sql", 1.0, reason="wrong")] if draw(st.booleans()) else []
        mistaken: bool = draw(st.booleans())
        if wrong or mistaken:
            published += [*history[:cut], *wrong]
            again = history[:cut] if draw(st.booleans()) else []  # withdrawn and said again, word for word
            published.append(corrected(contact, 999.0, [*wrong, *again], [*again, *history[cut:]]))
        else:
            published += history
    return published, histories


@settings(max_examples=8, deadline=None)
@given(publications())
def test_figures_agree_with_a_plain_computation(
    case: tuple[list[dict[str, Any]], list[list[dict[str, Any]]]],
) -> None:
    published, histories = case
    found = report(published)
    naive = Naive(histories)
    for stage in found.stages:
        name = stage["stage"]
        assert (stage["entries"], stage["contacts"], stage["current"]) == naive.counts(name)
        left, still = naive.stays(name)
        assert (stage["visits_left"], stage["visits_open"]) == (len(left), len(still))
        assert stage["median_seconds"] == pytest.approx(naive.leaving(name, 0.5))
        assert stage["p90_seconds"] == pytest.approx(naive.leaving(name, 0.9))
        assert stage["stalled"] == naive.stalled(name)
    for pair in found.conversions:
        entered, times = naive.conversion(pair["from_stage"], pair["to_stage"])
        assert (pair["entered"], pair["converted"]) == (entered, len(times))
        assert pair["rate"] == (len(times) / entered if entered else None)
        assert pair["median_seconds"] == (statistics.median(times) if times else None)
        assert pair["now_at_or_above_to"] == naive.standing(pair["to_stage"])
    assert _counted(found.moves, "from_stage", "to_stage") == naive.moves(lambda left, to, _: True, "")
    assert _counted(found.skips, "from_stage", "to_stage") == naive.moves(lambda left, to, _: to > left + 1, "")
    assert _counted(found.returned, "from_stage", "to_stage", "reason") == naive.moves(
        lambda left, to, _: to < left, "reason"
    )
    assert {row["stage"]: (row["accepted"], row["rejected"], row["waiting"]) for row in found.outcomes} == {
        name: naive.outcomes(name) for name in STAGES
    }
    assert {(row["owner"], row["stage"]): (row["kept"], row["breached"], row["running"]) for row in found.sla} == (
        naive.promises()
    )
    assert {(row["source"], row["stage"]): row["contacts"] for row in found.attribution["first"]["entries"]} == (
        naive.sources()
    )
    for row in found.quality:
        assert (row["mean_score"], row["fit_share"]) == pytest.approx(naive.quality(row["stage"]))
    assert sum(row["entries"] for row in found.trend) == sum(map(len, naive.histories))
    assert {row["stage"]: row["contacts"] for row in _summed(found.cohorts)} == {
        name: naive.counts(name)[1] for name in STAGES if naive.counts(name)[1]
    }
    open_deals = sum(row["amount"] for row in found.deals if row["standing"] == "open")
    assert open_deals == naive.open_value()
    assert sum(row["amount"] for row in found.pipeline) == naive.open_value()


def _counted(rows: list[dict[str, Any]], *columns: str) -> dict[tuple[Any, ...], int]:
    return {tuple(row[column] for column in columns): row["moves"] for row in rows}


def _summed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    totals: Counter[str] = Counter()
    for row in rows:
        totals[row["stage"]] += row["contacts"]
    return [{"stage": stage, "contacts": contacts} for stage, contacts in totals.items()]


class Naive:
    """The figures by loops over each contact's changes."""

    def __init__(self, histories: list[list[dict[str, Any]]]) -> None:
        kind = "lifecycle.stage.changed.v1"
        self.histories = [
            [(event["data"], _hours(event["time"])) for event in history if event["type"] == kind]
            for history in histories
        ]
        self.breached = {
            (event["subject"], event["data"]["stage"], event["data"]["visit"])
            for history in histories
            for event in history
            if event["type"] == "lifecycle.sla.breached.v1"
        }

    def counts(self, stage: str) -> tuple[int, int, int]:
        entries = [sum(data["to"] == stage for data, _ in history) for history in self.histories]
        return sum(entries), sum(map(bool, entries)), sum(history[-1][0]["to"] == stage for history in self.histories)

    def stays(self, stage: str) -> tuple[list[float], list[float]]:
        left, still = [], []
        for history in self.histories:
            for place, (data, hours) in enumerate(history):
                if data["to"] == stage and place + 1 < len(history):
                    left.append((history[place + 1][1] - hours) * 3600)
                elif data["to"] == stage:
                    still.append((AS_OF - hours) * 3600)
        return left, still

    def leaving(self, stage: str, share: float) -> float | None:
        """The product limit, step by step, as textbooks have it."""
        left, still = self.stays(stage)
        remain = 1.0
        for seconds in sorted(set(left)):
            risk = sum(other >= seconds for other in left + still)
            remain *= 1 - left.count(seconds) / risk
            if remain <= 1 - share + 1e-12:
                return seconds
        return None

    def stalled(self, stage: str) -> int:
        left, still = self.stays(stage)
        if not left:
            return 0
        ordered, place = sorted(left), (len(left) - 1) * 0.9
        low = int(place)
        high = min(low + 1, len(left) - 1)
        usual = ordered[low] + (ordered[high] - ordered[low]) * (place - low)
        return sum(seconds > usual for seconds in still)

    def conversion(self, low: str, high: str) -> tuple[int, list[float]]:
        entered, times = 0, []
        for history in self.histories:
            stages = [data["to"] for data, _ in history]
            if low in stages:
                entered += 1
                first = stages.index(low)
                if high in stages[first:]:
                    times.append((history[stages.index(high, first)][1] - history[first][1]) * 3600)
        return entered, times

    def standing(self, stage: str) -> int:
        return sum(STAGES.index(history[-1][0]["to"]) >= STAGES.index(stage) for history in self.histories)

    def moves(self, wanted: Any, more: str) -> dict[tuple[Any, ...], int]:
        found: Counter[tuple[Any, ...]] = Counter()
        for history in self.histories:
            for data, _ in history:
                left, to = data["from"], data["to"]
                if left is not None and wanted(STAGES.index(left), STAGES.index(to), data):
                    found[(left, to, data[more]) if more else (left, to)] += 1
        return dict(found)

    def outcomes(self, stage: str) -> tuple[int, int, int]:
        left, still = self.stays(stage)
        up = sum(
            data["from"] == stage and STAGES.index(data["to"]) > STAGES.index(stage)
            for history in self.histories
            for data, _ in history
        )
        return up, len(left) - up, len(still)

    def promises(self) -> dict[tuple[str, str], tuple[int, int, int]]:
        found: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
        for history in self.histories:
            for place, (data, _) in enumerate(history):
                if data["sla"] is None:
                    continue
                due, last = _hours(data["sla"]["due_at"]), place + 1 == len(history)
                if (data["contact"], data["to"], data["visit"]) in self.breached:
                    outcome = 1
                else:
                    outcome = 2 if last and due > AS_OF else 0
                found[data["sla"]["late"], data["to"]][outcome] += 1
        return {key: (kept, broken, running) for key, (kept, broken, running) in found.items()}

    def sources(self) -> dict[tuple[str | None, str], int]:
        found: Counter[tuple[str | None, str]] = Counter()
        for history in self.histories:
            first = history[0][0]["attribution"]["first"]
            for stage in {data["to"] for data, _ in history}:
                found[None if first is None else first["source"], stage] += 1
        return dict(found)

    def quality(self, stage: str) -> tuple[float | None, float | None]:
        entries = [data for history in self.histories for data, _ in history if data["to"] == stage]
        known = [data["icp_fit"] for data in entries if data["icp_fit"] is not None]
        return (
            statistics.fmean(data["score"]["total"] for data in entries) if entries else None,
            sum(known) / len(known) if known else None,
        )

    def open_value(self) -> float:
        return sum({"d1": 100.0, "d2": 250.0}[deal] for deal in {d for h in self.histories for d in h[-1][0]["value"]})


def _hours(time: str) -> float:
    from tests.report.published import HOUR, START
    from worker.instants import parse_instant

    return (parse_instant(time) - START) / HOUR


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


def test_the_history_of_the_documentation_comes_to_what_it_says() -> None:
    found = report(
        [
            changed("ada", None, "lead", 0),
            changed("ada", "lead", "mql", 10, 0),
            changed("ada", "mql", "customer", 40, 10),
            changed("bob", None, "lead", 0),
            changed("bob", "lead", "mql", 20, 0),
            changed("bob", "mql", "lead", 30, 20, reason="price", visit=2),
            changed("cem", None, "lead", 50),
        ]
    )
    lead, pair, mql = found.stages[0], found.conversions[0], found.outcomes[1]
    assert (lead["entries"], lead["contacts"], lead["current"], lead["stalled"]) == (4, 3, 2, 2)
    assert (lead["median_seconds"], lead["p90_seconds"]) == (20 * 3600, None)
    assert (pair["converted"], pair["entered"], pair["now_at_or_above_to"]) == (2, 3, 1)
    assert (mql["accepted"], mql["rejected"], found.returned[0]["reason"]) == (1, 1, "price")
    assert [(row["from_stage"], row["to_stage"]) for row in found.skips] == [("mql", "customer")]
    assert (found.velocity["arrived"], found.velocity["under_way"]) == (1, 2)
    assert found.velocity["median_seconds_of_arrived"] == 40 * 3600


def test_a_missing_extra_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(ReportError, match=r"^a report needs duckdb: pip install 'lifecycle-worker\[report\]'$"):
        Tables(STAGES, OWNERS, tmp_path)
