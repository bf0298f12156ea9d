"""The figures that may be turned: their kinds and values, turning them, and the digest of what a definition means."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Literal

from worker.definition.errors import ParameterError
from worker.definition.model import Lifecycle
from worker.definition.nearest import nearest, suggestion
from worker.definition.tokens import NUMBER_MAX, duration_ms

Value = bool | int | float | str
Kind = Literal["boolean", "number", "duration", "text"]

__all__ = ["Kind", "Value", "duration_ms", "fingerprint", "kind_of", "parameter_values", "resolve"]


def kind_of(value: Value) -> Kind:
    """What a parameter's value is: a text such as `7d` is a duration, every other one a text."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    try:
        duration_ms(value)
    except ValueError:
        return "text"
    return "duration"


def parameter_values(lifecycle: Lifecycle) -> dict[str, bool | int | float | str]:
    """Every parameter's value as expressions read it: durations in milliseconds."""
    return {
        name: duration_ms(given.value)
        if isinstance(given.value, str) and kind_of(given.value) == "duration"
        else given.value
        for name, given in lifecycle.parameters.items()
    }


def resolve(lifecycle: Lifecycle, overrides: Mapping[str, Value]) -> Lifecycle:
    """The lifecycle with these parameters at these values; a text stands for what it would in the file.

    Raises: ParameterError where there is no such parameter, or the value is of another kind than the file's.
    """
    parameters = dict(lifecycle.parameters)
    for name, given in overrides.items():
        if name not in parameters:
            hint = suggestion(nearest(name, parameters)) or (
                f"; there is {', '.join(parameters)}" if parameters else "; the lifecycle has none"
            )
            raise ParameterError(f"'{name}' is no parameter of {lifecycle.lifecycle}{hint}")
        parameters[name] = parameters[name].model_copy(update={"value": _as_kind(name, given, parameters[name].value)})
    return lifecycle.model_copy(update={"parameters": parameters})


def _as_kind(name: str, given: Value, default: Value) -> Value:
    kind = kind_of(default)
    value: Value | None
    match kind:
        case "boolean":
            value = {"true": True, "false": False}.get(str(given).lower())
        case "number":
            value = None if isinstance(given, bool) else _number(str(given))
        case "duration":
            value = given if isinstance(given, str) and kind_of(given) == "duration" else None
        case "text":
            value = given if isinstance(given, str) else None
    if value is None:
        form = {"boolean": "true or false", "number": "a number", "duration": "a duration such as 7d", "text": "a text"}
        raise ParameterError(f"'{given}' can't be the value of '{name}': it is {form[kind]} (in the file: {default})")
    return value


def _number(text: str) -> int | float | None:
    if re.fullmatch(r"-?\d{1,16}", text):
        whole = int(text)
        return whole if abs(whole) <= NUMBER_MAX else None
    if re.fullmatch(r"-?\d{1,16}\.\d{1,16}", text):
        broken = float(text)
        return broken if abs(broken) <= NUMBER_MAX else None
    return None


_UNORDERED = ("parameters", "conditions", "owners")


def fingerprint(lifecycle: Lifecycle) -> str:
    """32 hex digits that change with the definition's meaning, the values of parameters included.

    Comments, layout, who signed and the order of what is only looked up by name leave it as it is. The order of
    stages, transitions, facts, signals, statuses, segments and rules counts: what is kept of a contact follows it.
    """
    content: dict[str, Any] = lifecycle.model_dump(mode="json", by_alias=True, exclude={"sign_off"}, exclude_none=True)
    for name in _UNORDERED:
        content[name] = dict(sorted(content.get(name, {}).items()))
    if content.get("statuses"):
        content["statuses"]["meanings"] = dict(sorted(content["statuses"]["meanings"].items()))
    canonical = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(canonical.encode(), digest_size=16).hexdigest()
