"""What can be wrong with a definition, and where.

DefinitionError         a file that is no lifecycle (or no scenario file): all findings, in the file's order
  UnknownNames          one scenario speaks of what its lifecycle doesn't have; the file's others can be run
ExpressionError         one guard, figure or pattern that can't be read; the reader turns it into a Finding
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Finding(NamedTuple):
    """One fault: `code` is fixed, for machines; `message` says what is wrong, what was expected and what to do.

    Lines and columns count from 1, columns in characters.
    """

    source: str
    line: int
    column: int
    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}: {self.code}: {self.message}"


class DefinitionError(Exception):
    """The file can't be used: `findings` holds every fault that was found, in the order of the file."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = sorted(findings, key=lambda finding: (finding.source, finding.line, finding.column))
        super().__init__("\n".join(map(str, self.findings)))


class UnknownNames(DefinitionError):
    """A scenario that could never tell anything: it names what its lifecycle doesn't have."""


class ExpressionError(Exception):
    """A text that is no expression or pattern here. `offset` and `length` (characters) mark the words at fault.

    `suggestion` is the nearest valid name where there is one; the message already holds it.
    """

    def __init__(self, message: str, offset: int, length: int, code: str, suggestion: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.length = length
        self.code = code
        self.suggestion = suggestion


class ParameterError(ValueError):
    """A parameter was given a value that it can't have, or there is no such parameter."""


class Fault(NamedTuple):
    """What is wrong with a part of a definition, wherever that was read from.

    `path` leads to the part in the file (`("stages", "mql", "sla", "late")`); `on_key` means its key. `offset` and
    `length` mark the words at fault in an expression.
    """

    path: tuple[str | int, ...]
    code: str
    message: str
    offset: int | None = None
    length: int = 1
    on_key: bool = False
