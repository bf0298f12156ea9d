"""The faults of a definition, of its form and of what it would make of contacts."""

from worker.lint.findings import Finding, Witness
from worker.lint.run import lint

__all__ = ["Finding", "Witness", "lint"]
