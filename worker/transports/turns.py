"""The order in which a producer's calls make sense, kept strictly: a mistake in it is a fault of the caller."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from worker.transports.errors import Fatal

State = Literal["ready", "open", "failed", "closed"]


class Turns:
    """A producer is ready, has a transaction open, failed, or is closed. After an error only closing is left."""

    __slots__ = ("state",)

    def __init__(self) -> None:
        self.state: State = "ready"

    @contextmanager
    def call(self, operation: str, expected: State, after: State) -> Iterator[None]:
        """`operation` runs in the state `expected` and leads to `after`; if it raises, the producer has failed."""
        if self.state != expected:
            raise Fatal(
                f"{operation}: the producer is {self.state}, not {expected}",
                "after an error close it and ask for a new one",
            )
        try:
            yield
        except BaseException:
            self.state = "failed"
            raise
        self.state = after
