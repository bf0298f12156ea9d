"""What the YAML parser complains of, in words for someone who doesn't know its inside, and where the slip was made.

The parser notices a slip where it can't go on, often a line later: a brace that is not closed, a colon left out.
"""

from __future__ import annotations

import re
from typing import Final

from ruamel.yaml.error import MarkedYAMLError

QUOTED: Final = "Within [ ] or { } a text with a comma, a bracket, a quote or `: ` in it stands in quotes as a whole"

_KEY_WITHOUT_SPACE = re.compile(r"\s*(?:- )?[\w-]+(:)\S")
_NO_BREAK_SPACE = "\u00a0"


def explained(error: MarkedYAMLError, text: str) -> tuple[int, str]:
    """The offset into the text of what is to be mended, and what to do there."""
    mark, context = error.problem_mark or error.context_mark, error.context or ""
    place = min(mark.index if mark else 0, len(text))
    problem = (error.problem or context or "malformed").strip().replace("\n", " ")
    opened = min(error.context_mark.index, len(text)) if error.context_mark else place
    if "\\t" in problem or text[place : place + 1] == "\t":
        return place, "a tab; YAML is indented with spaces"
    if problem.startswith("mapping values are not allowed"):
        return _second_colon(text, place)
    if "could not find expected ':'" in problem:
        return opened, "a line without `key: value`; is a `:` or the indentation missing?"
    if "<stream end>" in problem or "unexpected end of stream" in problem:
        what = "the brace or bracket" if "flow" in context else "the quote"
        since = f": {what} of line {_line(text, opened)}" if "flow" in context or "quoted" in context else ""
        return place, f"the file ends in the middle: a bracket, brace or quote is not closed{since}"
    if "flow" in context:
        return _in_brackets(text, place, opened, problem)
    if "<block" in problem:
        if text[place - 1 : place] in ("'", '"') or (text[place : place + 1] and "<scalar>" in problem):
            return place, "text goes on after its closing quote; a quote within '…' is written '', or use \"…\""
        return place, "the indentation doesn't fit what stands above: keys of one mapping begin in one column"
    return place, problem


def _line(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1


def _second_colon(text: str, place: int) -> tuple[int, str]:
    """A colon where none may be: the second of its line, or the first of one that goes on with the line above."""
    start = text.rfind("\n", 0, place) + 1
    if re.search(r":\s", text[start:place]) or not start:
        return place, "a second `: ` on the line; a text that holds one stands in quotes"
    above = text.rfind("\n", 0, start - 1) + 1
    while above and not text[above:start].strip():
        above = text.rfind("\n", 0, above - 1) + 1
    line = text[above:start]
    missing = _KEY_WITHOUT_SPACE.match(line)
    if missing is not None:
        return above + missing.start(1), "a space is missing after the `:`"
    for begin, end in ((above, start), (start, place)):
        margin = text[begin:end]
        strange = margin[: len(margin) - len(margin.lstrip())].find(_NO_BREAK_SPACE)
        if strange >= 0:
            return begin + strange, "a no-break space; YAML is indented with ordinary spaces"
    indent = len(text[start:place]) - len(text[start:place].lstrip())
    return start + indent, (
        "the line goes on with the text above: it is indented further than that, or a `:` is missing there; keys of"
        " one mapping begin in one column"
    )


def _in_brackets(text: str, place: int, opened: int, problem: str) -> tuple[int, str]:
    """Something within braces or brackets that can't stand there, or a line after them because they are not closed."""
    bracket = text[opened : opened + 1]
    start = text.rfind("\n", 0, place) + 1
    if start > opened and re.fullmatch(r"\s*(?:- ?)?[\w-]*", text[start:place]):
        before = text[text.rfind("\n", 0, start - 1) + 1 : start]
        comment = "; ` #` begins a comment: a text with it stands in quotes" if " #" in before else ""
        return opened, f"this `{bracket}` is not closed before line {_line(text, place)} begins{comment}"
    found = re.search(r"got '(.*)'$", problem)
    what = {"<scalar>": "text that goes on", None: "something else"}.get(found[1] if found else None)
    shown = what or f"`{found[1] if found else ''}`"
    return place, f"`,` or `{ {'{': '}', '[': ']'}.get(bracket, bracket) }` must stand here, not {shown}. {QUOTED}"
