"""The schemas that editors use accept what the models accept, and nothing else."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter, ValidationError

from worker.definition.document import read_document
from worker.definition.model import Lifecycle
from worker.definition.scenario import ScenarioForm
from worker.lint.editors import FOLDER, LIFECYCLE, SCENARIOS, lifecycle_schema, scenarios_schema, texts
from worker.shipped import lifecycle_names, lifecycle_path, scenarios_path

SCHEMAS = {LIFECYCLE: lifecycle_schema(), SCENARIOS: scenarios_schema()}
MODELS: dict[str, TypeAdapter[Any]] = {LIFECYCLE: TypeAdapter(Lifecycle), SCENARIOS: TypeAdapter(list[ScenarioForm])}
VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -3,
    2.5,
    "",
    " ",
    "x",
    "7d",
    "assumed",
    [],
    ["x"],
    {},
    {"value": "x"},
    {"any": "x"},
)


@cache
def shipped(file: str) -> list[Any]:
    paths = [lifecycle_path(name) for name in lifecycle_names()]
    if file == SCENARIOS:
        paths = [scenarios_path(path) for path in paths]
    return [read_document(path).root.plain() for path in paths]


def accepted_by_schema(file: str, document: Any) -> bool:
    return bool(Draft202012Validator(SCHEMAS[file]).is_valid(document))


def accepted_by_models(file: str, document: Any) -> bool:
    try:
        MODELS[file].validate_python(document)
    except ValidationError:
        return False
    return True


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, part in parts:
        yield from paths(part, (*path, step))


def changed(document: Any, path: tuple[Any, ...], what: str, value: Any) -> Any:
    """The document with one part taken out, put in another's place, renamed or wrapped."""
    document = copy.deepcopy(document)
    parent = document
    for step in path[:-1]:
        parent = parent[step]
    last = path[-1]
    match what:
        case "drop":
            del parent[last]
        case "put":
            parent[last] = value
        case "wrap":
            parent[last] = [parent[last]]
        case "assume":
            parent[last] = {"assumed": parent[last]}
        case "rename" if isinstance(parent, dict):
            parent[f"{last}x"] = parent.pop(last)
        case "shout" if isinstance(parent, dict):
            parent[str(last).upper()] = parent.pop(last)
        case "add" if isinstance(parent[last], dict):
            parent[last]["added"] = value
    return document


def test_the_kept_schemas_are_those_of_the_models() -> None:
    for name, text in texts().items():
        assert (FOLDER / name).read_text() == text, "the models have changed: python -m worker.lint.editors"
        Draft202012Validator.check_schema(json.loads(text))


@pytest.mark.parametrize("file", [LIFECYCLE, SCENARIOS])
def test_shipped_files_are_in_order(file: str) -> None:
    for document in shipped(file):
        errors = [error.message for error in Draft202012Validator(SCHEMAS[file]).iter_errors(document)]
        assert errors == []


@pytest.mark.parametrize("file", [LIFECYCLE, SCENARIOS])
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_schema_and_models_agree_on_a_file_that_was_changed(file: str, data: st.DataObject) -> None:
    document = data.draw(st.sampled_from(shipped(file)))
    if file == SCENARIOS:
        document = document[:3]
    for _ in range(data.draw(st.integers(1, 2))):
        path = data.draw(st.sampled_from(list(paths(document))))
        what = data.draw(st.sampled_from(["drop", "put", "put", "wrap", "assume", "rename", "shout", "add"]))
        document = changed(document, path, what, data.draw(st.sampled_from(VALUES)))
    assert accepted_by_schema(file, document) is accepted_by_models(file, document)


def test_a_name_of_another_form_is_marked() -> None:
    document = changed(shipped(LIFECYCLE)[0], ("stages", "mql"), "shout", None)
    assert not accepted_by_schema(LIFECYCLE, document) and not accepted_by_models(LIFECYCLE, document)
    document = shipped(LIFECYCLE)[0] | {"owners": {"x" * 65: "Nobody"}}
    assert not accepted_by_schema(LIFECYCLE, document) and not accepted_by_models(LIFECYCLE, document)


def test_an_editor_knows_every_key_and_says_what_it_means() -> None:
    schema = SCHEMAS[LIFECYCLE]
    assert set(schema["properties"]) == {field.alias or name for name, field in Lifecycle.model_fields.items()}
    assert all("description" in part for part in schema["$defs"].values() if part.get("type") == "object")
