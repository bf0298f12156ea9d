"""Who may send webhooks: `NAME=VENDOR[:SECRET]`, checked once, with the secret read from where it is kept."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

from worker.definition.nearest import nearest, suggestion
from worker.receive.signatures import VERIFY, Generic, Verify, generic, public_key, segment_first

UNSIGNED: Final = "unsigned"
HMAC: Final = "hmac"
VENDORS: Final = (*VERIFY, HMAC, UNSIGNED)
NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
SECRET_BYTES_MAX: Final = 65_536
SECRETS_MAX: Final = 8

_CHOICES: Final = {"digest": ("sha1", "sha256", "sha512"), "encoding": ("hex", "base64")}


class SourceError(Exception):
    """A source can't be as it was given; the text holds no secret."""


@dataclass(frozen=True, slots=True)
class Source:
    """One sender. `verify` is None where anybody may send; `secrets` are all that may have signed."""

    name: str
    vendor: str
    verify: Verify | None
    secrets: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def json_only(self) -> bool:
        """Whether the vendor is known to send nothing but JSON."""
        return self.vendor in VERIFY


def read_source(given: str, environment: Mapping[str, str] = os.environ) -> Source:
    """`NAME=VENDOR[:SECRET][?option=value&…]` with its secret.

    SECRET is the name of an environment variable, or `@FILE`; by default the variable is RECEIVE_NAME_SECRET. Each
    line of it is a secret of its own, so that one can follow the other. Options are those of `hmac`: header, digest,
    encoding, prefix, timestamp. Raises: SourceError.
    """
    name, equals, rest = given.partition("=")
    rest, _, query = rest.partition("?")
    vendor, _, place = rest.partition(":")
    if not equals or not NAME.fullmatch(name):
        raise SourceError(
            f"{given.partition('?')[0]!r} is not NAME=VENDOR[:SECRET]: NAME is lower-case letters, digits, '-' and '_'"
        )
    if vendor not in VENDORS:
        hint = suggestion(nearest(vendor, VENDORS))
        raise SourceError(f"source {name}: no vendor {vendor!r} (there are {', '.join(VENDORS)}){hint}")
    options = parse_qsl(query, keep_blank_values=True)
    if options and vendor != HMAC and (vendor, options) != ("segment", [("batch", "first")]):
        raise SourceError(f"source {name}: only {HMAC} has options, and segment batch=first")
    if vendor == UNSIGNED:
        if place:
            raise SourceError(f"source {name}: what is unsigned has no secret")
        return Source(name, vendor, None)
    secrets = _secrets(name, place, environment)
    if vendor == "sendgrid":
        for key in secrets:
            try:
                public_key(key)
            except ImportError:
                raise SourceError(
                    f"source {name}: its signatures need cryptography: pip install 'lifecycle-worker[receive]'"
                ) from None
            except ValueError:
                raise SourceError(
                    f"source {name}: not every line of its secret is a verification key, as SendGrid's settings show it"
                ) from None
    if vendor == HMAC:
        verify = generic(_generic(name, dict(options)))
    else:
        verify = segment_first if options else VERIFY[vendor]
    return Source(name, vendor, verify, secrets)


def _generic(name: str, options: dict[str, str]) -> Generic:
    fields: dict[str, Any] = {}
    for option, value in options.items():
        if option not in Generic.__dataclass_fields__:
            hint = suggestion(nearest(option, Generic.__dataclass_fields__))
            raise SourceError(f"source {name}: {HMAC} has no option {option!r}{hint}")
        if option in _CHOICES and value not in _CHOICES[option]:
            raise SourceError(f"source {name}: {option} is one of {', '.join(_CHOICES[option])}")
        fields[option] = value
    if fields.get("header") == "":
        raise SourceError(f"source {name}: the option header is empty")
    return Generic(**fields)


def _secrets(name: str, place: str, environment: Mapping[str, str]) -> tuple[bytes, ...]:
    if place.startswith("@"):
        where = place.removeprefix("@")
        try:
            with Path(where).open("rb") as file:
                text = file.read(SECRET_BYTES_MAX + 1)
        except OSError as error:
            raise SourceError(f"source {name}: the secret's file {where} can't be read ({error.strerror})") from None
        if len(text) > SECRET_BYTES_MAX:
            raise SourceError(f"source {name}: {where} is too long for a secret")
    else:
        where = place or f"RECEIVE_{name.upper().replace('-', '_')}_SECRET"
        if where not in environment:
            # What was given may be the secret itself, by mistake: only a variable's name is repeated.
            told = where if re.fullmatch(r"[A-Z][A-Z0-9_]*", where) else "that is named"
            raise SourceError(f"source {name}: the environment variable {told} with its secret is not set")
        text = environment[where].encode()
    secrets = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not secrets or len(secrets) > SECRETS_MAX:
        raise SourceError(f"source {name}: expected 1 to {SECRETS_MAX} secrets, a line each, got {len(secrets)}")
    return secrets
