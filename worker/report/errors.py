"""What stands in the way of a report."""

from __future__ import annotations

import importlib
from typing import Any


class ReportError(Exception):
    """The report can't be made: what, where, and what to do about it, in one line."""


def extra(name: str) -> Any:
    """The library `name`, which the extra `report` brings.

    Raises: ReportError where it isn't there.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ReportError(f"a report needs {name.partition('.')[0]}: pip install 'lifecycle-worker[report]'") from None
