"""Tasks over several processes, or in this one: results in order, progress while they run, one clear error."""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import BaseContext
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

from worker.replay.records import ReplayError

REPORT_SECONDS: Final = 0.2

Setting = TypeVar("Setting")
Result = TypeVar("Result")
Report = Callable[[int], None]
"""Told how many bytes more are done."""

Progress = Callable[[int, int], None]
"""Told how many bytes of how many are done; a byte counts for every time that it is gone through."""


def summed(progress: Progress | None, total: int) -> Report:
    """A report whose parts are added up for the progress."""
    done = 0

    def report(more: int) -> None:
        nonlocal done
        done += more
        if progress is not None:
            progress(min(done, total), total)

    return report


_setting: Any = None
_done: Any = None  # a counter that all processes share


def _begin(make: Callable[..., Any], arguments: tuple[Any, ...], done: Any) -> None:
    global _setting, _done
    _setting, _done = make(*arguments), done


def _go_on(setting: Any, done: Any) -> None:
    """For a process that was forked: it has the setting already."""
    global _setting, _done
    _setting, _done = setting, done


def _report(count: int) -> None:
    with _done.get_lock():
        _done.value += count


def _call(task: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    return task(_setting, _report, *arguments)


class Pool(Generic[Setting]):
    """Runs tasks `task(setting, report, *arguments)`; the setting is made by `make(*arguments)`.

    Once, where processes can be forked and so share it; else once in each.
    """

    def __init__(self, processes: int, report: Report, make: Callable[..., Setting], *arguments: Any) -> None:
        self._processes = processes
        self._report = report
        self._make = make
        self._arguments = arguments
        self._executor: ProcessPoolExecutor | None = None
        self._setting: Setting | None = None
        self._done: Any = None
        self._reported = 0

    def __enter__(self) -> Self:
        if self._processes == 1:
            return self
        context, forked = _context()
        self._done = context.Value("Q", 0)
        begin: Callable[..., None] = _begin
        given: tuple[Any, ...] = self._make, self._arguments, self._done
        if forked:
            begin, given = _go_on, (self.setting, self._done)
            gc.freeze()  # else the first search for cycles in each process would copy all that they share
        self._executor = ProcessPoolExecutor(self._processes, context, initializer=begin, initargs=given)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)

    @property
    def setting(self) -> Setting:
        """The setting as this process has it."""
        if self._setting is None:
            self._setting = self._make(*self._arguments)
        return self._setting

    def run(self, task: Callable[..., Result], calls: Iterable[Sequence[Any]]) -> list[Result]:
        """The results of the task for each of these arguments, in their order. Raises what a task raises."""
        if self._executor is None:
            return [task(self.setting, self._report, *arguments) for arguments in calls]
        try:  # a process may be gone before all calls are handed out
            futures = [self._executor.submit(_call, task, tuple(arguments)) for arguments in calls]
            left = set(futures)
            while left:
                finished, left = wait(left, REPORT_SECONDS, FIRST_EXCEPTION)
                self._tell()
                for future in finished:
                    future.result()
            return [future.result() for future in futures]
        except BrokenProcessPool:
            raise ReplayError(
                "a process of the replay was ended from outside, most likely for want of memory: try fewer --processes"
            ) from None

    def _tell(self) -> None:
        done = int(self._done.value)
        self._report(done - self._reported)
        self._reported = done


def _context() -> tuple[BaseContext, bool]:
    """Forked processes are there at once and share what is loaded; where there is no fork they start anew."""
    forked = "fork" in multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("fork" if forked else "spawn"), forked
