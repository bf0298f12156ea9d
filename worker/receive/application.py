"""The HTTP side: what a request must be, and which answer it gets. No payload, signature or secret enters a log."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from structlog.typing import FilteringBoundLogger

from worker.mapping.router import SOURCE
from worker.receive.signatures import Delivery, NotGenuine, zoom_answer
from worker.receive.sources import Source
from worker.receive.writer import Away, Full, TooLarge, Writer
from worker.transports.base import Headers

RECEIVED: Final = "lifecycle-received"
KEPT: Final = (
    "content-type", "user-agent", "x-hubspot-request-timestamp", "x-zm-request-timestamp", "x-event-type",
    "intercom-version", "typeform-webhook-id", "x-webhook-id", "idempotency-key", "ce-id", "ce-type",
)  # fmt: skip
HEADER_BYTES_MAX: Final = 512  # of one that is kept
CHALLENGE_BYTES_MAX: Final = 4_096
RETRY_SECONDS: Final = 5


@dataclass(frozen=True, slots=True)
class Rules:
    """`rate` is requests a second and source, `url` what senders believe our address is (HubSpot signs it)."""

    body_bytes: int = 1_000_000
    rate: float = 200.0
    window_ms: int = 300_000
    bodies: int = 256  # read at the same time
    body_seconds: float = 10.0
    url: str = ""


class Bucket:
    """Holds two seconds' worth of requests, filled at `rate` a second."""

    def __init__(self, rate: float, now: float) -> None:
        self._rate, self._size = rate, max(1.0, 2 * rate)
        self._left, self._at = self._size, now

    def take(self, now: float) -> float:
        """0 where the request may pass; else the seconds until one may."""
        self._left = min(self._size, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return (1 - self._left) / self._rate
        self._left -= 1
        return 0.0


class _Refuse(Exception):
    def __init__(self, status: int, why: str, message: str, retry_seconds: float = 0) -> None:
        super().__init__(message)
        self.status, self.why, self.message = status, why, message
        self.retry = math.ceil(retry_seconds)


class Receiver:
    """Takes webhooks of the sources. `now_ms` is the wall clock."""

    def __init__(
        self,
        sources: Sequence[Source],
        writer: Writer,
        logger: FilteringBoundLogger,
        now_ms: Callable[[], int],
        rules: Rules | None = None,
    ) -> None:
        self._sources: Mapping[str, Source] = {source.name: source for source in sources}
        self._writer = writer
        self._logger = logger
        self._now_ms = now_ms
        self._rules = rules or Rules()
        self._buckets = {name: Bucket(self._rules.rate, time.monotonic()) for name in self._sources}
        self._reading = 0

    def application(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/in/{name}", self._checked(self._receive), methods=["POST"]),
                Route("/in/{name}", self._checked(self._there), methods=["HEAD"]),
                Route("/healthz", self._health, methods=["GET"]),
            ],
            exception_handlers={HTTPException: _plain},
        )

    async def _health(self, request: Request) -> Response:
        healthy = self._writer.healthy
        return JSONResponse({"log": "reached" if healthy else "away"}, 200 if healthy else 503)

    async def _there(self, request: Request) -> Response:
        """Intercom, and others, ask whether the address is there before they use it."""
        self._source(request)
        return Response(status_code=200)

    def _checked(self, take: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                return await take(request)
            except _Refuse as refused:
                name = request.path_params["name"]
                self._logger.info(
                    "refused",
                    source=name if name in self._sources else "unknown",
                    status=refused.status,
                    why=refused.why,
                )
                headers = {"Retry-After": str(refused.retry)} if refused.retry else {}
                if refused.status in (408, 413):
                    headers["Connection"] = "close"  # the rest of the body isn't read
                return JSONResponse({"error": refused.why, "message": refused.message}, refused.status, headers)

        return endpoint

    def _source(self, request: Request) -> Source:
        source = self._sources.get(request.path_params["name"])
        if source is None:
            raise _Refuse(404, "no-such-source", "there is no source of this name")
        return source

    async def _receive(self, request: Request) -> Response:
        """1. Is it one of ours, and of a form we take?  2. Its body.  3. Its signature.  4. Its rate.  5. The log."""
        source = self._source(request)
        self._form(source, request)
        if self._reading >= self._rules.bodies:
            raise _Refuse(503, "busy", "too many requests at once", RETRY_SECONDS)
        self._reading += 1
        try:
            body = await self._body(request)
            now = self._now_ms()
            self._verify(source, request, body, now)
            # After the signature: whoever has no secret can't use up the rate of those who have.
            wait = self._buckets[source.name].take(time.monotonic())
            if wait:
                raise _Refuse(429, "too-many", f"more than {self._rules.rate:g} a second", wait)
            answer = _challenge(source, body)  # by the first secret: while it is changed, the new one stands first
            if answer is not None:
                self._logger.info("challenge-answered", source=source.name)
                return answer
            await self._keep(body, _headers(source, request, now))
        finally:
            self._reading -= 1
        self._logger.debug("received", source=source.name, bytes=len(body))
        return Response(status_code=200)

    def _form(self, source: Source, request: Request) -> None:
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise _Refuse(415, "encoded", "send the body without a Content-Encoding")
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if source.json_only and kind != "application/json" and not kind.endswith("+json"):
            raise _Refuse(415, "not-json", f"{source.vendor} sends application/json")

    async def _body(self, request: Request) -> bytes:
        limit = self._rules.body_bytes
        too_large = _Refuse(413, "too-large", f"a body has at most {limit} bytes")
        length = request.headers.get("content-length", "")
        if length.isdigit() and (len(length) > 12 or int(length) > limit):
            raise too_large
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._rules.body_seconds):
                async for part in request.stream():
                    size += len(part)
                    if size > limit:
                        raise too_large
                    parts.append(part)
        except TimeoutError:
            raise _Refuse(408, "slow", "the body did not come in time") from None
        except ClientDisconnect:
            raise _Refuse(400, "cut", "the body ended early") from None
        if not size:
            raise _Refuse(400, "empty", "the body is empty")
        return b"".join(parts)

    def _verify(self, source: Source, request: Request, body: bytes, now: int) -> None:
        if source.verify is None:
            return
        delivery = Delivery(request.method, self._uri(request), dict(request.headers.items()), body, now)
        try:
            source.verify(delivery, source.secrets, self._rules.window_ms)
        except NotGenuine as error:
            raise _Refuse(401, error.why, str(error)) from None

    def _uri(self, request: Request) -> str:
        """The address as the sender wrote it, which a proxy may have changed on the way."""
        raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
        query: bytes = request.scope.get("query_string", b"")
        path = raw.partition(b"?")[0].decode("latin-1") + (f"?{query.decode('latin-1')}" if query else "")
        if self._rules.url:
            return self._rules.url.rstrip("/") + path
        scheme = request.headers.get("x-forwarded-proto", request.url.scheme).partition(",")[0].strip()
        return f"{scheme}://{request.headers.get('host', '')}{path}"

    async def _keep(self, body: bytes, headers: Headers) -> None:
        try:
            done = asyncio.wrap_future(self._writer.put(body, headers))
            # The writer keeps the limit itself; twice that is for a log that hangs within a call.
            async with asyncio.timeout(2 * self._writer.limits.wait_seconds):
                await done
        except Full as error:
            raise _Refuse(503, "full", str(error), RETRY_SECONDS) from None
        except (Away, TimeoutError):
            raise _Refuse(503, "log-away", "the log did not take it in time", RETRY_SECONDS) from None
        except TooLarge:
            raise _Refuse(413, "too-large", "the topic takes no record of this size") from None


def _headers(source: Source, request: Request, now: int) -> Headers:
    kept: list[tuple[str, bytes | None]] = [(SOURCE, source.name.encode()), (RECEIVED, str(now).encode())]
    for name in KEPT:
        value = request.headers.get(name)
        if value is not None:
            kept.append((name, value.encode("latin-1", "replace")[:HEADER_BYTES_MAX]))
    return tuple(kept)


def _challenge(source: Source, body: bytes) -> Response | None:
    """The answer to a vendor who checks the address; None for an ordinary webhook."""
    if source.vendor != "zoom" or len(body) > CHALLENGE_BYTES_MAX:
        return None
    try:
        asked = msgspec.json.decode(body, type=_Asked)
    except msgspec.MsgspecError:
        return None
    if asked.event != "endpoint.url_validation" or asked.payload is None or not asked.payload.plain_token:
        return None
    return JSONResponse(zoom_answer(asked.payload.plain_token, source.secrets[0]))


class _Token(msgspec.Struct, rename={"plain_token": "plainToken"}):
    plain_token: str = ""


class _Asked(msgspec.Struct):
    event: str = ""
    payload: _Token | None = None


async def _plain(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    said = {404: "no-such-path", 405: "not-that-method"}.get(error.status_code, "refused")
    message = {404: "webhooks go to /in/NAME", 405: "send webhooks by POST"}.get(error.status_code, error.detail)
    return JSONResponse({"error": said, "message": message}, error.status_code, error.headers)
