"""An explanation as HTML: the same words as on a terminal, in headings, lists and tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from worker.explain import Attempt, Condition, Explanation, Remedy, Step, WhyNot
from worker.explain.text import cause, example, guards, happened, minute, telling, value, words
from worker.explain.values import Missing, Way


def as_html(explained: Explanation) -> str:
    """The explanation's parts, without a page around them."""
    return "\n".join(_parts(explained))


def _parts(explained: Explanation) -> Iterator[str]:
    yield f'<h1 class="contact">{escape(explained.contact)}</h1>'
    if not explained.known:
        yield f'<p class="lead">Nothing is known of it as of {_time(explained.at)} UTC.</p>'
    else:
        yield from _standing(explained)
    if explained.why_not is not None:
        yield from _why_not(explained.why_not, explained)
    if explained.visits:
        rows = "".join(
            f'<tr><th scope="row">{escape(words(visit.stage))}</th><td>{_time(visit.entered)}</td>'
            f"<td>{_time(visit.left) if visit.left else 'and on'}</td></tr>"
            for visit in explained.visits
        )
        yield (
            '<section aria-labelledby="visits"><h2 id="visits">Earlier visits</h2>'
            '<div class="scroll" tabindex="0" role="region" aria-label="Earlier visits, table"><table><thead><tr>'
            '<th scope="col">Stage</th><th scope="col">Entered</th><th scope="col">Left</th></tr></thead>'
            f"<tbody>{rows}</tbody></table></div></section>"
        )
    if explained.steps:
        yield '<section aria-labelledby="history"><h2 id="history">History</h2><ol class="steps">'
        for step in explained.steps:
            yield from _step(step)
        yield "</ol></section>"
    if explained.notes:
        notes = "".join(f"<p>{escape(note)}</p>" for note in explained.notes)
        yield f'<aside aria-label="What is not told here">{notes}</aside>'


def _standing(explained: Explanation) -> Iterator[str]:
    name = explained.stage_name or words(explained.stage)
    yield f'<p class="lead">is <strong class="stage">{escape(name)}</strong> as of {_time(explained.at)} UTC</p>'
    score = explained.score
    promise = minute(explained.due_at) if explained.due_at else "not kept" if explained.late else ""
    facts = (
        ("Since", minute(explained.entered_at)),
        ("Owner", words(explained.owner) if explained.owner else ""),
        ("Status", words(explained.status) if explained.status else ""),
        ("Qualified", "" if explained.qualified is None else value(explained.qualified)),
        ("Score", "" if score is None else f"{score['behaviour']:g} behaviour + {score['fit']:g} fit"),
        ("Company", explained.company or ""),
        ("Promise due", promise),
        ("By", f"{explained.lifecycle}, version {explained.version} ({explained.fingerprint[:12]})"),
    )
    told = ((name, fact) for name, fact in facts if fact)
    rows = "".join(f"<div><dt>{name}</dt><dd>{escape(fact)}</dd></div>" for name, fact in told)
    yield f'<dl class="facts">{rows}</dl>'


def _step(step: Step) -> Iterator[str]:
    kind = "back" if " ↩ " in (told := happened(step).plain) else step.kind.partition(".")[0]
    what, _, says = told.partition("  ")  # of a move: where it goes, and its criterion
    yield f'<li class="{escape(kind)}">{_time(step.time)} <strong>{escape(what)}</strong> {escape(says)}'
    why = cause(step.cause)
    if why:
        yield f' <span class="soft">({escape(why)})</span>'
    if step.taken is not None:
        yield from _conditions((condition, True) for condition in step.taken.conditions)
    elif known := guards(step):
        yield f'<ul class="conditions">{"".join(f"<li>{_mark(True, True)} {escape(name)}</li>" for name in known)}</ul>'
    for attempt in step.refused:
        yield from _refused(attempt)
    yield "</li>"


def _refused(attempt: Attempt) -> Iterator[str]:
    yield f'<p class="not">not <strong>{escape(words(attempt.to))}</strong>: {escape(attempt.says)}</p>'
    yield from _conditions((condition, True) for condition in attempt.missing)


def _conditions(conditions: Iterable[tuple[Condition, bool]]) -> Iterator[str]:
    rows = [f"<li>{''.join(_condition(condition, wanted))}</li>" for condition, wanted in conditions]
    if rows:
        yield f'<ul class="conditions">{"".join(rows)}</ul>'


def _condition(condition: Condition, wanted: bool) -> Iterator[str]:
    """The condition and, within it, the parts that made it what it is; `wanted`: whether it should hold."""
    good = condition.holds == wanted
    yield f"{_mark(condition.holds, good)} <code>{escape(condition.text)}</code>"
    seen = ", ".join(f"{seen.what} = {value(seen.value)}" for seen in condition.seen)
    if seen:
        yield f' <span class="soft">{escape(seen)}</span>'
    yield from _conditions((part, part.holds if good else not part.holds) for part in telling(condition))


def _why_not(asked: WhyNot, explained: Explanation) -> Iterator[str]:
    stage = escape(words(asked.stage))
    yield f'<section aria-labelledby="why"><h2 id="why">Why not {stage}</h2>'
    if asked.there:
        yield f"<p>It is {stage}.</p>"
    elif not asked.ways:
        yield f"<p>No transition leads there from {escape(words(explained.stage))}.</p>"
    else:
        for title, ways in (("", asked.ways), ("Then", asked.then), ("Or stage by stage", asked.by_stages)):
            if title and ways:
                yield f"<h3>{title}</h3>"
            for way in ways:
                yield from _way(way)
    yield "</section>"


def _way(way: Way) -> Iterator[str]:
    ends = f"{escape(words(way.origin))} → {escape(words(way.attempt.to))}"
    yield f'<article class="way"><p><strong>{ends}</strong>: {escape(way.attempt.says)}</p>'
    if not way.missing and not way.waiting:
        yield f"<p>{_mark(True, True)} nothing is missing</p>"
    if way.waiting:
        yield f"<p>{_mark(False, False)} one of these has to happen</p>{_remedies(way.waiting)}"
    for missing in way.missing:
        yield from _missing(missing)
    yield "</article>"


def _missing(missing: Missing) -> Iterator[str]:
    condition = "".join(_condition(missing.condition, missing.wanted))
    yield f'<div class="missing">{condition}{_remedies(missing.remedies)}</div>'


def _remedies(remedies: Iterable[Remedy]) -> str:
    rows = "".join(f"<li>{_remedy(remedy)}</li>" for remedy in remedies)
    return f'<p class="soft">would help:</p><ul>{rows}</ul>' if rows else ""


def _remedy(remedy: Remedy) -> str:
    arrives = " <strong>and it moves</strong>" if remedy.arrives else ""
    if remedy.event is None:
        return escape(remedy.says) + arrives
    more = remedy.kind != "event" or remedy.says.partition(" ")[0].isdigit()
    says = f' <span class="soft">({escape(remedy.says)})</span>' if more else ""
    return f"<code>{escape(example(remedy.event))}</code>{says}{arrives}"


def _mark(holds: bool, good: bool) -> str:
    sign, says = ("✓", "holds:") if holds else ("✗", "does not hold:")
    kind = "good" if good else "bad"
    return f'<span class="{kind}" aria-hidden="true">{sign}</span><span class="said"> {says}</span>'


def _time(instant: str) -> str:
    return f'<time datetime="{escape(instant)}">{escape(minute(instant))}</time>'
