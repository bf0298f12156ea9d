"""The figures: what the worker publishes, with the events where those are needed, as tables, JSON and one page."""

from worker.report.errors import ReportError
from worker.report.figures import Figures, figures
from worker.report.tables import Tables

__all__ = ["Figures", "ReportError", "Tables", "figures"]
