"""The documents kept in the repository say what the models say, and are valid documents of their kind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator
from ruamel.yaml import YAML

from schemas.data_in import DATA
from schemas.events_out import EVENTS_OUT
from schemas.generate import HERE, asyncapi, files, json_schemas

FILES = files()


def test_the_committed_documents_are_those_of_the_models() -> None:
    kept = {f"json/{path.name}" for path in (HERE / "json").glob("*.json")} | {"asyncapi.yaml"}
    stale = sorted(name for name in FILES.keys() & kept if (HERE / name).read_text(encoding="utf-8") != FILES[name])
    assert (kept, stale) == (set(FILES), []), "the models have changed: run `make schemas` and commit what it writes"


def test_every_type_of_either_direction_has_its_document() -> None:
    names = {name for name, _ in json_schemas()}
    assert {f"{event_type}.json" for event_type in (*DATA, *EVENTS_OUT)} <= names


@pytest.mark.parametrize("name", sorted(name for name in FILES if name.startswith("json/")))
def test_a_document_is_a_json_schema_that_stands_by_itself(name: str) -> None:
    schema = json.loads(FILES[name])
    Draft202012Validator.check_schema(schema)
    for reference in _references(schema):
        assert _resolve(schema, reference) is not None, reference


@pytest.mark.parametrize("event_type", sorted(EVENTS_OUT))
def test_what_is_published_may_grow(event_type: str) -> None:
    """A reader that validates must not break when a later release adds a field."""
    assert 'additionalProperties": false' not in FILES[f"json/{event_type}.json"]


@pytest.mark.parametrize("event_type", [*DATA, *EVENTS_OUT])
def test_every_field_is_explained(event_type: str) -> None:
    schema = json.loads(FILES[f"json/{event_type}.json"])
    parts = {"": schema, **{name: part for name, part in schema.get("$defs", {}).items() if name != "KnownFields"}}
    for name, part in parts.items():
        for field, content in part.get("properties", {}).items():
            assert content.get("description") or "const" in content or "$ref" in content, f"{name}.{field}"


def test_the_asyncapi_document_holds_together() -> None:
    document = YAML(typ="safe").load(FILES["asyncapi.yaml"])
    assert document == asyncapi()
    assert document["asyncapi"] == "3.0.0"
    for reference in _references(document):
        assert _resolve(document, reference) is not None, reference
    for operation in document["operations"].values():
        assert operation["action"] in ("send", "receive")
    messages = {name for channel in document["channels"].values() for name in channel["messages"]}
    assert messages == set(document["components"]["messages"]), "a message that no channel carries, or the reverse"
    for schema in document["components"]["schemas"].values():
        Draft7Validator.check_schema(schema)


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for part in value.values():
            yield from _references(part)
    elif isinstance(value, list):
        for part in value:
            yield from _references(part)


def _resolve(document: Any, reference: str) -> Any:
    assert reference.startswith("#/"), f"{reference} points out of the document"
    for step in reference[2:].split("/"):
        document = document[step.replace("~1", "/").replace("~0", "~")]
    return document
