"""The picture as SVG: a file of its own, or part of a page. Light and dark follow the reader's setting."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from html import escape as escape_markup

from worker.definition.model import Lifecycle
from worker.definition.parameters import kind_of
from worker.diagram.arrows import Arrow, Volumes, arrows
from worker.diagram.colours import colours, owner_name
from worker.diagram.layout import LINE, ROUND, Box, Layout, Line, lay_out

FONT = "ui-sans-serif, system-ui, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"
NAME_LETTERS = 18  # of a stage, on one line
LETTER = 7.2  # of the legend
_UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
BROAD = 6.0  # of a line whose head is drawn for it


def svg(lifecycle: Lifecycle, volumes: Volumes | None = None, *, prefix: str = "lc") -> str:
    """The drawing. `prefix` keeps the ids of two of them on one page apart."""
    return "\n".join(_svg(lifecycle, volumes, prefix)) + "\n"


def _svg(lifecycle: Lifecycle, volumes: Volumes | None, prefix: str) -> Iterator[str]:
    drawn = arrows(lifecycle, volumes)
    layout = lay_out(len(lifecycle.stages), drawn)
    known = colours(lifecycle)
    legend, height = _legend(lifecycle, layout, any(arrow.backward for arrow in drawn))
    width = layout.width
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="lifecycle-picture" viewBox="0 0 {width:.0f} {height:.0f}"'
        f' width="{width:.0f}" height="{height:.0f}" role="img" aria-labelledby="{prefix}-title {prefix}-desc">'
    )
    yield f'<title id="{prefix}-title">{escape(lifecycle.title)}</title>'
    yield f'<desc id="{prefix}-desc">{escape(_described(lifecycle, drawn))}</desc>'
    yield f"<style>{_style(lifecycle)}</style>"
    yield "<defs>"
    for kind in ("forward", "backward"):
        yield (
            f'<marker id="{prefix}-{kind}" viewBox="0 0 10 10" refX="8.5" refY="5" markerWidth="9" markerHeight="9"'
            f' markerUnits="userSpaceOnUse" orient="auto-start-reverse"><path class="head {kind}"'
            ' d="M0 0.8 10 5 0 9.2z"/></marker>'
        )
    yield "</defs>"
    for line in sorted(layout.lines, key=lambda line: -line.width):
        yield from _line(line, prefix)
    for line in layout.lines:
        yield from _words(line)
    for place, (name, stage) in enumerate(lifecycle.stages.items()):
        notes = [owner_name(lifecycle, stage.owner.value)]
        if stage.sla is not None:
            notes.append(f"promise: {_figure(lifecycle, stage.sla.within)}")
        if volumes is not None:
            notes = [notes[0], f"{volumes.standing.get(name, 0):,} now, {volumes.entered.get(name, 0):,} entered"]
        yield from _box(layout.boxes[place], stage.name, notes, known[stage.owner.value].place)
    yield from legend
    yield "</svg>"


def escape(text: str) -> str:
    """The words as XML can hold them, which has no place for control characters."""
    return escape_markup(_UNSEEN.sub("", text))


def _box(box: Box, name: str, notes: list[str], colour: int) -> Iterator[str]:
    lines = [name]
    if len(name) > NAME_LETTERS:
        lines = textwrap.wrap(name, NAME_LETTERS, max_lines=2, placeholder="…")
    x, middle = box.x + box.width / 2, box.y + box.height / 2 - 8 * (len(notes) - 1) - 9 * (len(lines) - 1)
    yield f'<g class="stage o{colour}"><title>{escape(name)}</title>'
    yield f'<rect class="area" x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width}" height="{box.height:.1f}" rx="9"/>'
    yield f'<rect class="bar" x="{box.x:.1f}" y="{box.y + 9:.1f}" width="5" height="{box.height - 18:.1f}" rx="2.5"/>'
    smaller = ' style="font-size:14.5px"' if len(name) > 14 else ""
    for number, line in enumerate(lines):
        y = middle - 2 + 18 * number
        yield f'<text class="name" x="{x:.1f}" y="{y:.1f}"{smaller}>{escape(line)}</text>'
    for number, note in enumerate(notes):
        y = middle + 16 + 18 * (len(lines) - 1) + 15 * number
        yield f'<text class="note" x="{x:.1f}" y="{y:.1f}">{escape(_short(note))}</text>'
    yield "</g>"


def _line(line: Line, prefix: str) -> Iterator[str]:
    kind = "backward" if line.arrow.backward else "forward"
    for points, width in line.tails:
        yield f'<path class="line {kind}" stroke-width="{width:.1f}" d="{_path(points)}"/>'
    path, head = line.path, ""
    if line.width >= BROAD:  # such a line ends in a triangle as broad
        (x, y), (before, _) = path[-1], path[-2]
        half, deep = line.width / 2 + 4, min(line.width, 12.0)
        if before == x:
            head = f"M{x - half:.1f} {y - deep:.1f}h{2 * half:.1f}L{x:.1f} {y:.1f}z"
            path = [*path[:-1], (x, y - deep)]
        else:
            back = deep if before > x else -deep
            head = f"M{x + back:.1f} {y - half:.1f}v{2 * half:.1f}L{x:.1f} {y:.1f}z"
            path = [*path[:-1], (x + back, y)]
    marker = "" if head else f' marker-end="url(#{prefix}-{kind})"'
    yield f'<path class="line {kind}" stroke-width="{line.width:.1f}" d="{_path(path)}"{marker}/>'
    if head:
        yield f'<path class="head {kind}" d="{head}"/>'


def _path(points: list[tuple[float, float]]) -> str:
    """A line with round corners."""
    parts = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for before, here, after in zip(points, points[1:], points[2:], strict=False):
        into, out = _towards(here, before), _towards(here, after)
        parts.append(f"L{into[0]:.1f} {into[1]:.1f}Q{here[0]:.1f} {here[1]:.1f} {out[0]:.1f} {out[1]:.1f}")
    parts.append(f"L{points[-1][0]:.1f} {points[-1][1]:.1f}")
    return "".join(parts)


def _towards(here: tuple[float, float], there: tuple[float, float]) -> tuple[float, float]:
    length = abs(there[0] - here[0]) + abs(there[1] - here[1])
    part = min(1.0, ROUND / length) if length else 0.0
    return here[0] + (there[0] - here[0]) * part, here[1] + (there[1] - here[1]) * part


def _words(line: Line) -> Iterator[str]:
    words = line.words
    kind = "backward" if line.arrow.backward else "forward"
    lines = (
        f'<tspan x="{words.x:.1f}" y="{words.y + LINE * number:.1f}">{escape(text)}</tspan>'
        for number, text in enumerate(words.lines)
    )
    # In one piece: white space between the lines would be drawn, and move them.
    yield f'<text class="says {kind}" text-anchor="{words.anchor}">{"".join(lines)}</text>'


def _legend(lifecycle: Lifecycle, layout: Layout, backward: bool) -> tuple[list[str], float]:
    """What colours and lines mean, in as many rows as it takes, and where the sheet ends."""
    drawn: list[str] = []
    x, y = 18.0, layout.height + 18

    def room(width: float) -> tuple[float, float]:
        nonlocal x, y
        if x > 18 and x + width > layout.width - 8:
            x, y = 18.0, y + 22
        place, x = x, x + width + 22
        return place, y

    for owner, colour in colours(lifecycle).items():
        name = _short(owner_name(lifecycle, owner))
        left, base = room(17 + LETTER * len(name))
        drawn += [
            f'<rect class="bar o{colour.place}" x="{left:.0f}" y="{base - 9:.0f}" width="11" height="11" rx="3"/>',
            f'<text class="legend" x="{left + 17:.0f}" y="{base:.0f}">{escape(name)}</text>',
        ]
    for kind, name in (("forward", "forward"), *((("backward", "back"),) if backward else ())):
        left, base = room(28 + LETTER * len(name))
        drawn += [
            f'<path class="line {kind}" stroke-width="1.8" d="M{left:.0f} {base - 4:.0f}h22"/>',
            f'<text class="legend" x="{left + 28:.0f}" y="{base:.0f}">{name}</text>',
        ]
    return drawn, y + 22


def _figure(lifecycle: Lifecycle, given: str) -> str:
    parameter = lifecycle.parameters.get(given)
    if parameter is not None and isinstance(parameter.value, str) and kind_of(parameter.value) == "duration":
        return parameter.value
    return given if len(given) <= 12 else "see the definition"


def _short(note: str) -> str:
    return note if len(note) <= 25 else note[:24] + "…"


def _described(lifecycle: Lifecycle, drawn: list[Arrow]) -> str:
    names = [stage.name for stage in lifecycle.stages.values()]
    moves = "; ".join(
        f"from {', '.join(names[origin] for origin in arrow.origins)} to {names[arrow.target]}: {arrow.says}"
        for arrow in drawn
    )
    return f"Stages in order: {', '.join(names)}. Moves: {moves}."


def _style(lifecycle: Lifecycle) -> str:
    light, dark = [], []
    for colour in colours(lifecycle).values():
        light.append(f"--o{colour.place}:{colour.light};--a{colour.place}:{colour.tint}")
        dark.append(f"--o{colour.place}:{colour.dark};--a{colour.place}:{colour.shade}")
    own = "svg.lifecycle-picture"
    dark_ink = "--ink:#e8ebf2;--soft:#aeb6c6;--line:#8d97aa;--back:#f0a860"
    owners = "".join(
        f"{own} .o{colour.place} .area{{fill:var(--a{colour.place});stroke:var(--o{colour.place})}}"
        f"{own} .o{colour.place} .bar,{own} .bar.o{colour.place}{{fill:var(--o{colour.place})}}"
        for colour in colours(lifecycle).values()
    )
    return (
        f"{own}{{--ink:#1b2130;--soft:#4c566a;--line:#66718a;--back:#b35a00;{';'.join(light)};"
        f"font-family:{FONT};max-width:100%;height:auto}}{own}:root{{background:#fff}}"
        f"@media screen and (prefers-color-scheme:dark){{{own}{{{dark_ink};{';'.join(dark)}}}"
        f"{own}:root{{background:#12151c}}}}"  # opened by itself; on a page the ground is the page's
        f"{own} .area{{stroke-width:1.4}}{owners}"
        f"{own} .name{{font-size:17px;font-weight:650;fill:var(--ink);text-anchor:middle}}"
        f"{own} .note{{font-size:12px;fill:var(--soft);text-anchor:middle}}"
        f"{own} .line{{fill:none;stroke:var(--line);stroke-linejoin:round}}"
        f"{own} .line.backward{{stroke:var(--back);stroke-dasharray:6 4}}"
        f"{own} .head{{fill:var(--line)}}{own} .head.backward{{fill:var(--back)}}"
        f"{own} .says{{font-size:12px;fill:var(--ink)}}"
        f"{own} .legend{{font-size:12px;fill:var(--soft)}}"
    )
