"""A YAML 1.2 file as plain values that know where they stand.

`NO` is a text and so is `18:00`; a key stands once; there are no anchors, aliases, merge keys and no tags: what is
written is what is meant, and no small file becomes a large one. Each fault is one finding with its line and column.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import StringIO
from math import isfinite
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml import events as yaml_events
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from worker.definition.errors import DefinitionError, Finding
from worker.definition.yaml_faults import explained

SIZE_MAX = 1024 * 1024  # bytes of a file
NODES_MAX = 50_000
DEPTH_MAX = 24
KEY_MAX = 200  # characters of a key

Steps = tuple[str | int, ...]

_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


@dataclass
class Node:
    """One value of the document: `start` and `end` are offsets into its text, `key` is that of its key, if it has one.

    `value` is set for a scalar, `items` for a mapping (text keys) or a list (places).
    """

    start: int
    end: int
    key: int | None = None
    key_end: int | None = None
    name: str = ""  # the key itself
    value: Any = None
    items: dict[str | int, Node] | None = None
    is_list: bool = False

    def plain(self) -> Any:
        """The value without its places."""
        if self.items is None:
            return self.value
        if self.is_list:
            return [item.plain() for item in self.items.values()]
        return {key: item.plain() for key, item in self.items.items()}


@dataclass
class Document:
    """A file's text and its tree."""

    source: str
    text: str
    root: Node
    _lines: list[int] = field(default_factory=list)

    def find(self, path: Sequence[str | int]) -> tuple[Node, bool]:
        """The node that a path leads to, and whether it leads there whole; else the last node on the way.

        Steps into a short form are passed over: `signals.intent.any.0` finds `signals.intent.0`.
        """
        node, whole = self.root, True
        for step in path:
            if node.items is not None and step in node.items:
                node, whole = node.items[step], True
            else:
                whole = False
        return node, whole

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column, from 1, of an offset into the text."""
        if not self._lines:
            self._lines.extend([0, *(match.end() for match in re.finditer(r"\r\n|[\n\r\x85\u2028\u2029]", self.text))])
        low, high = 0, len(self._lines)
        while high - low > 1:
            middle = (low + high) // 2
            if self._lines[middle] <= offset:
                low = middle
            else:
                high = middle
        return low + 1, offset - self._lines[low] + 1

    def within(self, node: Node, offset: int) -> int:
        """Offset into the text of the `offset`th character of a scalar's value, whatever its quotes and folds."""
        if not isinstance(node.value, str):
            return node.start
        return self._inside(node.start, node.end, node.value, offset)

    def within_key(self, node: Node, offset: int) -> int:
        """The same for the key of a value."""
        if node.key is None or node.key_end is None:
            return node.start
        return self._inside(node.key, node.key_end, node.name, offset)

    def _inside(self, start: int, end: int, value: str, offset: int) -> int:
        raw, place = self.text[start:end], 0
        if raw[:1] in ("|", ">"):
            place = raw.find("\n") + 1
        elif raw[:1] in ('"', "'"):
            place = 1
        for position, letter in enumerate(value):
            place = _align(raw, place, letter)
            if position >= offset:
                return start + place
            place += 1
        return start + min(place, max(0, len(raw.rstrip()) - 1))

    def finding(self, offset: int, code: str, message: str) -> Finding:
        return Finding(self.source, *self.place(offset), code, message)


def _align(raw: str, place: int, letter: str) -> int:
    """The next place at or after `place` where `letter` of a value stands in its raw text."""
    if letter.isspace():
        while place < len(raw) and not raw[place].isspace() and raw[place] != "\\":
            place += 1
        while place + 1 < len(raw) and raw[place].isspace() and raw[place + 1].isspace():
            place += 1
        return min(place, len(raw))
    found = raw.find(letter, place)
    return found if found >= 0 else min(place, len(raw))


def read_document(given: Path | str | bytes, source: str | None = None) -> Document:
    """The document of a file (a `Path`) or a text. Raises: DefinitionError with every fault of the file's form."""
    name = source or (str(given) if isinstance(given, Path) else "<text>")
    text = _text(given, name)
    return _Composer(name, text).document()


def _fault(source: str, line: int, column: int, code: str, message: str) -> DefinitionError:
    return DefinitionError([Finding(source, line, column, code, message)])


def _text(given: Path | str | bytes, name: str) -> str:
    if isinstance(given, Path):
        try:
            with given.open("rb") as file:
                given = file.read(SIZE_MAX + 1)
        except OSError as error:
            raise _fault(name, 1, 1, "unreadable", f"the file can't be read: {error.strerror}") from None
    if len(given) > SIZE_MAX:
        raise _fault(name, 1, 1, "too-large", f"the file is larger than {SIZE_MAX // 1024} KiB")
    if isinstance(given, bytes):
        if given.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise _fault(name, 1, 1, "encoding", "the file is in UTF-16; save it as UTF-8")
        try:
            text = given.decode()
        except UnicodeDecodeError as error:
            before = given[: error.start].decode()
            line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
            raise _fault(
                name, line, column, "encoding", f"byte 0x{given[error.start]:02x} is not UTF-8; save the file as UTF-8"
            ) from None
    else:
        text = given
    return text.removeprefix("\ufeff")


class _Composer:
    """Builds the tree from the parser's events, which come one by one: depth and size are bounded while it grows."""

    def __init__(self, source: str, text: str) -> None:
        self.source = source
        self.text = text
        self.findings: list[Finding] = []
        self.nodes = 0

    def document(self) -> Document:
        document = Document(self.source, self.text, Node(0, 0))
        self.places = document
        try:
            document.root = self.root(self.events())
        except ReaderError as error:
            # The reader looks ahead in chunks: `position` may count within one, so the letter itself is looked for.
            letter = chr(error.character) if isinstance(error.character, int) else str(error.character)
            self.fail(
                max(0, self.text.find(letter)), "encoding", f"a character U+{ord(letter):04X} can't stand in YAML"
            )
        except MarkedYAMLError as error:
            place, message = explained(error, self.text)
            self.fail(place, "yaml", message)
        except YAMLError as error:
            self.fail(0, "yaml", str(error).splitlines()[0])
        except (ValueError, IndexError, OverflowError, RecursionError) as error:
            # ruamel.yaml lets these out for a few malformed escapes and directives
            self.fail(0, "yaml", f"the file is no YAML: {error}")
        if self.findings:
            raise DefinitionError(self.findings)
        return document

    def fail(self, offset: int, code: str, message: str) -> None:
        self.findings.append(self.places.finding(offset, code, message))

    def events(self) -> Iterator[Any]:
        yaml = YAML(typ="safe", pure=True)
        yield from yaml.parse(StringIO(self.text))

    def root(self, events: Iterator[Any]) -> Node:
        root: Node | None = None
        stack: list[tuple[Node, str | None]] = []  # open mappings and lists; the key a mapping waits with
        pending: list[tuple[int, int]] = []  # where those keys stand
        documents = 0
        for event in events:
            match event:
                case yaml_events.DocumentStartEvent():
                    documents += 1
                    if documents > 1:
                        self.fail(event.start_mark.index, "yaml", "a second document (`---`): one file holds one")
                        break
                    continue
                case yaml_events.MappingEndEvent() | yaml_events.SequenceEndEvent():
                    node = stack.pop()[0]
                    node.end = event.end_mark.index
                    continue
                case yaml_events.NodeEvent():
                    pass
                case _:
                    continue
            self.nodes += 1
            if self.nodes > NODES_MAX or len(stack) > DEPTH_MAX:
                what = f"more than {NODES_MAX} values" if self.nodes > NODES_MAX else f"deeper than {DEPTH_MAX} levels"
                self.fail(event.start_mark.index, "too-large", what)
                break
            node = self.node(event)
            if not stack:
                root = node
            elif self.attach(stack, pending, node, event):
                continue
            if node.items is not None:
                stack.append((node, None))
        if self.findings:
            raise DefinitionError(self.findings)
        if root is None or (root.items is None and root.value is None):
            self.fail(0, "empty", "the file is empty")
            raise DefinitionError(self.findings)
        return root

    def attach(
        self, stack: list[tuple[Node, str | None]], pending: list[tuple[int, int]], node: Node, event: Any
    ) -> bool:
        """Put the node under the open one; true where it was a mapping's key."""
        parent, key = stack[-1]
        if parent.items is None:
            raise TypeError("only mappings and lists are open")
        if parent.is_list:
            parent.items[len(parent.items)] = node
            return False
        if key is None:
            stack[-1] = (parent, self.key(parent, node, event))
            pending.append((node.start, node.end))
            # a list or mapping as a key is refused in `key`, but its own parts still come: they are taken as its own
            return node.items is None
        node.key, node.key_end = pending.pop()
        node.name = key
        parent.items[key] = node
        stack[-1] = (parent, None)
        return False

    def key(self, parent: Node, node: Node, event: Any) -> str:
        if node.items is not None:
            self.fail(node.start, "yaml", "a key is a name, not a list or a mapping")
            raise DefinitionError(self.findings)
        if isinstance(event, yaml_events.AliasEvent):
            return f"*{event.anchor}\0{self.nodes}"  # told in `node`; kept apart, so that the rest is read too
        key = event.value
        if key == "<<" and event.style is None:
            self.fail(node.start, "alias", "merge keys (`<<`) are not used here: write out what is meant")
        elif len(key) > KEY_MAX:
            self.fail(node.start, "too-large", f"a key of {len(key)} characters")
        elif parent.items is not None and key in parent.items:
            first = parent.items[key].key or 0
            self.fail(
                node.start, "duplicate-key", f"'{key}' stands there twice; first on line {self.places.place(first)[0]}"
            )
            key = f"{key}\0{self.nodes}"  # kept apart, so that the rest is read too; the file is refused anyhow
        return str(key)

    def node(self, event: Any) -> Node:
        start, end = event.start_mark.index, event.end_mark.index
        if isinstance(event, yaml_events.AliasEvent):
            self.fail(start, "alias", f"aliases (`*{event.anchor}`) are not used here: write out what is meant")
            return Node(start, end)
        if event.anchor is not None:
            self.fail(start, "alias", f"anchors (`&{event.anchor}`) are not used here: write out what is meant")
        if event.ctag is not None and str(event.ctag) not in ("None", "!"):
            self.fail(start, "tag", f"tags (`{event.ctag}`) are not used here")
        if isinstance(event, yaml_events.MappingStartEvent):
            return Node(start, end, items={})
        if isinstance(event, yaml_events.SequenceStartEvent):
            return Node(start, end, items={}, is_list=True)
        return Node(start, end, value=self.scalar(event))

    def scalar(self, event: Any) -> Any:
        """A plain scalar's value by the core schema of YAML 1.2; whatever stands in quotes is a text."""
        text: str = event.value
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            self.fail(event.start_mark.index, "encoding", "half of a surrogate pair, which is no character")
        if event.style is not None:
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _INTEGER.fullmatch(text):
            return int(text) if len(text) <= 32 else self.too_long(event)
        if _FLOAT.fullmatch(text):
            return float(text) if len(text) <= 32 and isfinite(float(text)) else self.too_long(event)
        return text

    def too_long(self, event: Any) -> int:
        self.fail(event.start_mark.index, "too-large", "the number is too large or too long")
        return 0
