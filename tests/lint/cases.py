"""The cases: for each code a definition that shows it and a near twin that doesn't; for the reader's a break of one."""

from __future__ import annotations

from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent / "cases"
SOUND: Final = HERE / "unsigned.twin.yaml"
"""A definition of which lint says nothing at all."""

# Code → what is replaced in the sound definition, by what.
BREAKS: Final[dict[str, tuple[str, str]]] = {
    "yaml": ("means: Looks around.", "means: Looks: around."),
    "alias": ("name: Visitor", "name: &visitor Visitor"),
    "tag": ("name: Visitor", "name: !text Visitor"),
    "duplicate-key": ("    goal: Keep it.", "    goal: Keep it.\n    goal: Lose it."),
    "too-large": ("value: 40", "value: 400000000000000000000000000000000"),
    "too-long": ("ready: score >= ready_score", f"ready: score >= ready_score{' or seen(asks)' * 150}"),
    "missing-field": ("    goal: Keep it.\n", ""),
    "unknown-field": ("    goal: Keep it.", "    gaol: Keep it."),
    "wrong-type": ("qualified: true", "qualified: perhaps"),
    "bad-value": ("version: 1", "version: 0"),
    "duplicate-name": ("score:\n", "facts:\n  ready: {type: text, from: event.origin}\n\nscore:\n"),
    "reserved-name": ("  buys: deal.won", "  buys: deal.won\n  stage: meeting.held"),
    "unknown-stage": ("from: mql, to: sql", "from: mlq, to: sql"),
    "unknown-status": ("event: buys, says", "event: buys, status: won, says"),
    "unknown-owner": ("late: sales", "late: seles"),
    "unknown-aside": (
        "owners:", "statuses: {track: [new, old], implied_by: {old: buys}, reopen: {from: new, by: asks, to: old},"
        " aside: [lost]}\n\nowners:",
    ),
    "unreachable-stage": ("from: lead, to: mql", "from: lead, to: sql"),
    "syntax": ("ready: score >= ready_score", "ready: score >= "),
    "too-deep": ("ready: score >= ready_score", f"ready: {'(' * 60}score >= ready_score{')' * 60}"),
    "private-name": ("ready: score >= ready_score", "ready: __class__ >= ready_score"),
    "bad-duration": ("within: 24h", "within: 24x"),
    "bad-arguments": ("ready: score >= ready_score", "ready: since(asks) and score >= ready_score"),
    "bad-regex": ("ready: score >= ready_score", 'ready: score >= ready_score and matches(traits.title, "(a+)+")'),
    "unknown-name": ("ready: score >= ready_score", "ready: score >= redy_score"),
    "unknown-signal": ("  buys: deal.won", "  buys: asked"),
    "unknown-type": ("  buys: deal.won", "  buys: deal.wno"),
    "unknown-function": ("ready: score >= ready_score", "ready: sum(score) >= ready_score"),
    "unknown-score": ("ready: score >= ready_score", "ready: score.interest >= ready_score"),
    "unknown-value": ('event.kind == "demo"', 'event.kind == "dmeo"'),
    "wrong-kind": ("ready: score >= ready_score", 'ready: score >= "40"'),
    "not-allowed": ("owners:", "segments:\n  asking: {when: asks, means: Asks now.}\n\nowners:"),
    "timed": ("ready: score >= ready_score", "ready: last(asks) * 2 > 3d"),
    "circle": ("ready: score >= ready_score", "ready: not ready"),
    "no-event": ("event: sales.accepted, says", "event: setback, says"),
    "endless": (
        "  - {from: mql, to: sql", "  - {from: mql, to: lead, when: score >= 10, says: cools}\n  - {from: mql, to: sql",
    ),
}  # fmt: skip


def broken(code: str) -> str:
    """The sound definition with the break in it."""
    old, new = BREAKS[code]
    text = SOUND.read_text()
    assert old in text, f"{code}: {old!r} stands no more in {SOUND.name}"
    return text.replace(old, new, 1)
