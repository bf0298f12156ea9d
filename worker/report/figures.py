"""The figures, each by one question to the tables; what each means, in words, is in `worker.report.words`.

Shares are between 0 and 1, durations seconds, times RFC 3339. A figure that what was given can't hold is None, and
`missing` says why. Amounts of different currencies are never added up.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from worker.instants import format_instant
from worker.report.durations import Stay, curve
from worker.report.errors import ReportError
from worker.report.tables import Tables

STAYS_MAX: Final = 100_000  # visits whose lengths are told apart; of more, lengths are rounded to a thousandth
AFTER_SECONDS: Final = tuple(86_400 * days for days in (1, 3, 7, 14, 30, 60, 90, 180, 365))
"""When the distribution of time in stage is looked at."""

CUSTOMER: Final = "customer"
INACTIVE: Final = "inactive"
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
    conversions_by_week: Rows
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
    statuses: Rows
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
        raise ReportError("there are no stage changes to report on: look at the dead letters of a replay")
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
        conversions_by_week=tables.dicts(CONVERSIONS_BY_WEEK),
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
        customers=tables.dicts(CUSTOMERS, [INACTIVE, end_stage(tables)]),
        statuses=tables.dicts(STATUSES),
        trend=tables.dicts(TREND),
        cohorts=tables.dicts(COHORTS),
        missing=missing,
    )


STAGES: Final = """
WITH ever AS (SELECT place, sum(entries)::BIGINT AS entries, count(*) AS contacts FROM reached GROUP BY ALL),
now AS (SELECT place, count(*) AS current FROM people GROUP BY ALL),
stalling AS (SELECT place, count(*) AS stalled FROM stalled GROUP BY ALL)
SELECT stage, owner, coalesce(entries, 0) AS entries, coalesce(contacts, 0) AS contacts,
       coalesce(current, 0) AS current, coalesce(stalled, 0) AS stalled
FROM stages LEFT JOIN ever USING (place) LEFT JOIN now USING (place) LEFT JOIN stalling USING (place) ORDER BY place"""


def stage_figures(tables: Tables) -> Rows:
    """Each stage: entries, contacts ever in it, contacts in it now, time in it, and how many stall."""
    rows = tables.dicts(STAGES)
    for place, row in enumerate(rows):
        stays = _stays(tables, "visits", f"place = {place}")
        told = curve(stays)
        row |= {
            "median_seconds": told.by(0.5),
            "p90_seconds": told.by(0.9),
            "remaining": {f"{seconds // 86_400}d": told.remaining(seconds) for seconds in AFTER_SECONDS},
            "visits_left": sum(stay.visits for stay in stays if stay.left),
            "visits_open": sum(stay.visits for stay in stays if not stay.left),
        }
    return rows


def _stays(tables: Tables, source: str, where: str) -> list[Stay]:
    """Lengths and how many there are of each; a visit that a merge cut off is known to have lasted so long."""
    ((visits,),) = tables.rows(f"SELECT count(*) FROM {source} WHERE {where}")
    length = "seconds" if visits <= STAYS_MAX else "exp(round(ln(greatest(seconds, 1)) * 1000) / 1000)"
    rows = tables.rows(
        f"SELECT {length}, outcome IN ('forward', 'backward'), count(*) FROM {source} WHERE {where}"
        " GROUP BY ALL ORDER BY ALL"
    )
    return [Stay(*row) for row in rows]


# Of two stages of a contact, that it came to the other later is plain where the other's first entry is; else only its
# entries one by one can tell, which few contacts need.
CONVERSIONS: Final = """
WITH pairs AS (SELECT a.contact, a.place AS low, b.place AS high, a.first_at, a.first_step,
                      b.first_at AS second_at, b.first_step AS second_step, b.last_step
               FROM reached a JOIN reached b USING (contact) WHERE b.place > a.place AND b.last_step > a.first_step),
follow AS (
    SELECT low, high, epoch_us(second_at) - epoch_us(first_at) AS micros FROM pairs WHERE second_step > first_step
    UNION ALL
    SELECT low, high, min(epoch_us(happened)) - epoch_us(first_at)
    FROM (FROM pairs WHERE second_step < first_step) late
    JOIN history ON history.contact = late.contact AND history.place = high AND step > first_step
    GROUP BY late.contact, low, high, first_at),
made AS (SELECT low, high, count(*) AS converted, median(micros / 1e6) AS median_seconds,
                quantile_cont(micros / 1e6, 0.9) AS p90_seconds FROM follow GROUP BY ALL),
cohort AS (SELECT place, count(*) AS contacts FROM reached GROUP BY ALL),
now AS (SELECT place, count(*) AS contacts FROM people GROUP BY ALL),
above AS (SELECT s.place, coalesce(sum(contacts), 0)::BIGINT AS contacts FROM stages s
          LEFT JOIN now ON now.place >= s.place
          GROUP BY ALL)
SELECT a.stage AS from_stage, b.stage AS to_stage, b.place = a.place + 1 AS adjacent,
       coalesce(cohort.contacts, 0) AS entered, coalesce(converted, 0) AS converted,
       coalesce(converted, 0) / nullif(cohort.contacts, 0) AS rate,
       below.contacts AS now_at_or_above_from, above.contacts AS now_at_or_above_to,
       above.contacts / nullif(below.contacts, 0) AS snapshot_rate, median_seconds, p90_seconds
FROM stages a JOIN stages b ON b.place > a.place LEFT JOIN cohort ON cohort.place = a.place
LEFT JOIN made ON low = a.place AND high = b.place
JOIN above below ON below.place = a.place JOIN above ON above.place = b.place
ORDER BY a.place, b.place"""

# Of those whose first entry of the one stage was in a week, how many came to the next stage after it.
CONVERSIONS_BY_WEEK: Final = """
WITH came AS (
    SELECT date_trunc('week', a.first_at) AS week, a.place, count(*) AS entered, count(b.contact) AS converted
    FROM reached a
    LEFT JOIN reached b ON b.contact = a.contact AND b.place = a.place + 1 AND b.last_step > a.first_step
    GROUP BY ALL)
SELECT strftime(week, '%Y-%m-%d') AS week, stages.stage AS from_stage, next.stage AS to_stage, entered, converted,
       converted / entered AS rate
FROM came JOIN stages USING (place) JOIN stages next ON next.place = came.place + 1 ORDER BY week, came.place"""


def conversions(tables: Tables) -> Rows:
    """Any stage to any higher one: by cohort (of those ever in the one, who came to the other later), and as it is."""
    return tables.dicts(CONVERSIONS)


# From the first change of all to the first entry of the end; who isn't there yet has taken at least so long.
END_TO_END: Final = """(
SELECT CASE WHEN r.contact IS NULL THEN 'waiting' ELSE 'forward' END AS outcome,
       greatest(0, epoch_us(coalesce(r.first_at, as_of)) - epoch_us(came_at)) / 1e6 AS seconds
FROM people CROSS JOIN meta LEFT JOIN (FROM reached WHERE place = {end}) r USING (contact))"""


def end_stage(tables: Tables) -> str:
    return CUSTOMER if CUSTOMER in tables.stages else tables.stages[-1]


def demand_stage(tables: Tables) -> str:
    """Where demand begins: the stage named so, else the second."""
    return next((name for name in DEMAND_NAMES if name in tables.stages), tables.stages[min(1, len(tables.stages) - 1)])


def velocity(tables: Tables) -> dict[str, Any]:
    """How long it takes from the first change to the end, of all contacts and of those who arrived."""
    end = end_stage(tables)
    source = END_TO_END.format(end=tables.stages.index(end))
    stays = _stays(tables, source, "true")
    told = curve(stays)
    ((reached, arrived_median, arrived_p90),) = tables.rows(
        f"SELECT count(*), median(seconds), quantile_cont(seconds, 0.9) FROM {source} WHERE outcome = 'forward'"
    )
    return {
        "from": tables.stages[0],
        "to": end,
        "arrived": reached,
        "under_way": sum(stay.visits for stay in stays if not stay.left),
        "median_seconds": told.by(0.5),
        "p90_seconds": told.by(0.9),
        "median_seconds_of_arrived": arrived_median,
        "p90_seconds_of_arrived": arrived_p90,
    }


MOVES: Final = """
SELECT a.stage AS from_stage, b.stage AS to_stage,
       CASE WHEN b.place < a.place THEN 'backward' ELSE 'forward' END AS direction,
       count(*) AS moves, count(DISTINCT contact) AS contacts
FROM changes JOIN stages a ON a.place = from_place JOIN stages b ON b.place = changes.place
GROUP BY a.stage, b.stage, a.place, b.place ORDER BY moves DESC, 1, 2"""

SKIPS: Final = """
SELECT a.stage AS from_stage, b.stage AS to_stage, count(*) AS moves, b.place - a.place - 1 AS stages_skipped
FROM changes JOIN stages a ON a.place = from_place JOIN stages b ON b.place = changes.place
WHERE b.place > a.place + 1 GROUP BY ALL ORDER BY moves DESC, 1, 2"""

# `came_again`: moves after which the contact came to the stage that it had left, or above, once more.
RETURNED: Final = """
WITH back AS (SELECT changes.contact, from_place, changes.place, reason, step FROM changes JOIN history USING (said_at)
              WHERE changes.place < from_place),
again AS (SELECT DISTINCT contact, step FROM back JOIN reached USING (contact)
          WHERE reached.place >= from_place AND last_step > step)
SELECT a.stage AS from_stage, b.stage AS to_stage, coalesce(reason, '') AS reason, count(*) AS moves,
       count(DISTINCT contact) AS contacts, count(again.step) AS came_again
FROM back LEFT JOIN again USING (contact, step) JOIN stages a ON a.place = from_place
JOIN stages b ON b.place = back.place
GROUP BY ALL ORDER BY moves DESC, 1, 2, 3"""

OUTCOMES: Final = """
SELECT stage, count(*) FILTER (outcome = 'forward') AS accepted,
       count(*) FILTER (outcome = 'backward') AS rejected,
       count(*) FILTER (outcome IN ('waiting', 'merged')) AS waiting,
       accepted / nullif(accepted + rejected, 0) AS accepted_share
FROM stages LEFT JOIN visits USING (place) GROUP BY stage, place ORDER BY place"""

QUALITY: Final = """
SELECT stage, count(contact) AS entries, avg(score) AS mean_score,
       count(*) FILTER (icp_fit) / nullif(count(icp_fit), 0) AS fit_share,
       count(*) FILTER (qualified) / nullif(count(contact), 0) AS qualified_share
FROM stages LEFT JOIN changes USING (place) GROUP BY stage, place ORDER BY place"""

SLA: Final = """
SELECT owner, stage, count(*) FILTER (outcome = 'kept') AS kept, count(*) FILTER (outcome = 'breached') AS breached,
       count(*) FILTER (outcome = 'running') AS running, kept / nullif(kept + breached, 0) AS kept_share
FROM (SELECT promises.owner, stage, place, outcome FROM promises JOIN stages USING (place))
GROUP BY owner, stage, place ORDER BY owner, place"""

TOUCHED: Final = """
SELECT {which}_source AS source, {which}_medium AS medium, {which}_campaign AS campaign, stage,
       count(*) AS entries, count(DISTINCT contact) AS contacts
FROM changes JOIN stages USING (place) GROUP BY 1, 2, 3, stage, place
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
FROM deals JOIN people USING (contact) JOIN stages USING (place) WHERE standing = 'open' GROUP BY stage, place, currency
ORDER BY place, currency NULLS LAST"""

COST: Final = """
WITH spent AS (SELECT campaign, currency, sum(amount) AS amount FROM spend GROUP BY ALL),
leads AS (SELECT first_campaign AS campaign, r.place, count(*) AS contacts
          FROM people JOIN reached r USING (contact) GROUP BY ALL),
every AS (SELECT campaign, currency, amount, stages.stage, place, coalesce(contacts, 0) AS contacts
          FROM spent CROSS JOIN stages LEFT JOIN leads USING (campaign, place))
SELECT campaign, currency, stage, amount, contacts, amount / nullif(contacts, 0) AS cost_per_contact
FROM every ORDER BY campaign, currency, place"""

LIST_GROWTH: Final = """
WITH weeks AS (
    SELECT date_trunc('week', happened) AS week, count(*) FILTER (type = 'list.subscribed') AS subscribed,
           count(*) FILTER (type = 'list.unsubscribed') AS unsubscribed, 0 AS demand
    FROM events WHERE type IN ('list.subscribed', 'list.unsubscribed') GROUP BY ALL
    UNION ALL
    SELECT date_trunc('week', first_at), 0, 0, count(*) FROM reached JOIN stages USING (place)
    WHERE stage = ? GROUP BY ALL)
SELECT strftime(week, '%Y-%m-%d') AS week, sum(subscribed)::BIGINT AS subscribed,
       sum(unsubscribed)::BIGINT AS unsubscribed, sum(demand)::BIGINT AS demand
FROM weeks GROUP BY ALL ORDER BY ALL"""

# Between: after the change before that entry, of whoever had one.
TOUCHES: Final = """
WITH entered AS (SELECT r.contact, r.place, first_at, before.happened AS before_at
                 FROM reached r LEFT JOIN history before
                   ON before.contact = r.contact AND before.step = r.first_step - 1),
counted AS (
    SELECT r.contact, r.place, count(e.happened) AS touches,
           CASE WHEN before_at IS NOT NULL THEN count(e.happened) FILTER (e.happened > before_at) END AS between
    FROM entered r LEFT JOIN events e ON e.contact = r.contact AND e.happened <= first_at
    GROUP BY r.contact, r.place, before_at)
SELECT stage, avg(touches) AS mean_touches, median(touches) AS median_touches, avg(between) AS mean_touches_between
FROM counted JOIN stages USING (place) GROUP BY stage, place ORDER BY place"""


def demand(tables: Tables) -> dict[str, Any]:
    """Contacts that fit, and how many of them ever came to where demand begins."""
    stage = demand_stage(tables)
    ((fitting, engaged),) = tables.rows(
        "WITH engaged AS (SELECT contact FROM reached JOIN stages USING (place) WHERE stage = ?)"
        " SELECT count(*), count(*) FILTER (contact IN (FROM engaged)) FROM people WHERE icp_fit",
        [stage],
    )
    return {"stage": stage, "fit": fitting, "engaged": engaged, "share": engaged / fitting if fitting else None}


# `still_there`: contacts that are in the stage in which the rule last failed for them.
HYGIENE: Final = """
WITH latest AS (SELECT rule, contact, arg_max(stage, (happened, said_at)) AS stage, count(*) AS failures
                FROM hygiene GROUP BY ALL)
SELECT rule, sum(failures)::BIGINT AS failures, count(*) AS contacts,
       count(*) FILTER (stages.stage = latest.stage) AS still_there
FROM latest LEFT JOIN people USING (contact) LEFT JOIN stages USING (place) GROUP BY ALL ORDER BY rule"""

BY_HAND: Final = """
SELECT stage, coalesce(placed_by, '') AS placed_by, count(*) AS moves
FROM changes JOIN stages USING (place) WHERE cause_kind = 'person' GROUP BY ALL ORDER BY moves DESC, 1, 2"""

# Who ever was a customer is an active one while at the end or above, unless its status says otherwise.
CUSTOMERS: Final = """
SELECT 'contacts' AS who, CASE WHEN people.place >= r.place AND coalesce(status, '') <> ? THEN 'active'
                               ELSE 'inactive' END AS status, count(*) AS customers
FROM reached r JOIN people USING (contact) JOIN stages ON stages.place = r.place WHERE stage = ? GROUP BY ALL
UNION ALL
SELECT 'companies', customer_status, count(*) FROM (
    SELECT company, arg_max({status: customer_status}, (revision, said_at)).status AS customer_status
    FROM companies GROUP BY company)
WHERE customer_status IS NOT NULL GROUP BY ALL
ORDER BY who DESC, status"""

STATUSES: Final = """
SELECT status, count(*) AS contacts FROM people WHERE status IS NOT NULL GROUP BY ALL ORDER BY contacts DESC, status"""

TREND: Final = """
SELECT strftime(date_trunc('week', happened), '%Y-%m-%d') AS week, stage, count(*) AS entries
FROM changes JOIN stages USING (place) GROUP BY week, stage, place ORDER BY week, place"""

COHORTS: Final = """
SELECT strftime(came_week, '%Y-%m-%d') AS week, stage, count(*) AS contacts
FROM people JOIN reached r USING (contact) JOIN stages ON stages.place = r.place
GROUP BY came_week, stage, r.place ORDER BY came_week, r.place"""
