"""What the page filters: counts by cell, a cell being a source, a campaign and a week of arrival of contacts.

Every contact is in one cell, by its first touch and first change, so figures of several cells add up. The page grows
with the number of cells, not of contacts.
"""

from __future__ import annotations

from typing import Any, Final

from worker.report.tables import Tables

SOURCES_MAX: Final = 30
CAMPAIGNS_MAX: Final = 60
OTHER: Final = "(other)"
NONE: Final = "(none)"
BIN_FIRST_SECONDS: Final = 60
BIN_GROWTH: Final = 1.25

_CELLS: Final = f"""
CREATE OR REPLACE TABLE cells AS
WITH named AS (SELECT contact, coalesce(first_source, '{NONE}') AS source,
                      coalesce(first_campaign, '{NONE}') AS campaign, came_week FROM people),
sources AS (SELECT source FROM named GROUP BY ALL ORDER BY count(*) DESC, source LIMIT {SOURCES_MAX}),
campaigns AS (SELECT campaign FROM named GROUP BY ALL ORDER BY count(*) DESC, campaign LIMIT {CAMPAIGNS_MAX}),
few AS (SELECT contact, CASE WHEN source IN (FROM sources) THEN source ELSE '{OTHER}' END AS source,
               CASE WHEN campaign IN (FROM campaigns) THEN campaign ELSE '{OTHER}' END AS campaign, came_week
        FROM named)
SELECT contact, dense_rank() OVER (ORDER BY source, campaign, came_week) - 1 AS cell, source, campaign,
       strftime(came_week, '%Y-%m-%d') AS week
FROM few"""

_QUERIES: Final = {
    "cells": "SELECT cell, source, campaign, week, count(*) FROM cells GROUP BY ALL",
    "reached": "SELECT cell, place, count(*) FROM reached JOIN cells USING (contact) GROUP BY ALL",
    "current": "SELECT cell, place, count(*) FROM people JOIN cells USING (contact) GROUP BY ALL",
    # Of those ever in a stage, how many came to the next one later.
    "converted": """SELECT cell, a.place, count(*) FROM reached a JOIN reached b USING (contact)
                    JOIN cells USING (contact)
                    WHERE b.place = a.place + 1 AND b.last_step > a.first_step GROUP BY ALL""",
    "moves": """SELECT cell, from_place, place, count(*) FROM changes JOIN cells USING (contact)
                WHERE from_place IS NOT NULL GROUP BY ALL""",
    "stays": f"""SELECT cell, place, greatest(0, floor(ln(greatest(seconds, 1) / {BIN_FIRST_SECONDS})
                 / ln({BIN_GROWTH})))::INTEGER, count(*) FILTER (outcome IN ('forward', 'backward')),
                 count(*) FILTER (outcome IN ('waiting', 'merged')) FROM visits JOIN cells USING (contact)
                 GROUP BY ALL""",
    "trend": """SELECT cell, strftime(date_trunc('week', happened), '%Y-%m-%d'), place, count(*)
                FROM history JOIN cells USING (contact) GROUP BY ALL""",
    "sla": """SELECT cell, promises.owner, place, count(*) FILTER (outcome = 'kept'),
              count(*) FILTER (outcome = 'breached'), count(*) FILTER (outcome = 'running')
              FROM promises JOIN cells USING (contact) GROUP BY ALL""",
    "value": """SELECT cell, place, coalesce(currency, '?'), count(*), coalesce(sum(amount), 0) FROM deals
                JOIN people USING (contact) JOIN cells USING (contact) WHERE standing = 'open' GROUP BY ALL""",
    "returned": """SELECT cell, from_place, place, coalesce(reason, ''), count(*) FROM changes
                   JOIN cells USING (contact) WHERE place < from_place GROUP BY ALL""",
}


def cube(tables: Tables) -> dict[str, Any]:
    """Rows by figure; a row's first column is its cell, stages are their places."""
    tables.rows(_CELLS)
    found: dict[str, Any] = {name: tables.rows(f"{query} ORDER BY ALL") for name, query in _QUERIES.items()}
    found["stages"] = list(zip(tables.stages, tables.owners, tables.names, strict=True))
    found["bin"] = [BIN_FIRST_SECONDS, BIN_GROWTH]
    return found
