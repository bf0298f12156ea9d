"""What lint says: one thing at one place of a file, how bad it is, and the events that show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

Severity = Literal["error", "warning", "note"]
ORDER: Final[Mapping[Severity, int]] = {"error": 0, "warning": 1, "note": 2}


class Witness(NamedTuple):
    """Events as a scenario file has them, in order, and what was seen to come of them.

    `until` is where the clock stands in the end, for what only time does. Folding them shows what the finding says.
    """

    events: tuple[Mapping[str, Any], ...]
    shows: str
    until: str | None = None

    def __str__(self) -> str:
        told = "; ".join(map(_told, self.events))
        return f"{told}{f'; nothing more for {self.until[1:]}' if self.until else ''} → {self.shows}"


def _told(event: Mapping[str, Any]) -> str:
    words = [str(event["type"])]
    own = ("at", "type", "traits", "data")
    words += [f"{name}={_short(value)}" for name, value in event.items() if name not in own]
    words += [f"{name}={_short(value)}" for name, value in event.get("data", {}).items()]
    words += [f"traits.{name}={_short(value)}" for name, value in event.get("traits", {}).items()]
    at = str(event["at"])
    return " ".join([at, *words] if at.startswith("+") and at != "+1m" else words)


def _short(value: Any) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class Remark:
    """A finding before it has a line: `path` leads to the part of the file, `on_key` means its key.

    What is marked as assumed in the definition is nobody's mistake yet: a warning about it is a note.
    """

    path: tuple[str | int, ...]
    code: str
    message: str
    on_key: bool = False
    offset: int | None = None
    length: int = 1
    witness: Witness | None = None
    assumed: bool = False


@dataclass(frozen=True)
class Finding:
    """One thing wrong, or worth knowing, at a line and column (from 1, in characters) of a file."""

    file: str
    line: int
    column: int
    code: str
    severity: Severity
    message: str
    witness: Witness | None = field(default=None)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.code}: {self.message} [{self.severity}]"

    def as_json(self) -> dict[str, Any]:
        """The finding as `--json` writes it."""
        told: dict[str, Any] = {
            "file": self.file, "line": self.line, "column": self.column, "code": self.code,
            "severity": self.severity, "message": self.message,
        }  # fmt: skip
        if self.witness is not None:
            told["witness"] = {"events": list(self.witness.events), "shows": self.witness.shows}
            if self.witness.until is not None:
                told["witness"]["until"] = self.witness.until
        return told
