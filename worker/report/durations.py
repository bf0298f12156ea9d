"""Time in stage where some are still inside: the product-limit estimate of Kaplan and Meier, by `lifelines`.

A visit that goes on counts as one that lasted at least so long. `quantile` 0.5 is the time by which half have left.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from worker.report.errors import extra

ROUNDING: Final = 1e-12  # what products of shares may be off by


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
    curve = fitter.survival_function_.iloc[:, 0]
    steps = [(float(seconds), float(remaining)) for seconds, remaining in curve.items()]
    return [
        next((seconds for seconds, remaining in steps if remaining <= 1 - share + ROUNDING), None) for share in shares
    ]
