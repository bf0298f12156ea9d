"""A comparison as a page to read in a browser: figures side by side, and contacts with both their histories."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any, Final

from worker.charts import STYLE, Rows, Spec, compiled, draw
from worker.charts.bars import bar, bars
from worker.charts.lines import lines
from worker.charts.theme import OPEN
from worker.compare.fold import Comparison
from worker.document.frame import frame
from worker.instants import format_instant

WIDTH: Final = 860  # of charts
SHOWN_MAX: Final = 200  # contacts on the page; --out has them all


def page(found: Comparison, contacts: Sequence[Mapping[str, Any]], titles: tuple[str, str]) -> str:
    """Two definitions compared. `contacts` are some of those that changed, as `Changed.as_json` has them."""
    return frame(f"{titles[0]} and {titles[1]}", "\n".join(_pair(found, contacts, titles)), style=_STYLE, wide=True)


def sweep_page(found: Comparison, name: str, means: str, own: str) -> str:
    """A parameter's values compared: charts over them, and the figures behind them. `own` is the value in force."""
    return frame(f"{name} turned", "\n".join(_sweep(found, name, means, own)), style=_STYLE, wide=True)


def _pair(found: Comparison, contacts: Sequence[Mapping[str, Any]], titles: tuple[str, str]) -> Iterator[str]:
    old, new = found.figures[:2]
    names = _names(found)
    share = found.changed[1] / found.contacts if found.contacts else 0
    yield '<header><p class="kicker">What would have been</p>'
    yield f"<h1>{escape(titles[0])} <span class=soft>against</span> {escape(titles[1])}</h1>"
    yield (
        f'<p class="lead">{found.changed[1]:,} of {found.contacts:,} contacts ({share:.1%}) would have another history,'
        f" as of {_minute(format_instant(found.clock)) if found.clock else 'no event at all'}.</p></header><main>"
    )
    yield _table(
        "Where contacts stand", ("Stage", "Old", "New", "Difference"),
        ((names[stage], f"{old.stages[stage]:,}", f"{new.stages[stage]:,}",
          _signed(new.stages[stage] - old.stages[stage])) for stage in found.stages),
        "Grey bars are those under the old definition, coloured ones those under the new.",
        _chart("Contacts in each stage, under both definitions", _sides(), [
            {"stage": names[stage], "place": place, "old": old.stages[stage], "new": new.stages[stage]}
            for place, stage in enumerate(found.stages)]),
    )  # fmt: skip
    yield _table(
        "Conversion", ("Stage", "Ever there, old", "new", "Went higher, old", "new", "Difference"),
        ((names[one.stage], f"{one.reached:,}", f"{other.reached:,}", one.share, other.share,
          _points(other.rate - one.rate) if one.reached and other.reached else "–")
         for one, other in zip(old.conversions(found.stages), new.conversions(found.stages), strict=True)
         if one.reached or other.reached),
        "Of the contacts that were ever in a stage, how many were in a higher one afterwards.",
    )  # fmt: skip
    moves = sorted(set(old.transitions) | set(new.transitions), key=lambda move: _order(move, found.stages))
    yield _table(
        "Moves", ("From", "To", "Old", "New", "Difference"),
        ((names[one], names[to], f"{old.transitions[one, to]:,}", f"{new.transitions[one, to]:,}",
          _signed(new.transitions[one, to] - old.transitions[one, to])) for one, to in moves),
    )  # fmt: skip
    elsewhere = [(pair, count) for pair, count in found.moved.most_common() if pair[0] != pair[1]]
    yield _table(
        "Contacts that would stand elsewhere", ("Stands now", "Would stand", "Contacts"),
        ((names.get(one, "nowhere"), names.get(to, "nowhere"), f"{count:,}") for (one, to), count in elsewhere),
    )  # fmt: skip
    breached = [stage for stage in found.stages if old.breaches[stage] or new.breaches[stage]]
    yield _table(
        "Promises not kept", ("Stage", "Old", "New", "Difference"),
        ((names[stage], f"{old.breaches[stage]:,}", f"{new.breaches[stage]:,}",
          _signed(new.breaches[stage] - old.breaches[stage])) for stage in breached),
    )  # fmt: skip
    if contacts:
        yield "<section><h2>Contacts</h2>"
        if found.changed[1] > len(contacts):
            yield f'<p class="lead">The first {len(contacts):,} of {found.changed[1]:,}; --out writes all of them.</p>'
        for contact in contacts:
            yield from _contact(contact, names)
        yield "</section>"
    yield "</main>"


def _contact(contact: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[str]:
    stage, parts = contact["stage"], contact["parts"]
    ends = [names.get(stage[side] or "", "nowhere") for side in ("old", "new")]
    what = f"{parts['type']} {parts['event'] or ''}".strip()
    yield f"<details><summary><strong>{escape(contact['contact'])}</strong> {escape(ends[0])} → {escape(ends[1])}"
    yield f'<span class="soft">they part {_minute(parts["time"])}, {escape(what)}</span></summary><div class="sides">'
    for title, side in (("Old", "old"), ("New", "new")):
        yield f"<div><h3>{title}</h3><ol>"
        for place, entry in enumerate(contact[side]):
            kind = "same" if place < parts["common"] else "first" if place == parts["common"] else "after"
            yield f'<li class="{kind}"><time>{_minute(entry["time"])}</time> {_entry(entry, names)}'
            yield f'<span class="soft">{escape(entry["type"])}</span></li>'
        yield "</ol></div>"
    yield "</div></details>"


def _entry(entry: Mapping[str, Any], names: Mapping[str, str]) -> str:
    match entry["kind"]:
        case "stage":
            before = f"{escape(names.get(entry['from'] or '', ''))} → " if entry["from"] else ""
            return f"{before}<strong>{escape(names.get(entry['to'], entry['to']))}</strong>"
        case "status":
            return escape(f"status {_words(entry['from'])} → {_words(entry['to'])}")
    return f'<span class="bad">promise on {escape(names.get(entry["from"], entry["from"]))} not kept</span>'


def _sweep(found: Comparison, name: str, means: str, own: str) -> Iterator[str]:
    names = _names(found)
    labels = [variant.name for variant in found.variants]
    stages = found.stages
    yield f'<header><p class="kicker">Calibration</p><h1>{escape(name)}, from {labels[0]} to {labels[-1]}</h1>'
    yield f'<p class="lead">{escape(means[:1].upper() + means[1:])}; {found.contacts:,} contacts,'
    yield f" each folded under every value. In force is {escape(own)}.</p></header><main>"
    told = stages[1:]  # the first is everyone's
    rates = {stage: [one.conversions([stage])[0].rate for one in found.figures] for stage in stages[:-1]}
    own_step = own if own in labels else ""

    def steps(values: Mapping[str, Sequence[float]]) -> Rows:
        return [{"at": label, "stage": names[stage], "place": stages.index(stage), "value": values[stage][number]}
                for number, label in enumerate(labels) for stage in values]  # fmt: skip

    yield "<section><h2>Volume</h2>"
    yield '<p class="lead">Contacts that were ever in each stage.</p>'
    yield _chart(f"Contacts ever in each stage, by {name}", lines(own=own_step, width=WIDTH),
                 steps({stage: [one.reached[stage] for one in found.figures] for stage in told}))  # fmt: skip
    yield "</section><section><h2>Conversion</h2>"
    yield '<p class="lead">Of those, how many were in a higher stage afterwards.</p>'
    yield _chart(f"Conversion of each stage, by {name}", lines(share=True, own=own_step, width=WIDTH), steps(rates))
    yield "</section>"
    yield _table(
        "Figures",
        (name, *(names[stage] for stage in told), *(f"{names[stage]} →" for stage in stages[:-1]), "Changed"),
        (
            (labels[place] + (" (in force)" if labels[place] == own else ""),
             *(f"{one.reached[stage]:,}" for stage in told),
             *(f"{rates[stage][place]:.1%}" for stage in stages[:-1]), f"{found.changed[place]:,}")
            for place, one in enumerate(found.figures)
        ),
        "Contacts ever in a stage, what share of each went higher, and how many histories differ from those in force.",
    )  # fmt: skip
    yield "</main>"


def _chart(label: str, spec: Spec, rows: Rows) -> str:
    """A picture of the rows, whose numbers stand in the table beside it."""
    drawn = draw(compiled(spec), rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}"><div class="plot" role="img"'
        f' aria-label="{escape(label)}"><div aria-hidden="true">{drawn}</div></div></div>'
    )


def _sides() -> Spec:
    return bars(
        "datum.stage", "format(datum.old, ',') + ' → ' + format(datum.new, ',')",
        [bar("old", colour=OPEN, thick=7, at=4), bar("new", thick=7, at=12)], width=WIDTH,
    )  # fmt: skip


def _table(
    title: str, header: Sequence[str], rows: Iterable[Sequence[str]], lead: str = "", picture: str = ""
) -> str:  # fmt: skip
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(f"<td{_class(cell)}>{escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    if not body:
        return ""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    said = f'<p class="lead">{escape(lead)}</p>' if lead else ""
    return (
        f'<section><h2>{escape(title)}</h2>{said}{picture}<div class="scroll" tabindex="0" role="region"'
        f' aria-label="{escape(title)}"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        "</section>"
    )


def _class(cell: str) -> str:
    if cell[:1] in ("+", "−"):
        return ' class="num changed"'
    return ' class="num"' if cell[:1].isdigit() or cell == "0" else ""


def _signed(number: int) -> str:
    return f"+{number:,}" if number > 0 else f"−{-number:,}" if number else "0"


def _points(difference: float) -> str:
    rounded = round(difference * 100, 1)
    return f"+{rounded} points" if rounded > 0 else f"−{-rounded} points" if rounded else "0"


def _names(found: Comparison) -> dict[str, str]:
    return {name: stage.name for variant in found.variants for name, stage in variant.lifecycle.stages.items()}


def _order(move: tuple[str, str], stages: Sequence[str]) -> tuple[int, int]:
    return stages.index(move[0]), stages.index(move[1])


def _minute(instant: str) -> str:
    return instant[:16].replace("T", " ")


def _words(name: Any) -> str:
    return str(name or "none").replace("_", " ")


_STYLE: Final = (
    STYLE
    + """
td.num{font-variant-numeric:tabular-nums;white-space:nowrap}
td.changed{font-weight:600}
.bad{color:var(--bad)}
details{border:1px solid var(--rule);border-radius:10px;margin:.5rem 0;padding:.5rem 1rem;background:var(--card)}
summary{cursor:pointer;display:flex;gap:.8rem;flex-wrap:wrap}
summary .soft{margin-left:auto;font-size:.88rem}
.sides{display:grid;grid-template-columns:1fr 1fr;gap:2rem}
.sides ol{list-style:none;padding:0;margin:0;font-size:.92rem}
.sides li{padding:.3rem .5rem;border-left:3px solid transparent}
.sides li .soft{float:right;font-size:.82rem}
.sides li.same,.sides li.same strong{color:var(--soft);font-weight:400}
.sides li.first{border-color:var(--accent);background:var(--area)}
.sides time{color:var(--soft);font-variant-numeric:tabular-nums;margin-right:.6rem}
@media screen and (max-width:46rem){.plot{min-width:42rem}}
@media (max-width:46rem){.sides{grid-template-columns:1fr;gap:.5rem}}
"""
)
