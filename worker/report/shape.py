"""The tables that the figures read, in SQL, from those that tell what stands (see `standing`).

Contacts are numbers (of `ids`), stages their places; `EXPORTED` tells them by name.

`history`   a row each stage change, narrow: its `step` in its contact's history, the change after it under the same id
`visits`    a row each visit of a stage: `seconds` up to leaving or up to `as_of`, `open` where it goes on,
            `outcome` forward, backward, waiting, or merged (the id ended, the person goes on elsewhere)
`people`    a row each contact: when it came, where it stands, its touches, its company, its status, whether it fits
`reached`   a row each contact and stage it was ever in: first entry, and its place in the contact's history
`promises`  a row each SLA on a visit: kept, breached or running
`deals`     a row each deal, however many contacts have it
`stalled`   a row each open visit longer than nine of ten of those that left its stage took
"""

from __future__ import annotations

from typing import Final

# Within one time: the entry first, then the move that ended a stay, then those that followed, as they were said.
_HISTORY = "happened, from_place IS NOT NULL, seconds_in_previous DESC NULLS LAST, said_at"

_STEPS = f"""
SELECT contact, id_then, said_at, happened, place, row_number() OVER every::INTEGER AS step,
       lead(place) OVER own AS next_place, lead(happened) OVER own AS next_at, lead(said_at) OVER own AS next_said_at
FROM changes {{which}}
WINDOW every AS (PARTITION BY contact ORDER BY {_HISTORY}), own AS (PARTITION BY {{own}} ORDER BY {_HISTORY})"""

_MERGED = (
    "(SELECT DISTINCT number FROM identities JOIN ids ON id = contact) AS merged ON merged.number = changes.contact"
)

DERIVED: Final = (
    # Who never was two ids needs one window only: that is nearly everybody.
    f"""
CREATE TABLE history AS
{_STEPS.format(which=f"ANTI JOIN {_MERGED}", own="contact")}
UNION ALL
{_STEPS.format(which=f"SEMI JOIN {_MERGED}", own="id_then")}""",
    """
CREATE TABLE gone AS
SELECT number AS id_then, max(happened) AS gone_at FROM merges JOIN ids ON id = merges.id_then GROUP BY ALL""",
    """
CREATE VIEW visits AS
SELECT contact, history.id_then, said_at, place, happened AS entered_at, coalesce(next_at, gone_at) AS left_at,
       next_place, next_said_at, next_at IS NULL AND gone_at IS NULL AS open,
       CASE WHEN next_place < place THEN 'backward' WHEN next_at IS NOT NULL THEN 'forward'
            WHEN gone_at IS NOT NULL THEN 'merged' ELSE 'waiting' END AS outcome,
       greatest(0, epoch_us(coalesce(next_at, gone_at, as_of)) - epoch_us(happened)) / 1e6 AS seconds
FROM history CROSS JOIN meta LEFT JOIN gone USING (id_then)""",
    """
CREATE TABLE reached AS
SELECT contact, place, min(happened) AS first_at, min(step) AS first_step, max(step) AS last_step, count(*) AS entries
FROM history GROUP BY contact, place""",
    # Who is now where its id's own latest change led; what was merged away says nothing of that.
    """
CREATE TABLE people AS
WITH latest AS (SELECT contact, said_at, place, happened AS entered_at FROM history
                WHERE contact = id_then AND next_at IS NULL),
came AS (SELECT contact, happened AS came_at FROM history WHERE step = 1),
marked AS (SELECT contact, max(happened) AS happened, arg_max(to_status, (happened, said_at)) AS status FROM statuses
           WHERE contact = id_then GROUP BY ALL)
SELECT latest.contact, latest.place, latest.entered_at,
       CASE WHEN marked.happened >= latest.entered_at THEN marked.status ELSE changes.status END AS status,
       qualified, icp_fit, company, came_at, date_trunc('week', came_at) AS came_week,
       first_source, first_medium, first_campaign, last_source, last_medium, last_campaign
FROM latest JOIN changes USING (said_at) JOIN came ON came.contact = latest.contact
LEFT JOIN marked ON marked.contact = latest.contact""",
    """
CREATE TABLE promises AS
SELECT changes.contact, changes.id_then, changes.place, changes.visit, sla_owner AS owner,
       changes.happened AS entered_at, due_at,
       CASE WHEN late.id_then IS NOT NULL THEN 'breached'
            WHEN next_at IS NULL AND gone_at IS NULL AND due_at > as_of THEN 'running'
            ELSE 'kept' END AS outcome
FROM changes JOIN history USING (said_at) CROSS JOIN meta LEFT JOIN gone ON gone.id_then = changes.id_then
LEFT JOIN (SELECT DISTINCT id_then, place, visit FROM breaches JOIN stages USING (stage)) AS late
  ON late.id_then = changes.id_then AND late.place = changes.place AND late.visit = changes.visit
WHERE due_at IS NOT NULL""",
    # A deal is what was last said of it; it is open where a contact's latest change still carries it.
    """
CREATE TABLE deals AS
WITH told AS (
    SELECT changes.contact, changes.happened, changes.said_at, unnest(deals) AS deal, unnest(deal_amounts) AS amount,
           unnest(deal_currencies) AS currency, next_at IS NULL AND changes.contact = changes.id_then AS still
    FROM changes JOIN history USING (said_at) WHERE deals IS NOT NULL),
from_changes AS (
    SELECT deal, arg_max(contact, (still, happened, said_at)) AS contact, count(DISTINCT contact) AS contacts,
           arg_max(amount, (happened, said_at)) AS amount,  -- null, where one contact wasn't told, is passed over
           arg_max(currency, (happened, said_at)) AS currency,
           bool_or(still) AS still
    FROM told GROUP BY deal),
from_events AS (
    SELECT deal, count(DISTINCT contact) AS contacts, arg_max(contact, (happened, position)) AS contact,
           arg_max(amount, (happened, position)) AS amount,
           arg_max(currency, (happened, position)) AS currency,
           arg_max(type, (happened, position)) FILTER (type IN ('deal.won', 'deal.lost')) AS ended
    FROM events WHERE deal IS NOT NULL AND (type LIKE 'deal.%' OR type = 'proposal.sent') GROUP BY deal)
SELECT deal, coalesce(c.contact, e.contact) AS contact, greatest(c.contacts, e.contacts) AS contacts,
       coalesce(e.amount, c.amount) AS amount, coalesce(e.currency, c.currency) AS currency,
       CASE WHEN ended = 'deal.won' THEN 'won' WHEN ended = 'deal.lost' THEN 'lost'
            WHEN still OR c.deal IS NULL THEN 'open' ELSE 'closed' END AS standing
FROM from_changes c FULL JOIN from_events e USING (deal)""",
    """
CREATE TABLE stalled AS
WITH usual AS (SELECT place, quantile_cont(seconds, 0.9) AS usual_seconds FROM visits
               WHERE outcome IN ('forward', 'backward') GROUP BY ALL)
SELECT contact, place, entered_at, seconds, usual_seconds FROM visits JOIN usual USING (place)
WHERE open AND seconds > usual_seconds""",
)

_NAMED = "JOIN ids ON number = contact JOIN stages USING (place)"

EXPORTED: Final = {
    "visits": f"""
SELECT ids.id AS contact, own.id AS id_then, stages.stage, stages.owner, visit, entered_at, left_at,
       after.stage AS next_stage, open, outcome, seconds
FROM visits JOIN (SELECT said_at, visit FROM changes) USING (said_at) {_NAMED}
JOIN ids AS own ON own.number = id_then LEFT JOIN stages AS after ON after.place = next_place""",
    "people": f"""
SELECT id AS contact, stage, entered_at, status, qualified, icp_fit, company, came_at, first_source, first_medium,
       first_campaign, last_source, last_medium, last_campaign FROM people {_NAMED}""",
    "reached": f"SELECT id AS contact, stage, first_at, entries FROM reached {_NAMED}",
    "promises": f"""
SELECT id AS contact, stage, visit, promises.owner, entered_at, due_at, outcome FROM promises {_NAMED}""",
    "deals": """
SELECT deal, id AS contact, contacts, amount, currency, standing FROM deals LEFT JOIN ids ON number = contact""",
    "stalled": f"""
SELECT id AS contact, stage, owner, entered_at, seconds, usual_seconds FROM stalled {_NAMED}
ORDER BY place, seconds DESC, contact""",
}
"""The same as other tools read them: by name."""
