"""Who signed a webhook, and when: each vendor's way, checked in constant time. Nothing here does I/O or reads a clock.

| vendor                 | header                       | signed                       | with a time |
|------------------------|------------------------------|------------------------------|-------------|
| `hubspot`              | X-HubSpot-Signature-v3       | method, URI, body, timestamp | ms          |
| `stripe`               | Stripe-Signature             | timestamp `.` body           | s           |
| `calendly`             | Calendly-Webhook-Signature   | timestamp `.` body           | s           |
| `zoom`                 | x-zm-signature               | `v0:` timestamp `:` body     | s           |
| `typeform`             | Typeform-Signature           | body                         | no          |
| `intercom`             | X-Hub-Signature              | body (SHA-1)                 | no          |
| `segment`              | X-Signature                  | body (SHA-1)                 | no          |
| `sendgrid`             | X-Twilio-Email-Event-Webhook-Signature | timestamp body (ECDSA, P-256) | s  |
| `hmac`                 | as the source says           | [timestamp `.`] body         | if told so  |

SendGrid's is the one that is no MAC: what the source has is no secret, but the public key to check with.

Where the signature covers no time, an old request can be sent again and is taken again; it holds the same bytes, and
the mapping makes the same events of them, which change nothing the second time.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, Literal

import msgspec

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

SIGNATURES_MAX: Final = 8  # of one header: while a secret is changed there are two
_TIMESTAMP: Final = re.compile(r"[0-9]{1,16}", re.ASCII)
_PASSED: Final = re.compile(r"%(3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)", re.IGNORECASE)

Digest = Literal["sha1", "sha256", "sha512"]
Encoding = Literal["hex", "base64"]
Why = Literal["unsigned", "forged", "stale"]


class NotGenuine(Exception):
    """The request isn't what its sender signed, or it was signed too long ago; the text holds nothing of it."""

    def __init__(self, why: Why, message: str) -> None:
        super().__init__(message)
        self.why: Final[Why] = why


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request: `headers` by names in lower case, `uri` as the sender addressed it, `now` in epoch ms."""

    method: str
    uri: str
    headers: Mapping[str, str]
    body: bytes
    now: int


@dataclass(frozen=True, slots=True)
class Generic:
    """What an own sender's HMAC looks like. With `timestamp`, a header of epoch s or ms, `time.body` is signed."""

    header: str = "x-signature"
    digest: Digest = "sha256"
    encoding: Encoding = "hex"
    prefix: str = ""
    timestamp: str = ""


Verify = Callable[[Delivery, Sequence[bytes], int], None]
"""Takes the delivery, the secrets (any may have signed) and the window in ms. Raises: NotGenuine."""


def _mac(secret: bytes, parts: Sequence[bytes], digest: str, encoding: Encoding) -> bytes:
    mac = hmac.new(secret, digestmod=getattr(hashlib, digest))
    for part in parts:
        mac.update(part)
    return mac.hexdigest().encode() if encoding == "hex" else base64.b64encode(mac.digest())


def _match(
    given: Sequence[str],
    secrets: Sequence[bytes],
    parts: Sequence[bytes],
    digest: str = "sha256",
    encoding: Encoding = "hex",
) -> None:
    """One of the signatures given is of one of the secrets; all are compared, whichever of them it is."""
    candidates = [each.lower() if encoding == "hex" else each for each in given[:SIGNATURES_MAX]]
    found = False
    for secret in secrets:
        expected = _mac(secret, parts, digest, encoding)
        for candidate in candidates:
            found |= hmac.compare_digest(expected, candidate.encode(errors="replace"))
    if not found:
        raise NotGenuine("forged", "the signature is not of this body and secret")


def _header(delivery: Delivery, name: str) -> str:
    given = delivery.headers.get(name.lower(), "").strip()
    if not given:
        raise NotGenuine("unsigned", f"the header {name} is missing")
    return given


def _prefixed(given: str, prefix: str, name: str) -> str:
    if not given.startswith(prefix):
        raise NotGenuine("forged", f"{name} does not begin with {prefix!r}")
    return given.removeprefix(prefix)


def _fresh(text: str, unit_ms: int, delivery: Delivery, window_ms: int) -> None:
    """Called once the signature is known to be right: what an unsigned time says is of no interest."""
    if abs(delivery.now - int(text) * unit_ms) > window_ms:
        raise NotGenuine("stale", f"signed more than {window_ms // 1000} s from now: a replay, or a clock that is off")


def _timestamp(text: str, name: str) -> str:
    if not _TIMESTAMP.fullmatch(text):
        raise NotGenuine("forged", f"{name} holds no time")
    return text


def hubspot_uri(uri: str) -> str:
    """The URI as HubSpot signs it: of the characters that it lists, the percent-encoded ones are decoded."""
    return _PASSED.sub(lambda found: chr(int(found[1], 16)), uri)


def _hubspot(delivery: Delivery, secrets: Sequence[bytes], window_ms: int) -> None:
    given = _header(delivery, "X-HubSpot-Signature-v3")
    at = _timestamp(_header(delivery, "X-HubSpot-Request-Timestamp"), "X-HubSpot-Request-Timestamp")
    parts = [delivery.method.encode(), hubspot_uri(delivery.uri).encode(), delivery.body, at.encode()]
    _match([given], secrets, parts, encoding="base64")
    _fresh(at, 1, delivery, window_ms)


def _with_time(name: str) -> Verify:
    """`t=…,v1=…`, as Stripe writes it and Calendly too."""

    def verify(delivery: Delivery, secrets: Sequence[bytes], window_ms: int) -> None:
        pairs = [part.strip().partition("=") for part in _header(delivery, name).split(",")]
        at = _timestamp(next((value for key, _, value in pairs if key == "t"), ""), name)
        given = [value for key, _, value in pairs if key == "v1"]
        _match(given, secrets, [at.encode(), b".", delivery.body])
        _fresh(at, 1000, delivery, window_ms)

    return verify


def _zoom(delivery: Delivery, secrets: Sequence[bytes], window_ms: int) -> None:
    given = _prefixed(_header(delivery, "x-zm-signature"), "v0=", "x-zm-signature")
    at = _timestamp(_header(delivery, "x-zm-request-timestamp"), "x-zm-request-timestamp")
    _match([given], secrets, [b"v0:", at.encode(), b":", delivery.body])
    _fresh(at, 1000, delivery, window_ms)


def generic(form: Generic) -> Verify:
    """The check of an HMAC that looks like `form`."""

    def verify(delivery: Delivery, secrets: Sequence[bytes], window_ms: int) -> None:
        given = _prefixed(_header(delivery, form.header), form.prefix, form.header)
        if not form.timestamp:
            _match([given], secrets, [delivery.body], form.digest, form.encoding)
            return
        at = _timestamp(_header(delivery, form.timestamp), form.timestamp)
        _match([given], secrets, [at.encode(), b".", delivery.body], form.digest, form.encoding)
        _fresh(at, 1 if len(at) > 11 else 1000, delivery, window_ms)

    return verify


@cache
def public_key(text: bytes) -> EllipticCurvePublicKey:
    """SendGrid's verification key: the base64 that its settings show, base64 of DER.

    Raises: ValueError for what is none.
    """
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    key = load_der_public_key(base64.b64decode(text, validate=True))
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise ValueError("expected a key on the curve P-256")
    return key


def _sendgrid(delivery: Delivery, keys: Sequence[bytes], window_ms: int) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.hashes import SHA256

    prefix = "X-Twilio-Email-Event-Webhook-"
    given = _header(delivery, prefix + "Signature")
    at = _timestamp(_header(delivery, prefix + "Timestamp"), prefix + "Timestamp")
    try:
        signature = base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError):
        raise NotGenuine("forged", f"{prefix}Signature is no base64") from None
    found = False
    for key in keys:
        try:
            public_key(key).verify(signature, at.encode() + delivery.body, ECDSA(SHA256()))
            found = True
        except InvalidSignature:
            continue
    if not found:
        raise NotGenuine("forged", "the signature is not of this body and key")
    _fresh(at, 1000, delivery, window_ms)


def segment_first(delivery: Delivery, secrets: Sequence[bytes], window_ms: int) -> None:
    """As `segment`, and also batches of which Segment signs the first event alone: the others are believed with it."""
    try:
        events = msgspec.json.decode(delivery.body, type=list[msgspec.Raw])
    except msgspec.MsgspecError:
        events = []
    given = _header(delivery, "X-Signature")
    try:
        _match([given], secrets, [delivery.body], "sha1")
    except NotGenuine:
        if not events:
            raise
        _match([given], secrets, [bytes(events[0])], "sha1")


VERIFY: Final[Mapping[str, Verify]] = {
    "hubspot": _hubspot,
    "stripe": _with_time("Stripe-Signature"),
    "calendly": _with_time("Calendly-Webhook-Signature"),
    "zoom": _zoom,
    "typeform": generic(Generic("Typeform-Signature", encoding="base64", prefix="sha256=")),
    "intercom": generic(Generic("X-Hub-Signature", "sha1", prefix="sha1=")),
    "segment": generic(Generic("X-Signature", "sha1")),
    "sendgrid": _sendgrid,
}


def zoom_answer(token: str, secret: bytes) -> dict[str, str]:
    """What Zoom wants to hear when it checks an endpoint. Only for requests whose signature was found right: the
    answer is a signature of what the sender chose."""
    return {"plainToken": token, "encryptedToken": _mac(secret, [token.encode()], "sha256", "hex").decode()}
