"""The picture of a lifecycle: its stages in order, what moves a contact between them, and how many go which way."""

from worker.diagram.arrows import Arrow, Volumes, arrows
from worker.diagram.mermaid import mermaid
from worker.diagram.svg import svg

__all__ = ["Arrow", "Volumes", "arrows", "mermaid", "svg"]
