"""The pages that a browser gets: where the worker stands with a form to ask for a contact, and its answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from worker.document.frame import frame
from worker.explain import Explanation
from worker.live.explained import as_html
from worker.live.lookup import CONTACT_BYTES_MAX

ASKED: Final = "id"
WANTED: Final = "why-not"


class Pages:
    """`stages` are the definition's, id → name; `about` names it."""

    def __init__(self, stages: Mapping[str, str], about: str) -> None:
        self._stages = stages
        self._about = about

    def home(self, unready: Sequence[str], figures: Sequence[tuple[str, str]]) -> str:
        """How the worker stands, in short, and the form."""
        if unready:
            reasons = "".join(f"<li>{escape(reason)}</li>" for reason in unready)
            standing = f'<p><strong class="bad">Not ready:</strong></p><ul>{reasons}</ul>'
        else:
            standing = '<p><strong class="good">Ready:</strong> restored, caught up, nothing stands still.</p>'
        rows = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(figure)}</dd></div>" for name, figure in figures)
        body = (
            "<h1>Look up a contact</h1>"
            '<p class="lead">Where it stands, why, and what is missing for another stage.</p>'
            f'{self._form("", None)}<section aria-labelledby="worker"><h2 id="worker">This worker</h2>{standing}'
            f'<dl class="facts">{rows}</dl><p class="soft">More in <a href="/metrics">the figures</a>,'
            ' <a href="/healthz">health</a> and <a href="/readyz">readiness</a>.</p></section>'
        )
        return self._page("Look up a contact", body)

    def contact(self, explanation: Explanation, wanted: str | None) -> str:
        """The contact's history."""
        title = f"{explanation.contact}: why it is where it is"
        return self._page(title, self._form(explanation.contact, wanted) + as_html(explanation))

    def refusal(self, why: str, contact: str = "", wanted: str | None = None) -> str:
        """In place of what was asked for, what can be done about it."""
        body = f"{self._form(contact, wanted)}<h1>Not here</h1><p>{escape(why)}</p>"
        return self._page("Not here", body)

    def _form(self, contact: str, wanted: str | None) -> str:
        options = "".join(
            f'<option value="{escape(stage)}"{" selected" if stage == wanted else ""}>{escape(name)}</option>'
            for stage, name in self._stages.items()
        )
        return (
            '<form action="/contacts" method="get" role="search" aria-label="Contacts">'
            f'<label>Contact’s id<input name="{ASKED}" value="{escape(contact)}" required autocomplete="off"'
            f' autocapitalize="none" spellcheck="false" maxlength="{CONTACT_BYTES_MAX}"></label>'
            f'<label>Why is it not …<select name="{WANTED}"><option value="">(any stage)</option>{options}</select>'
            '</label><button type="submit">Look up</button></form>'
        )

    def _page(self, title: str, body: str) -> str:
        header = f'<header><p class="kicker"><a href="/">{escape(self._about)}</a></p></header>'
        return frame(title, f"{header}<main>{body}</main>", style=_STYLE)


_STYLE = """
header a{color:inherit}
h1.contact{overflow-wrap:anywhere;font-size:clamp(1.3rem,4vw,2.1rem)}
form{display:flex;flex-wrap:wrap;gap:.7rem 1rem;align-items:end;background:var(--area);border:1px solid var(--rule);
  border-radius:10px;padding:1rem;margin:1rem 0 1.6rem}
label{display:grid;gap:.2rem;font-size:.85rem;font-weight:600;color:var(--soft);flex:1 1 14rem}
input,select,button{font:inherit;font-weight:400;color:var(--ink);background:var(--paper);border:1px solid var(--soft);
  border-radius:6px;padding:0 .6rem;height:2.5rem;min-width:0;width:100%}
button{width:auto;background:var(--accent);border-color:var(--accent);color:var(--paper);font-weight:600;cursor:pointer}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
.good{color:var(--good)}.bad{color:var(--bad)}
strong.stage{color:var(--good)}
.said{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.facts{margin:0;display:grid;grid-template-columns:repeat(auto-fill,minmax(13rem,1fr));gap:.6rem 1.5rem}
.facts dt{font-size:.8rem;color:var(--soft);font-weight:600}
.facts dd{margin:0;overflow-wrap:anywhere}
.steps{list-style:none;padding:0;margin:.6rem 0}
.steps>li{border-left:3px solid var(--rule);padding:.15rem 0 .55rem .9rem;margin:0}
.steps>li.stage{border-left-color:var(--good)}
.steps>li.sla{border-left-color:var(--bad)}
.steps>li.refused,.steps>li.back{border-left-color:var(--warn)}
time{font-variant-numeric:tabular-nums;color:var(--soft);white-space:nowrap}
.conditions{list-style:none;padding-left:1.1rem;margin:.15rem 0}
.not{margin:.3rem 0 0}
.way,.missing{margin:.5rem 0}
.way{border:1px solid var(--rule);border-radius:10px;padding:.5rem 1rem}
aside{margin:1.6rem 0;padding:.3rem 1rem;background:var(--area);border-radius:10px;color:var(--soft)}
"""
