"""The interpreter's search for cycles, set for batches: what a batch makes is gone after it, without being searched.

CPython counts the containers made and not yet freed, and by default walks the young ones at every 700th: a batch of
ten thousand events holds a hundred thousand at its height, none of them in a cycle, and the walks cost a third of all
time. Reference counts free them; cycles, which only errors and the clients make, are still found, just less often.
"""

from __future__ import annotations

import gc
from typing import Final

YOUNG_MAX: Final = (
    300_000  # containers: more than a batch of the usual size holds, some tens of megabytes if all were lost
)


def relax() -> None:
    """The search comes by rarely, and passes over what is there already. For a process that has loaded its code."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_MAX, 10, 10)
