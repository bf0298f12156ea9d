"""An explanation as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from rich.text import Text

from worker.explain.values import Attempt, Condition, Correction, Explanation, Missing, Remedy, Step, Way, WhyNot

MINUTE: Final = len("2026-01-05T09:00")
INDENT: Final = 18
CAME: Final = {
    "contact.erased": "took away what was before it and changed",
    **dict.fromkeys(("contact.merged", "contact.identified", "contact.split"), "says who is whom and changed"),
}


def render(explained: Explanation) -> Iterator[Text]:
    """The whole explanation, a line at a time."""
    yield from _head(explained)
    if explained.visits:
        yield Text()
        yield Text("Earlier visits", "bold")
        for visit in explained.visits:
            until = f"to {minute(visit.left)}" if visit.left else "and on"
            yield Text.assemble((f"{minute(visit.entered)}  ", "dim"), words(visit.stage), (f"  {until}", "dim"))
    if explained.steps:
        yield Text()
        yield Text("History", "bold")
        for step in explained.steps:
            yield from _step(step)
    for number, correction in enumerate(explained.corrections):
        if not number:
            yield Text()
            yield Text("Corrections", "bold")
        yield from _correction(correction)
    for number, refusal in enumerate(explained.refusals):
        if not number:
            yield Text()
            yield Text("Not accepted", "bold")
        yield Text.assemble((f"{minute(refusal['time'])}  ", "dim"), f"{refusal['type']}: {refusal['message']}")
    if explained.why_not is not None:
        yield Text()
        yield from _why_not(explained.why_not, explained)
    if explained.notes:
        yield Text()
        for note in explained.notes:
            yield Text(note, "italic")


def _head(explained: Explanation) -> Iterator[Text]:
    if not explained.known:
        yield Text.assemble((explained.contact, "bold"), f": nothing is known of it as of {minute(explained.at)}")
        return
    if explained.stage is None:
        yield Text.assemble((explained.contact, "bold"), f" was known as of {minute(explained.at)}")
    else:
        name = explained.stage_name or words(explained.stage)
        yield Text.assemble((explained.contact, "bold"), " is ", (name, "bold green"), f" as of {minute(explained.at)}")
    parts = [f"since {minute(explained.entered_at)}" if explained.entered_at else ""]
    parts.append(f"owner {words(explained.owner)}" if explained.owner else "")
    parts.append(f"status {words(explained.status)}" if explained.status else "")
    if explained.qualified is not None:
        parts.append("qualified" if explained.qualified else "not qualified")
    if explained.score is not None:
        parts.append(f"score {explained.score['behaviour']:g} behaviour + {explained.score['fit']:g} fit")
    if explained.company:
        parts.append(f"company {explained.company}")
    if explained.due_at:
        parts.append(f"promise due {minute(explained.due_at)}")
    elif explained.late:
        parts.append("promise broken")
    yield Text("  " + ", ".join(part for part in parts if part), "dim")
    yield Text(f"  by {explained.lifecycle} version {explained.version} ({explained.fingerprint[:12]})", "dim")


def _step(step: Step) -> Iterator[Text]:
    line = Text.assemble((f"{minute(step.time)}  ", "dim"), happened(step))
    why = cause(step.cause)
    if why:
        line.append(f"  ({why})", "dim")
    yield line
    if step.taken is not None:
        for condition in step.taken.conditions:
            yield from _condition(condition, True)
    else:
        for name in guards(step):
            yield Text(" " * INDENT + "✓ ", "green") + Text(name)
    for attempt in step.refused:
        yield from _refused(attempt)


def guards(step: Step) -> list[str]:
    """The conditions of a move, where all that is known of them is what was published."""
    if step.taken is not None or step.kind != "stage.changed" or step.event is None:
        return []
    return list(step.event["data"].get("guards") or ())


def happened(step: Step) -> Text:
    """What a step is, in a few words."""
    line = Text()
    data = step.event["data"] if step.event is not None else {}
    match step.kind:
        case "stage.changed":
            came = words(data["from"]) + (" ↩ " if data["direction"] == "backward" else " → ") if data["from"] else "• "
            colour = "yellow" if data["direction"] == "backward" else "green"
            line.append(came, "dim").append(words(data["to"]), f"bold {colour}")
            line.append(f"  {data['says']}" if data["says"] else "  becomes known")
        case "status.changed":
            line.append(f"status {words(data['from'])} → ").append(words(data["to"]), "blue")
        case "sla.breached":
            line.append(f"promise on {words(data['stage'])} not kept: {words(data['owner'])} is late", "red")
        case "sla.met":
            line.append(f"promise on {words(step.stage)} kept", "green")
        case "refused":
            line.append(f"stays {words(step.stage)}", "yellow")
        case "signal" if data["action"] == "warned":
            line.append(f"promise on {words(data['stage'])} ends {minute(data['due_at'])}", "yellow")
        case "signal" if data["action"] in ("entered", "left"):
            line.append(
                f"{'enters' if data['action'] == 'entered' else 'leaves'} segment {words(data['signal'])}", "cyan"
            )
        case "signal":
            line.append(f"signal {words(data['signal'])}", "cyan")
        case "hygiene.failed":
            line.append("; ".join(failure["message"] for failure in data["failures"]), "yellow")
        case "contact.merged":
            line.append(f"is {data['from']} too", "magenta")
        case other:
            line.append(other.replace(".", " "))
    return line


def _refused(attempt: Attempt) -> Iterator[Text]:
    yield Text.assemble(" " * INDENT, ("not ", "dim"), (words(attempt.to), "bold"), (f": {attempt.says}", "dim"))
    for condition in attempt.missing:
        yield from _condition(condition, True, INDENT + 2)


def _condition(condition: Condition, wanted: bool, indent: int = INDENT) -> Iterator[Text]:
    """The condition and, below it, the parts that made it what it is."""
    good = condition.holds == wanted
    yield Text.assemble(" " * indent, ("✓ " if condition.holds else "✗ ", "green" if good else "red"), _atom(condition))
    for part in telling(condition):
        yield from _condition(part, part.holds if good else not part.holds, indent + 2)


def telling(condition: Condition) -> tuple[Condition, ...]:
    """The parts that made a condition what it is: of an `and` that fails, those that fail."""
    match condition.kind:
        case "all" if not condition.holds:
            return tuple(part for part in condition.parts if not part.holds)
        case "any" if condition.holds:
            return tuple(part for part in condition.parts if part.holds)
        case "choice":
            return condition.parts[:1] + (condition.parts[1:2] if condition.parts[0].holds else condition.parts[2:])
        case "name" if condition.parts[0].kind in ("all", "any", "not", "choice", "name"):
            inner = condition.parts[0]
            return telling(inner) if inner.kind in ("all", "any") else condition.parts
    return condition.parts


def _atom(condition: Condition) -> Text:
    line = Text(condition.text)
    seen = [f"{seen.what} = {value(seen.value)}" for seen in condition.seen]
    if seen:
        line.append("   " + ", ".join(seen), "dim")
    return line


def _correction(correction: Correction) -> Iterator[Text]:
    why = correction.cause
    came = CAME.get(why["type"], "arrived late and changed")
    yield Text.assemble((f"{minute(why['time'])}  ", "dim"), f"{why['type']} ({why['id']}) {came} what was said:")
    for mark, colour, bodies in (("-", "red", correction.withdrawn), ("+", "green", correction.restated)):
        for body in bodies:
            led = cause(body["data"].get("cause"))
            line = Text.assemble(" " * INDENT, (f"{mark} {minute(body['time'])}  {said(body)}", colour))
            yield line.append(f"  ({led})", "dim") if led else line


def said(body: Mapping[str, Any]) -> str:
    """An event out in a few words."""
    data, kind = body["data"], str(body["type"]).removeprefix("lifecycle.").removesuffix(".v1")
    match kind:
        case "stage.changed":
            return f"{words(data['from']) if data['from'] else 'new'} → {words(data['to'])}"
        case "status.changed":
            return f"status {words(data['from'])} → {words(data['to'])}"
        case "sla.breached":
            return f"promise on {words(data['stage'])} not kept"
        case "signal" if data["action"] == "warned":
            return f"warned of the promise on {words(data['stage'])}"
        case "signal":
            told = {"entered": "enters segment", "left": "leaves segment"}.get(data["action"], "signal")
            return f"{told} {words(data['signal'])}"
        case "contact.merged":
            return f"is {data['from']} too"
    return kind.replace(".", " ")


def _why_not(asked: WhyNot, explained: Explanation) -> Iterator[Text]:
    if asked.there:
        yield Text(f"It is {words(asked.stage)}.", "bold")
        return
    yield Text(f"Why not {words(asked.stage)}", "bold")
    if not asked.ways:
        yield Text(f"  No transition leads there from {words(explained.stage)}.")
    for way in asked.ways:
        yield from _way(way)
    for title, ways in (("then", asked.then), ("or stage by stage", asked.by_stages)):
        for number, way in enumerate(ways):
            if not number:
                yield Text(f"  {title}:", "dim")
            yield from _way(way)


def _way(way: Way) -> Iterator[Text]:
    yield Text.assemble("  ", (f"{words(way.origin)} → {words(way.attempt.to)}", "bold"), f": {way.attempt.says}")
    if not way.missing and not way.waiting:
        yield Text("    ✓ nothing is missing", "green")
    if way.waiting:
        yield Text("    ✗ ", "red") + Text(
            "this has to happen" if len(way.waiting) == 1 else "one of these has to happen"
        )
        for remedy in way.waiting:
            yield _remedy(remedy)
    for missing in way.missing:
        yield from _missing(missing)


def _missing(missing: Missing) -> Iterator[Text]:
    yield from _condition(missing.condition, missing.wanted, 4)
    for remedy in missing.remedies:
        yield _remedy(remedy)


def _remedy(remedy: Remedy) -> Text:
    line = Text("        would help: ", "dim")
    if remedy.event is not None:
        line.append(example(remedy.event), "cyan")
        if remedy.kind != "event" or remedy.says.partition(" ")[0].isdigit():
            line.append(f"  ({remedy.says})", "dim")
    else:
        line.append(remedy.says, "cyan")
    if remedy.arrives:
        line.append("  and it moves", "green")
    return line


def example(event: Mapping[str, Any]) -> str:
    """An event in a few words: `email.replied intent=meeting`."""
    fields = {name: given for name, given in event.items() if name not in ("type", "traits")}
    fields |= {f"traits.{name}": given for name, given in event.get("traits", {}).items()}
    return " ".join([str(event["type"]), *(f"{name}={value(given)}" for name, given in fields.items())])


def cause(given: Mapping[str, Any] | None) -> str:
    """What led to a step: an event, time or a person."""
    if not given:
        return ""
    match given.get("kind"):
        case "timer":
            return "time"
        case "person":
            return f"{given.get('by') or 'someone'} placed it" + (f": {given['reason']}" if given.get("reason") else "")
    return " ".join(str(given[name]) for name in ("type", "id") if given.get(name))


def words(name: Any) -> str:
    """A name of the definition as words."""
    return str(name).replace("_", " ") if name else "none"


def value(given: Any) -> str:
    """A value that a condition saw."""
    match given:
        case None | "":
            return "not set"
        case True | False:
            return "yes" if given else "no"
        case list():
            return ", ".join(map(str, given)) or "none"
        case float() | int():
            return f"{given:g}" if abs(given) < 1e6 else f"{given:,.0f}"
    text = str(given)
    if len(text) == 24 and text[10:11] == "T" and text.endswith("Z"):
        return minute(text)
    return text if len(text) <= 40 else text[:39] + "…"


def minute(instant: str | None) -> str:
    """An instant as people read it: day, hour and minute, UTC."""
    return instant[:MINUTE].replace("T", " ") if instant else ""
