"""The figures, each by one question to the tables; what each means, in words, is in `worker.report.words`.

Shares are between 0 and 1, durations seconds, times RFC 3339. A figure that what was given can't hold is None, and
`missing` says why. Amounts of different currencies are never added up.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from worker.instants import format_instant
from worker.report.durations import Stay, quantiles
from worker.report.errors import ReportError
from worker.report.tables import Tables

STAYS_MAX: Final = 100_000  # lengths that are told apart in a stage; of more, lengths are rounded to minutes
DEMAND_NAMES: Final = ("marketing_engaged", "engaged", "lead")

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Figures:
    """All figures of one lifecycle, as of one time."""

    lifecycle: str
    as_of: str
    contacts: int
    stages: Rows
    conversions: Rows
    velocity: dict[str, Any]
    moves: Rows
    skips: Rows
    returned: Rows
    outcomes: Rows
    quality: Rows
    sla: Rows
    attribution: dict[str, Any]
    deals: Rows
    pipeline: Rows
    cost: Rows | None
    list_growth: Rows | None
    touches: Rows | None
    demand: dict[str, Any]
    hygiene: Rows
    by_hand: Rows
    customers: Rows
    trend: Rows
    cohorts: Rows
    missing: dict[str, str]

    def document(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


def figures(tables: Tables, lifecycle: str) -> Figures:
    """All figures of finished tables.

    Raises: ReportError where there are no changes to report on.
    """
    if tables.rows("SELECT count(*) FROM changes") == [(0,)]:
        raise ReportError("there are no stage changes to report on: look happened the dead letters of a replay")
    ((as_of,),) = tables.rows("SELECT epoch_ms(as_of) FROM meta")
    ((contacts,),) = tables.rows("SELECT count(*) FROM people")
    missing: dict[str, str] = {}
    if not tables.has_events:
        why = "needs the events: give --events"
        missing = dict.fromkeys(("cost", "list_growth", "touches"), why)
        missing["deals"] = "won and lost deals need the events: without them a deal is open or closed"
    elif tables.rows("SELECT count(*) FROM spend") == [(0,)]:
        missing["cost"] = "no spend.recorded among the events"
    stages = stage_figures(tables)
    return Figures(
        lifecycle=lifecycle,
        as_of=format_instant(as_of),
        contacts=contacts,
        stages=stages,
        conversions=conversions(tables),
        velocity=velocity(tables),
        moves=tables.dicts(MOVES),
        skips=tables.dicts(SKIPS),
        returned=tables.dicts(RETURNED),
        outcomes=tables.dicts(OUTCOMES),
        quality=tables.dicts(QUALITY),
        sla=tables.dicts(SLA),
        attribution={
            which: {
                "entries": tables.dicts(TOUCHED.format(which=which)),
                "pipeline": tables.dicts(TOUCHED_VALUE.format(which=which)),
            }
            for which in ("first", "last")
        },
        deals=tables.dicts(DEALS),
        pipeline=tables.dicts(PIPELINE),
        cost=None if "cost" in missing else tables.dicts(COST),
        list_growth=None if "list_growth" in missing else tables.dicts(LIST_GROWTH, [demand_stage(tables)]),
        touches=None if "touches" in missing else tables.dicts(TOUCHES),
        demand=demand(tables),
        hygiene=tables.dicts(HYGIENE),
        by_hand=tables.dicts(BY_HAND),
        customers=tables.dicts(CUSTOMERS),
        trend=tables.dicts(TREND),
        cohorts=tables.dicts(COHORTS),
        missing=missing,
    )


STAGES: Final = """
SELECT s.stage, s.owner,
       (SELECT count(*) FROM changes WHERE to_stage = s.stage) AS entries,
       (SELECT count(*) FROM reached WHERE stage = s.stage) AS contacts,
       (SELECT count(*) FROM people WHERE stage = s.stage) AS current
FROM stages s ORDER BY place"""

# Longer inside than nine of ten of those who left took.
STALLED: Final = """
WITH usual AS (SELECT stage, quantile_cont(seconds, 0.9) AS seconds FROM visits
               WHERE outcome IN ('forward', 'backward') GROUP BY ALL)
SELECT visits.stage, count(*) FROM visits JOIN usual USING (stage) WHERE open AND visits.seconds > usual.seconds
GROUP BY ALL"""


def stage_figures(tables: Tables) -> Rows:
    """Each stage: entries, contacts ever in it, contacts in it now, time in it, and how many stall."""
    stalled = dict(tables.rows(STALLED))
    rows = tables.dicts(STAGES)
    for row in rows:
        stays = _stays(tables, "FROM visits WHERE stage = ?", [row["stage"]])
        median, p90 = quantiles(stays, (0.5, 0.9))
        row |= {
            "median_seconds": median,
            "p90_seconds": p90,
            "visits_left": sum(stay.visits for stay in stays if stay.left),
            "visits_open": sum(stay.visits for stay in stays if not stay.left),
            "stalled": stalled.get(row["stage"], 0),
        }
    return rows


def _stays(tables: Tables, source: str, parameters: list[Any]) -> list[Stay]:
    """Lengths and how many there are of each; a visit that a merge cut off is known to have lasted so long."""
    left = "outcome IN ('forward', 'backward')"
    ((lengths,),) = tables.rows(f"SELECT count(DISTINCT seconds) {source}", parameters)
    length = "seconds" if lengths <= STAYS_MAX else "round(seconds / 60) * 60"
    rows = tables.rows(f"SELECT {length}, {left}, count(*) {source} GROUP BY ALL ORDER BY ALL", parameters)
    return [Stay(*row) for row in rows]


CONVERSIONS: Final = """
WITH pairs AS (SELECT a.stage AS from_stage, a.place AS low, b.stage AS to_stage, b.place AS high
               FROM stages a JOIN stages b ON b.place > a.place),
cohort AS (SELECT place, count(*) AS contacts FROM reached GROUP BY ALL),
follow AS (SELECT a.contact, a.place AS low, b.place AS high,
                  min(epoch_us(b.happened) - epoch_us(a.first_at)) / 1e6 AS seconds
           FROM reached a JOIN entries b USING (contact)
           WHERE b.place > a.place AND b.step > a.first_step GROUP BY ALL),
made AS (SELECT low, high, count(*) AS converted, median(seconds) AS median_seconds,
                quantile_cont(seconds, 0.9) AS p90_seconds FROM follow GROUP BY ALL),
standing AS (SELECT s.place, count(p.contact) AS contacts FROM stages s LEFT JOIN people p ON p.place >= s.place
             GROUP BY ALL)
SELECT from_stage, to_stage, high = low + 1 AS adjacent, coalesce(cohort.contacts, 0) AS entered,
       coalesce(converted, 0) AS converted, coalesce(converted, 0) / nullif(cohort.contacts, 0) AS rate,
       below.contacts AS now_at_or_above_from, above.contacts AS now_at_or_above_to,
       above.contacts / nullif(below.contacts, 0) AS snapshot_rate, median_seconds, p90_seconds
FROM pairs LEFT JOIN cohort ON cohort.place = low LEFT JOIN made USING (low, high)
JOIN standing below ON below.place = low JOIN standing above ON above.place = high
ORDER BY low, high"""


def conversions(tables: Tables) -> Rows:
    """Any stage to any higher one: by cohort (of those ever in the one, who came to the other later), and as it is."""
    return tables.dicts(CONVERSIONS)


# From the first change of all to the first entry of the end; who isn't there yet has taken at least so long.
END_TO_END: Final = """(
SELECT people.contact, CASE WHEN r.contact IS NULL THEN 'waiting' ELSE 'forward' END AS outcome,
       greatest(0, epoch_us(coalesce(r.first_at, as_of)) - epoch_us(came_at)) / 1e6 AS seconds
FROM people CROSS JOIN meta LEFT JOIN reached r ON r.contact = people.contact AND r.stage = ?)"""


def end_stage(tables: Tables) -> str:
    return "customer" if "customer" in tables.stages else tables.stages[-1]


def demand_stage(tables: Tables) -> str:
    """Where demand begins: the stage named so, else the second."""
    return next((name for name in DEMAND_NAMES if name in tables.stages), tables.stages[1])


def velocity(tables: Tables) -> dict[str, Any]:
    """How long it takes to come to the end: of all contacts, and of those who did."""
    end = end_stage(tables)
    stays = _stays(tables, f"FROM {END_TO_END}", [end])
    median, p90 = quantiles(stays, (0.5, 0.9))
    ((reached, arrived_median, arrived_p90),) = tables.rows(
        f"SELECT count(*), median(seconds), quantile_cont(seconds, 0.9) FROM {END_TO_END} WHERE outcome = 'forward'",
        [end],
    )
    return {
        "from": tables.stages[0],
        "to": end,
        "arrived": reached,
        "under_way": sum(stay.visits for stay in stays if not stay.left),
        "median_seconds": median,
        "p90_seconds": p90,
        "median_seconds_of_arrived": arrived_median,
        "p90_seconds_of_arrived": arrived_p90,
    }


MOVES: Final = """
SELECT from_stage, to_stage, direction, count(*) AS moves, count(DISTINCT contact) AS contacts
FROM changes JOIN stages ON to_stage = stage WHERE from_stage IS NOT NULL GROUP BY ALL ORDER BY moves DESC, 1, 2"""

SKIPS: Final = """
SELECT from_stage, to_stage, count(*) AS moves, b.place - a.place - 1 AS stages_skipped
FROM changes JOIN stages a ON a.stage = from_stage JOIN stages b ON b.stage = to_stage
WHERE b.place > a.place + 1 GROUP BY ALL ORDER BY moves DESC, 1, 2"""

RETURNED: Final = """
SELECT from_stage, to_stage, coalesce(reason, '') AS reason, count(*) AS moves, count(DISTINCT contact) AS contacts
FROM changes WHERE direction = 'backward' GROUP BY ALL ORDER BY moves DESC, 1, 2, 3"""

OUTCOMES: Final = """
SELECT stages.stage, count(*) FILTER (outcome = 'forward') AS accepted,
       count(*) FILTER (outcome = 'backward') AS rejected,
       count(*) FILTER (outcome IN ('waiting', 'merged')) AS waiting,
       accepted / nullif(accepted + rejected, 0) AS accepted_share
FROM stages LEFT JOIN visits USING (stage) GROUP BY stages.stage, stages.place ORDER BY stages.place"""

QUALITY: Final = """
SELECT stage, count(contact) AS entries, avg(score) AS mean_score,
       count(*) FILTER (icp_fit) / nullif(count(icp_fit), 0) AS fit_share,
       count(*) FILTER (qualified) / nullif(count(contact), 0) AS qualified_share
FROM stages LEFT JOIN changes ON to_stage = stage GROUP BY stage, place ORDER BY place"""

SLA: Final = """
SELECT owner, stage, count(*) FILTER (outcome = 'kept') AS kept, count(*) FILTER (outcome = 'breached') AS breached,
       count(*) FILTER (outcome = 'running') AS running, kept / nullif(kept + breached, 0) AS kept_share
FROM promises GROUP BY ALL ORDER BY owner, stage"""

TOUCHED: Final = """
SELECT {which}_source AS source, {which}_medium AS medium, {which}_campaign AS campaign, stage,
       count(*) AS entries, count(DISTINCT contact) AS contacts
FROM changes JOIN stages ON to_stage = stage GROUP BY 1, 2, 3, stage, place
ORDER BY place, entries DESC, 1 NULLS LAST, 2 NULLS LAST, 3 NULLS LAST"""

TOUCHED_VALUE: Final = """
SELECT {which}_source AS source, {which}_medium AS medium, {which}_campaign AS campaign, currency, standing,
       count(*) AS deals, sum(amount) AS amount
FROM deals LEFT JOIN people USING (contact) GROUP BY ALL
ORDER BY standing, amount DESC NULLS LAST, 1 NULLS LAST, 2 NULLS LAST, 3 NULLS LAST, 4"""

DEALS: Final = """
SELECT standing, currency, count(*) AS deals, sum(amount) AS amount FROM deals GROUP BY ALL ORDER BY 1, 2 NULLS LAST"""

PIPELINE: Final = """
SELECT stage, currency, count(*) AS deals, sum(amount) AS amount
FROM deals JOIN people USING (contact) WHERE standing = 'open' GROUP BY stage, place, currency
ORDER BY place, currency NULLS LAST"""

COST: Final = """
WITH spent AS (SELECT campaign, currency, sum(amount) AS amount FROM spend GROUP BY ALL),
leads AS (SELECT first_campaign AS campaign, r.stage, count(*) AS contacts
          FROM people JOIN reached r USING (contact) GROUP BY ALL),
every AS (SELECT campaign, currency, amount, stages.stage, place, coalesce(contacts, 0) AS contacts
          FROM spent CROSS JOIN stages LEFT JOIN leads USING (campaign, stage))
SELECT campaign, currency, stage, amount, contacts, amount / nullif(contacts, 0) AS cost_per_contact
FROM every ORDER BY campaign, currency, place"""

LIST_GROWTH: Final = """
WITH weeks AS (
    SELECT date_trunc('week', happened) AS week, count(*) FILTER (type = 'list.subscribed') AS subscribed,
           count(*) FILTER (type = 'list.unsubscribed') AS unsubscribed, 0 AS demand
    FROM events WHERE type IN ('list.subscribed', 'list.unsubscribed') GROUP BY ALL
    UNION ALL
    SELECT date_trunc('week', first_at), 0, 0, count(*) FROM reached WHERE stage = ? GROUP BY ALL)
SELECT strftime(week, '%Y-%m-%d') AS week, sum(subscribed)::BIGINT AS subscribed,
       sum(unsubscribed)::BIGINT AS unsubscribed, sum(demand)::BIGINT AS demand
FROM weeks GROUP BY ALL ORDER BY ALL"""

TOUCHES: Final = """
WITH counted AS (
    SELECT r.contact, r.stage, r.place, count(e.happened) AS touches
    FROM reached r LEFT JOIN (
        SELECT coalesce(identities.contact, events.contact) AS contact, happened FROM events
        LEFT JOIN identities ON identities.id_then = events.contact) e
      ON e.contact = r.contact AND e.happened <= r.first_at
    GROUP BY ALL)
SELECT stage, avg(touches) AS mean_touches, median(touches) AS median_touches FROM counted
GROUP BY stage, place ORDER BY place"""


def demand(tables: Tables) -> dict[str, Any]:
    """Contacts that fit, and how many of them ever came to where demand begins."""
    stage = demand_stage(tables)
    ((fitting, engaged),) = tables.rows(
        "SELECT count(*), count(*) FILTER (contact IN (SELECT contact FROM reached WHERE stage = ?))"
        " FROM people WHERE icp_fit",
        [stage],
    )
    return {"stage": stage, "fit": fitting, "engaged": engaged, "share": engaged / fitting if fitting else None}


# `still_there`: contacts that are in the stage in which the rule last failed for them.
HYGIENE: Final = """
SELECT rule, count(*) AS failures, count(DISTINCT hygiene.contact) AS contacts,
       count(DISTINCT hygiene.contact) FILTER (people.stage = hygiene.stage) AS still_there
FROM hygiene LEFT JOIN people USING (contact) GROUP BY ALL ORDER BY rule"""

BY_HAND: Final = """
SELECT to_stage AS stage, coalesce(placed_by, '') AS placed_by, count(*) AS moves
FROM changes WHERE cause_kind = 'person' GROUP BY ALL ORDER BY moves DESC, 1, 2"""

CUSTOMERS: Final = """
SELECT customer_status AS status, count(*) AS companies FROM companies WHERE customer_status IS NOT NULL
GROUP BY ALL ORDER BY 1"""

TREND: Final = """
SELECT strftime(date_trunc('week', happened), '%Y-%m-%d') AS week, stage, count(*) AS entries
FROM changes JOIN stages ON to_stage = stage GROUP BY week, stage, place ORDER BY week, place"""

COHORTS: Final = """
SELECT strftime(came_week, '%Y-%m-%d') AS week, r.stage, count(*) AS contacts
FROM people JOIN reached r USING (contact) GROUP BY came_week, r.stage, r.place ORDER BY came_week, r.place"""
