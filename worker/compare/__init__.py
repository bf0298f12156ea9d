"""What would have been different: the same events under several definitions at once, and where histories part."""

from worker.compare.fold import Comparison, Variant, compare
from worker.compare.result import Changed, Conversion, Figures

__all__ = ["Changed", "Comparison", "Conversion", "Figures", "Variant", "compare"]
