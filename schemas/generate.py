"""Writes the documents that others read: a JSON Schema for each type of event and one AsyncAPI document over all.

    python -m schemas.generate [FOLDER]

FOLDER (this package's own, if not given) then holds `json/TYPE.json` and `asyncapi.yaml`. A test holds the files that
are kept here to the models, so run this after changing one (`make schemas`).
"""

from __future__ import annotations

import ast
import inspect
import io
import json
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema
from ruamel.yaml import YAML

from schemas.data_in import DATA
from schemas.events_in import EventIn, KnownFields, event_in
from schemas.events_out import EVENTS_OUT, Contact

Json = dict[str, Any]

HERE: Final = Path(__file__).parent
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
DEAD_LETTER_HEADERS: Final[Mapping[str, str]] = {
    "lifecycle-reason": "fixed code of the reason",
    "lifecycle-message": "what was wrong, and what to do",
    "lifecycle-source-topic": "topic that the record was read from",
    "lifecycle-source-partition": "its partition, in decimal",
    "lifecycle-source-offset": "its offset, in decimal",
    "lifecycle-worker-version": "release of the worker that refused it",
    "lifecycle-digest": "SHA-256 of the value, where the topic can't take the value itself",
    "lifecycle-size": "length of that value in bytes, in decimal",
}


@cache
def _explained(module: str) -> dict[str, dict[str, str]]:
    """Class → field → the text that stands under it in the module's source."""
    found: dict[str, dict[str, str]] = {}
    for part in ast.parse(inspect.getsource(sys.modules[module])).body:
        if isinstance(part, ast.ClassDef):
            for field, text in pairwise(part.body):
                match field, text:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(says))):
                        found.setdefault(part.name, {})[name] = inspect.cleandoc(says)
    return found


class _Explained(GenerateJsonSchema):
    """Fields are described by what stands under them. Read here and not as the models are made: it takes long."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        found = super().model_schema(schema)
        properties = found.get("properties", {})
        model: type[BaseModel] = schema["cls"]
        for base in model.__mro__:
            known = _explained(base.__module__) if base.__module__.startswith("schemas.") else {}
            for name, says in known.get(base.__name__, {}).items():
                wire = model.model_fields[name].alias or name
                if wire in properties:
                    properties[wire].setdefault("description", says)
        return found


def _merged(choices: list[Json]) -> Json | None:
    """`anyOf` over plain types as one schema with a list of types; None where the choices are more than that."""
    if any("type" not in choice or not isinstance(choice["type"], str) for choice in choices):
        return None
    types = [choice["type"] for choice in choices]
    if "number" in types and "integer" in types:
        types.remove("integer")
    rest = [{name: part for name, part in choice.items() if name != "type"} for choice in choices]
    if sum(map(bool, rest)) > 1 or (len(types) > 2 and any(rest)):
        return None
    return {"type": types if len(types) > 1 else types[0], **next(filter(None, rest), {})}


def _tidy(schema: Any) -> Any:
    """The schema without what only pydantic reads, open to fields that a later release adds."""
    if isinstance(schema, list):
        return [_tidy(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    tidy: Json = {}
    for name, part in schema.items():
        if name == "properties":
            tidy[name] = {field: _tidy(inner) for field, inner in part.items()}
            for field in tidy[name].values():
                field.pop("title", None)  # the field's name again, in capitals
        elif not (
            (name == "additionalProperties" and isinstance(part, bool))
            or (name == "default" and part is None)
            or (name == "discriminator" and isinstance(part, dict))
        ):
            tidy[name] = _tidy(part)
    merged = _merged(tidy["anyOf"]) if "anyOf" in tidy else None
    if merged is not None:
        del tidy["anyOf"]
        tidy = merged | tidy
    return tidy


def _with_known_fields(schema: Json, prefix: str) -> None:
    """Events in: beside its own type's fields, every known field has its type wherever it stands."""
    data = schema["properties"]["data"]
    known = {"$ref": f"{prefix}KnownFields"}
    if "anyOf" in data:
        own = next(choice for choice in data["anyOf"] if "$ref" in choice)
        data["anyOf"] = [{"allOf": [own, known]}, {"type": "null"}]
    else:
        data["allOf"] = [{"$ref": data.pop("$ref")}, known]


def _document(model: type[BaseModel], name: str) -> Json:
    models: list[tuple[type[BaseModel], Any]] = [(model, "validation")]
    if issubclass(model, EventIn):
        models.append((KnownFields, "validation"))
    references, definitions = models_json_schema(models, by_alias=True, schema_generator=_Explained)
    own = references[(model, "validation")]["$ref"].rpartition("/")[2]
    parts = _tidy(definitions["$defs"])
    schema = parts.pop(own)
    if issubclass(model, EventIn):
        _with_known_fields(schema, "#/$defs/")
    document = {"$schema": DIALECT, "$id": name, **schema}
    return document | {"$defs": parts} if parts else document


def json_schemas() -> Iterator[tuple[str, Json]]:
    """File name and content, for each type of event in either direction and for what the contacts topic holds."""
    for event_type in DATA:
        yield f"{event_type}.json", _document(event_in(event_type), f"{event_type}.json")
    yield "event.json", _document(EventIn, "event.json")
    for event_type, model in EVENTS_OUT.items():
        yield f"{event_type}.json", _document(model, f"{event_type}.json")
    yield "contact.json", _document(Contact, "contact.json")


# ------------------------------------------------------------------------------------------------------------ AsyncAPI
def _message(name: str, payload: str, summary: str, key: str, content_type: str) -> Json:
    return {
        "name": name,
        "summary": summary,
        "contentType": content_type,
        "payload": {"$ref": f"#/components/schemas/{payload}"},
        "bindings": {"kafka": {"key": {"type": "string", "description": key}, "bindingVersion": "0.5.0"}},
    }


def _channel(address: str, description: str, messages: list[str]) -> Json:
    return {
        "address": address,
        "description": description,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
    }


def _operation(action: str, channel: str, summary: str) -> Json:
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "summary": summary}


def _summary(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").partition("\n")[0]


def asyncapi() -> Json:
    """The AsyncAPI 3 document: what the worker receives and sends, seen from the worker."""
    incoming = {event_type: event_in(event_type) for event_type in DATA} | {"event": EventIn}
    models: list[type[BaseModel]] = [*incoming.values(), *EVENTS_OUT.values(), Contact, KnownFields]
    references, definitions = models_json_schema(
        [(model, "validation") for model in models],
        by_alias=True,
        ref_template="#/components/schemas/{model}",
        schema_generator=_Explained,
    )
    schemas = _tidy(definitions["$defs"])

    def name_of(model: type[BaseModel]) -> str:
        return str(references[(model, "validation")]["$ref"]).rpartition("/")[2]

    messages: Json = {}
    for event_type, model in incoming.items():
        _with_known_fields(schemas[name_of(model)], "#/components/schemas/")
        summary = "An event of any other type." if model is EventIn else _summary(DATA[event_type])
        key = "The subject: the contact's id."
        messages[event_type] = _message(event_type, name_of(model), summary, key, "application/cloudevents+json")
    for event_type, out in EVENTS_OUT.items():
        key = "The subject: the contact's or company's id."
        messages[event_type] = _message(event_type, name_of(out), _summary(out), key, "application/cloudevents+json")
    messages["contact"] = _message(
        "contact", name_of(Contact), "Where one contact stands.", "The contact's id.", "application/json"
    )
    messages["dead-letter"] = {
        "name": "dead-letter",
        "summary": "A record that was not accepted, untouched, with headers that say why.",
        "headers": {
            "type": "object",
            "properties": {name: {"type": "string", "description": text} for name, text in DEAD_LETTER_HEADERS.items()},
            "required": [name for name in DEAD_LETTER_HEADERS if name not in ("lifecycle-digest", "lifecycle-size")],
        },
        "payload": {"description": "The record's value as it came; none where the topic can't take its size."},
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "lifecycle-worker",
            "version": "1.0.0",
            "description": "Engagement events in, lifecycle changes out. Addresses are the defaults of the settings "
            "`input_topic`, `output_topic`, `dead_letter_topic` and `contacts_topic`.",
        },
        "defaultContentType": "application/cloudevents+json",
        "channels": {
            "engagement": _channel("engagement", "What contacts did, keyed by contact.", list(incoming)),
            "lifecycle": _channel("lifecycle", "What became of them, keyed by contact or company.", list(EVENTS_OUT)),
            "deadLetters": _channel(
                "lifecycle-dead-letters", "Records that were not accepted, with the reason.", ["dead-letter"]
            ),
            "contacts": _channel(
                "lifecycle-contacts",
                "Compacted: where each contact stands. What a new subscriber reads first, where the topic is kept.",
                ["contact"],
            ),
        },
        "operations": {
            "receiveEngagement": _operation("receive", "engagement", "Reads engagement events."),
            "sendLifecycle": _operation("send", "lifecycle", "Publishes changes, in the transaction that made them."),
            "sendDeadLetters": _operation("send", "deadLetters", "Puts aside what it can't accept."),
            "sendContacts": _operation("send", "contacts", "Keeps each contact's current state for new subscribers."),
        },
        "components": {"messages": messages, "schemas": schemas},
    }


def files() -> dict[str, str]:
    """Every generated file: path below this package → text."""
    texts = {f"json/{name}": json.dumps(schema, indent=2, ensure_ascii=False) + "\n" for name, schema in json_schemas()}
    yaml = YAML()
    yaml.width = 120
    yaml.representer.ignore_aliases = lambda _: True
    stream = io.StringIO()
    yaml.dump(asyncapi(), stream)
    return texts | {"asyncapi.yaml": stream.getvalue()}


def main(folder: Path) -> None:
    """`folder` holds every generated file, and no JSON Schema of a type that is no more."""
    texts = files()
    (folder / "json").mkdir(parents=True, exist_ok=True)
    for stale in (folder / "json").glob("*.json"):
        if f"json/{stale.name}" not in texts:
            stale.unlink()
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    print(f"{len(texts)} files in {folder}", file=sys.stderr)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
