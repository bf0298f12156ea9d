"""A first draft of a mapping from a few records: what can be guessed is guessed, and says that it was.

No value of a record gets into the draft but those that tell kinds of records apart: the others may be personal.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from worker.instants import parse_instant
from worker.mapping.expression import ELEMENT, Path
from worker.mapping.fields import tells_of_delivery

RECORDS_MAX: Final = 1_000  # that are looked at
KINDS_MAX: Final = 30  # of records that get a rule of their own
FIELDS_MAX: Final = 60  # that are listed as not used yet

_TELLING: Final = ("type", "event", "event_type", "eventtype", "topic", "action", "kind", "op", "metric", "eventname")
_IDS: Final = ("id", "event_id", "eventid", "messageid", "message_id", "uuid", "token", "guid", "uid")
_PERSONS: Final = ("contact_id", "contactid", "user_id", "userid", "customer_id", "customerid", "lead_id", "leadid")
_TIMES: Final = ("occurred", "happened", "timestamp", "time", "created", "date", "at", "ts")
_OF_DELIVERY: Final = re.compile(r"sent|received|delivered|attempt|retry|updated")
_EMAIL: Final = re.compile(r"[^@\s<>]+@[^@\s<>]+\.[^@\s<>]+")
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# A word in the name of a kind of record → the event it likely is; the first that fits.
_GUESSES: Final = (
    ("unsubscri", "list.unsubscribed"), ("subscription.cancel", "subscription.cancelled"),
    ("subscription.deleted", "subscription.cancelled"), ("subscription", "subscription.started"),
    ("subscribe", "list.subscribed"), ("bounce", "email.bounced"), ("click", "email.clicked"), ("open", "email.opened"),
    ("repl", "email.replied"), ("no_show", "meeting.missed"), ("cancel", "meeting.cancelled"),
    ("book", "meeting.booked"), ("form", "form.submitted"), ("submi", "form.submitted"), ("respon", "form.submitted"),
    ("regist", "webinar.registered"), ("attend", "webinar.attended"), ("join", "webinar.attended"),
    ("trial", "trial.started"), ("page", "page.viewed"), ("won", "deal.won"), ("lost", "deal.lost"),
    ("deal", "deal.updated"), ("opportunity", "deal.updated"), ("purchase", "purchase.confirmed"),
    ("order", "purchase.confirmed"), ("paid", "purchase.confirmed"), ("call", "conversation.logged"),
    ("identify", "contact.updated"), ("delet", ""), ("creat", "contact.created"), ("updat", "contact.updated"),
)  # fmt: skip


@dataclass
class _Seen:
    """What was seen of one field."""

    count: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    texts: set[str] = field(default_factory=set)


def draft(name: str, documents: Sequence[Any]) -> str:
    """The text of a mapping for such records; it loads, and drops what it couldn't guess."""
    each, items = _items(documents[:RECORDS_MAX])
    seen = _look(items)
    total = max(1, len(items))
    telling = _telling(seen, total)
    ident = _by_name(seen, _IDS, lambda s: len(s.texts) == s.count and s.count * 2 >= total)
    email = next((path for path, s in _shortest(seen) if s.kinds["e-mail"]), None)
    person = _by_name(seen, _PERSONS, lambda s: s.count * 2 >= total)
    time = _time(seen, total)
    used = {path for path in (telling, ident, email, person, time[0] if time else None) if path is not None}
    lines = [
        f"# A draft from {len(documents)} record{'s' if len(documents) != 1 else ''}: look at every line before you "
        "use it,",
        "# and try it: lifecycle map RECORDS --mapping THIS-FILE",
        f"mapping: {name}",
        f"title: {name}",
        "seen: a few records of it",
        "about: say here what is peculiar to this system, its times, its ids and what it sends twice",
        "",
    ]
    lines += [f"each: {_quoted(each)}"] if each else []
    lines += [f"source: /{name}"]
    if telling:
        lines += [f"takes: {_quoted(_path(telling))}", f"shows: [{_quoted(_path(telling))}]"]
    lines += _ident_lines(ident, telling, time, email or person)
    lines += _time_lines(time)
    lines += ["ids:"]
    lines += [f"  contact: {_quoted(_path(person))}"] if person else []
    lines += [f"  email: {{email: {_quoted(_path(email))}}}"] if email else []
    if not person and not email:
        lines += ["  contact: contact_id # guessed: no field looks like a person's id or address"]
    order = [label for label, path in (("contact", person), ("email", email)) if path] or ["contact"]
    lines += [f"subject: [{', '.join(order)}]"]
    lines += ["joins: [email]"] if len(order) > 1 else []
    lines += ["", "rules:", *_rule_lines(seen, telling, email)]
    lines += ["otherwise:", "  skip: no rule takes it yet", ""]
    lines += _rest_lines(seen, used, total)
    return "\n".join(lines)


# ------------------------------------------------------------------------------------------------------------- looking
def _items(documents: Sequence[Any]) -> tuple[str, list[Any]]:
    """Where the items are, and they."""
    if documents and all(isinstance(document, list) for document in documents):
        return "@", [item for document in documents for item in document]
    lists = Counter(
        name
        for document in documents
        if isinstance(document, dict)
        for name, value in document.items()
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value)
    )
    if lists:
        name, count = lists.most_common(1)[0]
        few = all(isinstance(document, dict) and len(document) <= 6 for document in documents)
        if count == len(documents) and few:
            return _path((name,)), [item for document in documents for item in document[name]]
    return "", list(documents)


def _look(items: Iterable[Any]) -> dict[Path, _Seen]:
    seen: dict[Path, _Seen] = {}
    for item in items:
        for path, value in _fields(item, ()):
            found = seen.setdefault(path, _Seen())
            found.count += 1
            found.kinds[_kind(value)] += 1
            if isinstance(value, str | int) and not isinstance(value, bool) and len(found.texts) < RECORDS_MAX:
                found.texts.add(str(value))
    return seen


def _fields(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _fields(part, (*path, str(name)))
    elif isinstance(value, list):
        for part in value[:5]:
            yield from _fields(part, (*path, ELEMENT))
    elif path:
        yield path, value


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return _epoch(float(value)) or "number"
    if not isinstance(value, str):
        return "nothing"
    if _EMAIL.fullmatch(value.strip()):
        return "e-mail"
    if value.isdigit():
        return _epoch(float(value)) or "number"
    try:
        parse_instant(value)
    except ValueError:
        plain = re.fullmatch(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?", value)
        return "time without a zone" if plain else "text"
    return "time"


def _epoch(value: float) -> str | None:
    """The unit in which a number would be a time of these years."""
    for unit, scale in (("seconds", 1.0), ("milliseconds", 1e3), ("microseconds", 1e6)):
        if 1_262_304_000 <= value / scale < 2_208_988_800:  # 2010 to 2039
            return unit
    return None


def _shortest(seen: Mapping[Path, _Seen]) -> list[tuple[Path, _Seen]]:
    return sorted(seen.items(), key=lambda item: (ELEMENT in item[0], -item[1].count, len(item[0])))


def _by_name(seen: Mapping[Path, _Seen], names: tuple[str, ...], fits: Any) -> Path | None:
    found = [
        (path[-1].lower() not in names, _rank(path[-1].lower(), names), len(path), path)
        for path, looked in seen.items()
        if ELEMENT not in path and path[-1].lower().endswith(names) and fits(looked)
    ]
    return min(found)[3] if found else None


def _rank(name: str, names: Sequence[str]) -> int:
    return min(place for place, known in enumerate(names) if name.endswith(known))


def _telling(seen: Mapping[Path, _Seen], total: int) -> Path | None:
    """The field whose few values tell kinds of records apart."""
    return _by_name(
        seen,
        _TELLING,
        lambda looked: looked.count == total and looked.kinds["text"] == total and len(looked.texts) <= KINDS_MAX,
    )


def _time(seen: Mapping[Path, _Seen], total: int) -> tuple[Path, str] | None:
    ranked: list[tuple[bool, bool, int, int, Path, str]] = []
    for path, looked in seen.items():
        kind = looked.kinds.most_common(1)[0][0]
        if ELEMENT in path or kind not in ("time", "time without a zone", "seconds", "milliseconds", "microseconds"):
            continue
        name = path[-1].lower()
        rank = next((place for place, word in enumerate(_TIMES) if word in name), len(_TIMES))
        ranked.append((looked.count * 2 < total, bool(_OF_DELIVERY.search(name)), rank, len(path), path, kind))
    if not ranked:
        return None
    best = min(ranked)
    return best[4], best[5]


# ------------------------------------------------------------------------------------------------------------- writing
def _path(path: Path) -> str:
    """The path as an expression; of a list, its first element."""
    written = ""
    for step in path:
        if step == ELEMENT:
            written += "[0]"
        else:
            written += ("." if written else "") + (step if _PLAIN.fullmatch(step) else json.dumps(step))
    return written


def _quoted(expression: str) -> str:
    """An expression as YAML: in quotes where it needs them."""
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]*", expression) and expression.lower() not in ("true", "false", "null"):
        return expression
    return "'" + expression.replace("'", "''") + "'"


def _ident_lines(
    ident: Path | None, telling: Path | None, time: tuple[Path, str] | None, person: Path | None
) -> list[str]:
    if ident:
        return [f"id: {_quoted(_path(ident))} # guessed: it names the event, and is the same when it is sent again"]
    found = [path for path in (telling, person, time[0] if time else None) if path]
    parts = [_quoted(_path(path)) for path in found if not any(tells_of_delivery(step) for step in path)]
    return [f"id: {{digest: [{', '.join(parts) or 'id'}]}} # guessed: no field looks like an id"]


def _time_lines(time: tuple[Path, str] | None) -> list[str]:
    if time is None:
        return ["time: {iso: time} # guessed: no field looks like a time"]
    path, kind = _quoted(_path(time[0])), time[1]
    match kind:
        case "time":
            return [f"time: {{iso: {path}}}"]
        case "time without a zone":
            return [f"time: {{iso: {path}, zone: UTC}} # guessed: which zone is meant isn't written"]
        case _:
            return [f"time: {{{kind}: {path}}}"]


def _rule_lines(seen: Mapping[Path, _Seen], telling: Path | None, email: Path | None) -> list[str]:
    if telling is None:
        return ["  - type: form.submitted # guessed: nothing tells kinds of records apart", *_trait_lines(email)]
    lines = []
    for value in sorted(seen[telling].texts):
        literal = "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
        condition = json.dumps(f"{_path(telling)} == {literal}", ensure_ascii=False)
        lines.append(f"  - when: {condition}")
        guess = next((event for word, event in _GUESSES if word in value.lower()), "")
        if guess:
            lines += [f"    type: {guess} # guessed from the name", *_trait_lines(email)]
        else:
            lines.append("    skip: say what it means, or that it means nothing")
    return lines


def _trait_lines(email: Path | None) -> list[str]:
    return [f"    traits: {{email: {{email: {_quoted(_path(email))}}}}}"] if email else []


def _rest_lines(seen: Mapping[Path, _Seen], used: set[Path], total: int) -> list[str]:
    others = [(path, looked) for path, looked in seen.items() if path not in used]
    lines = ["# What else the records hold:"] if others else []
    for path, looked in others[:FIELDS_MAX]:
        text = "".join(ELEMENT if step == ELEMENT else "." + step for step in path).removeprefix(".")
        lines.append(f"#   {text}: {looked.kinds.most_common(1)[0][0]}, in {min(looked.count, total)} of {total}")
    if len(others) > FIELDS_MAX:
        lines.append(f"#   and {len(others) - FIELDS_MAX} more")
    return [*lines, ""] if lines else []
