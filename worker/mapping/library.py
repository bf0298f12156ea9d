"""The mappings that ship with the worker, by name; a path names anybody's own."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Final

from worker.definition.errors import DefinitionError, Finding
from worker.definition.nearest import nearest, suggestion

SCENARIOS: Final = ".scenarios.yaml"
MACHINES: Final = "machines.yaml"


def folder() -> Path:
    return Path(str(files("schemas"))) / "mappings"


def names() -> list[str]:
    """The names of the shipped mappings, sorted."""
    return sorted(
        path.stem for path in folder().glob("*.yaml") if not path.name.endswith(SCENARIOS) and path.name != MACHINES
    )


def find(name_or_path: str | Path) -> Path:
    """The file of a mapping. Raises: DefinitionError where there is none."""
    path = Path(name_or_path)
    text = str(name_or_path)
    if path.suffix in (".yaml", ".yml") or "/" in text or path.is_file():
        if not path.is_file():
            raise DefinitionError([Finding(text, 1, 1, "unreadable", "there is no such mapping file")])
        return path
    shipped = names()
    if text in shipped:
        return folder() / f"{text}.yaml"
    hint = suggestion(nearest(text, shipped)) or f"; there are: {', '.join(shipped)}"
    message = f"no mapping is called '{text}'{hint}; an own one is named by its path"
    raise DefinitionError([Finding(text, 1, 1, "unknown-mapping", message)])
