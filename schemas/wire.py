"""The values that both directions share: texts, ids, numbers, times, and how models treat what they don't know."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr

MAX_ID_BYTES: Final = 256
MAX_NUMBER: Final = 2**53 - 1  # what every JSON reader holds exactly (RFC 8259, section 6)

_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d):(\d\d)(?:\.\d+)?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII)


def id_fits(value: str) -> str:
    size = len(value.encode())
    if size > MAX_ID_BYTES:
        raise ValueError(f"an id may have {MAX_ID_BYTES} bytes, this one has {size}")
    return value


def number_fits(value: int | float) -> int | float:
    if not -MAX_NUMBER <= value <= MAX_NUMBER:  # true for not-a-number as well
        raise ValueError(f"a number may be at most {MAX_NUMBER} either side of 0")
    return value


def is_time(value: str) -> str:
    """RFC 3339 with any offset and any precision, from 2000 on; a leap second passes as clocks write it (`:60`)."""
    match = _RFC3339.fullmatch(value)
    if match is None:
        raise ValueError("not an RFC 3339 time such as 2026-01-05T09:00:00Z")
    day, minute, second, sign, hours, minutes = match.groups()
    leap = second == "60"
    at = datetime.fromisoformat(f"{day}T{minute}:{'59' if leap else second}+00:00")
    offset = timedelta()
    if sign is not None:
        if int(hours) > 23 or int(minutes) > 59:
            raise ValueError(f"no such offset: {sign}{hours}:{minutes}")
        offset = timedelta(hours=int(hours), minutes=int(minutes)) * (-1 if sign == "-" else 1)
    try:
        at += timedelta(seconds=leap) - offset
    except OverflowError:
        raise ValueError("lies outside the years 1 to 9999") from None
    if at < _EARLIEST:
        raise ValueError("lies before 2000-01-01")
    return value


Text = StrictStr
Flag = StrictBool
Id = Annotated[
    StrictStr,
    AfterValidator(id_fits),
    Field(json_schema_extra={"maxLength": MAX_ID_BYTES, "x-max-bytes": MAX_ID_BYTES}),
]
Name = Annotated[Id, Field(min_length=1)]
Number = Annotated[
    StrictInt | StrictFloat,
    AfterValidator(number_fits),
    Field(json_schema_extra={"minimum": -MAX_NUMBER, "maximum": MAX_NUMBER}),
]
Texts = StrictStr | list[StrictStr]  # one text is as good as a list of it
Time = Annotated[StrictStr, AfterValidator(is_time), Field(json_schema_extra={"format": "date-time"})]
Instant = Annotated[
    StrictStr,
    Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", json_schema_extra={"format": "date-time"}),
]


class Incoming(BaseModel):
    """What others write: fields we don't know are kept, known ones must have their type. A null is as no field."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, defer_build=True)


class Outgoing(BaseModel):
    """What we write: exactly these fields, all of them always there, null where there is nothing to say."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True, allow_inf_nan=False)
