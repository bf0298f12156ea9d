"""Time in stage where some are still inside: the product-limit estimate of Kaplan and Meier, by `lifelines`.

A visit that goes on counts as one that lasted at least so long.
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


class Curve:
    """The share of visits that still go on, by how long they do; of no visits, nothing is known."""

    def __init__(self, steps: Sequence[tuple[float, float]], longest: float | None) -> None:
        self._steps = steps
        self._longest = longest

    def by(self, share: float) -> float | None:
        """The seconds by which the share has left; None where fewer than it are known to have left at all."""
        return next((seconds for seconds, remaining in self._steps if remaining <= 1 - share + ROUNDING), None)

    def remaining(self, seconds: float) -> float | None:
        """The share that goes on for longer; None beyond what was seen of any visit, if some went on then."""
        if self._longest is None:
            return None
        at = [remaining for length, remaining in self._steps if length <= seconds]
        share = at[-1] if at else 1.0
        return None if seconds > self._longest and share > ROUNDING else max(share, 0.0)


def curve(stays: Sequence[Stay]) -> Curve:
    longest = max((stay.seconds for stay in stays), default=None)
    if not any(stay.left for stay in stays):
        return Curve([], longest)
    fitter: Any = extra("lifelines").KaplanMeierFitter()
    fitter.fit(
        [stay.seconds for stay in stays],
        event_observed=[stay.left for stay in stays],
        weights=[stay.visits for stay in stays],
    )
    found = fitter.survival_function_.iloc[:, 0]
    return Curve([(float(seconds), float(remaining)) for seconds, remaining in found.items()], longest)
