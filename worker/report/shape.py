"""The tables, in SQL: from what was published to what the figures read.

`changes`     a row each stage change that stands; `contact` is who it is now, `id_then` the id it was published under
`visits`      a row each visit of a stage: `seconds` up to leaving or up to `as_of`, `open` where it goes on,
              `outcome` forward, backward, waiting, or merged (the id ended, the person goes on elsewhere)
`people`      a row each contact: when it came, where it stands, its touches, its company, whether it fits
`reached`     a row each contact and stage it was ever in: first entry, and its place in the contact's history
`promises`    a row each SLA on a visit: kept, breached or running
`deals`       a row each deal, however many contacts have it
"""

from __future__ import annotations

from typing import Final

_TOUCH = "STRUCT(source VARCHAR, medium VARCHAR, campaign VARCHAR, type VARCHAR)"
_DEAL = "STRUCT(amount DOUBLE, currency VARCHAR)"
_FIELDS = (
    'contact VARCHAR, "from" VARCHAR, "to" VARCHAR, direction VARCHAR, reason VARCHAR,'
    ' cause STRUCT(kind VARCHAR, type VARCHAR, "by" VARCHAR), visit INTEGER, seconds_in_previous DOUBLE,'
    " sla STRUCT(due_at VARCHAR, late VARCHAR), status VARCHAR, qualified BOOLEAN, suppressed BOOLEAN,"
    " score STRUCT(total DOUBLE), icp_fit BOOLEAN,"
    f' "value" MAP(VARCHAR, {_DEAL}), company VARCHAR, attribution STRUCT("first" {_TOUCH}, "last" {_TOUCH}),'
    " stage VARCHAR, owner VARCHAR, due_at VARCHAR, signal VARCHAR, action VARCHAR,"
    " failures STRUCT(rule VARCHAR, field VARCHAR)[], stage_to VARCHAR, customer_status_to VARCHAR, revision BIGINT"
)
_DATA = f"STRUCT({_FIELDS})"
_SAID = f"STRUCT(id VARCHAR, type VARCHAR, subject VARCHAR, time VARCHAR, data {_DATA})"


def _at(text: str) -> str:
    """An RFC 3339 text as TIMESTAMP in UTC; a cast to TIMESTAMP alone would pass over the offset."""
    return f"make_timestamp(epoch_us(TRY_CAST({text} AS TIMESTAMPTZ)))"


OPS: Final = f"""
CREATE TABLE ops (position BIGINT, sub INTEGER, id VARCHAR, withdraws BOOLEAN, type VARCHAR, subject VARCHAR,
                  happened TIMESTAMP, data {_DATA})"""

RAW: Final = "CREATE OR REPLACE TABLE raw AS FROM $SOURCE"
RAW_COLUMNS: Final = (
    "{'id': 'VARCHAR', 'type': 'VARCHAR', 'subject': 'VARCHAR', 'time': 'VARCHAR', 'data': '"
    f"STRUCT({_FIELDS}, withdrawn VARCHAR[], restated {_SAID}[])"
    "'}"
)
_KEPT = ", ".join(f'"{name}" := data."{name}"' for name in (
    "contact", "from", "to", "direction", "reason", "cause", "visit", "seconds_in_previous", "sla", "status",
    "qualified", "suppressed", "score", "icp_fit", "value", "company", "attribution", "stage", "owner", "due_at",
    "signal", "action", "failures", "stage_to", "customer_status_to", "revision",
))  # fmt: skip

# A row's number is its line's: rows keep the order of the file. Several files follow one another.
TAKE_RAW: Final = f"""
INSERT INTO ops BY NAME
WITH lines AS (SELECT raw.rowid + (SELECT coalesce(max(position) + 1, 0) FROM ops) AS position, * FROM raw)
SELECT position, 0 AS sub, id, false AS withdraws, type, subject, {_at("time")} AS happened,
       struct_pack({_KEPT}) AS data
FROM lines WHERE id IS NOT NULL AND type <> 'lifecycle.corrected.v1'
UNION ALL BY NAME
SELECT position, 0 AS sub, unnest(data.withdrawn) AS id, true AS withdraws
FROM lines WHERE type = 'lifecycle.corrected.v1'
UNION ALL BY NAME
SELECT position, sub, said.id AS id, false AS withdraws, said.type AS type, said.subject AS subject,
       {_at("said.time")} AS happened, said.data AS data
FROM (SELECT position, unnest(data.restated) AS said, generate_subscripts(data.restated, 1)::INTEGER AS sub
      FROM lines WHERE type = 'lifecycle.corrected.v1')"""

_EVENT = (
    'STRUCT(amount DOUBLE, currency VARCHAR, deal_id VARCHAR, list VARCHAR, "from" VARCHAR, "to" VARCHAR,'
    " utm_source VARCHAR, utm_medium VARCHAR, utm_campaign VARCHAR)"
)
RAW_EVENTS: Final = "CREATE OR REPLACE TABLE raw AS FROM $SOURCE"
RAW_EVENTS_COLUMNS: Final = (
    "{'id': 'VARCHAR', 'source': 'VARCHAR', 'type': 'VARCHAR', 'subject': 'VARCHAR', 'time': 'VARCHAR',"
    f" 'data': '{_EVENT}'"
    "}"
)
TAKEN: Final = f"""
CREATE TABLE taken (position BIGINT, id VARCHAR, source VARCHAR, type VARCHAR, subject VARCHAR, happened TIMESTAMP,
                    data {_EVENT})"""
TAKE_EVENTS: Final = f"""
INSERT INTO taken BY NAME
SELECT raw.rowid + (SELECT coalesce(max(position) + 1, 0) FROM taken) AS position, id, source, type, subject,
       {_at("time")} AS happened, data
FROM raw WHERE id IS NOT NULL AND subject IS NOT NULL AND {_at("time")} IS NOT NULL"""

_TOUCHES = ", ".join(
    f'data.attribution."{which}".{part} AS {which}_{part}'
    for which in ("first", "last")
    for part in ("source", "medium", "campaign")
)

# A period may begin with a day.
_FROM = _at("""CASE WHEN length(data."from") = 10 THEN data."from" || 'T00:00:00Z' ELSE data."from" END""")

# The tables that a folder of Parquet may hold as well.
STANDING: Final = (
    # The last that was said of an id holds; then what an erasure reaches goes.
    """
CREATE TABLE said AS
WITH latest AS (
    SELECT * FROM ops QUALIFY row_number() OVER (PARTITION BY id ORDER BY position DESC, sub DESC, withdraws) = 1),
erased AS (SELECT subject AS gone, max(position) AS until FROM ops
           WHERE type = 'lifecycle.contact.erased.v1' GROUP BY ALL)
SELECT latest.* EXCLUDE (withdraws) FROM latest LEFT JOIN erased ON subject = gone
WHERE NOT withdraws AND happened IS NOT NULL AND (until IS NULL OR position > until)""",
    """
CREATE TABLE merges AS
SELECT data."from" AS id_then, subject AS into_id, happened FROM said WHERE type = 'lifecycle.contact.merged.v1'
QUALIFY row_number() OVER (PARTITION BY data."from" ORDER BY happened DESC, position DESC) = 1""",
    f"""
CREATE TABLE changes AS
SELECT id AS change_id, subject AS contact, subject AS id_then, position * 100000 + sub AS said_at, happened,
       data."from" AS from_stage, data."to" AS to_stage, data.direction AS direction, nullif(data.reason, '') AS reason,
       data.cause.kind AS cause_kind, data.cause.type AS cause_type, data.cause."by" AS placed_by,
       data.visit AS visit, data.seconds_in_previous AS seconds_in_previous,
       {_at("data.sla.due_at")} AS due_at, data.sla.late AS sla_owner,
       data.status AS status, data.qualified AS qualified, data.suppressed AS suppressed, data.score.total AS score,
       data.icp_fit AS icp_fit, data.company AS company, {_TOUCHES},
       map_keys(data."value") AS deals,
       list_transform(map_values(data."value"), lambda deal: deal.amount) AS deal_amounts,
       list_transform(map_values(data."value"), lambda deal: deal.currency) AS deal_currencies
FROM said WHERE type = 'lifecycle.stage.changed.v1'""",
    """
CREATE TABLE statuses AS
SELECT subject AS contact, happened, data."from" AS from_status, data."to" AS to_status, data.stage AS stage,
       nullif(data.reason, '') AS reason
FROM said WHERE type = 'lifecycle.status.changed.v1'""",
    f"""
CREATE TABLE breaches AS
SELECT subject AS id_then, happened, data.stage AS stage, data.visit AS visit, data.owner AS owner,
       {_at("data.due_at")} AS due_at
FROM said WHERE type = 'lifecycle.sla.breached.v1'""",
    """
CREATE TABLE signals AS
SELECT subject AS contact, happened, data.signal AS signal, data.action AS action, data.stage AS stage
FROM said WHERE type = 'lifecycle.signal.v1'""",
    """
CREATE TABLE hygiene AS
SELECT contact, happened, stage, failure.rule AS rule, failure.field AS field FROM (
    SELECT subject AS contact, happened, data.stage AS stage, unnest(data.failures) AS failure
    FROM said WHERE type = 'lifecycle.hygiene.failed.v1')""",
    """
CREATE TABLE companies AS
SELECT subject AS company, happened, data.stage_to AS stage, data.customer_status_to AS customer_status
FROM said WHERE type = 'lifecycle.company.changed.v1'
QUALIFY row_number() OVER (PARTITION BY subject ORDER BY data.revision DESC, position DESC) = 1""",
    """
CREATE TABLE events AS
SELECT subject AS contact, happened, type, data.deal_id AS deal, data.amount AS amount, data.currency AS currency,
       data.list AS list, position
FROM taken WHERE type <> 'spend.recorded'
QUALIFY row_number() OVER (PARTITION BY subject, source, id ORDER BY position) = 1""",
    f"""
CREATE TABLE spend AS
SELECT subject AS campaign, happened, data.amount AS amount, data.currency AS currency,
       {_FROM} AS since
FROM taken WHERE type = 'spend.recorded'
QUALIFY row_number() OVER (PARTITION BY subject, source, id ORDER BY position) = 1""",
    "DROP TABLE said",
)

NEWEST: Final = """
CREATE TABLE meta AS SELECT max(happened) AS as_of FROM (
    SELECT max(happened) AS happened FROM changes UNION ALL SELECT max(happened) FROM statuses
    UNION ALL SELECT max(happened) FROM breaches
    UNION ALL SELECT max(happened) FROM signals UNION ALL SELECT max(happened) FROM events)"""

# Within one time: the entry first, then the move that ended a stay, then those that followed, as they were said.
_HISTORY = "happened, from_stage IS NOT NULL, seconds_in_previous DESC NULLS LAST, said_at"

DERIVED: Final = (
    # Who an id is now: along the chain of merges, sixteen links at most.
    """
CREATE TABLE identities AS
WITH RECURSIVE chain(id_then, contact, links) AS (
    SELECT id_then, into_id, 1 FROM merges
    UNION ALL
    SELECT chain.id_then, into_id, links + 1 FROM chain JOIN merges ON merges.id_then = chain.contact WHERE links < 16)
SELECT id_then, arg_max(contact, links) AS contact FROM chain GROUP BY ALL""",
    "UPDATE changes SET contact = identities.contact FROM identities WHERE changes.id_then = identities.id_then",
    # Who was erased after others were merged into it leaves nothing of those either.
    "DELETE FROM changes WHERE contact NOT IN (SELECT contact FROM changes WHERE contact = id_then)",
    f"""
CREATE TABLE history AS
SELECT changes.*, row_number() OVER (PARTITION BY contact ORDER BY {_HISTORY}) AS step,
       lead(to_stage) OVER own AS next_stage, lead(happened) OVER own AS next_at,
       lead(direction) OVER own AS next_direction,
       lead(reason) OVER own AS next_reason
FROM changes WINDOW own AS (PARTITION BY id_then ORDER BY {_HISTORY})""",
    """
CREATE TABLE visits AS
SELECT history.contact, history.id_then, to_stage AS stage, place, stages.owner, visit, history.happened AS entered_at,
       coalesce(next_at, merges.happened) AS left_at, next_stage, next_reason AS reason, placed_by,
       next_at IS NULL AND merges.happened IS NULL AS open,
       CASE WHEN next_at IS NOT NULL THEN next_direction
            WHEN merges.happened IS NOT NULL THEN 'merged' ELSE 'waiting' END
       AS outcome,
       greatest(0, epoch_us(coalesce(next_at, merges.happened, as_of)) - epoch_us(history.happened)) / 1e6 AS seconds
FROM history CROSS JOIN meta JOIN stages ON to_stage = stages.stage LEFT JOIN merges USING (id_then)""",
    """
CREATE TABLE reached AS
SELECT contact, to_stage AS stage, place, min(happened) AS first_at, min(step) AS first_step, max(step) AS last_step,
       count(*) AS entries
FROM history JOIN stages ON to_stage = stage GROUP BY ALL""",
    # An id that was merged away says nothing of where its contact stands.
    """
CREATE TABLE people AS
WITH now AS (SELECT contact, to_stage AS stage, place, happened AS entered_at, qualified, company, icp_fit,
                    last_source, last_medium, last_campaign
             FROM history JOIN stages ON to_stage = stages.stage WHERE contact = id_then
             QUALIFY row_number() OVER (PARTITION BY contact ORDER BY step DESC) = 1),
was AS (SELECT contact, min(happened) AS came_at, arg_min(first_source, step) AS first_source,
               arg_min(first_medium, step) AS first_medium, arg_min(first_campaign, step) AS first_campaign
        FROM history WHERE first_source IS NOT NULL OR first_medium IS NOT NULL OR first_campaign IS NOT NULL
        GROUP BY ALL),
came AS (SELECT contact, min(happened) AS came_at FROM history GROUP BY ALL)
SELECT now.*, came.came_at, date_trunc('week', came.came_at) AS came_week, was.first_source, was.first_medium,
       was.first_campaign
FROM now JOIN came USING (contact) LEFT JOIN was USING (contact)""",
    """
CREATE TABLE promises AS
SELECT history.contact, to_stage AS stage, history.visit, sla_owner AS owner, history.happened AS entered_at,
       history.due_at,
       CASE WHEN breaches.happened IS NOT NULL THEN 'breached'
            WHEN next_at IS NULL AND merges.happened IS NULL AND history.due_at > as_of THEN 'running'
            ELSE 'kept' END AS outcome
FROM history CROSS JOIN meta LEFT JOIN merges USING (id_then)
LEFT JOIN (SELECT id_then, stage, visit, min(happened) AS happened FROM breaches GROUP BY ALL) AS breaches
  ON breaches.id_then = history.id_then AND breaches.stage = to_stage AND breaches.visit = history.visit
WHERE history.due_at IS NOT NULL""",
    # A deal is what was last said of it; it is open where a contact's latest change still carries it.
    """
CREATE TABLE deals AS
WITH told AS (
    SELECT contact, happened, step, unnest(deals) AS deal, unnest(deal_amounts) AS amount,
           unnest(deal_currencies) AS currency,
           row_number() OVER (PARTITION BY contact ORDER BY step DESC) = 1 AND contact = id_then AS still
    FROM history),
from_changes AS (
    SELECT deal, arg_max(contact, (still, happened, contact)) AS contact, count(DISTINCT contact) AS contacts,
           arg_max(amount, (happened, step)) AS amount, arg_max(currency, (happened, step)) AS currency,
           bool_or(still) AS still, max(happened) AS happened
    FROM told GROUP BY deal),
from_events AS (
    SELECT deal, count(DISTINCT events.contact) AS contacts, max(events.happened) AS happened,
           arg_max(coalesce(identities.contact, events.contact), (events.happened, position)) AS contact,
           arg_max(amount, (events.happened, position)) FILTER (amount IS NOT NULL) AS amount,
           arg_max(currency, (events.happened, position)) FILTER (currency IS NOT NULL) AS currency,
           arg_max(type, (events.happened, position)) FILTER (type IN ('deal.won', 'deal.lost')) AS ended
    FROM events LEFT JOIN identities ON events.contact = identities.id_then
    WHERE deal IS NOT NULL AND (type LIKE 'deal.%' OR type = 'proposal.sent') GROUP BY deal)
SELECT deal, coalesce(c.contact, e.contact) AS contact, greatest(c.contacts, e.contacts) AS contacts,
       coalesce(e.amount, c.amount) AS amount, coalesce(e.currency, c.currency) AS currency,
       CASE WHEN ended = 'deal.won' THEN 'won' WHEN ended = 'deal.lost' THEN 'lost'
            WHEN still OR c.deal IS NULL THEN 'open' ELSE 'closed' END AS standing
FROM from_changes c FULL JOIN from_events e USING (deal)""",
    "CREATE TABLE entries AS SELECT contact, place, step, happened FROM history JOIN stages ON to_stage = stage",
    "DROP TABLE history",
)
