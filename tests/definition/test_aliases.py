"""A key has one name in a file: the one that the JSON Schema knows, not the one that Python needs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import ModuleType

import pytest
from pydantic import BaseModel, ValidationError

from tests.definition.base import BASE
from worker.definition import model, scenario
from worker.definition.errors import DefinitionError
from worker.definition.reader import read
from worker.mapping import model as mapping_model


def models(module: ModuleType) -> Iterator[type[BaseModel]]:
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, BaseModel) and value.__module__ == module.__name__:
            yield value


MODELS = [found for module in (model, scenario, mapping_model) for found in models(module)]
ALIASED = [
    (found, name, field.alias)
    for found in MODELS
    for name, field in found.model_fields.items()
    if field.alias is not None and field.alias != name
]


@pytest.mark.parametrize(("found", "name", "alias"), ALIASED, ids=lambda value: getattr(value, "__name__", value))
def test_no_field_is_taken_by_its_name_in_python(found: type[BaseModel], name: str, alias: str) -> None:
    with pytest.raises(ValidationError) as caught:
        found.model_validate({name: "x", alias: "x"})
    refused = [error for error in caught.value.errors() if error["type"] == "extra_forbidden"]
    assert [error["loc"] for error in refused] == [(name,)]


def test_there_are_such_fields() -> None:
    assert {name for _, name, _ in ALIASED} == {"from_"}


def test_the_name_that_is_meant_is_told() -> None:
    text = re.sub(r"\bfrom: ", "from_: ", BASE, count=1)
    assert text != BASE
    with pytest.raises(DefinitionError) as caught:
        read(text, "own.yaml")
    told = str(caught.value.findings[0])
    assert "'from_' is no field here; did you mean 'from'?" in told
    line = text[: text.index("from_: ")].count("\n") + 1
    assert told.startswith(f"own.yaml:{line}:")
