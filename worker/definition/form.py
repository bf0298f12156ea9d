"""A document held to a model: pydantic's errors in our words, each at the line and column of its key or value."""

from __future__ import annotations

import types
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from worker.definition.document import Document, Node
from worker.definition.errors import DefinitionError, Fault, Finding
from worker.definition.nearest import nearest, suggestion
from worker.definition.yaml_faults import QUOTED

FINDINGS_MAX = 100  # of one file; more are of no help

Steps = Sequence[str | int]
Model = TypeVar("Model", bound=BaseModel)

_EXPECTED = {
    "string_type": "a text (in quotes, where it looks like something else)",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
}
_FORMS = {
    r"^[a-z][a-z0-9_]*$": "a name: small letters, digits and _, a letter first",
    r"^[a-z0-9][a-z0-9_-]*$": "a name: small letters, digits, - and _",
    r"^\d+(\.\d+)?(ms|s|m|h|d|w)$": "a duration such as 7d, 24h or 90s",
    r"^\d{4}-\d\d-\d\d$": "a day such as 2026-01-31",
    r"^[0-9a-f]{32}$": "a whole fingerprint, 32 hex digits as `lifecycle document --sign` writes them",
    r"^([01]\d|2[0-3]):[0-5]\d$": 'a time of day such as "09:00"',
    r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$": 'a time of day such as "18:00"',
}


def validated(document: Document, model: type[Model], given: Any = None, at: Steps = ()) -> Model:
    """The document (or `given`, which stands at the path `at` of it) as a model.

    Raises: DefinitionError with a finding for every key and value that doesn't fit.
    """
    try:
        return model.model_validate(document.root.plain() if given is None else given)
    except ValidationError as error:
        raise DefinitionError(_findings(document, model, error.errors(include_url=False), at)) from None


def located(document: Document, faults: Iterable[Fault]) -> list[Finding]:
    """Findings of faults: at the words at fault where an expression has them, else at the value or its key."""
    found: list[Finding] = []
    for fault in faults:
        node, _ = document.find(fault.path)
        place = node.key if fault.on_key and node.key is not None else node.start
        if fault.offset is not None and fault.on_key and node.key is not None:
            place = document.within_key(node, fault.offset)
        elif fault.offset is not None:
            place = document.within(node, fault.offset)
        found.append(document.finding(place, fault.code, fault.message + _hint(document, node, fault)))
    return list(dict.fromkeys(found))[:FINDINGS_MAX]


def _hint(document: Document, node: Node, fault: Fault) -> str:
    """A guard in a list or mapping in brackets ends at its first comma: the commonest slip, and the least visible."""
    text = node.name if fault.on_key else node.value
    if fault.code != "syntax" or not isinstance(text, str) or text.count("(") <= text.count(")"):
        return ""
    following = document.text[node.end : node.end + 1]
    return f". {QUOTED}" if following == "," else ""


def _findings(document: Document, model: type[BaseModel], errors: list[ErrorDetails], at: Steps) -> list[Finding]:
    places: dict[int, list[ErrorDetails]] = {}
    meant = {
        (*error["loc"][:-1], nearest(str(error["loc"][-1]), _keys(model, error["loc"][:-1])))
        for error in errors
        if error["type"] == "extra_forbidden"
    }
    for error in errors:
        if error["type"] == "missing" and error["loc"] in meant:
            continue  # it is there, misspelt: one fault, not two
        places.setdefault(_place(document, error, at), []).append(error)
    found: list[Finding] = []
    for place, group in places.items():
        if _is_told_within(document, errors, group, at):
            continue
        # A value that may have one of several forms is refused once for each of them.
        telling = [error for error in group if error["type"] not in _EXPECTED]
        if telling:
            found += [document.finding(place, *_told(model, error, document, at)) for error in telling]
        else:
            wanted = list(dict.fromkeys(_EXPECTED[error["type"]] for error in group))
            if "a number" in wanted and "a whole number" in wanted:
                wanted.remove("a whole number")
            found.append(
                document.finding(
                    place, "wrong-type", f"there must be {_either(wanted)}, not {_what(group[0]['input'])}"
                )
            )
    return list(dict.fromkeys(found))[:FINDINGS_MAX]


def _is_told_within(document: Document, errors: list[ErrorDetails], group: list[ErrorDetails], at: Steps) -> bool:
    """Whether the value has the form of one alternative, whose own fault is told: then the others say nothing."""
    if any(error["type"] not in _EXPECTED for error in group):
        return False
    node, _ = document.find((*at, *group[0]["loc"]))
    return node.items is not None and any(
        node.start < _place(document, other, at) < node.end for other in errors if other not in group
    )


def _is_cut(document: Document, node: Node) -> bool:
    """Whether a key in braces is the rest of a text that was cut at its comma: no `:` follows it."""
    return node.key_end is not None and node.value is None and document.text[node.key_end :].lstrip()[:1] in (",", "}")


def _place(document: Document, error: ErrorDetails, at: Steps) -> int:
    node, whole = document.find((*at, *error["loc"]))
    if (
        error["type"] == "missing"
        or (error["loc"] and error["loc"][-1] == "[key]")
        or error["type"] == "extra_forbidden"
    ):
        return node.key if node.key is not None else node.start
    if node.start == node.end and node.key is not None:
        return node.key  # nothing stands after the key
    if not whole and isinstance(node, Node) and error["type"] == "value_error" and node.key is not None:
        return node.key
    return node.start


def _told(model: type[BaseModel], error: ErrorDetails, document: Document, at: Steps) -> tuple[str, str]:
    """Code and message of an error that says more than which kind of value it wanted."""
    loc, given, context = error["loc"], error["input"], error.get("ctx", {})
    last = next((step for step in reversed(loc) if step != "[key]"), "")
    match error["type"]:
        case "missing":
            return "missing-field", f"'{last}' is missing"
        case "extra_forbidden":
            if _is_cut(document, document.find((*at, *loc))[0]):
                return (
                    "unknown-field",
                    f"'{last}' stands there as a key: the text before it ends at its comma. {QUOTED}",
                )
            known = _keys(model, loc[:-1])
            hint = suggestion(nearest(str(last), known)) or (f"; there may be {', '.join(known)}" if known else "")
            return "unknown-field", f"'{last}' is no field here{hint}"
        case "string_pattern_mismatch":
            form = _FORMS.get(str(context.get("pattern")), f"of the form {context.get('pattern')}")
            return "bad-value", f"'{_short(given)}' is not {form}"
        case "literal_error":
            values = [word.strip(" '") for word in str(context.get("expected", "")).replace(" or ", ",").split(",")]
            hint = suggestion(nearest(str(given), values))
            return "bad-value", f"'{_short(given)}' is none of {', '.join(values)}{hint}"
        case "string_too_short":
            return "bad-value", "an empty text"
        case "string_too_long":
            return "too-long", f"a text of {len(str(given))} characters; {context.get('max_length')} are allowed"
        case "too_short":
            return (
                "bad-value",
                f"at least {context.get('min_length')} must stand here, not {context.get('actual_length')}",
            )
        case "too_long":
            return "too-long", f"at most {context.get('max_length')} may stand here, not {context.get('actual_length')}"
        case "greater_than_equal" | "greater_than" | "less_than_equal" | "less_than":
            bound = next(iter(context.values()), "")
            words = {"greater_than_equal": "at least", "greater_than": "more than", "less_than_equal": "at most"}
            return "bad-value", f"{_short(given)} is not {words.get(error['type'], 'less than')} {bound}"
        case "value_error":
            return "bad-value", str(context.get("error", error["msg"]))
    return "bad-value", error["msg"]


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _what(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case str():
            return f"the text '{_short(value)}'"
    return _short(value)


def _either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


# The models' own fields, for suggestions.


def _keys(model: type[BaseModel], loc: Steps) -> list[str]:
    found = _model_at(model, loc)
    return [] if found is None else [field.alias or name for name, field in found.model_fields.items()]


def _model_at(model: type[BaseModel], loc: Steps) -> type[BaseModel] | None:
    """The model of the value at a path; steps that are no field (pydantic's names of alternatives) are passed over."""
    here: list[Any] = [model]
    for step in loc:
        below: list[Any] = []
        for annotation in here:
            below += _below(annotation, step)
        here = below or here
    return next((part for part in here if isinstance(part, type) and issubclass(part, BaseModel)), None)


def _below(annotation: Any, step: str | int) -> list[Any]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            if step in (name, field.alias):
                return _parts(field.annotation)
        return []
    arguments = get_args(annotation)
    match get_origin(annotation):
        case container if container is dict:
            return _parts(arguments[1])
        case container if container is list and isinstance(step, int):
            return _parts(arguments[0])
    return []


def _parts(annotation: Any) -> list[Any]:
    """An annotation's alternatives, without what is said beside them."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _parts(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return [part for argument in get_args(annotation) for part in _parts(argument)]
    return [annotation]
