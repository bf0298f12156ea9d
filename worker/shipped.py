"""The lifecycles that come with the worker, found by name: `10ex` for `10ex.yaml`.

In an installed wheel they lie beside this module, in a checkout in the folder `statemachine` at its root.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from worker.definition.nearest import nearest, suggestion

SUFFIX: Final = ".yaml"
SCENARIOS: Final = ".scenarios.yaml"

_INSTALLED: Final = Path(__file__).parent / "lifecycles"
_CHECKOUT: Final = Path(__file__).parent.parent / "statemachine"


class UnknownLifecycle(LookupError):
    """Neither a shipped lifecycle nor a file; the message lists those there are and names the nearest.

    `given` is what was asked for, `names` the lifecycles that are shipped.
    """

    def __init__(self, given: str, names: list[str]) -> None:
        there = ", ".join(names) or "none"
        guess = suggestion(nearest(given, names))
        super().__init__(
            f"no lifecycle or file named '{given}'{guess} (shipped: {there}; or give the path of a YAML file)"
        )
        self.given = given
        self.names = names


def folder() -> Path:
    """Where the shipped lifecycles and their scenarios lie."""
    return _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT


def lifecycle_names() -> list[str]:
    """Names of the shipped lifecycles, sorted."""
    return sorted(
        path.name.removesuffix(SUFFIX)
        for path in folder().glob(f"*{SUFFIX}")
        if path.is_file() and not path.name.endswith(SCENARIOS)
    )


def lifecycle_path(name_or_path: str) -> Path:
    """The definition's file: of a shipped lifecycle by its name, else the path itself.

    A shipped name wins over a file of that name in the working folder, so that `10ex` means the same everywhere;
    `./10ex` is a path.

    Raises: UnknownLifecycle where there is neither.
    """
    names = lifecycle_names()
    if name_or_path in names:
        return folder() / f"{name_or_path}{SUFFIX}"
    path = Path(name_or_path)
    if path.is_file():
        return path
    raise UnknownLifecycle(name_or_path, names)


def glance(name: str) -> tuple[str, list[str]] | None:
    """Title and stages' names of a shipped lifecycle, without the time it takes to read and check the file.

    None where they are not written as they are in the shipped ones: read it then.
    """
    text = lifecycle_path(name).read_text(encoding="utf-8")
    title = re.search(r"^title: ([^\n\"'#]+)$", text, re.MULTILINE)
    part = re.search(r"^stages:[^\n]*\n((?:(?: .*|#.*)?\n)*)", text, re.MULTILINE)
    stages = re.split(r"^  (?=\w+:)", part[1], flags=re.MULTILINE)[1:] if part else []
    names = [re.search(r"[{\n]\s*name: ([^,\n\"'#]+?)\s*[,\n]", stage) for stage in stages]
    if title is None or not all(names):
        return None
    return title[1].strip(), [match[1] for match in names if match]


def scenarios_path(definition: Path) -> Path:
    """Where a definition's scenarios are kept: beside it, whether or not there are any yet."""
    return definition.with_name(definition.name.removesuffix(SUFFIX) + SCENARIOS)
