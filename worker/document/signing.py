"""A definition is signed: who, when and what, written into its file.

A sign-off is a name, a day and the fingerprint of what was signed, under `sign_off` in the file itself. Nothing else of
the file is touched by signing: comments, layout and quotes stay as they are.
"""

from __future__ import annotations

import json
import os
import tempfile
import unicodedata
from pathlib import Path

from worker.definition.document import Document, Node, read_document
from worker.definition.errors import DefinitionError
from worker.definition.model import Lifecycle
from worker.definition.nearest import nearest, suggestion
from worker.definition.parameters import fingerprint
from worker.definition.reader import read
from worker.definition.signatures import Standing, signed


class SigningError(Exception):
    """The definition can't be signed like that: what, where and what to do, in one line."""


def sign(path: Path, name: str, role: str, date: str) -> Standing:
    """Record in the file that `name` signs it as `role` on that day (2026-01-05); the standing afterwards.

    The file is replaced whole, after it was read again: what it means is then what it meant before. Of a role that is
    listed several times, the first that is still to be signed is, or the one that `name` stands at.

    Raises: SigningError where there is no such role, where another has signed the definition as that, or where the file
    is written in a way that can't be filled in; DefinitionError where the definition has faults.
    """
    name, role = name.strip(), role.strip()
    if not name or not all(map(_readable, name)):
        raise SigningError("who signs? --sign takes a name, on one line")
    lifecycle = read(path)
    place = _place(lifecycle, name, role, path)
    with path.open(encoding="utf-8", newline="") as file:
        text = file.read()
    new = _filled(
        read_document(text, str(path)), place, {"name": name, "date": date, "fingerprint": fingerprint(lifecycle)}
    )
    _replace(path, new, lifecycle)
    return signed(read(path))


def _readable(letter: str) -> bool:
    return unicodedata.category(letter) not in ("Cc", "Cs", "Zl", "Zp")  # nor what is no text at all


def _place(lifecycle: Lifecycle, name: str, role: str, path: Path) -> int:
    """Which entry of `sign_off` is to be filled in."""
    asked = [number for number, one in enumerate(lifecycle.sign_off) if one.role.casefold() == role.casefold()]
    if not asked:
        roles = [one.role for one in lifecycle.sign_off]
        hint = suggestion(nearest(role, roles)) or (f"; there is {', '.join(roles)}" if roles else "; there is none")
        raise SigningError(f"{path}: '{role}' is no role of its `sign_off`{hint}")
    own = [number for number in asked if lifecycle.sign_off[number].name == name]
    standing = signed(lifecycle).signed
    free = [number for number in asked if lifecycle.sign_off[number] not in standing]
    if not own and not free:
        there = lifecycle.sign_off[asked[0]]
        raise SigningError(
            f"{path}: {there.name} has signed it as {there.role}, just as it is: take that signature out of the file"
            f" if {name} is to sign instead"
        )
    return (own or free)[0]


def _filled(document: Document, place: int, values: dict[str, str]) -> str:
    """The document's text with the values in the sign-off at `place`, each where it stands or after the role."""
    node, whole = document.find(("sign_off", place))
    role = (node.items or {}).get("role")
    if not whole or role is None or role.key is None:
        raise SigningError(f"{document.source}: `sign_off` must be a list of mappings, each with its `role`")
    text, edits = document.text, list[tuple[int, int, str]]()
    flow = text[node.start] == "{"
    _, column = document.place(role.key)
    newline = "\r\n" if "\r\n" in text else "\n"
    between = ", " if flow else newline + " " * (column - 1)
    added = ""
    for key, value in values.items():
        known = (node.items or {}).get(key)
        if known is not None:
            written, start, end = json.dumps(value, ensure_ascii=False), known.start, _end(text, known)
            if start >= end and known.key is not None:  # `name:` with nothing after it, which begins who knows where
                start = end = text.index(":", known.key) + 1
                written = " " + written
            edits.append((start, end, written))
        else:
            added += f"{between}{key}: {json.dumps(value, ensure_ascii=False)}"
    if added:
        after = _end(text, role)
        edits.append((after, after, added))
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _end(text: str, node: Node) -> int:
    """Where a scalar ends, without the white space that a plain one may be said to reach over."""
    return node.start + len(text[node.start : node.end].rstrip())


def _replace(path: Path, text: str, before: Lifecycle) -> None:
    """The file holds the text, whole or not at all; refused where it would mean anything else than before."""
    file_itself = path.resolve()  # what a link points to is signed, and the link stays one
    handle, name = tempfile.mkstemp(dir=file_itself.parent, prefix=f".{path.name}.", suffix=path.suffix)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        try:
            same = fingerprint(read(Path(name))) == fingerprint(before)
        except DefinitionError as error:
            raise SigningError(f"{path}: it can't be signed like that: {error.findings[0].message}") from None
        if not same:
            raise SigningError(
                f"{path}: its `sign_off` can't be filled in where it stands: write it as a list of roles"
            )
        os.chmod(name, path.stat().st_mode & 0o777)
        os.replace(name, file_itself)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
