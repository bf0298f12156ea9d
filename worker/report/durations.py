"""Time in stage where some are still inside: the product-limit estimate of Kaplan and Meier, by `lifelines`.

A visit that goes on counts as one that lasted at least so long. `quantile` 0.5 is the time by which half have left.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isinf
from typing import Any, NamedTuple

from worker.report.errors import extra


class Stay(NamedTuple):
    """So many visits of one length (seconds); `left` tells those that ended from those that go on."""

    seconds: float
    left: bool
    visits: int


def quantiles(stays: Sequence[Stay], shares: Sequence[float]) -> list[float | None]:
    """For each share, the seconds by which it has left; None where fewer than it are known to have left at all."""
    if not any(stay.left for stay in stays):
        return [None for _ in shares]
    fitter: Any = extra("lifelines").KaplanMeierFitter()
    fitter.fit(
        [stay.seconds for stay in stays],
        event_observed=[stay.left for stay in stays],
        weights=[stay.visits for stay in stays],
    )
    reach = extra("lifelines.utils").qth_survival_time
    found = [float(reach(1 - share, fitter.survival_function_)) for share in shares]
    return [None if isinf(seconds) else seconds for seconds in found]
