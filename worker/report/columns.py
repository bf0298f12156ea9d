"""What the figures need of a published event, as columns: of a line of JSON, and of whatever Parquet holds of it.

Each is a path into the event's `data`. Columns rather than one struct, because DuckDB then reads of a Parquet file only
those that a statement asks for.
"""

from __future__ import annotations

from typing import Any, Final

_TOUCH = "STRUCT(source VARCHAR, medium VARCHAR, campaign VARCHAR)"
_FIELDS = (
    '"from" VARCHAR, "to" VARCHAR, reason VARCHAR, direction VARCHAR,'
    ' cause STRUCT(kind VARCHAR, type VARCHAR, "by" VARCHAR), visit INTEGER, seconds_in_previous DOUBLE,'
    " sla STRUCT(due_at VARCHAR, late VARCHAR), status VARCHAR, qualified BOOLEAN, suppressed BOOLEAN,"
    ' score STRUCT(total DOUBLE), icp_fit BOOLEAN, "value" MAP(VARCHAR, STRUCT(amount DOUBLE, currency VARCHAR)),'
    f' company VARCHAR, attribution STRUCT("first" {_TOUCH}, "last" {_TOUCH}),'
    " stage VARCHAR, owner VARCHAR, due_at VARCHAR, signal VARCHAR, action VARCHAR,"
    " failures STRUCT(rule VARCHAR, field VARCHAR)[], stage_to VARCHAR, customer_status_to VARCHAR, revision BIGINT"
)
SAID: Final = f"STRUCT(id VARCHAR, type VARCHAR, subject VARCHAR, time VARCHAR, data STRUCT({_FIELDS}))"
DATA: Final = f"STRUCT({_FIELDS}, withdrawn VARCHAR[], restated {SAID}[])"
JSON: Final = f"{{'id': 'VARCHAR', 'type': 'VARCHAR', 'subject': 'VARCHAR', 'time': 'VARCHAR', 'data': '{DATA}'}}"
"""The columns of a file of lines."""

PATHS: Final[dict[str, tuple[str, ...]]] = {
    "from_stage": ("from",), "to_stage": ("to",), "direction": ("direction",), "reason": ("reason",),
    "cause_kind": ("cause", "kind"), "cause_type": ("cause", "type"), "placed_by": ("cause", "by"),
    "visit": ("visit",), "seconds_in_previous": ("seconds_in_previous",),
    "sla_due_at": ("sla", "due_at"), "sla_owner": ("sla", "late"),
    "status": ("status",), "qualified": ("qualified",), "suppressed": ("suppressed",), "score": ("score", "total"),
    "icp_fit": ("icp_fit",), "deal_value": ("value",), "company": ("company",),
    **{f"{which}_{part}": ("attribution", which, part)
       for which in ("first", "last") for part in ("source", "medium", "campaign")},
    "stage": ("stage",), "owner": ("owner",), "due_at": ("due_at",), "signal": ("signal",), "action": ("action",),
    "failures": ("failures",), "stage_to": ("stage_to",), "customer_status_to": ("customer_status_to",),
    "revision": ("revision",),
}  # fmt: skip
EVERY: Final = (*PATHS, "withdrawn", "restated")


def path(data: str, steps: tuple[str, ...]) -> str:
    return data + "".join(f'."{step}"' for step in steps)


def columns(data: str) -> str:
    """All of `PATHS`, of an expression whose type is that of `data` in a line of JSON or in what is restated."""
    return ", ".join(f"{path(data, steps)} AS {name}" for name, steps in PATHS.items())


def found(data: str, form: Any, wanted: Any) -> str:
    """`EVERY` column of an expression of whatever type `form` (DuckDB's); what it has not is null."""
    types = {name: _inner(wanted, steps) for name, steps in (*PATHS.items(), ("withdrawn", ("withdrawn",)))}
    told = [f"{_found(data, form, steps, types[name])} AS {name}" for name, steps in PATHS.items()]
    told.append(f"{_found(data, form, ('withdrawn',), types['withdrawn'])} AS withdrawn")
    restated = dict(form.children).get("restated")
    whole = _inner(wanted, ("restated",))
    told.append(
        f"{f'NULL::{whole}' if restated is None else _shaped(path(data, ('restated',)), restated, whole)} AS restated"
    )
    return ", ".join(told)


def _inner(form: Any, steps: tuple[str, ...]) -> Any:
    for step in steps:
        form = dict(form.children)[step]
    return form


def _found(data: str, form: Any, steps: tuple[str, ...], wanted: Any) -> str:
    for place, step in enumerate(steps):
        has = dict(form.children) if form.id == "struct" else {}
        if step not in has:
            return f"NULL::{wanted}"
        form = has[step]
        if place + 1 == len(steps):
            return _shaped(path(data, steps), form, wanted)
    return data


def _shaped(expression: str, form: Any, wanted: Any, depth: int = 0) -> str:
    """The expression in the type that is wanted, field by field: what a struct lacks is null, what is more is left."""
    if str(form) == str(wanted):
        return expression
    if "NULL" in str(form)[:5]:  # a column of nothing but null, which DuckDB 2.0 can read but not cast
        return f"NULL::{wanted}"
    if wanted.id == "map" and form.id == "struct":  # keys taken for fields, as readers of JSON do: those of all rows
        entries = f"map_entries(to_json({expression})::{wanted})"
        return f"map_from_entries(list_filter({entries}, lambda entry: entry.value IS NOT NULL))"
    if wanted.id == "struct" and form.id == "struct":
        has = dict(form.children)
        fields = (
            f'"{name}" := '
            + (_shaped(f'{expression}."{name}"', has[name], inner, depth) if name in has else f"NULL::{inner}")
            for name, inner in wanted.children
        )
        return f"struct_pack({', '.join(fields)})"
    if wanted.id == "list" and form.id == "list":
        one = f"one{depth}"
        inner = _shaped(one, form.children[0][1], wanted.children[0][1], depth + 1)
        return f"list_transform({expression}, lambda {one}: {inner})"
    return f"{expression}::{wanted}"
