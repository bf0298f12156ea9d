"""What the worker publishes is what its models say, for every lifecycle and for whatever happens to its contacts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from schemas.events_out import EVENTS_OUT, Contact
from schemas.generate import json_schemas
from tests.fold.strategies import arrivals, traffic
from tests.fold.world import DAY, START, World, batches, plan_of
from worker.fold.outcome import Event
from worker.shipped import lifecycle_names

JSON_SCHEMAS = {name.removesuffix(".json"): Draft202012Validator(schema) for name, schema in json_schemas()}

Json = dict[str, Any]


def check(body: Json) -> None:
    """The event is what the model and the JSON Schema of its type say, and nothing is lost on the way."""
    wire = json.loads(json.dumps(body, allow_nan=False))
    model = EVENTS_OUT[body["type"]].model_validate(wire)
    assert model.model_dump(by_alias=True, exclude_unset=True) == wire
    assert [error.message for error in JSON_SCHEMAS[body["type"]].iter_errors(wire)] == []
    assert body["subject"] == body["data"].get("contact", body["data"].get("company"))


@pytest.mark.parametrize("name", lifecycle_names())
@given(data=st.data())
def test_everything_published_is_as_its_model_says(name: str, data: st.DataObject) -> None:
    events = data.draw(traffic(contacts=("c1", "c2")))
    world = World(plan_of(name))
    for batch in batches(data.draw(arrivals(events)), [3, 7]):
        world.send(batch)
    world.advance(START + 60 * DAY)
    for body in world.published:
        check(body)
    for contact, current in world.currents.items():
        Contact.model_validate(json.loads(json.dumps(current)))
        JSON_SCHEMAS["contact"].validate(current)
        assert current["contact"] == contact


def history() -> World:
    """One contact of 10ex with something of everything: forward, back, late, merged, erased."""
    world = World(plan_of("10ex"))

    def happened(day: float, kind: str, contact: str = "c1", **data: Any) -> None:
        traits = data.pop("traits", None)
        world.send([Event(START + int(day * DAY), kind, f"{kind}-{day}", "/test", contact, data, traits)])

    traits = {"icp_fit": True, "company_id": "acme", "email": "ann@example.com"}
    happened(0, "contact.imported", traits=traits)
    happened(1, "form.submitted", form="prices", utm_source="search")
    happened(2, "crm.status_changed", status="not_interested", reason="timing")
    happened(0.5, "email.replied", sentiment="positive")
    happened(3, "form.submitted", "c2", form="newsletter")
    happened(4, "contact.merged", **{"from": "c2"})
    world.advance(START + 40 * DAY)
    happened(41, "contact.erased")
    return world


def test_a_history_with_something_of_everything() -> None:
    published = history().published
    for body in published:
        check(body)
    assert {body["type"].removeprefix("lifecycle.") for body in published} >= {
        "stage.changed.v1",
        "status.changed.v1",
        "corrected.v1",
        "contact.merged.v1",
        "contact.erased.v1",
    }


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["unknown"], 1),
        (["data", "unknown"], 1),
        (["time"], "2026-01-05T09:00:00Z"),  # without milliseconds
        (["time"], "2026-01-05T09:00:00.000+00:00"),
        (["recordedtime"], ...),
        (["id"], ""),
        (["source"], "10ex"),
        (["data", "direction"], "sideways"),
        (["data", "visit"], 0),
        (["data", "handoff"], ...),  # null where there is nothing, never absent
        (["data", "score"], {"total": 1}),
        (["data", "cause"], {"kind": "moon"}),
        (["data", "current", "revision"], "3"),
    ],
)
def test_what_is_not_as_the_model_says_is_told(path: list[str], value: Any) -> None:
    body = next(each for each in history().published if each["type"] == "lifecycle.stage.changed.v1")
    broken = json.loads(json.dumps(body))
    inner = broken
    for step in path[:-1]:
        inner = inner[step]
    if value is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    with pytest.raises(ValidationError):
        EVENTS_OUT[body["type"]].model_validate(broken)
