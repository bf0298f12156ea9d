"""A lifecycle from its file: form, names and guards checked, every fault at its line and column."""

from __future__ import annotations

from pathlib import Path

from worker.definition.check import check
from worker.definition.document import read_document
from worker.definition.errors import DefinitionError
from worker.definition.form import located, validated
from worker.definition.model import Lifecycle


def read(given: Path | str | bytes, source: str | None = None) -> Lifecycle:
    """The lifecycle of a file (a `Path`) or of a text; `source` is what findings call it.

    Raises: DefinitionError with every finding: of the file's form, or else of its keys and values, or else of its
    names and guards.
    """
    document = read_document(given, source)
    lifecycle = validated(document, Lifecycle)
    faults = check(lifecycle)
    if faults:
        raise DefinitionError(located(document, faults))
    return lifecycle
