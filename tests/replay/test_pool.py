"""Tasks over processes: results in order, errors as they are, and one clear line where a process is gone."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from worker.replay import ReplayError
from worker.replay.pool import Pool

Report = Callable[[int], None]


def quiet(more: int) -> None:
    """Progress that nobody asks for."""


def setting(factor: int) -> int:
    return factor


def times(factor: int, report: Report, number: int) -> int:
    report(number)
    return factor * number


def failing(factor: int, report: Report, number: int) -> int:
    if number == 2:
        raise ReplayError("two is too many")
    return number


def dying(factor: int, report: Report, number: int) -> int:
    os._exit(9)


@pytest.mark.parametrize("processes", [1, 3])
def test_results_come_in_the_order_of_the_calls_and_work_is_told(processes: int) -> None:
    told: list[int] = []
    with Pool(processes, told.append, setting, 10) as pool:
        assert pool.run(times, [(number,) for number in range(20)]) == [10 * number for number in range(20)]
        assert pool.run(times, []) == []
    assert sum(told) == sum(range(20))


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_in_a_task_is_raised(processes: int) -> None:
    with Pool(processes, quiet, setting, 1) as pool, pytest.raises(ReplayError, match="two is too many"):
        pool.run(failing, [(number,) for number in range(5)])


def test_a_process_that_is_gone_is_one_clear_line_whenever_it_went() -> None:
    with Pool(2, quiet, setting, 1) as pool:
        for _ in range(2):  # the second time before the first call
            with pytest.raises(ReplayError, match="try fewer --processes"):
                pool.run(dying, [(1,), (2,)])
