"""The page as one HTML file: nothing is fetched, it prints on A4, and light and dark follow the reader's setting."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from worker.document.blocks import Block, Bullets, Cell, Document, Facts, Paragraph, Picture, Stage, Table
from worker.document.frame import frame


def as_html(page: Document) -> str:
    """The document, whole."""
    return frame(page.title, "\n".join(_body(page)), style=_STYLE + page.colours)


def _body(page: Document) -> Iterator[str]:
    yield f'<header><p class="kicker">Customer lifecycle</p><h1>{escape(page.title)}</h1>'
    yield f'<p class="lead">{escape(page.subtitle)}</p><dl class="marks">'
    yield from (f"<div><dt>{escape(name)}</dt><dd>{_cell(cell)}</dd></div>" for name, cell in page.marks)
    yield '</dl></header><nav aria-label="Contents"><ol>'
    yield from (
        f'<li><a href="#s{number}">{escape(section.title)}</a></li>' for number, section in enumerate(page.sections)
    )
    yield "</ol></nav><main>"
    for number, section in enumerate(page.sections):
        yield f'<section id="s{number}" aria-labelledby="h{number}"><h2 id="h{number}">{escape(section.title)}</h2>'
        if section.lead:
            yield f'<p class="lead">{escape(section.lead)}</p>'
        open_stage = False
        for block in section.blocks:
            if isinstance(block, Stage):
                if open_stage:
                    yield "</article>"
                open_stage = True
                yield f'<article class="stage o{block.colour}">'
            yield _block(block)
        if open_stage:
            yield "</article>"
        yield "</section>"
    yield f"</main><footer>{escape(page.footer)}</footer>"


def _block(block: Block) -> str:
    match block:
        case Paragraph(text=text):
            return f"<p>{_cell(text)}</p>"
        case Bullets(items=items):
            return _list(items)
        case Table(header=header, rows=rows):
            head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
            body = "".join(
                "<tr>"
                + "".join(
                    f'<th scope="row">{_cell(cell)}</th>' if not place else f"<td>{_cell(cell)}</td>"
                    for place, cell in enumerate(row)
                )
                + "</tr>"
                for row in rows
            )
            return (
                f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(", ".join(header))}">'
                f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
            )
        case Facts(rows=facts):
            rows_ = (f"<div><dt>{escape(name)}</dt><dd>{_fact(value)}</dd></div>" for name, value in facts)
            return f'<dl class="facts">{"".join(rows_)}</dl>'
        case Stage(number=number, name=name, owner=owner, assumed=assumed):
            mark = ' <span class="assumed">assumed</span>' if assumed else ""
            return (
                f'<h3><span class="number">{number}</span> {escape(name)}{mark}'
                f' <span class="owner">{escape(owner)}</span></h3>'
            )
        case Picture(svg=svg):
            return f'<figure class="scroll" tabindex="0" role="region" aria-label="The picture">{svg}</figure>'


def _fact(value: Cell | Bullets) -> str:
    return _list(value.items) if isinstance(value, Bullets) else _cell(value)


def _list(items: tuple[Cell, ...]) -> str:
    if not items:
        return "<p>nothing</p>"
    return f"<ul>{''.join(f'<li>{_cell(item)}</li>' for item in items)}</ul>"


def _cell(cell: Cell) -> str:
    parts: list[str] = []
    for text, mark in cell:
        safe = escape(text)
        match mark:
            case "code":
                parts.append(f"<code>{safe}</code>")
            case "strong":
                parts.append(f"<strong>{safe}</strong>")
            case "assumed":
                parts.append(f' <span class="assumed">{safe}</span>')
            case "soft":
                parts.append(f'<span class="soft">{safe}</span>')
            case _:
                parts.append(safe)
    return "".join(parts)


_STYLE = """
.marks{display:grid;grid-template-columns:repeat(auto-fit,minmax(15rem,1fr));gap:.9rem 2rem;margin:1.6rem 0 0;
  padding:1rem 0 0;border-top:1px solid var(--rule)}
.marks dt,.facts dt{font-size:.8rem;color:var(--soft);font-weight:600}
.marks dd,.facts dd{margin:.1rem 0 0}
nav ol{columns:15rem;gap:2rem;padding:0 0 0 1.3rem;margin:1.4rem 0;font-size:.92rem}
nav li{margin:.15rem 0}
figure{margin:1rem 0;text-align:center}
.stage{border:1px solid var(--rule);border-left:5px solid var(--own);border-radius:10px;padding:.2rem 1.2rem .9rem;
  margin:1rem 0;background:var(--card);break-inside:avoid}
.stage h3{display:flex;align-items:baseline;gap:.5rem;flex-wrap:wrap;margin:.8rem 0 .6rem;font-size:1.2rem}
.stage .number{color:var(--own);font-variant-numeric:tabular-nums}
.stage .owner{margin-left:auto;font-size:.82rem;font-weight:600;color:var(--own);background:var(--own-area);
  border-radius:99px;padding:.15rem .7rem}
.facts{margin:0}
.facts>div{display:grid;grid-template-columns:10rem 1fr;gap:1rem;padding:.4rem 0;border-top:1px solid var(--rule)}
.facts>div:first-child{border-top:0}
.facts ul{margin:0}
footer{margin:3rem 0 1rem;padding-top:1rem;border-top:1px solid var(--rule);color:var(--soft);font-size:.82rem}
#h0~figure svg{max-height:none}
@media (max-width:40rem){.facts>div{grid-template-columns:1fr;gap:0}}
@media screen and (max-width:40rem){figure svg.lifecycle-picture{max-width:none}}
@media print{nav{display:none}.stage{border-color:#bbb;border-left-color:var(--own)}figure svg{max-height:235mm}}
"""
