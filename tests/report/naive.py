"""All figures once more, by plain loops over what was published: a second computation that shares nothing with SQL.

It is slow, and says each definition of docs/figures.md in as few words as it can.
"""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from worker.instants import parse_instant

Row = dict[str, Any]
Event = dict[str, Any]

DAYS = (1, 3, 7, 14, 30, 60, 90, 180, 365)


class Change(NamedTuple):
    """A stage change that stands; times are epoch ms."""

    contact: str
    id_then: str
    happened: int
    order: int
    data: dict[str, Any]

    @property
    def left(self) -> str | None:
        said: str | None = self.data["from"]
        return said

    @property
    def to(self) -> str:
        return str(self.data["to"])


class Visit(NamedTuple):
    stage: str
    seconds: float
    ended: str  # forward, backward, merged, waiting
    contact: str


class Standing:
    """What stands of all that was published: corrections and erasures applied, ids as they are now."""

    def __init__(self, published: Sequence[Event], as_of: int) -> None:
        said: dict[str, tuple[int, int, Event]] = {}
        erased: dict[str, tuple[int, int]] = {}
        for position, event in enumerate(published):
            if event["type"] == "lifecycle.corrected.v1":
                for gone in event["data"]["withdrawn"]:
                    said.pop(gone, None)
                for sub, one in enumerate(event["data"]["restated"], 1):
                    said[one["id"]] = (position, sub, one)
            else:
                said[event["id"]] = (position, 0, event)
                if event["type"] == "lifecycle.contact.erased.v1":
                    erased[event["subject"]] = (position, parse_instant(event["time"]))
        every = sorted(said.values(), key=lambda one: one[:2])
        into: dict[str, tuple[int, int, str]] = {}
        for position, _, event in every:
            if event["type"] == "lifecycle.contact.merged.v1" and parse_instant(event["time"]) <= as_of:
                link = (parse_instant(event["time"]), position, event["subject"])
                into[event["data"]["from"]] = max(into.get(event["data"]["from"], link), link)
        self.merged_at = {name: at for name, (at, _, _) in into.items()}
        self._into = {name: target for name, (_, _, target) in into.items()}
        self.erased = erased
        self.events = [
            (order, event)
            for order, (position, _, event) in enumerate(every)
            if parse_instant(event["time"]) <= as_of
            and all(position > erased[name][0] for name in {event["subject"], self.now(event["subject"])} & set(erased))
        ]

    def now(self, name: str) -> str:
        """Who an id is now."""
        for _ in range(16):
            if name not in self._into:
                break
            name = self._into[name]
        return name

    def of(self, kind: str) -> list[tuple[int, Event]]:
        return [(order, event) for order, event in self.events if event["type"] == f"lifecycle.{kind}.v1"]


class Naive:
    """The figures, a method each; `document` has all of them, in the shape of `Figures.document`."""

    def __init__(
        self, published: Sequence[Event], events: Sequence[Event], stages: list[str], owners: list[str], as_of: int
    ) -> None:
        self.stages, self.owners, self.as_of = stages, owners, as_of
        self.standing = standing = Standing(published, as_of)
        changes = [
            Change(standing.now(e["subject"]), e["subject"], parse_instant(e["time"]), order, e["data"])
            for order, e in standing.of("stage.changed")
        ]
        alive = {change.contact for change in changes if change.contact == change.id_then}
        self.changes = sorted((change for change in changes if change.contact in alive), key=_order)
        self.histories: dict[str, list[Change]] = defaultdict(list)
        self.own: dict[str, list[Change]] = defaultdict(list)
        for change in self.changes:
            self.histories[change.contact].append(change)
            self.own[change.id_then].append(change)
        self.last = {contact: self.own[contact][-1] for contact in self.histories}
        self.visits = [visit for name, history in self.own.items() for visit in self._visits(name, history)]
        self.events = self._events(events)
        self.spend = [e for e in _once(events) if e["type"] == "spend.recorded" and parse_instant(e["time"]) <= as_of]

    def place(self, stage: str) -> int:
        return self.stages.index(stage)

    def _events(self, events: Sequence[Event]) -> list[tuple[str, int, Event]]:
        found = []
        for event in _once(events):
            happened = parse_instant(event["time"])
            names = {event["subject"], self.standing.now(event["subject"])} & set(self.standing.erased)
            gone = any(happened <= self.standing.erased[name][1] for name in names)
            if event["type"] != "spend.recorded" and happened <= self.as_of and not gone:
                found.append((self.standing.now(event["subject"]), happened, event))
        return found

    def _visits(self, name: str, history: list[Change]) -> Iterable[Visit]:
        for place, change in enumerate(history):
            if place + 1 < len(history):
                after = history[place + 1]
                ended = "backward" if self.place(after.to) < self.place(change.to) else "forward"
                until = after.happened
            else:
                until = self.standing.merged_at.get(name, self.as_of)
                ended = "merged" if name in self.standing.merged_at else "waiting"
            yield Visit(change.to, max(0, until - change.happened) / 1000, ended, change.contact)

    def firsts(self, stage: str) -> dict[str, int]:
        """For each contact ever in the stage, where in its history it first came there."""
        return {
            contact: next(step for step, change in enumerate(history) if change.to == stage)
            for contact, history in self.histories.items()
            if any(change.to == stage for change in history)
        }

    def first_at(self, stage: str) -> dict[str, int]:
        return {contact: self.histories[contact][step].happened for contact, step in self.firsts(stage).items()}

    def document(self) -> dict[str, Any]:
        return {
            "contacts": len(self.histories), "stages": [self._stage(stage) for stage in self.stages],
            "conversions": self._conversions(), "conversions_by_week": self._by_week(), "velocity": self._velocity(),
            "moves": self._moves(), "skips": self._skips(), "returned": self._returned(),
            "outcomes": [self._outcomes(stage) for stage in self.stages],
            "quality": [self._quality(stage) for stage in self.stages], "sla": self._sla(),
            "attribution": {which: self._attribution(which) for which in ("first", "last")},
            "deals": _sums((_standing(d), {"amount": d["amount"]}) for d in self._deals()),
            "pipeline": self._pipeline(), "cost": self._cost(), "list_growth": self._list_growth(),
            "touches": self._touches(), "demand": self._demand(), "hygiene": self._hygiene(),
            "by_hand": self._by_hand(), "customers": self._customers(), "statuses": self._statuses(),
            "trend": _rows(
                Counter((_week(c.happened), c.to) for c in self.changes), ("week", "stage"), "entries"
            ),
            "cohorts": _rows(
                Counter((_week(self.histories[contact][0].happened), stage)
                        for stage in self.stages for contact in self.firsts(stage)), ("week", "stage"), "contacts"
            ),
        }  # fmt: skip

    def _stage(self, stage: str) -> Row:
        mine = [visit for visit in self.visits if visit.stage == stage]
        left = [visit.seconds for visit in mine if visit.ended in ("forward", "backward")]
        still = [visit.seconds for visit in mine if visit.ended in ("merged", "waiting")]
        usual = quantile(left, 0.9)
        return {
            "stage": stage, "owner": self.owners[self.place(stage)],
            "entries": len(mine), "contacts": len(self.firsts(stage)),
            "current": sum(change.to == stage for change in self.last.values()),
            "stalled": sum(
                usual is not None and visit.ended == "waiting" and visit.seconds > usual for visit in mine
            ),
            "median_seconds": leaving(left, still, 0.5), "p90_seconds": leaving(left, still, 0.9),
            "remaining": {f"{days}d": remaining(left, still, days * 86_400) for days in DAYS},
            "visits_left": len(left), "visits_open": len(still),
        }  # fmt: skip

    def _followed(self, low: str, high: str) -> dict[str, float]:
        """Seconds from the first entry of the one stage to the first of the other after it, by contact."""
        found = {}
        for contact, step in self.firsts(low).items():
            history = self.histories[contact]
            later = [change.happened for change in history[step + 1 :] if change.to == high]
            if later:
                found[contact] = (later[0] - history[step].happened) / 1000
        return found

    def _conversions(self) -> list[Row]:
        rows = []
        for a, low in enumerate(self.stages):
            for b in range(a + 1, len(self.stages)):
                high, entered = self.stages[b], len(self.firsts(low))
                seconds = list(self._followed(low, high).values())
                at_low, at_high = (sum(self.place(c.to) >= p for c in self.last.values()) for p in (a, b))
                rows.append({
                    "from_stage": low, "to_stage": high, "adjacent": b == a + 1, "entered": entered,
                    "converted": len(seconds), "rate": share(len(seconds), entered),
                    "now_at_or_above_from": at_low, "now_at_or_above_to": at_high,
                    "snapshot_rate": share(at_high, at_low), "median_seconds": quantile(seconds, 0.5),
                    "p90_seconds": quantile(seconds, 0.9),
                })  # fmt: skip
        return rows

    def _by_week(self) -> list[Row]:
        entered: Counter[tuple[str, str, str]] = Counter()
        converted: Counter[tuple[str, str, str]] = Counter()
        for low, high in zip(self.stages, self.stages[1:], strict=False):
            followed = self._followed(low, high)
            for contact, happened in self.first_at(low).items():
                entered[_week(happened), low, high] += 1
                converted[_week(happened), low, high] += contact in followed
        return [
            {"week": key[0], "from_stage": key[1], "to_stage": key[2], "entered": count, "converted": converted[key],
             "rate": converted[key] / count}
            for key, count in entered.items()
        ]  # fmt: skip

    def _velocity(self) -> Row:
        end = "customer" if "customer" in self.stages else self.stages[-1]
        arrived, came = self.first_at(end), {name: of[0].happened for name, of in self.histories.items()}
        took = [(arrived[name] - came[name]) / 1000 for name in arrived]
        waits = [max(0, self.as_of - at) / 1000 for name, at in came.items() if name not in arrived]
        return {
            "from": self.stages[0], "to": end, "arrived": len(took), "under_way": len(waits),
            "median_seconds": leaving(took, waits, 0.5), "p90_seconds": leaving(took, waits, 0.9),
            "median_seconds_of_arrived": quantile(took, 0.5), "p90_seconds_of_arrived": quantile(took, 0.9),
        }  # fmt: skip

    def _paired(self, wanted: Callable[[int, int], bool]) -> list[Change]:
        return [c for c in self.changes if c.left is not None and wanted(self.place(c.left), self.place(c.to))]

    def _moves(self) -> list[Row]:
        who = _grouped(self._paired(lambda left, to: True), lambda c: (c.left, c.to))
        return [
            {"from_stage": left, "to_stage": to, "moves": len(of), "contacts": len({c.contact for c in of}),
             "direction": "backward" if self.place(to) < self.place(left) else "forward"}
            for (left, to), of in who.items()
        ]  # fmt: skip

    def _skips(self) -> list[Row]:
        found = Counter((c.left, c.to) for c in self._paired(lambda left, to: to > left + 1))
        return [
            {"from_stage": left, "to_stage": to, "moves": n,
             "stages_skipped": self.place(to) - self.place(str(left)) - 1}
            for (left, to), n in found.items()
        ]  # fmt: skip

    def _returned(self) -> list[Row]:
        back = _grouped(self._paired(lambda left, to: to < left), lambda c: (c.left, c.to, c.data["reason"]))
        return [
            {"from_stage": left, "to_stage": to, "reason": why, "moves": len(of),
             "contacts": len({c.contact for c in of}), "came_again": sum(map(self._came_again, of))}
            for (left, to, why), of in back.items()
        ]  # fmt: skip

    def _came_again(self, change: Change) -> bool:
        history = self.histories[change.contact]
        later = history[history.index(change) + 1 :]
        return any(self.place(after.to) >= self.place(str(change.left)) for after in later)

    def _outcomes(self, stage: str) -> Row:
        ends = Counter(visit.ended for visit in self.visits if visit.stage == stage)
        return {
            "stage": stage, "accepted": ends["forward"], "rejected": ends["backward"],
            "waiting": ends["merged"] + ends["waiting"],
            "accepted_share": share(ends["forward"], ends["forward"] + ends["backward"]),
        }  # fmt: skip

    def _quality(self, stage: str) -> Row:
        entries = [change.data for change in self.changes if change.to == stage]
        fits = [data["icp_fit"] for data in entries if data["icp_fit"] is not None]
        return {
            "stage": stage, "entries": len(entries),
            "mean_score": statistics.fmean(data["score"]["total"] for data in entries) if entries else None,
            "fit_share": share(sum(fits), len(fits)),
            "qualified_share": share(sum(data["qualified"] for data in entries), len(entries)),
        }  # fmt: skip

    def _sla(self) -> list[Row]:
        late = {(e["subject"], e["data"]["stage"], e["data"]["visit"]) for _, e in self.standing.of("sla.breached")}
        found: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        for name, history in self.own.items():
            for change in history:
                if change.data["sla"] is None:
                    continue
                open_still = change == history[-1] and name not in self.standing.merged_at
                if (name, change.to, change.data["visit"]) in late:
                    outcome = "breached"
                else:
                    due = parse_instant(change.data["sla"]["due_at"])
                    outcome = "running" if open_still and due > self.as_of else "kept"
                found[change.data["sla"]["late"], change.to][outcome] += 1
        return [
            {"owner": owner, "stage": stage, "kept": n["kept"], "breached": n["breached"], "running": n["running"],
             "kept_share": share(n["kept"], n["kept"] + n["breached"])}
            for (owner, stage), n in found.items()
        ]  # fmt: skip

    def _attribution(self, which: str) -> Row:
        entries = _grouped(self.changes, lambda c: (*_touch(c, which), c.to))
        return {
            "entries": [
                {"source": s, "medium": m, "campaign": g, "stage": stage, "entries": len(of),
                 "contacts": len({c.contact for c in of})}
                for (s, m, g, stage), of in entries.items()
            ],
            "pipeline": _sums(
                ({**_named(_touch(self.last.get(d["contact"]), which)), **_standing(d)}, {"amount": d["amount"]})
                for d in self._deals()
            ),
        }  # fmt: skip

    def _deals(self) -> list[Row]:
        told = [(c, deal, value) for c in self.changes for deal, value in c.data["value"].items()]
        said = [
            (name, happened, event)
            for name, happened, event in self.events
            if "deal_id" in event["data"] and (event["type"].startswith("deal.") or event["type"] == "proposal.sent")
        ]
        rows = []
        for deal in sorted({deal for _, deal, _ in told} | {e["data"]["deal_id"] for _, _, e in said}):
            mine = sorted(((c, v) for c, d, v in told if d == deal), key=lambda x: (x[0].happened, x[0].order))
            heard = sorted((x for x in said if x[2]["data"]["deal_id"] == deal), key=lambda x: x[1])
            still = [(c, v) for c, v in mine if c == self.last.get(c.contact)]
            contact = (still or mine)[-1][0].contact if mine else heard[-1][0]
            amount, currency = (
                _latest(
                    [v[field] for _, v in mine if v[field] is not None][-1:],
                    [e["data"].get(field) for _, _, e in heard],
                )
                for field in ("amount", "currency")
            )
            ends = [e["type"] for _, _, e in heard if e["type"] in ("deal.won", "deal.lost")]
            standing = ends[-1].removeprefix("deal.") if ends else "open" if still or not mine else "closed"
            rows.append({"contact": contact, "amount": amount, "currency": currency, "standing": standing})
        return rows

    def _pipeline(self) -> list[Row]:
        return _sums(
            ({"stage": self.last[d["contact"]].to, "currency": d["currency"]}, {"amount": d["amount"]})
            for d in self._deals()
            if d["standing"] == "open" and d["contact"] in self.last
        )

    def _cost(self) -> list[Row] | None:
        if not self.spend:
            return None
        spent: Counter[tuple[str, str]] = Counter()
        for event in self.spend:
            spent[event["subject"], event["data"]["currency"]] += event["data"]["amount"]
        rows = []
        for (campaign, currency), amount in spent.items():
            for stage in self.stages:
                n = sum(_touch(self.last[name], "first")[2] == campaign for name in self.firsts(stage))
                rows.append({"campaign": campaign, "currency": currency, "stage": stage, "amount": amount,
                             "contacts": n, "cost_per_contact": share(amount, n)})  # fmt: skip
        return rows

    @property
    def _demand_stage(self) -> str:
        return next((name for name in ("marketing_engaged", "engaged", "lead") if name in self.stages), self.stages[1])

    def _list_growth(self) -> list[Row]:
        found: dict[str, Counter[str]] = defaultdict(Counter)
        for _, happened, event in self.events:
            if event["type"] in ("list.subscribed", "list.unsubscribed"):
                found[_week(happened)][event["type"].removeprefix("list.")] += 1
        for happened in self.first_at(self._demand_stage).values():
            found[_week(happened)]["demand"] += 1
        return [
            {"week": week, "subscribed": n["subscribed"], "unsubscribed": n["unsubscribed"], "demand": n["demand"]}
            for week, n in found.items()
        ]

    def _touches(self) -> list[Row]:
        rows = []
        for stage in self.stages:
            counts, between = [], []
            for contact, step in self.firsts(stage).items():
                history = self.histories[contact]
                times = [at for name, at, _ in self.events if name == contact and at <= history[step].happened]
                counts.append(len(times))
                if step:
                    between.append(sum(at > history[step - 1].happened for at in times))
            if counts:
                rows.append({
                    "stage": stage, "mean_touches": statistics.fmean(counts),
                    "median_touches": statistics.median(counts),
                    "mean_touches_between": statistics.fmean(between) if between else None,
                })  # fmt: skip
        return rows

    def _demand(self) -> Row:
        fits = {contact for contact, change in self.last.items() if change.data["icp_fit"]}
        engaged = len(fits & set(self.firsts(self._demand_stage)))
        return {"stage": self._demand_stage, "fit": len(fits), "engaged": engaged, "share": share(engaged, len(fits))}

    def _hygiene(self) -> list[Row]:
        failed: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for _, event in sorted(
            self.standing.of("hygiene.failed"), key=lambda one: (parse_instant(one[1]["time"]), one[0])
        ):
            for failure in event["data"]["failures"]:
                failed[failure["rule"]].append((self.standing.now(event["subject"]), event["data"]["stage"]))
        return [
            {"rule": rule, "failures": len(of), "contacts": len(dict(of)),
             "still_there": sum(name in self.last and self.last[name].to == at for name, at in dict(of).items())}
            for rule, of in failed.items()
        ]  # fmt: skip

    def _by_hand(self) -> list[Row]:
        placed = [c for c in self.changes if c.data["cause"]["kind"] == "person"]
        return _rows(Counter((c.to, c.data["cause"]["by"]) for c in placed), ("stage", "placed_by"), "moves")

    def _status(self, contact: str) -> str | None:
        now = self.last[contact]
        later = [
            (parse_instant(event["time"]), order, event["data"]["to"])
            for order, event in self.standing.of("status.changed")
            if event["subject"] == contact and parse_instant(event["time"]) >= now.happened
        ]
        told: str | None = max(later)[2] if later else now.data["status"]
        return told

    def _statuses(self) -> list[Row]:
        found = Counter(self._status(contact) for contact in self.last)
        return [{"status": status, "contacts": n} for status, n in found.items() if status is not None]

    def _customers(self) -> list[Row]:
        end = "customer" if "customer" in self.stages else self.stages[-1]
        found: Counter[tuple[str, str]] = Counter()
        for contact in self.firsts(end):
            stays = self.place(self.last[contact].to) >= self.place(end) and self._status(contact) != "inactive"
            found["contacts", "active" if stays else "inactive"] += 1
        latest = {
            event["subject"]: event["data"]["customer_status_to"]
            for _, event in sorted(
                self.standing.of("company.changed"), key=lambda one: (one[1]["data"]["revision"], one[0])
            )
        }
        found.update(("companies", status) for status in latest.values() if status is not None)
        return _rows(found, ("who", "status"), "customers")


def share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def quantile(values: Iterable[float], at: float) -> float | None:
    """Between the two values next to it, as far as it is from each."""
    ordered = sorted(values)
    if not ordered:
        return None
    place = (len(ordered) - 1) * at
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def survival(left: Sequence[float], still: Sequence[float]) -> list[tuple[float, float]]:
    """The product limit, step by step, as textbooks have it."""
    found, remain = [], 1.0
    for seconds in sorted(set(left)):
        remain *= 1 - left.count(seconds) / sum(other >= seconds for other in (*left, *still))
        found.append((seconds, remain))
    return found


def leaving(left: Sequence[float], still: Sequence[float], at: float) -> float | None:
    return next((seconds for seconds, remain in survival(left, still) if remain <= 1 - at + 1e-12), None)


def remaining(left: Sequence[float], still: Sequence[float], seconds: float) -> float | None:
    if not left and not still:
        return None
    steps = [remain for length, remain in survival(left, still) if length <= seconds]
    found = steps[-1] if steps else 1.0
    return None if seconds > max((*left, *still)) and found > 1e-12 else found


def _order(change: Change) -> tuple[int, bool, float, int]:
    stayed = change.data["seconds_in_previous"]
    return change.happened, change.left is not None, float("inf") if stayed is None else -stayed, change.order


def _once(events: Sequence[Event]) -> list[Event]:
    """Of each event the first arrival."""
    return list({(e["subject"], e["source"], e["id"]): e for e in reversed(events)}.values())[::-1]


def _week(happened: int) -> str:
    day = datetime.fromtimestamp(happened / 1000, UTC).date()
    return (day - timedelta(days=day.weekday())).isoformat()


def _touch(change: Change | None, which: str) -> tuple[str | None, str | None, str | None]:
    told = change.data["attribution"][which] if change is not None else None
    return (None, None, None) if told is None else (told["source"], told["medium"], told["campaign"])


def _named(touch: tuple[str | None, str | None, str | None]) -> Row:
    return dict(zip(("source", "medium", "campaign"), touch, strict=True))


def _standing(deal: Row) -> Row:
    return {"standing": deal["standing"], "currency": deal["currency"]}


def _latest(changes: list[Any], events: list[Any]) -> Any:
    """What events say last, else what the changes do."""
    told = [value for value in events if value is not None]
    return told[-1] if told else changes[-1] if changes else None


def _grouped(changes: Iterable[Change], key: Callable[[Change], Any]) -> dict[Any, list[Change]]:
    found: dict[Any, list[Change]] = defaultdict(list)
    for change in changes:
        found[key(change)].append(change)
    return found


def _rows(found: Counter[Any], columns: Sequence[str], counted: str) -> list[Row]:
    return [{**dict(zip(columns, key, strict=True)), counted: n} for key, n in found.items()]


def _sums(deals: Iterable[tuple[Row, Row]]) -> list[Row]:
    found: dict[tuple[Any, ...], list[float | None]] = defaultdict(list)
    for key, value in deals:
        found[tuple(key.items())].append(value["amount"])
    return [
        {**dict(key), "deals": len(of), "amount": sum(known) if (known := [a for a in of if a is not None]) else None}
        for key, of in found.items()
    ]
