"""What is served, and how it is asked for. Only GET and HEAD are answered, and nothing that is asked enters a log."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from worker.live.figures import Figures
from worker.live.health import Health
from worker.live.lookup import Found, Lookup
from worker.live.pages import ASKED, WANTED, Pages
from worker.runtime.metrics import Metrics

LOOKUP_SECONDS: Final = 10.0
LOOKUPS_WAITING_MAX: Final = 16
RETRY_SECONDS: Final = "2"
LOCAL: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})

POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
GUARDED: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""With every answer: pages hold personal data, so nothing keeps them, frames them or sends their address on."""

Endpoint = Callable[[Request], Awaitable[Response]]


class Application:
    """`local`: listening on this machine only, so that a page which any other host's name leads to is not given out.

    (A site that a browser has open may let its own name point to 127.0.0.1, and read what it gets from there.)
    """

    def __init__(
        self, metrics: Metrics, health: Health, figures: Figures, lookup: Lookup, pages: Pages, *, local: bool
    ) -> None:
        self._metrics = metrics
        self._health = health
        self._figures = figures
        self._lookup = lookup
        self._pages = pages
        self._local = local
        self._threads = ThreadPoolExecutor(1, "lookup")  # one: who looks up takes time from the loop
        self._waiting = 0

    def asgi(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/healthz", self._healthz, methods=["GET"]),
                Route("/readyz", self._readyz, methods=["GET"]),
                Route("/metrics", self._figures_, methods=["GET"]),
                Route("/", self._guarded(self._home), methods=["GET"]),
                Route("/contacts", self._guarded(self._asked), methods=["GET"]),
                Route("/contacts/{contact:path}", self._guarded(self._contact), methods=["GET"]),
            ],
            exception_handlers={HTTPException: self._plain},
        )

    def close(self) -> None:
        """No look-up begins any more; one that is under way is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _healthz(self, request: Request) -> Response:
        ill = self._health.ill()
        told = {"healthy": not ill, "why": ill, "loop_age_seconds": round(self._health.age_seconds(), 3)}
        return JSONResponse(told, 503 if ill else 200, GUARDED)

    async def _readyz(self, request: Request) -> Response:
        unready = self._health.unready()
        return JSONResponse({"ready": not unready, "why": unready}, 503 if unready else 200, GUARDED)

    async def _figures_(self, request: Request) -> Response:
        text, kind = self._figures.text(request.headers.get("accept", ""))
        return Response(text, headers={**GUARDED, "Content-Type": kind})

    async def _home(self, request: Request) -> Response:
        metrics = self._metrics
        lag = metrics.lag_records.copy()
        figures = (
            ("Partitions", f"{metrics.partitions_live:,} live of {metrics.partitions_assigned:,} assigned"),
            ("Behind", f"{sum(lag.values()):,} records" if lag else "not known yet"),
            ("Records", f"{metrics.records:,}"),
            ("Transactions", f"{metrics.transactions:,}"),
            ("Dead letters", f"{metrics.dead_letters.total():,}"),
        )
        return HTMLResponse(self._pages.home(self._health.unready(), figures))

    async def _asked(self, request: Request) -> Response:
        contact = request.query_params.get(ASKED, "").strip()
        if not contact:
            return HTMLResponse(self._pages.refusal("Say which contact: give its id."), 400)
        return await self._answer(request, contact)

    async def _contact(self, request: Request) -> Response:
        return await self._answer(request, request.path_params["contact"])

    async def _answer(self, request: Request, contact: str) -> Response:
        wanted = request.query_params.get(WANTED) or None
        found = await self._find(contact, wanted)
        if found.explanation is not None:
            return HTMLResponse(self._pages.contact(found.explanation, wanted), found.status)
        headers = {"Retry-After": RETRY_SECONDS} if found.status == 503 else None
        return HTMLResponse(self._pages.refusal(found.why, contact, wanted), found.status, headers)

    async def _find(self, contact: str, wanted: str | None) -> Found:
        busy = Found(503, why="Too many look-ups at once: ask again in a moment.")
        if self._waiting >= LOOKUPS_WAITING_MAX:
            return busy
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(LOOKUP_SECONDS):
                return await loop.run_in_executor(self._threads, self._lookup.find, contact, wanted)
        except TimeoutError:
            return Found(503, why="The store is busy (once a day it is written anew): ask again in a while.")
        except RuntimeError as error:  # the threads have been shut down
            if not self._health.stopping():
                raise error
            return Found(503, why="The worker is stopping.")
        finally:
            self._waiting -= 1

    def _guarded(self, endpoint: Endpoint) -> Endpoint:
        """Pages, which may hold personal data."""

        async def answer(request: Request) -> Response:
            if self._local and _host(request) not in LOCAL:
                raise HTTPException(421, "this worker answers to localhost only: see --http")
            response = await endpoint(request)
            response.headers.update(GUARDED)
            return response

        return answer

    async def _plain(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        message = {404: "there is nothing here", 405: "only GET and HEAD are answered"}.get(
            error.status_code, error.detail
        )
        return Response(f"{message}\n", error.status_code, {**GUARDED, **(error.headers or {})}, "text/plain")


def _host(request: Request) -> str:
    """The host that the request names, without its port."""
    given = request.headers.get("host", "").lower()
    return given.partition("]")[0] + "]" if given.startswith("[") else given.partition(":")[0]
