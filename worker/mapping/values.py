"""What compiled mappings call while they run: a value of another system into one of ours, or `Bad`.

The compiled code looks at the class first and calls these only for what isn't already right. None, and a text
without anything in it where one can't mean anything, is as no field.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from hashlib import blake2b
from math import isfinite
from typing import Any, Final

import msgspec

from schemas.events_in import MAX_DEPTH
from schemas.fields import Kind
from schemas.wire import MAX_ID_BYTES, MAX_NUMBER
from worker.instants import format_instant
from worker.mapping.outcome import Bad, kind, wrong
from worker.mapping.times import moment

FLAGS: Final[Mapping[str, bool]] = {
    "true": True, "yes": True, "y": True, "t": True, "1": True, "on": True,
    "false": False, "no": False, "n": False, "f": False, "0": False, "off": False,
}  # fmt: skip
"""Texts that say true or false, in lower case."""

_digest_of_nothing: Final = blake2b(digest_size=12)  # a copy costs less than another one
_canonical: Final = msgspec.json.Encoder(order="deterministic").encode


# ------------------------------------------------------------------------------------------------------------- kinds
def text(value: Any, scope: str, path: str) -> str | None:
    """A number becomes its digits: many systems' ids are numbers."""
    if value is None or value.__class__ is str:
        return value
    if value.__class__ is int:
        return str(value)
    if value.__class__ is float and isfinite(value):
        return str(int(value)) if value.is_integer() and abs(value) <= MAX_NUMBER else repr(value)
    if isinstance(value, datetime):
        return format_instant(moment(value, None))
    if isinstance(value, date | Decimal):
        return str(value)
    raise wrong(scope, path, "text", value)


def identifier(value: Any, scope: str, path: str) -> str | None:
    """Text of at most `MAX_ID_BYTES`; an empty one is none."""
    found = value if value.__class__ is str else text(value, scope, path)
    if found is None:
        return None
    found = found.strip()
    if len(found) * 4 > MAX_ID_BYTES and len(found.encode(errors="replace")) > MAX_ID_BYTES:
        raise Bad(
            "id-too-long", scope, path, f"an id may have {MAX_ID_BYTES} bytes, this one has {len(found.encode())}"
        )
    return found or None


def fits(value: str | None, scope: str, path: str) -> str | None:
    """An id that may be empty, as a trait that ends a membership is."""
    if value and len(value) * 4 > MAX_ID_BYTES:
        identifier(value, scope, path)
    return value


def number(value: Any, scope: str, path: str) -> int | float | None:
    """A number, or a text that is one (`"12.50"`)."""
    found: Any = value
    if value.__class__ is str:
        stripped = value.strip()
        if not stripped:
            return None
        try:
            found = int(stripped) if stripped.lstrip("+-").isdigit() and len(stripped) <= 32 else float(stripped)
        except ValueError:
            raise wrong(scope, path, "a number", value) from None
    elif isinstance(value, Decimal):
        found = float(value)
    if found is None:
        return None
    if found.__class__ is not int and found.__class__ is not float:
        raise wrong(scope, path, "a number", value)
    if not -MAX_NUMBER <= found <= MAX_NUMBER:
        raise Bad("number-too-large", scope, path, f"a number may be at most {MAX_NUMBER} either side of 0")
    return found


def flag(value: Any, scope: str, path: str) -> bool | None:
    """True or false, or the usual texts and numbers for it."""
    if value is None or value.__class__ is bool:
        return value
    if value.__class__ is str:
        word = value.strip().lower()
        if not word:
            return None
        if word in FLAGS:
            return FLAGS[word]
    elif value.__class__ is int and value in (0, 1):
        return bool(value)
    raise wrong(scope, path, "true or false", value)


def texts(value: Any, scope: str, path: str) -> list[str] | None:
    """A list of texts; one text is a list of one."""
    if value is None or value == "":
        return None
    if value.__class__ is str:
        return [value]
    if value.__class__ is list:
        found = [text(part, scope, f"{path}[{place}]") for place, part in enumerate(value)]
        return [part for part in found if part is not None]
    raise wrong(scope, path, "a list of texts", value)


def free(value: Any, scope: str, path: str, depth: int = 2) -> Any:
    """A value of a field that we don't know: as it is, within the limits of any event."""
    found = value.__class__
    if found is str or found is bool or value is None:
        return value
    if found is int or found is float:
        if not -MAX_NUMBER <= value <= MAX_NUMBER:
            raise Bad("number-too-large", scope, path, f"a number may be at most {MAX_NUMBER} either side of 0")
        return value
    if found is dict or found is list:
        if depth > MAX_DEPTH:
            raise Bad("too-deep", scope, path, f"nested more than {MAX_DEPTH} deep")
        for part in value.values() if found is dict else value:
            free(part, scope, path, depth + 1)
        return value
    return text(value, scope, path)


CONVERTERS: Final[Mapping[Kind | None, Callable[[Any, str, str], Any]]] = {
    "text": text,
    "id": text,
    "number": number,
    "boolean": flag,
    "texts": texts,
    None: free,
}


def rest(
    found: dict[str, Any], value: Any, kinds: Mapping[str, Kind], omitted: frozenset[str], scope: str, path: str
) -> None:
    """Put all fields of an object into `found` that aren't there yet; those that we know get their kind."""
    if value is None:
        return
    if value.__class__ is not dict:
        raise wrong(scope, path, "an object", value)
    for name, part in value.items():
        if part is not None and name not in omitted and name not in found:
            known = kinds.get(name)
            part = CONVERTERS[known](part, scope, f"{path}.{name}")
            if known == "id":
                part = fits(part, scope, f"{path}.{name}")
            if part is not None:
                found[name] = part


# ------------------------------------------------------------------------------------------------------------ texts
_ADDRESS: Final = re.compile(r"[^<]*<([^<>]+)>\s*")
_BETWEEN_WORDS: Final = re.compile(r"[^a-z0-9]+")


def email(value: Any, scope: str, path: str) -> str | None:
    """The address in lower case and without what stands around it; None for what is no address."""
    if value.__class__ is not str:
        if value is None:
            return None
        raise wrong(scope, path, "an e-mail address", value)
    address: str = value.strip().lower()
    if address.endswith(">") and (match := _ADDRESS.fullmatch(address)) is not None:
        address = match.group(1).strip()
    local, _, domain = address.partition("@")
    if not local or not domain or " " in address:
        return None
    return address if len(address) * 4 <= MAX_ID_BYTES else identifier(address, scope, path)


def slug(value: str) -> str:
    """`Order Completed (EU)` → `order_completed_eu`."""
    return _BETWEEN_WORDS.sub("_", value.lower()).strip("_")


def parts(value: Any, separator: str) -> Any:
    if value.__class__ is str:
        return [part.strip() for part in value.split(separator) if part.strip()]
    return value


def as_key(value: Any) -> Any:
    """A value as the keys of a table are written."""
    if value.__class__ is bool:
        return "true" if value else "false"
    if value.__class__ is int:
        return str(value)
    return value if value.__class__ is str else None


def product(value: Any, factor: Any, scope: str, path: str) -> int | float | None:
    """`value * factor`; the value itself where there is no factor."""
    amount, by = number(value, scope, path), number(factor, scope, path)
    return amount if amount is None or by is None else amount * by


def quotient(value: Any, divisor: Any, scope: str, path: str) -> int | float | None:
    """`value / divisor`, whole where it comes out whole."""
    amount, by = number(value, scope, path), number(divisor, scope, path)
    if amount is None or by is None:
        return amount
    if by == 0:
        raise Bad("wrong-type", scope, path, "expected a divisor other than 0")
    result = amount / by
    return int(result) if result == int(result) else result


# --------------------------------------------------------------------------------------------------------------- ids
def digest(values: tuple[Any, ...], scope: str, path: str) -> str | None:
    """24 hexadecimal digits of the values, the same for equal values in any notation of theirs; None of nothing."""
    if values.count(None) == len(values):
        return None
    try:
        body = _canonical(values)
    except (TypeError, ValueError, msgspec.EncodeError, RecursionError):
        raise Bad("missing-field", scope, path, "expected plain values to make an id from") from None
    made = _digest_of_nothing.copy()
    made.update(body)
    return made.hexdigest()


def joined_id(other: str, record: str) -> str:
    """The id of an identification: one for each pair of contact and other name, so that a repeat changes nothing."""
    made = f"identified:{other}:{record}" if record else f"identified:{other}"
    if len(made) * 4 > MAX_ID_BYTES and len(made.encode()) > MAX_ID_BYTES:
        return "identified:" + blake2b(made.encode(), digest_size=12).hexdigest()
    return made


def part_id(record: str, part: str) -> str:
    """The id of one event of several that a record makes."""
    made = f"{record}:{part}"
    if len(made) * 4 > MAX_ID_BYTES and len(made.encode()) > MAX_ID_BYTES:
        return f"{blake2b(record.encode(), digest_size=12).hexdigest()}:{part}"
    return made


def two_contacts(event_type: str, subject: str, data: dict[str, Any], scope: str) -> None:
    """A merge, a split and an identification name another contact than their own."""
    field = "anonymous_id" if event_type == "contact.identified" else "from"
    other = data.get(field)
    if not other:
        raise Bad("missing-field", scope, "", f"{event_type} needs the other contact's id ({field}), and found none")
    if other == subject:
        raise Bad("merge-into-itself", scope, "", f"{event_type} names one contact twice")


def placed(event_type: str, subject: str, data: dict[str, Any], scope: str) -> None:
    if not (data.get("stage") or data.get("status")):
        raise Bad("missing-field", scope, "", f"{event_type} needs a stage or a status, and found neither")


MEANING: Final[Mapping[str, Callable[[str, str, dict[str, Any], str], None]]] = {
    "contact.identified": two_contacts,
    "contact.merged": two_contacts,
    "contact.split": two_contacts,
    "stage.set": placed,
}
"""Types that mean nothing without certain fields → what checks for these."""


def lacking(asked: list[tuple[bool, str]]) -> str:
    """Which of the things asked for isn't there, for the end of a message."""
    missing = [f"`{name}`" for held, name in asked if not held and name]
    return f", without {', '.join(missing)}" if missing else ""


def brief(*found: Any) -> str:
    """Values that tell kinds of record apart, for a message: names and versions, cut short."""
    return ", ".join(
        repr(value[:64]) if value.__class__ is str else str(as_key(value) or kind(value)) for value in found
    )
