"""Tasks over several processes, or in this one: results in order, progress while they run, one clear error."""

from __future__ import annotations

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

_setting: Any = None
_done: Any = None  # a counter that all processes share


def _begin(make: Callable[..., Any], arguments: tuple[Any, ...], done: Any) -> None:
    global _setting, _done
    _setting, _done = make(*arguments), done


def _report(count: int) -> None:
    with _done.get_lock():
        _done.value += count


def _call(task: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    return task(_setting, _report, *arguments)


class Pool(Generic[Setting]):
    """Runs tasks `task(setting, report, *arguments)`; each process makes its setting, once, by `make(*arguments)`."""

    def __init__(self, processes: int, report: Report | None, make: Callable[..., Setting], *arguments: Any) -> None:
        self._processes = processes
        self._report = report or (lambda count: None)
        self._make = make
        self._arguments = arguments
        self._executor: ProcessPoolExecutor | None = None
        self._setting: Setting | None = None
        self._done: Any = None
        self._reported = 0

    def __enter__(self) -> Self:
        if self._processes == 1:
            self._setting = self._make(*self._arguments)
            return self
        context = _context()
        self._done = context.Value("Q", 0)
        self._executor = ProcessPoolExecutor(
            self._processes, context, initializer=_begin, initargs=(self._make, self._arguments, self._done)
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)

    def run(self, task: Callable[..., Result], calls: Iterable[Sequence[Any]]) -> list[Result]:
        """The results of the task for each of these arguments, in their order. Raises what a task raises."""
        if self._executor is None:
            return [task(self._setting, self._report, *arguments) for arguments in calls]
        futures = [self._executor.submit(_call, task, tuple(arguments)) for arguments in calls]
        left = set(futures)
        try:
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


def _context() -> BaseContext:
    """Forked processes are there at once and share what is loaded; where there is no fork they start anew."""
    methods = multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("fork" if "fork" in methods else "spawn")
