"""Published events by hand: just what a figure reads of them, in the shape in which a worker writes them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from worker.instants import format_instant, parse_instant

STAGES: Final = ["lead", "mql", "sql", "customer"]
OWNERS: Final = ["marketing", "marketing", "sales", "success"]
START: Final = parse_instant("2026-01-05T00:00:00Z")
HOUR: Final = 3_600_000


def at(hours: float) -> str:
    return format_instant(START + round(hours * HOUR))


def said(kind: str, subject: str, hours: float, **data: Any) -> dict[str, Any]:
    """A published event; its id follows from its content."""
    content = {"type": f"lifecycle.{kind}.v1", "subject": subject, "time": at(hours), "data": data}
    return {"id": hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16], **content}


def changed(contact: str, left: str | None, to: str, hours: float, since: float | None = None, **more: Any) -> Any:
    """A stage change; `since` is when the stage before was entered."""
    place = -1 if left is None else STAGES.index(left)
    direction = "initial" if left is None else "forward" if STAGES.index(to) > place else "backward"
    data: dict[str, Any] = {
        "contact": contact, "from": left, "to": to, "direction": direction, "reason": "", "visit": 1,
        "cause": {"kind": "event", "type": "form.submitted"}, "entered_at": at(hours),
        "seconds_in_previous": None if since is None else (hours - since) * 3600, "sla": None, "qualified": False,
        "score": {"total": 10.0}, "status": None,
        "icp_fit": None, "value": {}, "attribution": {"first": None, "last": None},
    }  # fmt: skip
    return said("stage.changed", contact, hours, **(data | more))


def corrected(contact: str, hours: float, withdrawn: list[Any], restated: list[Any]) -> dict[str, Any]:
    return said(
        "corrected", contact, hours, contact=contact, withdrawn=[event["id"] for event in withdrawn], restated=restated
    )


def touch(source: str | None) -> dict[str, Any]:
    """Attribution whose first and last touch are one."""
    told = None if source is None else {"source": source, "medium": "m", "campaign": f"{source}-1", "type": "x"}
    return {"first": told, "last": told}


def write(path: Path, events: Iterable[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return path
