"""One line for each event out, for people: when, whom it is about, what became true and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from rich.text import Text

ARROWS: Final = {"forward": ("→", "green"), "backward": ("↩", "yellow"), "initial": ("•", "cyan")}
WHO_WIDTH: Final = 14
DATE_WIDTH: Final = len("2026-01-05 ")


def describe(body: Mapping[str, Any], width: int = WHO_WIDTH, *, dated: bool = True) -> Iterator[Text]:
    """The event out as lines: one, and for a correction one more for each event that stands instead.

    `width` is that of the contact's id; not `dated`, a line begins with the time of day alone.
    """
    for line in _lines(body, width):
        yield line if dated else line[DATE_WIDTH:]


def _lines(body: Mapping[str, Any], width: int) -> Iterator[Text]:
    data = body["data"]
    match str(body["type"]).removeprefix("lifecycle.").removesuffix(".v1"):
        case "stage.changed":
            yield _line(body, _stage(data), width)
        case "status.changed":
            said = Text.assemble("status ", (_words(data["from"]), "dim"), " → ", (_words(data["to"]), "blue"))
            yield _line(body, said, width, _why(data))
        case "sla.breached":
            said = Text(f"promise on {_words(data['stage'])} not kept: {data['owner']} is late", "red")
            yield _line(body, said, width, f"in {_words(data['stage'])} since {_minute(data['entered_at'])}")
        case "signal":
            yield _line(body, _signal(data), width, "" if data["action"] == "warned" else _why(data))
        case "hygiene.failed":
            says = "; ".join(failure["message"] for failure in data["failures"])
            yield _line(body, Text(f"record at fault: {says}", "yellow"), width)
        case "company.changed":
            yield _line(body, _company(data), width)
        case "contact.merged":
            yield _line(body, Text(f"is {data['from']} too", "magenta"), width)
        case "contact.erased":
            yield _line(body, Text("erased", "magenta"), width)
        case "corrected":
            said = _correction(data)
            yield _line(body, said, width)
            for restated in data["restated"]:
                for line in _lines(restated, width):
                    at = DATE_WIDTH + len("08:29  ") + width + 2
                    yield line[:at] + Text("↳ ", "magenta") + line[at:]
        case other:
            yield _line(body, Text(other), width)


def _line(body: Mapping[str, Any], said: Text, width: int, why: str = "") -> Text:
    who = str(body["subject"])
    if len(who) > width:
        who = who[: width - 1] + "…"
    line = Text.assemble((_minute(body["time"]), "dim"), f"  {who:<{width}}  ", said)
    if why:
        line.append(f"  {why}", "dim")
    return line


def _stage(data: Mapping[str, Any]) -> Text:
    arrow, colour = ARROWS.get(data["direction"], ("→", "white"))
    said = Text()
    if data["from"] is not None:
        said.append(_words(data["from"]), "dim").append(f" {arrow} ")
    else:
        said.append(f"{arrow} ")
    said.append(_words(data["to"]), f"bold {colour}")
    why = _why(data)
    if why:
        said.append(f"  {why}")
    if data["says"]:
        said.append(f"  {data['says']}", "dim")
    return said


def _signal(data: Mapping[str, Any]) -> Text:
    name = _words(data["signal"])
    match data["action"]:
        case "entered":
            return Text(f"enters segment {name}", "cyan")
        case "left":
            return Text(f"leaves segment {name}", "cyan")
        case "warned":
            return Text(f"promise on {_words(data['stage'])} ends at {_minute(data['due_at'])}", "yellow")
    return Text(f"signal {name}", "cyan")


def _correction(data: Mapping[str, Any]) -> Text:
    """What became different, by the first stage change that stands instead; else where the contact stands."""
    counts = f"{len(data['withdrawn'])} withdrawn, {len(data['restated'])} restated"
    moves = [restated for restated in data["restated"] if restated["type"] == "lifecycle.stage.changed.v1"]
    said = Text("corrected: ", "magenta")
    if moves:
        first = moves[0]["data"]
        arrow = f"{_words(first['from'])} → " if first["from"] is not None else ""
        said.append(f"{arrow}{_words(first['to'])} at {_minute(moves[0]['time'])}", "magenta")
    elif (data.get("current") or {}).get("stage"):
        said.append(f"stands at {_words(data['current']['stage'])}", "magenta")
    else:
        said.append("is no contact of its own any more", "magenta")
    return said.append(f"  {counts}", "dim")


def _company(data: Mapping[str, Any]) -> Text:
    said = Text("company ")
    if data["stage_from"] != data["stage_to"]:
        said.append(f"{_words(data['stage_from'])} → ").append(_words(data["stage_to"]), "bold")
    if data["customer_status_from"] != data["customer_status_to"]:
        said.append(f"  customer status {_words(data['customer_status_from'])} → {_words(data['customer_status_to'])}")
    return said


def _why(data: Mapping[str, Any]) -> str:
    cause = data.get("cause") or {}
    parts = {"event": cause.get("type"), "person": f"{cause.get('by') or 'someone'} placed it", "timer": "time"}
    why = str(parts.get(str(cause.get("kind")), "") or "")
    return f"{why}: {data['reason']}" if data.get("reason") and why else why


def _words(name: Any) -> str:
    return str(name).replace("_", " ") if name is not None else "none"


def _minute(instant: str) -> str:
    return instant[:16].replace("T", " ")
