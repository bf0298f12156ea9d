"""The same fold over files: a contact's history, whole, from events that are all at hand."""

from worker.replay.job import Job, Sizes, Summary
from worker.replay.records import DeadLetter, ReplayError, Source
from worker.replay.run import replay
from worker.replay.terms import Terms, Totals

__all__ = ["DeadLetter", "Job", "ReplayError", "Sizes", "Source", "Summary", "Terms", "Totals", "replay"]
