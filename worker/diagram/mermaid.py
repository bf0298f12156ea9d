"""The picture as Mermaid's text, for pages and repositories that draw it themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from worker.definition.model import Lifecycle
from worker.diagram.arrows import Volumes, arrows
from worker.diagram.colours import colours, owner_name

WIDEST: Final = 10.0  # of a line, in pixels
_MEANT: Final = re.compile(r'["#<>&]|%(?=%)|(?<=%)%')  # ends of text, entities, markup, and comments, taken out first
_TOGETHER: Final = re.compile(r"(?<=\\)(?=n)|(?<=\$)(?=\$)|(?<=:)(?=fa-)")  # in a box: a new line, a formula, an icon
APART: Final = "\u2060"  # joins words, and is not seen


def mermaid(lifecycle: Lifecycle, volumes: Volumes | None = None) -> str:
    """A flowchart. Ids are prefixed, since some words (`end`) mean something to Mermaid."""
    return "\n".join(_lines(lifecycle, volumes)) + "\n"


def _lines(lifecycle: Lifecycle, volumes: Volumes | None) -> Iterator[str]:
    order = list(lifecycle.stages)
    yield "flowchart TD"
    for name, stage in lifecycle.stages.items():
        label = f"<b>{_text(stage.name)}</b><br/>{_text(owner_name(lifecycle, stage.owner.value))}"
        if volumes is not None:
            label += f"<br/>{volumes.standing.get(name, 0):,} now"
        yield f'  s_{name}("{label}")'
    drawn = arrows(lifecycle, volumes)
    widest = max((count for arrow in drawn for count in arrow.counts), default=0) or 1
    styles: list[str] = []
    number = 0
    for arrow in drawn:
        line = "-.->" if arrow.backward else "-->"
        for place, origin in enumerate(arrow.origins):
            label = _text(arrow.says) + (" (assumed)" if arrow.assumed else "")
            if arrow.counts:
                label += f" · {arrow.counts[place]:,}"
                styles.append(
                    f"  linkStyle {number} stroke-width:{1 + (WIDEST - 1) * arrow.counts[place] / widest:.1f}px"
                )
            yield f'  s_{order[origin]} {line}|"{label}"| s_{order[arrow.target]}'
            number += 1
    yield from styles
    for owner, colour in colours(lifecycle).items():
        members = ",".join(f"s_{name}" for name, stage in lifecycle.stages.items() if stage.owner.value == owner)
        yield f"  classDef owner_{colour.place} fill:{colour.tint},stroke:{colour.light},color:#1b2130"
        yield f"  class {members} owner_{colour.place}"


def _text(given: str) -> str:
    """The words on one line; what Mermaid would read as more than words is written as its number, or kept apart."""
    words = _TOGETHER.sub(APART, " ".join(given.split()))
    return _MEANT.sub(lambda found: f"#{ord(found[0])};", words)
