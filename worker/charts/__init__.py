"""Charts as data: what a chart looks like is a Vega-Lite or Vega specification, drawn by that library here and there.

A chart's rows are apart from it, so that a page draws the same specification again with other rows.
"""

from worker.charts.drawing import ChartError, compiled, draw, runtime
from worker.charts.theme import STYLE, Rows, Spec

__all__ = ["STYLE", "ChartError", "Rows", "Spec", "compiled", "draw", "runtime"]
