"""From what was published to what stands, in SQL.

`lines`    a row each published event, in the order of publishing: a view of what was given, whatever its form
`fallen`   the places in it of what no longer stands: withdrawn, or said again later
`standing` a view of `lines` without the fallen, with what corrections restated
`said`     of that, what no erasure reaches; `contact` is who it is now, `id_then` the id it was published under

An id stands where the last that was said of it is not a withdrawal; within a correction the withdrawn go before the
restated. Only ids that occur twice can have fallen: of all others nothing but a hash is ever held, so that a log of
any length is settled in bounded memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from worker.report import columns

_EVENT = (
    'STRUCT(amount DOUBLE, currency VARCHAR, deal_id VARCHAR, list VARCHAR, "from" VARCHAR, "to" VARCHAR,'
    " utm_source VARCHAR, utm_medium VARCHAR, utm_campaign VARCHAR)"
)
EVENT_COLUMNS: Final = (
    "{'id': 'VARCHAR', 'source': 'VARCHAR', 'type': 'VARCHAR', 'subject': 'VARCHAR', 'time': 'VARCHAR',"
    f" 'data': '{_EVENT}'}}"
)
NO_LINES: Final = (
    "SELECT 0::BIGINT AS position, '' AS id, '' AS type, '' AS subject, '' AS \"time\","
    f" {columns.columns(f'(NULL::{columns.DATA})')}, NULL::VARCHAR[] AS withdrawn, NULL::{columns.SAID}[] AS restated"
    " WHERE false"
)


def instant(text: str) -> str:
    """An RFC 3339 text as TIMESTAMP in UTC; a cast to TIMESTAMP alone would pass over the offset."""
    return f"make_timestamp(epoch_us(TRY_CAST({text} AS TIMESTAMPTZ)))"


def lines(sources: Sequence[str]) -> str:
    """The view over the sources, which follow one another: each selects position, id, type, subject, time, columns."""
    every = "\nUNION ALL BY NAME\n".join(sources or [NO_LINES])
    return f"CREATE VIEW lines AS\n{every}"


_PLAIN = "id IS NOT NULL AND type <> 'lifecycle.corrected.v1'"
_RESTATED = """(SELECT position, unnest(restated) AS said, generate_subscripts(restated, 1)::INTEGER AS sub
      FROM lines WHERE type = 'lifecycle.corrected.v1')"""

SETTLE: Final = (
    f"""
CREATE TABLE doubtful AS
WITH named AS (
    SELECT hash(id) AS hashed FROM lines WHERE {_PLAIN}
    UNION ALL
    SELECT hash(id) FROM (SELECT unnest(withdrawn) AS id FROM lines WHERE type = 'lifecycle.corrected.v1')
    UNION ALL
    SELECT hash(said.id) FROM {_RESTATED})
SELECT hashed FROM named GROUP BY hashed HAVING count(*) > 1""",
    f"""
CREATE TABLE fallen AS
WITH every AS (
    SELECT position, 0 AS sub, id, false AS withdraws FROM lines WHERE {_PLAIN}
    UNION ALL
    SELECT position, 0, unnest(withdrawn), true FROM lines WHERE type = 'lifecycle.corrected.v1'
    UNION ALL
    SELECT position, sub, said.id, false FROM {_RESTATED})
SELECT position, sub FROM (
    SELECT *, row_number() OVER (PARTITION BY id ORDER BY position DESC, sub DESC, withdraws) AS back
    FROM every WHERE hash(id) IN (SELECT hashed FROM doubtful))
WHERE NOT withdraws AND back > 1""",
    f"""
CREATE TABLE erased AS
SELECT subject AS gone, max(position) AS until, max({instant('"time"')}) AS erased_at FROM lines
WHERE type = 'lifecycle.contact.erased.v1' GROUP BY ALL""",
    f"""
CREATE VIEW standing AS
WITH every AS (
    SELECT position, 0 AS sub, id, type, subject, {instant('"time"')} AS happened,
           {", ".join(columns.PATHS)} FROM lines WHERE {_PLAIN}
    UNION ALL
    SELECT position, sub, said.id, said.type, said.subject, {instant("said.time")}, {columns.columns("said.data")}
    FROM {_RESTATED})
SELECT every.* RENAME (subject AS id_then) FROM every ANTI JOIN fallen USING (position, sub)
WHERE happened IS NOT NULL""",
)
"""What must be done before `standing` can be read, in this order."""

IDENTITIES: Final = (
    # Who an id is now: along the chain of merges, sixteen links at most; a cycle ends where it began.
    """
CREATE TABLE identities AS
WITH RECURSIVE last AS (
    SELECT id_then, into_id FROM merges
    QUALIFY row_number() OVER (PARTITION BY id_then ORDER BY happened DESC, said_at DESC) = 1),
chain(id_then, contact, links) AS (
    SELECT id_then, into_id, 1 FROM last
    UNION ALL
    SELECT chain.id_then, into_id, links + 1 FROM chain JOIN last ON last.id_then = chain.contact
    WHERE links < 16 AND into_id <> chain.id_then)
SELECT id_then, arg_max(contact, links) AS contact FROM chain GROUP BY ALL""",
    # An erasure reaches what was said before it, of the id and of what had been merged into it.
    """
CREATE VIEW said AS
SELECT standing.*, coalesce(identities.contact, standing.id_then) AS contact
FROM standing LEFT JOIN identities USING (id_then)
LEFT JOIN erased own ON own.gone = standing.id_then LEFT JOIN erased kept ON kept.gone = identities.contact
WHERE (own.until IS NULL OR position > own.until) AND (kept.until IS NULL OR position > kept.until)""",
)
"""What must be done before `said` can be read, once there are `merges`."""


# A period may begin with a day.
_FROM = instant("""CASE WHEN length(data."from") = 10 THEN data."from" || 'T00:00:00Z' ELSE data."from" END""")

TAKEN: Final = f"""
CREATE TABLE taken (position BIGINT, id VARCHAR, source VARCHAR, type VARCHAR, subject VARCHAR, happened TIMESTAMP,
                    data {_EVENT})"""
TAKE_EVENTS: Final = f"""
INSERT INTO taken BY NAME
SELECT raw.rowid + (SELECT coalesce(max(position) + 1, 0) FROM taken) AS position, id, source, type, subject,
       {instant("time")} AS happened, data
FROM raw WHERE id IS NOT NULL AND subject IS NOT NULL AND {instant("time")} IS NOT NULL"""

# A deal's amounts lie beside their ids; most changes have none.
_DEALS = """nullif(map_keys(deal_value), []) AS deals,
       CASE WHEN cardinality(deal_value) > 0
            THEN list_transform(map_values(deal_value), lambda deal: deal.amount) END AS deal_amounts,
       CASE WHEN cardinality(deal_value) > 0
            THEN list_transform(map_values(deal_value), lambda deal: deal.currency) END AS deal_currencies"""

TOLD: Final = {
    "changes": f"""
SELECT id AS change_id, id_then, position * 100000 + sub AS said_at, happened,
       from_stage, to_stage, direction, nullif(reason, '') AS reason, cause_kind, cause_type, placed_by, visit,
       seconds_in_previous, {instant("sla_due_at")} AS due_at, sla_owner, status, qualified, suppressed, score, icp_fit,
       company, first_source, first_medium, first_campaign, last_source, last_medium, last_campaign, {_DEALS}
FROM said WHERE type = 'lifecycle.stage.changed.v1'""",
    "statuses": """
SELECT id_then, position * 100000 + sub AS said_at, happened, from_stage AS from_status,
       to_stage AS to_status, stage, nullif(reason, '') AS reason
FROM said WHERE type = 'lifecycle.status.changed.v1'""",
    "breaches": f"""
SELECT id_then, happened, stage, visit, owner,
       {instant("due_at")} AS due_at
FROM said WHERE type = 'lifecycle.sla.breached.v1'""",
    "signals": """
SELECT id_then, happened, signal, action, stage
FROM said WHERE type = 'lifecycle.signal.v1'""",
    "hygiene": """
SELECT id_then, said_at, happened, stage, failure.rule AS rule, failure.field AS field FROM (
    SELECT id_then, position * 100000 + sub AS said_at, happened, stage, unnest(failures) AS failure
    FROM said WHERE type = 'lifecycle.hygiene.failed.v1')""",
    "events": """
SELECT subject AS id_then, happened, type, data.deal_id AS deal, data.amount AS amount, data.currency AS currency,
       data.list AS list, position
FROM taken LEFT JOIN erased ON gone = subject
WHERE type <> 'spend.recorded' AND (erased_at IS NULL OR happened > erased_at)
QUALIFY row_number() OVER (PARTITION BY subject, source, taken.id ORDER BY position) = 1""",
}
"""What is told of contacts, under the ids of then."""

MERGES: Final = """
SELECT from_stage AS id_then, id_then AS into_id, happened, position AS said_at
FROM standing WHERE type = 'lifecycle.contact.merged.v1'"""

OTHERS: Final = {
    "companies": """
SELECT id_then AS company, happened, stage_to AS stage, customer_status_to AS customer_status,
       revision, position AS said_at
FROM said WHERE type = 'lifecycle.company.changed.v1'""",
    "spend": f"""
SELECT subject AS campaign, happened, data.amount AS amount, data.currency AS currency, {_FROM} AS since
FROM taken WHERE type = 'spend.recorded'
QUALIFY row_number() OVER (PARTITION BY subject, source, id ORDER BY position) = 1""",
}

STORED: Final = ("merges", *TOLD, *OTHERS)
"""What a folder of Parquet may hold as well, and from which all else follows."""

NEWEST: Final = """
CREATE TABLE meta AS SELECT max(happened) AS as_of FROM (
    SELECT max(happened) AS happened FROM told_changes UNION ALL SELECT max(happened) FROM told_statuses
    UNION ALL SELECT max(happened) FROM told_breaches
    UNION ALL SELECT max(happened) FROM told_signals UNION ALL SELECT max(happened) FROM told_events)"""

AS_OF: Final = "CREATE TABLE meta AS SELECT make_timestamp({micros}) AS as_of"

EXPORTED: Final = """
SELECT coalesce(identities.contact, told.id_then) AS contact, told.*
FROM told_{table} AS told LEFT JOIN identities ON identities.id_then = told.id_then"""
"""A table as other tools, and another report, read it."""

_CODED = """
FROM told_{table} AS told JOIN ids AS own ON own.id = told.id_then
LEFT JOIN identities ON identities.id_then = told.id_then LEFT JOIN ids AS now ON now.id = identities.contact"""
_WHO = "own.number AS id_then, coalesce(now.number, own.number) AS contact"

NUMBERS: Final = (
    # Numbers are a quarter of what ids take, and are compared at once: all that follows is about who, not their names.
    f"""
CREATE TABLE ids AS
WITH named AS ({" UNION ALL ".join(f"SELECT id_then AS id FROM told_{table}" for table in TOLD)}
               UNION ALL SELECT contact FROM identities)
SELECT row_number() OVER ()::INTEGER AS number, id FROM (SELECT DISTINCT id FROM named)""",
    f"""
CREATE TABLE changes AS
SELECT {_WHO}, said_at, happened, a.place AS from_place, b.place AS place, reason, cause_kind, placed_by, visit,
       seconds_in_previous, due_at, sla_owner, status, qualified, score, icp_fit, company, first_source, first_medium,
       first_campaign, last_source, last_medium, last_campaign, deals, deal_amounts, deal_currencies
{_CODED.format(table="changes")}
LEFT JOIN stages AS b ON b.stage = to_stage LEFT JOIN stages AS a ON a.stage = from_stage""",
    *(
        f"CREATE TABLE {table} AS SELECT {_WHO}, told.* EXCLUDE (id_then) {_CODED.format(table=table)}"
        for table in ("statuses", "breaches", "hygiene", "events")
    ),
    # Whoever goes on has changes of its own; where they are not here, nothing is known of who it is.
    """
DELETE FROM changes WHERE contact IN (SELECT number FROM identities JOIN ids ON id = contact)
AND contact NOT IN (SELECT contact FROM changes WHERE contact = id_then)""",
)
"""The same with numbers for ids and places for stages: `contact` is who it is now, `id_then` who it was then."""
