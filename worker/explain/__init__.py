"""Why a contact is where it is: every move with its cause, its conditions and what they saw, and what is missing."""

from worker.explain.gather import Gathered, gather
from worker.explain.history import Explainer
from worker.explain.stored import StoredStates
from worker.explain.values import Attempt, Condition, Correction, Explanation, Remedy, Seen, Step, Visit, WhyNot

__all__ = [
    "Attempt", "Condition", "Correction", "Explainer", "Explanation", "Gathered", "Remedy", "Seen", "Step",
    "StoredStates", "Visit", "WhyNot", "gather",
]  # fmt: skip
