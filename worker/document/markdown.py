"""The page as Markdown, for wikis and repositories."""

from __future__ import annotations

from collections.abc import Iterator

from worker.document.blocks import Block, Bullets, Cell, Document, Facts, Paragraph, Picture, Stage, Table


def as_markdown(page: Document) -> str:
    """The document, one blank line between blocks. The picture is a Mermaid block."""
    return "\n\n".join(block.rstrip() for block in _blocks(page)) + "\n"


def _blocks(page: Document) -> Iterator[str]:
    yield f"# {_escaped(page.title)}"
    yield _escaped(page.subtitle) + "."
    yield "\n".join(f"- **{name}:** {_cell(cell)}" for name, cell in page.marks)
    for section in page.sections:
        yield f"## {_escaped(section.title)}"
        if section.lead:
            yield _escaped(section.lead)
        for block in section.blocks:
            yield _block(block)
    yield "---"
    yield _escaped(page.footer)


def _block(block: Block) -> str:
    match block:
        case Paragraph(text=text):
            return _cell(text)
        case Bullets(items=items):
            return "\n".join(f"- {_cell(item)}" for item in items)
        case Table(header=header, rows=rows):
            lines = [f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
            lines += [f"| {' | '.join(_cell(cell, table=True) for cell in row)} |" for row in rows]
            return "\n".join(lines)
        case Facts(rows=facts):
            return "\n".join(_fact(name, value) for name, value in facts)
        case Stage(number=number, name=name, owner=owner, assumed=assumed):
            return f"### {number}. {_escaped(name)} ({_escaped(owner)}){' *(assumed)*' if assumed else ''}"
        case Picture(mermaid=text):
            return f"```mermaid\n{text.rstrip()}\n```"


def _fact(name: str, value: Cell | Bullets) -> str:
    if isinstance(value, Bullets):
        return f"- **{name}:**\n" + "\n".join(f"  - {_cell(item)}" for item in value.items)
    return f"- **{name}:** {_cell(value)}"


def _cell(cell: Cell, table: bool = False) -> str:
    parts: list[str] = []
    for text, mark in cell:
        if mark == "code":
            ticks = "``" if "`" in text else "`"
            parts.append(f"{ticks}{text}{ticks}".replace("|", "\\|") if table else f"{ticks}{text}{ticks}")
        elif mark == "assumed":
            parts.append(f" *({_escaped(text)})*")
        elif mark == "strong":
            parts.append(f"**{_escaped(text.rstrip())}**{' ' if text.endswith(' ') else ''}")
        else:
            parts.append(_escaped(text))
    return "".join(parts).replace("\n", " ").strip()


def _escaped(text: str) -> str:
    """The words as words, on one line: a heading or a row of a table ends with it."""
    for letter in "\\*_<|[`":
        text = text.replace(letter, "\\" + letter)
    return text.replace("\n", " ")
