"""What the endpoint answers: read only, nothing that is asked can break it, nobody's data but on the page asked for."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.live.support import MURMUR2, PARTITIONS, Stand, one, read
from worker.fold.outcome import Event, Output
from worker.fold.state import Forward, encoder
from worker.instants import DAY_MS
from worker.live import application
from worker.live.lookup import CONTACT_BYTES_MAX
from worker.runtime.metrics import NAMES_MAX
from worker.stores.base import Write
from worker.stores.errors import StoreError
from worker.stores.memory import MemoryStore
from worker.transports.simulator.clock import START_MS

SECRET = "ann+secret@example.com"
HERE = "http://127.0.0.1:9464"


def history(contact: str = SECRET) -> list[Event]:
    return [
        Event(
            START_MS - 6 * DAY_MS, "contact.imported", "i-1", "/crm", contact, {}, {"icp_fit": True, "email": contact}
        ),
        Event(START_MS - 5 * DAY_MS, "form.submitted", "f-1", "/site", contact, {"kind": "pricing"}),
        Event(START_MS - 4 * DAY_MS, "meeting.booked", "m-1", "/cal", contact, {}),
    ]


@pytest.fixture(scope="module")
def stand() -> Iterator[Stand]:
    stand = Stand().ready()
    stand.fold(history())
    yield stand
    stand.application.close()


def ask(stand: Stand, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(app=stand.application.asgi(), raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url=HERE) as client:
            return await client.request(method, path, headers=headers)

    return asyncio.run(asked())


def test_a_contact_is_explained_under_its_path_and_by_the_form(stand: Stand) -> None:
    by_path = ask(stand, f"/contacts/{quote(SECRET, safe='')}")
    by_form = ask(stand, f"/contacts?id={quote(SECRET)}&why-not=")
    assert by_path.status_code == by_form.status_code == 200
    assert by_path.text == by_form.text
    for said in (SECRET, "MQL", "meeting.booked m-1", "seen(action)"):
        assert said in by_path.text
    assert "<script" not in by_path.text


def test_what_is_missing_for_a_stage_is_told(stand: Stand) -> None:
    answer = ask(stand, f"/contacts/{quote(SECRET)}?why-not=customer")
    assert answer.status_code == 200
    assert "Why not customer" in answer.text and "would help:" in answer.text


def test_what_the_store_holds_and_what_it_does_not_is_said() -> None:
    stand = Stand().ready()
    old = [Event(START_MS - 90 * DAY_MS, "form.submitted", "f-0", "/site", "ann", {"kind": "pricing"})]
    stand.fold([*old, *history("ann")])
    answer = ask(stand, "/contacts/ann")
    assert "on every step is told; before that, the visits to each stage as they are kept" in answer.text
    assert "Earlier visits" in answer.text


def test_markup_in_an_id_or_an_event_is_text() -> None:
    stand = Stand().ready()
    name = '"><script>alert(1)</script>'
    stand.fold([Event(START_MS - DAY_MS, "form.submitted", name, name, name, {"kind": name, "reason": name})])
    for path in (f"/contacts/{quote(name, safe='')}", f"/contacts/{quote(name + 'x', safe='')}"):
        assert "<script" not in ask(stand, path).text


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/contacts/nobody", 404, "Nothing is known of it"),
        ("/contacts/a%2Fb", 404, "a/b"),
        ("/contacts?id=", 400, "give its id"),
        ("/contacts", 400, "give its id"),
        ("/contacts/ann?why-not=champion", 400, "no such stage: prospect"),
        ("/contacts/" + "x" * (CONTACT_BYTES_MAX + 1), 400, f"1 to {CONTACT_BYTES_MAX} bytes"),
        ("/contacts/..%2f..%2fetc%2fpasswd", 404, "Nothing is known of it"),
        ("/etc/passwd", 404, "there is nothing here"),
        ("/static/../../worker/live/pages.py", 404, "there is nothing here"),
    ],
)
def test_what_cannot_be_answered_says_why(stand: Stand, path: str, status: int, says: str) -> None:
    answer = ask(stand, path)
    assert answer.status_code == status
    assert says in answer.text


def test_a_contact_of_another_worker_or_of_a_partition_under_way_is_not_guessed_at() -> None:
    stand = Stand().ready()
    stand.fold(history("ann"))
    number = MURMUR2(b"ann") % PARTITIONS
    stand.metrics.live -= {number}
    stand.metrics.restore_left[number] = 1_234
    answer = ask(stand, "/contacts/ann")
    assert answer.status_code == 503 and "1,234 records are left" in answer.text and "Retry-After" in answer.headers
    stand.metrics.held -= {number}
    answer = ask(stand, "/contacts/ann")
    assert answer.status_code == 404 and "belongs to another worker" in answer.text
    stand.metrics.partitions = 0
    assert ask(stand, "/contacts/ann").status_code == 503


def test_a_store_that_is_closed_is_said_and_no_fault() -> None:
    class Closed(MemoryStore):
        def get(self, partition: int, key: bytes) -> bytes | None:
            raise StoreError("closed")

    answer = ask(Stand(store=Closed()).ready(), "/contacts/ann")
    assert answer.status_code == 503 and "read just now: ask again" in answer.text


def test_what_was_read_as_the_partition_was_taken_away_is_not_shown() -> None:
    class Revoked(MemoryStore):
        def get(self, partition: int, key: bytes) -> bytes | None:
            own.metrics.live = frozenset()
            return super().get(partition, key)

    own = Stand(store=Revoked())
    own.fold(history("ann"))
    answer = ask(own.ready(), "/contacts/ann")
    assert answer.status_code == 503 and "assigning its partitions anew" in answer.text


def test_a_store_that_is_busy_holds_up_look_ups_only(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()

    class Busy(MemoryStore):
        def get(self, partition: int, key: bytes) -> bytes | None:
            assert go_on.wait(60)
            return super().get(partition, key)

    monkeypatch.setattr(application, "LOOKUP_SECONDS", 0.2)
    stand = Stand(store=Busy()).ready()
    paths = [f"/contacts/{number}" for number in range(2 * application.LOOKUPS_WAITING_MAX)]

    async def all_at_once() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=stand.application.asgi())
        async with httpx.AsyncClient(transport=transport, base_url=HERE) as client:
            return await asyncio.gather(*map(client.get, [*paths, "/healthz", "/metrics"]))

    try:
        *held_up, healthz, figures = asyncio.run(all_at_once())
    finally:
        go_on.set()
        stand.application.close()
    assert {answer.status_code for answer in held_up} == {503}
    assert sum("The store is busy" in answer.text for answer in held_up) == application.LOOKUPS_WAITING_MAX
    assert sum("Too many look-ups" in answer.text for answer in held_up) == application.LOOKUPS_WAITING_MAX
    assert healthz.status_code == figures.status_code == 200


def test_a_contact_kept_under_a_secret_key_is_found_by_its_id() -> None:
    stand = Stand(secret=b"the deployment's").ready()
    stand.fold(history("ann"))
    assert ask(stand, "/contacts/ann").status_code == 200
    other = Stand(secret=b"another", store=stand.store).ready()
    assert ask(other, "/contacts/ann").status_code == 404


def test_an_id_that_is_another_contact_now_says_which() -> None:
    stand = Stand().ready()
    key, number = stand.engine.keys.contact("anna"), MURMUR2(b"anna") % PARTITIONS
    claim = [START_MS, "/crm", "m-1", "ann", "contact.merged"]
    stand.store.apply(number, [Write(key, encoder.encode(Forward("anna", [claim], [], START_MS)), None)], 1)
    answer = ask(stand, "/contacts/anna")
    assert answer.status_code == 200 and "This id is ann now: ask about that one." in answer.text


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "ANYTHING"])
@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz", "/readyz", "/contacts", "/contacts/ann"])
def test_nothing_but_reading_is_answered(stand: Stand, method: str, path: str) -> None:
    assert ask(stand, path, method).status_code == 405


@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz", "/readyz", "/contacts/nobody", "/nothing"])
def test_every_answer_is_kept_by_nobody_and_framed_by_nobody(stand: Stand, path: str) -> None:
    for method in ("GET", "HEAD"):
        headers = ask(stand, path, method).headers
        assert headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_pages_are_not_given_to_a_site_that_points_its_name_here() -> None:
    for path in ("/", "/contacts/ann", "/contacts?id=ann"):
        assert ask(Stand().ready(), path, host="evil.example:9464").status_code == 421
        for host in ("localhost:9464", "127.0.0.1", "[::1]:9464"):
            assert ask(Stand().ready(), path, host=host).status_code != 421
        assert ask(Stand(local=False).ready(), path, host="worker.internal").status_code != 421
    assert ask(Stand().ready(), "/metrics", host="evil.example").status_code == 200  # holds nobody's data


segments = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(
    ["..", ".", "%2e%2e", "contacts", "metrics", "\x00", "\\", "//", "%", "%ff", "\u202e", "etc/passwd", "c:", "?", "#"]
)


@given(
    path=st.lists(segments, max_size=6), query=st.lists(st.tuples(segments, segments), max_size=3), raw=st.booleans()
)
def test_no_path_breaks_it_or_leads_out_of_it(
    stand: Stand, path: list[str], query: list[tuple[str, str]], raw: bool
) -> None:
    def written(text: str) -> str:
        return text if raw and text.isascii() and text.isprintable() else quote(text, safe="")

    target = "/" + "/".join(map(written, path))
    asked = "&".join(f"{written(name)}={written(value)}" for name, value in query)
    try:
        answer = ask(stand, f"{target}?{asked}" if asked else target)
    except httpx.InvalidURL:
        return
    assert answer.status_code in (200, 400, 404)
    assert "root:" not in answer.text and "Traceback" not in answer.text


def test_figures_hold_nobody_s_data(stand: Stand) -> None:
    ask(stand, f"/contacts/{quote(SECRET)}")
    for path in ("/metrics", "/readyz", "/healthz", "/"):
        assert "example.com" not in ask(stand, path).text


def test_figures_are_read_by_the_client_s_own_reader(stand: Stand) -> None:
    stand.metrics.committed(0.02)
    stand.metrics.committed(20.0)
    answer = ask(stand, "/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    figures = read(answer.text)
    assert one(figures, "lifecycle_ready") == 1
    assert one(figures, "lifecycle_transaction_seconds_bucket", le="0.01") == 0
    assert one(figures, "lifecycle_transaction_seconds_bucket", le="0.025") == 1
    assert one(figures, "lifecycle_transaction_seconds_bucket", le="+Inf") == 2
    assert one(figures, "lifecycle_transaction_seconds_count") == 2
    newer = ask(stand, "/metrics", accept="application/openmetrics-text; version=1.0.0")
    assert newer.headers["content-type"].startswith("application/openmetrics-text") and "# EOF" in newer.text


def test_however_many_names_there_are_the_labels_are_few() -> None:
    stand = Stand().ready()
    for number in range(3 * NAMES_MAX):
        kind = f"made-up-{number}"
        stand.metrics.published(
            [
                type_of(kind, {}),
                type_of("t", {"direction": "forward", "from": kind, "to": kind}),
                type_of("t", {"withdrawn": [], "current": {"stage": kind}}),
                type_of("lifecycle.sla.breached.v1", {"stage": kind}),
            ]
        )
    text = ask(stand, "/metrics").text
    for name in ("outputs", "moves", "corrections", "sla_breaches"):
        assert len(re.findall(rf"^lifecycle_{name}_total{{", text, re.MULTILINE)) <= NAMES_MAX + 1


def type_of(kind: str, data: dict[str, Any]) -> Output:
    return Output("ann", {"type": kind, "data": data})
