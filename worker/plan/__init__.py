"""The transition plan: a lifecycle compiled to small Python functions."""

from worker.plan.compile import Plan, compile_plan

__all__ = ["Plan", "compile_plan"]
