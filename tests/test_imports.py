"""What each room of the code may import: the pure middle knows nothing of the world, and rooms only look inwards.

An allow-list, not a deny-list: a module that nobody thought of is a failure until somebody has thought of it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# From the inside outwards. A room imports itself and rooms above it in this list, and `schemas`, which knows no worker.
# Rooms in one line may know each other.
ROOMS = [
    {"instants", "definition"},
    {"shipped"},
    {"machine"},
    {"plan"},
    {"fold", "events", "company"},
    {"mapping"},
    {"stores", "transports"},
    {"runtime", "connections"},
    {"replay"},
    {"lint", "scenarios"},
    {"charts"},
    {"compare", "explain", "document", "diagram", "report", "demo", "traffic", "receive"},
    {"live"},
    {"commands"},
]
PURE = {"instants", "definition", "machine", "plan", "fold", "events", "company"}

# What computes and nothing else: no files, no clock, no chance, no environment, no log, no threads.
COMPUTING = {
    "__future__", "abc", "ast", "bisect", "collections", "contextlib", "copy", "dataclasses", "datetime", "decimal",
    "difflib", "enum", "functools", "hashlib", "heapq", "hmac", "io", "itertools", "json", "keyword", "math",
    "operator", "re", "string", "struct", "textwrap", "types", "typing", "unicodedata", "zlib", "zoneinfo",
    "msgspec", "pydantic", "pydantic_core", "typing_extensions", "schemas",
}  # fmt: skip
EXTRA = {
    "definition": {"importlib", "pathlib", "ruamel"},  # it reads the file; whose text is all it goes by
    "machine": {"statemachine"},
}
CLOCKS = {"now", "utcnow", "today"}  # of `datetime` and `date`


def modules(room: str) -> list[Path]:
    path = ROOT / "worker" / room
    return sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None, f"{path}:{node.lineno}: relative import"
            if node.module == "worker":
                yield from ((node.lineno, f"worker.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, node.module


def rooms_there() -> set[str]:
    return {
        path.stem if path.is_file() else path.name
        for path in (ROOT / "worker").iterdir()
        if (path.suffix == ".py" and path.stem not in ("__init__", "__main__")) or (path / "__init__.py").is_file()
    }


def test_every_room_has_its_place() -> None:
    assert rooms_there() <= set().union(*ROOMS), "give the new room its line in ROOMS, from the inside outwards"


@pytest.mark.parametrize("room", sorted(PURE))
def test_the_pure_middle_imports_only_what_computes(room: str) -> None:
    allowed = COMPUTING | EXTRA.get(room, set())
    for path in filter(Path.exists, modules(room)):
        for line, name in imports(path):
            top = name.partition(".")[0]
            if top == "worker":
                inner = name.split(".")[1]
                assert inner in PURE, f"{path}:{line}: the pure middle may not know worker.{inner}"
            else:
                assert top in allowed, f"{path}:{line}: {name} is not on the pure middle's list"


@pytest.mark.parametrize("room", sorted(PURE))
def test_the_pure_middle_reads_no_clock(room: str) -> None:
    for path in filter(Path.exists, modules(room)):
        for node in ast.walk(ast.parse(path.read_text(), str(path))):
            if (
                isinstance(node, ast.Attribute)
                and node.attr in CLOCKS
                and isinstance(node.value, ast.Name | ast.Attribute)
            ):
                owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
                assert owner not in ("datetime", "date", "dt"), f"{path}:{node.lineno}: {owner}.{node.attr}"


@pytest.mark.parametrize("room", sorted(rooms_there()))
def test_rooms_look_inwards(room: str) -> None:
    inner: set[str] = set()
    for line_of_rooms in ROOMS:
        inner |= line_of_rooms
        if room in line_of_rooms:
            break
    for path in modules(room):
        for line, name in imports(path):
            if name.startswith("worker."):
                other = name.split(".")[1]
                assert other in inner, f"{path}:{line}: worker.{room} may not know worker.{other}"


def test_schemas_know_nothing_of_the_worker() -> None:
    for path in (ROOT / "schemas").rglob("*.py"):
        for line, name in imports(path):
            assert name.partition(".")[0] != "worker", f"{path}:{line}: {name}"


def test_the_folder_of_lifecycles_does_not_hide_the_library() -> None:
    assert not (ROOT / "statemachine" / "__init__.py").exists(), "it would shadow the library of the same name"
    assert not list((ROOT / "statemachine").rglob("*.py")), "the folder holds data"
    import statemachine

    assert statemachine.__file__ is not None
    assert not Path(statemachine.__file__).is_relative_to(ROOT / "statemachine")
