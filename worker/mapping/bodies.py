"""A record's bytes into a document: JSON, or a form."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from worker.mapping.forms import Wanted, read_form
from worker.mapping.outcome import BodyError

MAX_BYTES: Final = 16 * 1024 * 1024  # of one record; vendors' batches stay well below

_BOM: Final = b"\xef\xbb\xbf"

_read: Final = msgspec.json.Decoder().decode


def read_body(body: bytes, reads: Literal["json", "form", "either"] = "json", wanted: Wanted | None = None) -> Any:
    """The document of a body; of a form, where given, those fields alone that are `wanted`.

    Raises: BodyError.
    """
    if len(body) > MAX_BYTES:
        raise BodyError("too-large", f"the record has {len(body)} bytes, a mapping reads {MAX_BYTES}")
    if body.startswith(_BOM):
        body = body[len(_BOM) :]
    if reads == "form" or (reads == "either" and body.lstrip()[:1] not in (b"{", b"[")):
        return read_form(body, wanted)
    try:
        if not body.isascii():
            body.decode()
        return _read(body)
    except UnicodeDecodeError as error:
        raise BodyError("not-utf8", f"invalid UTF-8 at byte {error.start}: {error.reason}") from None
    except RecursionError:
        raise BodyError("too-deep", "the record is nested too deep to be read") from None
    except msgspec.ValidationError as error:
        raise BodyError("number-too-large", str(error)) from None
    except msgspec.DecodeError as error:
        raise BodyError("not-json", f"{error}; the record has {len(body)} bytes") from None
