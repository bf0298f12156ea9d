"""The transition plan: a lifecycle compiled to small Python functions."""

from worker.plan.compile import compile_plan
from worker.plan.plan import Plan

__all__ = ["Plan", "compile_plan"]
