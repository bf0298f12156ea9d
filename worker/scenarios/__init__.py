"""Scenarios run by the fold that the worker runs: what was expected, what came out, what no scenario reaches."""

from worker.scenarios.coverage import Coverage
from worker.scenarios.run import Difference, Result, Runner

__all__ = ["Coverage", "Difference", "Result", "Runner"]
