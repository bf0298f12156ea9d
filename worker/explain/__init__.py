"""Why a contact is where it is: every move with its cause, its conditions and what they saw, and what is missing.

Gathering a contact's events out of files is `worker.explain.gather`: whoever asks a worker's state needs nothing of it.
"""

from worker.explain.history import Explainer
from worker.explain.stored import StoredStates
from worker.explain.values import Attempt, Condition, Correction, Explanation, Remedy, Seen, Step, Visit, WhyNot

__all__ = [
    "Attempt", "Condition", "Correction", "Explainer", "Explanation", "Remedy", "Seen", "Step",
    "StoredStates", "Visit", "WhyNot",
]  # fmt: skip
