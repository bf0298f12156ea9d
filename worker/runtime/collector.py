"""Python's cycle collector, set for a process that folds: its default costs a worker a tenth of its time."""

from __future__ import annotations

import gc
from typing import Final

THRESHOLDS: Final = (100_000, 50, 100)


def relax_collector() -> None:
    """The collector looks at what is new more rarely, and no more at what is there by now.

    A batch is tens of thousands of events without a cycle among them: all of it goes by reference counts when its
    transaction is over, but by default it is walked some dozen times before. Process-wide, so for a `main` to call,
    once everything is loaded.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
