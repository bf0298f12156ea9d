"""The receiver over the embedded log: who gets in, with which answer, and what is on the topic afterwards."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from starlette.testclient import TestClient

from tests.runtime.support import Listener
from worker.receive.application import Receiver, Rules
from worker.receive.signatures import VERIFY, Delivery, NotGenuine, hubspot_uri
from worker.receive.sources import SourceError, read_source
from worker.receive.writer import Away, Limits, Writer
from worker.transports.base import EARLIEST, Record, TopicPartition, TopicSpec
from worker.transports.embedded import EmbeddedTransport
from worker.transports.errors import Fatal, Fenced, Retriable, TransportError

NOW = 1_767_603_600_000
SECRET = b"the secret"
BODY = b'{ "name":"Ada",  "n": 1.0 }\n'
URL = "https://hooks.example.com"

Sign = Callable[[bytes, bytes, int], dict[str, str]]
"""Takes secret, body and time (epoch ms)."""


def mac(secret: bytes, signed: bytes, digest: str = "sha256") -> hmac.HMAC:
    return hmac.new(secret, signed, getattr(hashlib, digest))


def in64(made: hmac.HMAC) -> str:
    return base64.b64encode(made.digest()).decode()


def hubspot(secret: bytes, body: bytes, at: int) -> dict[str, str]:
    signed = b"POST" + f"{URL}/in/hubspot".encode() + body + str(at).encode()
    return {"X-HubSpot-Signature-v3": in64(mac(secret, signed)), "X-HubSpot-Request-Timestamp": str(at)}


def dotted(header: str) -> Sign:
    def sign(secret: bytes, body: bytes, at: int) -> dict[str, str]:
        signed = f"{at // 1000}.".encode() + body
        return {header: f"t={at // 1000},v1={'0' * 64},v1={mac(secret, signed).hexdigest()},v0=x"}

    return sign


def zoom(secret: bytes, body: bytes, at: int) -> dict[str, str]:
    signed = f"v0:{at // 1000}:".encode() + body
    return {"x-zm-signature": f"v0={mac(secret, signed).hexdigest()}", "x-zm-request-timestamp": str(at // 1000)}


def own(secret: bytes, body: bytes, at: int) -> dict[str, str]:
    signed = f"{at}.".encode() + body
    return {"X-Own": "v=" + in64(mac(secret, signed, "sha512")), "X-At": str(at)}


def private_key(secret: bytes) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(hashlib.sha256(secret).digest(), "big") >> 8, ec.SECP256R1())


def verification_key(secret: bytes) -> str:
    spki = PublicFormat.SubjectPublicKeyInfo
    return base64.b64encode(private_key(secret).public_key().public_bytes(Encoding.DER, spki)).decode()


def sendgrid(secret: bytes, body: bytes, at: int) -> dict[str, str]:
    made = private_key(secret).sign(f"{at // 1000}".encode() + body, ec.ECDSA(hashes.SHA256()))
    prefix = "X-Twilio-Email-Event-Webhook-"
    return {f"{prefix}Signature": base64.b64encode(made).decode(), f"{prefix}Timestamp": str(at // 1000)}


SIGNS: dict[str, Sign] = {
    "hubspot": hubspot,
    "stripe": dotted("Stripe-Signature"),
    "calendly": dotted("Calendly-Webhook-Signature"),
    "zoom": zoom,
    "hmac": own,
    "sendgrid": sendgrid,
    "typeform": lambda secret, body, at: {"Typeform-Signature": "sha256=" + in64(mac(secret, body))},
    "intercom": lambda secret, body, at: {"X-Hub-Signature": "sha1=" + mac(secret, body, "sha1").hexdigest()},
    "segment": lambda secret, body, at: {"X-Signature": mac(secret, body, "sha1").hexdigest()},
}
TIMED = ["hubspot", "stripe", "calendly", "zoom", "hmac", "sendgrid"]
OPTIONS = {"hmac": "?header=X-Own&digest=sha512&encoding=base64&prefix=v%3D&timestamp=X-At"}


class Place:
    """A receiver for every vendor, over a log of its own."""

    def __init__(self, path: Path, rules: Rules, limits: Limits) -> None:
        self.transport = EmbeddedTransport(path)
        self.transport.admin().create(TopicSpec("webhooks", 2))
        self.listener = Listener()
        self.now = NOW
        self.ended = threading.Event()
        self.writer = Writer(
            self.transport, "webhooks", 2, "receive", self.listener.logger(), limits, failed=self.ended.set
        )
        keys = f"{verification_key(b'an older one')}\n{verification_key(SECRET)}\n"
        secrets = {"SECRET": f"an older one\n{SECRET.decode()}\n", "KEYS": keys}
        named = {vendor: "KEYS" if vendor == "sendgrid" else "SECRET" for vendor in SIGNS}
        given = [f"{vendor}={vendor}:{named[vendor]}{OPTIONS.get(vendor, '')}" for vendor in SIGNS]
        sources = [read_source(each, secrets) for each in (*given, "batches=segment:SECRET?batch=first")]
        sources.append(read_source("anybody=unsigned", {}))
        receiver = Receiver(sources, self.writer, self.listener.logger(), lambda: self.now, rules)
        self.client = TestClient(receiver.application(), base_url=URL)

    def post(self, vendor: str, body: bytes = BODY, /, **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(f"/in/{vendor}", content=body, headers={"Content-Type": "application/json", **named})

    def records(self) -> list[Record]:
        reader = self.transport.reader()
        reader.assign({TopicPartition("webhooks", number): EARLIEST for number in range(2)})
        found: list[Record] = []
        while polled := reader.poll(0, 1_000):
            found += polled
        reader.close()
        return found

    def close(self) -> None:
        self.writer.close()
        self.transport.close()


@pytest.fixture
def open_place(tmp_path: Path) -> Iterator[Callable[..., Place]]:
    opened: list[Place] = []

    def open_(*, start: bool = True, limits: Limits | None = None, **rules: Any) -> Place:
        place = Place(tmp_path / f"{len(opened)}.db", Rules(**rules), limits or Limits())
        opened.append(place)
        if start:
            place.writer.start()
        return place

    yield open_
    for place in opened:
        place.close()


@pytest.fixture
def place(open_place: Callable[..., Place]) -> Place:
    return open_place()


@pytest.mark.parametrize("vendor", SIGNS)
def test_a_genuine_webhook_is_in_the_log_byte_for_byte_when_it_is_answered(place: Place, vendor: str) -> None:
    answer = place.post(vendor, **SIGNS[vendor](SECRET, BODY, NOW))
    assert answer.status_code == 200, answer.text
    (record,) = place.records()
    assert record.value == BODY and record.key is None
    headers = dict(record.headers)
    assert headers["lifecycle-source"] == vendor.encode() and headers["lifecycle-received"] == str(NOW).encode()
    assert headers["content-type"] == b"application/json"


@pytest.mark.parametrize("vendor", SIGNS)
def test_a_forged_webhook_leaves_no_trace(place: Place, vendor: str) -> None:
    signed = SIGNS[vendor](SECRET, BODY, NOW)
    for body, headers in [
        (BODY, SIGNS[vendor](b"another secret", BODY, NOW)),
        (BODY + b" ", signed),
        (BODY, {}),
        (BODY, dict.fromkeys(signed, "")),
        (BODY, {name: value[:20] for name, value in signed.items()}),
        (BODY, dict.fromkeys(signed, "t=1,v1")),
        (BODY, dict.fromkeys(signed, "v1=ÿ,t=²")),
    ]:
        encoded = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
        encoded[b"content-type"] = b"application/json"
        answer = place.client.post(f"/in/{vendor}", content=body, headers=encoded)
        assert answer.status_code == 401, (headers, answer.text)
    assert place.records() == []


@pytest.mark.parametrize("vendor", TIMED)
@pytest.mark.parametrize("off", [-300_001, -301_000, 301_000])
def test_a_signature_of_another_time_is_stale(place: Place, vendor: str, off: int) -> None:
    at = (NOW + off) // 1000 * 1000
    answer = place.post(vendor, **SIGNS[vendor](SECRET, BODY, at))
    assert (answer.status_code, answer.json()["error"]) == (401, "stale")
    assert place.records() == []


@pytest.mark.parametrize("vendor", TIMED)
def test_a_request_replayed_after_the_window_is_refused_and_its_time_cannot_be_changed(
    place: Place, vendor: str
) -> None:
    headers = SIGNS[vendor](SECRET, BODY, NOW)
    assert place.post(vendor, **headers).status_code == 200
    place.now += 300_000
    assert place.post(vendor, **headers).status_code == 200  # a retry within the window
    place.now += 1
    assert place.post(vendor, **headers).json()["error"] == "stale"
    later = {
        name: value.replace(str(NOW), str(place.now)).replace(f"{NOW // 1000}", f"{NOW // 1000 + 300}")
        for name, value in headers.items()
    }
    assert place.post(vendor, **later).json()["error"] == "forged"
    assert len(place.records()) == 2


@pytest.mark.parametrize("vendor", SIGNS)
def test_a_body_over_the_limit_is_refused_whether_it_says_so_or_not(
    open_place: Callable[..., Place], vendor: str
) -> None:
    place = open_place(body_bytes=len(BODY))
    large = BODY + b" "
    headers = {"Content-Type": "application/json", **SIGNS[vendor](SECRET, large, NOW)}
    assert place.client.post(f"/in/{vendor}", content=large, headers=headers).status_code == 413
    assert place.client.post(f"/in/{vendor}", content=iter([large[:5], large[5:]]), headers=headers).status_code == 413
    assert place.post(vendor, **SIGNS[vendor](SECRET, BODY, NOW)).status_code == 200
    assert [record.value for record in place.records()] == [BODY]


@pytest.mark.parametrize("vendor", [vendor for vendor in SIGNS if vendor != "hmac"])
def test_what_a_vendor_never_sends_is_refused_by_its_form(place: Place, vendor: str) -> None:
    signed = SIGNS[vendor](SECRET, BODY, NOW)
    assert place.post(vendor, **signed, Content_Type="text/html").status_code == 415
    assert place.post(vendor, **signed, Content_Encoding="gzip").status_code == 415
    assert place.post(vendor, b"", **SIGNS[vendor](SECRET, b"", NOW)).status_code == 400
    assert place.records() == []


def test_a_signed_body_that_is_no_json_goes_through_for_the_mapping_to_refuse(place: Place) -> None:
    assert place.post("stripe", b'{"cut', **SIGNS["stripe"](SECRET, b'{"cut', NOW)).status_code == 200
    assert [record.value for record in place.records()] == [b'{"cut']


def test_other_paths_and_methods_get_clear_answers(place: Place) -> None:
    assert place.post("nobody").status_code == 404
    assert place.client.post("/other").json()["message"] == "webhooks go to /in/NAME"
    assert place.client.get("/in/stripe").status_code == 405
    assert place.client.head("/in/intercom").status_code == 200
    assert place.client.head("/in/nobody").status_code == 404


def test_zoom_hears_its_challenge_only_if_it_signed_it(place: Place) -> None:
    body = json.dumps({"event": "endpoint.url_validation", "payload": {"plainToken": "abc"}}).encode()
    assert place.post("zoom", body, **zoom(b"guessed", body, NOW)).status_code == 401
    answer = place.post("zoom", body, **zoom(SECRET, body, NOW)).json()
    assert answer["plainToken"] == "abc" and len(answer["encryptedToken"]) == 64
    assert place.records() == []


def test_who_sends_too_fast_waits_and_forgers_use_up_nobodys_rate(open_place: Callable[..., Place]) -> None:
    place = open_place(rate=0.5)
    for _ in range(5):
        assert place.post("stripe", **SIGNS["stripe"](b"guessed", BODY, NOW)).status_code == 401
    genuine = SIGNS["stripe"](SECRET, BODY, NOW)
    assert place.post("stripe", **genuine).status_code == 200
    refused = place.post("stripe", **genuine)
    assert refused.status_code == 429 and 1 <= int(refused.headers["Retry-After"]) <= 2
    assert place.post("anybody").status_code == 200  # each source has a rate of its own


def test_a_full_queue_asks_to_come_again(open_place: Callable[..., Place]) -> None:
    place = open_place(start=False, limits=Limits(waiting_records=1, wait_seconds=0.05))
    assert place.post("anybody").json()["error"] == "log-away"  # nobody writes: it waited, and is still in the queue
    refused = place.post("anybody")
    assert (refused.status_code, refused.json()["error"]) == (503, "full") and refused.headers["Retry-After"] == "5"
    assert place.client.get("/healthz").status_code == 503


def test_a_record_that_the_topic_does_not_take_fails_alone(open_place: Callable[..., Place]) -> None:
    place = open_place(start=False, body_bytes=4 << 20)
    parcels = [place.writer.put(body, ()) for body in (b"1", b"2" * (2 << 20), b"3")]
    place.writer.start()
    assert parcels[0].result(10) is None and parcels[2].result(10) is None
    assert parcels[1].exception(10) is not None
    assert sorted(record.value or b"" for record in place.records()) == [b"1", b"3"]
    assert place.post("anybody", b"4" * (2 << 20)).status_code == 413


def test_what_was_put_is_written_before_the_writer_ends(place: Place) -> None:
    parcels = [place.writer.put(b"%d" % number, ()) for number in range(2_500)]
    place.writer.close()
    assert all(parcel.done() and parcel.exception() is None for parcel in parcels)
    assert len(place.records()) == 2_500 and place.writer.orderly
    assert place.post("anybody").status_code == 503


class Flaky:
    """A log whose producers fail as told, one fault each, before it works again."""

    def __init__(self, transport: EmbeddedTransport, faults: list[TransportError]) -> None:
        self._transport, self.faults = transport, faults

    def producer(self, transactional_id: str) -> Any:
        if self.faults:
            raise self.faults.pop(0)
        return self._transport.producer(transactional_id)


def test_a_log_that_comes_back_in_time_has_what_waited_for_it(place: Place) -> None:
    flaky: Any = Flaky(place.transport, [Retriable("away"), Fenced("another"), Retriable("away")])
    writer = Writer(flaky, "webhooks", 2, "flaky", place.listener.logger(), Limits(wait_seconds=30))
    parcel = writer.put(BODY, ())
    writer.start()
    assert parcel.result(20) is None and writer.healthy and flaky.faults == []
    writer.close()
    assert [record.value for record in place.records()] == [BODY] and writer.orderly


def test_a_log_that_can_never_be_written_ends_the_receiver_and_says_so(place: Place) -> None:
    flaky: Any = Flaky(place.transport, [Fatal("no rights", "ask for them")])
    ended = threading.Event()
    writer = Writer(flaky, "webhooks", 2, "flaky", place.listener.logger(), failed=ended.set)
    parcel = writer.put(BODY, ())
    writer.start()
    assert isinstance(parcel.exception(20), Away) and ended.wait(20)
    assert isinstance(writer.failure, Fatal) and not writer.healthy
    writer.close()


def test_no_log_line_holds_a_payload_a_signature_or_a_secret(place: Place) -> None:
    signed = SIGNS["stripe"](SECRET, BODY, NOW)
    place.post("stripe", **signed)
    place.post("stripe", b"Ada", **signed)
    place.post("stripe", Content_Type="text/Ada")
    told = repr(place.listener.lines)
    assert "refused" in told and "received" in told
    for private in ("Ada", SECRET.decode(), signed["Stripe-Signature"].partition("v1=")[2][:20]):
        assert private not in told


def test_hubspots_own_list_of_characters_is_decoded_and_no_other() -> None:
    assert hubspot_uri("https://a.b/in/x?q=%40%2f%20%C3%A9&r=%3a") == "https://a.b/in/x?q=@/%20%C3%A9&r=:"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("crm", "is not NAME=VENDOR"),
        ("Crm=stripe", "is not NAME=VENDOR"),
        ("crm=strip:S", "did you mean 'stripe'?"),
        ("crm=stripe", "RECEIVE_CRM_SECRET"),
        ("crm=stripe:MISSING", "MISSING"),
        ("crm=stripe:EMPTY", "expected 1 to 8 secrets"),
        ("crm=stripe:@/no/such/file", "can't be read"),
        ("crm=stripe:S?header=x", "only hmac has options"),
        ("crm=hmac:S?digest=md5", "digest is one of"),
        ("crm=hmac:S?heeder=x", "did you mean 'header'?"),
        ("crm=unsigned:S", "has no secret"),
        ("crm=sendgrid:S", "not every line of its secret is a verification key"),
        ("crm=segment:S?batch=all", "segment batch=first"),
    ],
)
def test_a_source_that_cannot_be_says_why(given: str, says: str) -> None:
    with pytest.raises(SourceError) as raised:
        read_source(given, {"S": "s", "EMPTY": " \n"})
    assert says in str(raised.value)


def test_a_secret_given_in_place_of_its_variable_is_not_repeated() -> None:
    with pytest.raises(SourceError) as raised:
        read_source("pay=stripe:whsec_abc123", {})
    assert "whsec" not in str(raised.value)


def test_a_secret_is_read_from_its_file_and_never_shown(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("one\ntwo\n")
    source = read_source(f"pay=stripe:@{tmp_path}/secret", {})
    assert source.secrets == (b"one", b"two") and "two" not in repr(source)


# The example that SendGrid publishes with its libraries: key, signature, time and the bytes that were signed.
SENDGRID_KEY = (
    b"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3G"
    b"Rqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g=="
)
SENDGRID_SIGNATURE = "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM="
SENDGRID_BODY = (
    b'[{"email":"hello@world.com","event":"dropped","reason":"Bounced Address",'
    b'"sg_event_id":"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",'
    b'"sg_message_id":"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",'
    b'"smtp-id":"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>","timestamp":1600112492}]\r\n'
)


def test_sendgrids_own_example_is_genuine_and_nothing_near_it() -> None:
    def check(body: bytes = SENDGRID_BODY, at: str = "1600112502", signature: str = SENDGRID_SIGNATURE) -> str:
        prefix = "x-twilio-email-event-webhook-"
        headers = {f"{prefix}signature": signature, f"{prefix}timestamp": at}
        try:
            VERIFY["sendgrid"](Delivery("POST", URL, headers, body, 1_600_112_502_000), [SENDGRID_KEY], 300_000)
        except NotGenuine as error:
            return error.why
        return "genuine"

    assert check() == "genuine"
    assert check(body=SENDGRID_BODY.rstrip()) == "forged"
    assert check(at="1600112503") == "forged"
    assert check(signature=SENDGRID_SIGNATURE[:-8] + "AAAAAAA=") == "forged"
    assert check(signature="no base64!") == "forged"
    assert check(signature="") == "unsigned"


def test_of_a_segment_batch_the_first_event_is_signed_and_believed_where_the_source_says_so(place: Place) -> None:
    first = b'{"messageId":"m1","type":"track"}'
    body = b"[" + first + b',{"messageId":"m2","type":"track"}]'
    signed = {"X-Signature": mac(SECRET, first, "sha1").hexdigest()}
    assert place.post("segment", body, **signed).status_code == 401
    assert place.post("batches", body, **signed).status_code == 200
    assert place.post("batches", b'[{"messageId":"m9"},' + body[1:], **signed).status_code == 401
    whole = {"X-Signature": mac(SECRET, body, "sha1").hexdigest()}
    assert place.post("batches", body, **whole).status_code == 200
    assert place.post("segment", body, **whole).status_code == 200
    assert place.post("batches", b"[]", **signed).status_code == 401
    assert len(place.records()) == 3
