"""JSON Schemas of the definition and of the scenario file, so that an editor completes keys and marks faults.

    python -m worker.lint.editors [FOLDER]

FOLDER (`schemas/`, if not given) then holds `lifecycle.schema.json` and `scenarios.schema.json`. They say what the
models say, short forms included; names and guards are for `lifecycle lint`. Tests hold the files that are kept to the
models: run this after changing one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from worker.definition import model
from worker.definition.scenario import SCENARIOS_MAX, ScenarioForm

FOLDER: Final = Path(__file__).parents[2] / "schemas"
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
LIFECYCLE: Final = "lifecycle.schema.json"
SCENARIOS: Final = "scenarios.schema.json"

_NOT_BLANK: Final = r"\S"


class _Forms(GenerateJsonSchema):
    """Adds what the models' validators widen: the short forms, and texts that must say something."""

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> JsonSchemaValue:
        inner = super().function_before_schema(schema)
        function: Any = schema["function"]["function"]
        if function is model._text:
            return {"anyOf": [inner, {"type": ["boolean", "number"]}]}
        if function is model._many:
            return {"anyOf": [inner, inner["items"]]}
        return inner

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """A key of another form is no key: by itself a pattern of keys lets every other one pass, unlooked at."""
        found = super().dict_schema(schema)
        if "patternProperties" in found:
            found["additionalProperties"] = False
            longest = self.generate_inner(schema["keys_schema"]).get("maxLength")
            found |= {} if longest is None else {"propertyNames": {"maxLength": longest}}
        return found

    def str_schema(self, schema: core_schema.StringSchema) -> JsonSchemaValue:
        found = super().str_schema(schema)
        if schema.get("strip_whitespace") and schema.get("min_length") and "pattern" not in found:
            found["pattern"] = _NOT_BLANK
        return found


def lifecycle_schema() -> dict[str, Any]:
    """The schema of a definition."""
    schema = model.Lifecycle.model_json_schema(schema_generator=_Forms)
    parts = schema["$defs"]
    text = parts["Assumable"]["properties"]["value"]
    assumed = {
        "properties": {"assumed": text},
        "required": ["assumed"],
        "additionalProperties": False,
        "type": "object",
    }
    _shorten(parts, "Assumable", text, assumed)
    for name in ("Signal", "Implied"):
        _shorten(parts, name, parts[name]["properties"]["any"])
    given = {name: {"not": {"type": "null"}} for name in ("event", "when", "after")}
    parts["Transition"]["anyOf"] = [{"required": [name], "properties": {name: rule}} for name, rule in given.items()]
    sets = {name: {"type": "null"} for name in ("added_by", "removed_by", "amount", "currency")}
    parts["Fact"] |= {
        "if": {"properties": {"type": {"const": "ids"}}},
        "then": {"required": ["added_by"], "properties": {"added_by": {"not": {"enum": [None, []]}}}},
        "else": {"properties": sets},
    }
    return _whole("A lifecycle: its stages, and what moves a contact", schema)


def _shorten(parts: dict[str, Any], name: str, *short: dict[str, Any]) -> None:
    """Let short forms stand where the whole one may."""
    whole = parts[name]
    parts[name] = {"description": whole.pop("description"), "anyOf": [whole, *short]}


def scenarios_schema() -> dict[str, Any]:
    """The schema of a file of scenarios."""
    schema = TypeAdapter(list[ScenarioForm]).json_schema(schema_generator=_Forms)
    return _whole("Scenarios of a lifecycle", {**schema, "maxItems": SCENARIOS_MAX})


def _whole(title: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"$schema": DIALECT, **_tidy(schema), "title": title}


def _tidy(schema: Any) -> Any:
    """Without the fields' names again in capitals, and with docstrings as running text."""
    if isinstance(schema, list):
        return [_tidy(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    tidy: dict[str, Any] = {}
    for name, part in schema.items():
        if name in ("properties", "$defs", "patternProperties"):
            tidy[name] = {key: _tidy(inner) for key, inner in part.items()}
        elif name == "description" and isinstance(part, str):
            tidy[name] = " ".join(part.split())
        elif not (name == "title" or (name == "default" and part is None)):
            tidy[name] = _tidy(part)
    return tidy


def texts() -> dict[str, str]:
    """File name → what the file holds."""
    schemas = {LIFECYCLE: lifecycle_schema(), SCENARIOS: scenarios_schema()}
    return {name: json.dumps(schema, indent=2, ensure_ascii=False) + "\n" for name, schema in schemas.items()}


def main(arguments: Sequence[str]) -> None:
    folder = Path(arguments[0]) if arguments else FOLDER
    for name, text in texts().items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
