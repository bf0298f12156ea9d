"""Calls of librdkafka that may not come back, each with an end all the same.

Its calls take a limit, and not all of them keep to it: offsets that are sent as the group's coordinator dies wait until
there is one (librdkafka #5456), what its own threads are to answer is waited for without a limit, and to end a client
is to wait for threads that may be looking up a name. Such a call runs in a thread of its own here. Where it has not
come back in time, who made it goes on without: the thread keeps the client, which nobody else may use any more and
which ends with it. It does not keep the process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

from worker.transports.confluent_errors import LIBRARY
from worker.transports.errors import Fatal

Answer = TypeVar("Answer")

GRACE_SECONDS = 1.0  # beyond a limit that the call was given: what the library says at its end tells more
CLOSE_SECONDS = 5.0
PURGED_SECONDS = 0.2
LOST_MAX = 5  # at one time; each has a client with its threads and connections


class Unanswered(RuntimeError):
    """The call goes on in a thread that keeps the client: nothing else may be done with it."""


class Calls:
    """The calls of one transport that may not come back, and those of them that have not yet."""

    def __init__(self) -> None:
        self._lost: list[_Call[Any]] = []

    def within(self, seconds: float, client: Any, call: Callable[[Any], Answer]) -> Answer:
        """What the call returns or raises. Raises `Unanswered` after so many seconds, `Fatal` if that is too often."""
        running = _Call(client, call)
        del client  # errors keep this frame: a lost client is to end in its thread, not with one of them
        try:
            running.start()
            running.back.wait(seconds)  # not `join`, after which an interrupted wait takes the thread for ended
        finally:
            self._lost = [each for each in [*self._lost, running] if not each.back.is_set()]
        if running not in self._lost:
            return running.outcome()
        if len(self._lost) >= LOST_MAX:
            raise Fatal(
                f"{len(self._lost)} calls of librdkafka have not come back, the last one for {seconds:g} s",
                "start this again; are all brokers' names found, and do the brokers answer?",
            )
        raise Unanswered(f"librdkafka has not come back within {seconds:g} s")

    def end(self, held: list[Any]) -> None:
        """The client in the list has ended, or will when it can; a producer, if the list alone refers to it.

        An open transaction of it is left to the next producer of its id.
        """
        if any(each.client is held[0] for each in self._lost):
            held.clear()  # it ends with that call
            return
        with suppress(Unanswered):
            self.within(CLOSE_SECONDS, held, ended)


def ended(held: list[Any]) -> None:
    """A consumer leaves. A producer goes with its last reference: its `close` would wait for its transaction first."""
    client = held.pop()
    with suppress(*LIBRARY):
        if hasattr(client, "purge"):
            client.purge()
            client.flush(PURGED_SECONDS)  # the reports of what was purged; else it would wait for its records
        else:
            client.close()


class _Call(threading.Thread, Generic[Answer]):
    def __init__(self, client: Any, call: Callable[[Any], Answer]) -> None:
        super().__init__(name="librdkafka", daemon=True)
        self.client = client
        self.back = threading.Event()
        self._call = call
        self._answer: list[Answer] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._answer.append(self._call(self.client))
        except BaseException as error:  # noqa: BLE001 - raised where the answer is asked for
            self._error = error.with_traceback(None)  # which would keep the client
        finally:
            self.client = None
            self.back.set()

    def outcome(self) -> Answer:
        if self._error is not None:
            raise self._error
        return self._answer[0]
