"""A lifecycle from its file: form, names and guards checked, every fault at its line and column."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from worker.definition.check import check
from worker.definition.document import read_document
from worker.definition.errors import DefinitionError, ParameterError
from worker.definition.form import located, validated
from worker.definition.model import Lifecycle
from worker.definition.parameters import Value, resolve


def read(given: Path | str | bytes, source: str | None = None, turned: Mapping[str, Value] | None = None) -> Lifecycle:
    """The lifecycle of a file (a `Path`) or of a text; `source` is what findings call it.

    `turned` are values for its parameters in place of the file's.

    Raises: DefinitionError with every finding: of the file's form, or else of its keys and values, or else of its
        names and guards; ParameterError where a parameter can't have its value.
    """
    document = read_document(given, source)
    lifecycle = validated(document, Lifecycle)
    faults = check(lifecycle)
    if faults:
        raise DefinitionError(located(document, faults))
    return turn(lifecycle, turned) if turned else lifecycle


def turn(lifecycle: Lifecycle, values: Mapping[str, Value]) -> Lifecycle:
    """A checked lifecycle with these values of parameters, checked again.

    Raises: ParameterError where there is no such parameter, or where the lifecycle can't be with that value.
    """
    resolved = resolve(lifecycle, values)
    faults = check(resolved)
    if faults:
        place = ".".join(map(str, faults[0].path))
        given = ", ".join(f"{name}={value}" for name, value in values.items())
        raise ParameterError(f"with {given}, `{place}` is wrong: {faults[0].message}")
    return resolved
