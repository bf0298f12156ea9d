"""What a page is made of, whatever it is written in: sections of paragraphs, tables and lists of marked text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Mark = Literal["plain", "code", "strong", "assumed", "soft"]
"""How a stretch of text is set; `assumed` is the mark of what nobody has decided yet."""


class Span(NamedTuple):
    text: str
    mark: Mark = "plain"


Cell = tuple[Span, ...]
ASSUMED = Span("assumed", "assumed")


def plain(text: str, assumed: bool = False) -> Cell:
    """Text, with the mark behind it where it is assumed."""
    return (Span(text), ASSUMED) if assumed else (Span(text),)


def code(text: str) -> Cell:
    return (Span(text, "code"),)


def joined(cells: Iterable[Cell], between: str = ", ") -> Cell:
    """Cells in a row, as one."""
    spans: list[Span] = []
    for number, cell in enumerate(cells):
        if number:
            spans.append(Span(between))
        spans += cell
    return tuple(spans)


@dataclass(frozen=True)
class Paragraph:
    text: Cell


@dataclass(frozen=True)
class Table:
    """`wide` columns are those whose text runs long."""

    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Bullets:
    items: tuple[Cell, ...]


@dataclass(frozen=True)
class Facts:
    """Names and what they are, in two columns."""

    rows: tuple[tuple[str, Cell | Bullets], ...]


@dataclass(frozen=True)
class Picture:
    """A drawing, and the same as text for where drawings are text."""

    svg: str
    mermaid: str


@dataclass(frozen=True)
class Stage:
    """A stage's heading; `colour` is its owner's place among owners."""

    number: int
    name: str
    owner: str
    colour: int
    assumed: bool


Block = Paragraph | Table | Bullets | Facts | Picture | Stage


@dataclass(frozen=True)
class Section:
    title: str
    blocks: tuple[Block, ...]
    lead: str = ""  # a sentence that says what it is for


@dataclass(frozen=True)
class Document:
    """The whole page. `marks` are short statements under the title."""

    title: str
    subtitle: str
    marks: tuple[tuple[str, Cell], ...]
    sections: tuple[Section, ...]
    colours: str = ""  # style sheet of owners' colours
    footer: str = field(default="")
