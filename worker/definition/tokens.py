"""The words of a guard or a figure: what stands in its text, each with its place and what it stands for."""

from __future__ import annotations

import re
from typing import NamedTuple

from worker.definition.errors import ExpressionError
from worker.definition.habits import OPERATORS, duration_meant

LENGTH_MAX = 2000  # characters of one expression
NUMBER_MAX = 10**15  # whole numbers up to here are exact as floats too
DURATION_MAX_MS = 100 * 365 * 86_400_000
TEXT_MAX = 200  # characters of a text in quotes

UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}
CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "none": None}
KEYWORDS = frozenset({"and", "or", "not", "in", "if", "else"})

_TOKEN = re.compile(
    r"""(?P<number>\d+(?:\.\d+)?)(?P<unit>[A-Za-z_]\w*)?
      | (?P<name>[^\W\d]\w*)
      | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<mark><=|>=|==|!=|<|>|\+|-|\*|/|%|\(|\)|\[|\]|,|\.|=)""",
    re.VERBOSE | re.DOTALL,
)
_SPACE = re.compile(r"\s*")


class Token(NamedTuple):
    """`kind` is number, duration, text, name, keyword, mark or end; `value` what a constant stands for."""

    kind: str
    word: str
    offset: int
    value: bool | int | float | str | None = None

    @property
    def end(self) -> int:
        return self.offset + len(self.word)

    @property
    def shown(self) -> str:
        return "the end" if self.kind == "end" else f"`{self.word if len(self.word) <= 40 else self.word[:37] + '...'}`"


def duration_ms(text: str) -> int:
    """Milliseconds of a text such as `7d`, `1.5h`, `500ms`. Raises: ValueError where it is no duration or too long."""
    match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,6})?)(ms|s|m|h|d|w)", text)
    if match is None:
        raise ValueError(
            f"'{text}' is no duration: a number and one of ms, s, m, h, d, w, such as {duration_meant(text) or '7d'}"
        )
    exact = float(match[1]) * UNITS_MS[match[2]]
    if exact > DURATION_MAX_MS:
        raise ValueError(f"'{text}' is longer than 100 years")
    if exact != int(exact):
        raise ValueError(f"'{text}' is no whole number of milliseconds")
    return int(exact)


def tokens(text: str) -> list[Token]:
    """The words of an expression, with an `end` after the last. Raises: ExpressionError at what is no word."""
    if len(text) > LENGTH_MAX:
        raise ExpressionError(
            f"the expression has {len(text)} characters; {LENGTH_MAX} are allowed: name its parts under `conditions`",
            LENGTH_MAX, len(text) - LENGTH_MAX, "too-long",
        )  # fmt: skip
    found: list[Token] = []
    place = _skip(text, 0)
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise _no_word(text, place)
        found.append(_token(match))
        place = _skip(text, match.end())
    return [*found, Token("end", "", len(text.rstrip()))]


def _skip(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    return match.end() if match else place


def _no_word(text: str, place: int) -> ExpressionError:
    for foreign in sorted(OPERATORS, key=len, reverse=True):
        if text.startswith(foreign, place):
            return _foreign(foreign, place)
    if text[place] in "\"'":
        return ExpressionError("the text that starts here has no closing quote", place, 1, "syntax")
    return ExpressionError(f"`{text[place]}` has no meaning in an expression", place, 1, "syntax")


def _foreign(word: str, place: int) -> ExpressionError:
    own = OPERATORS[word]
    return ExpressionError(f"`{word}` is written `{own}` here", place, len(word), "syntax", own)


def _token(match: re.Match[str]) -> Token:
    word, offset = match[0], match.start()
    if match["number"] is not None:
        return _number(match, word, offset)
    if match["name"] is not None:
        if word.lower() in CONSTANTS:
            return Token("constant", word, offset, CONSTANTS[word.lower()])
        if word in KEYWORDS:
            return Token("keyword", word, offset)
        if word.lower() in KEYWORDS or word == "is":
            own = "==" if word == "is" else word.lower()
            raise ExpressionError(f"`{word}` is written `{own}` here", offset, len(word), "syntax", own)
        if word.startswith("_"):
            raise ExpressionError(
                f"'{word}' starts with an underscore, which no name here does", offset, len(word), "private-name"
            )
        return Token("name", word, offset)
    if match["text"] is not None:
        inner = re.sub(r"\\([\"'\\])", r"\1", word[1:-1])
        if len(inner) > TEXT_MAX:
            raise ExpressionError(
                f"a text of {len(inner)} characters; {TEXT_MAX} are allowed", offset, len(word), "too-long"
            )
        if not inner.isprintable():
            raise ExpressionError("a text must not hold control characters or line ends", offset, len(word), "syntax")
        return Token("constant", word, offset, inner)
    return Token("mark", word, offset)


def _number(match: re.Match[str], word: str, offset: int) -> Token:
    if match["unit"] is not None:
        try:
            return Token("duration", word, offset, duration_ms(word))
        except ValueError as error:
            raise ExpressionError(str(error), offset, len(word), "bad-duration") from None
    digits = match["number"]
    if len(digits) > 32 or float(digits) > NUMBER_MAX:
        raise ExpressionError("the number is too large; 1000000000000000 is the most", offset, len(word), "too-large")
    return Token("constant", word, offset, float(digits) if "." in digits else int(digits))
