"""What open deals are worth, as changes tell it: by id, as it was said last."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fold.world import HOUR, World, event, plan_of

CHANGED = "lifecycle.stage.changed.v1"


def worth(world: World) -> list[tuple[str, dict[str, Any]]]:
    """Every stage entered, and the open deals' values then."""
    changes = [body["data"] for body in world.history("c1") if body["type"] == CHANGED]
    return [(data["to"], data["value"]) for data in changes]


@pytest.mark.parametrize("kind", ["proposal.sent", "deal.updated"])
def test_an_event_that_does_not_say_the_amount_leaves_it_as_it_was(kind: str) -> None:
    world = World(plan_of("10ex"))
    world.send([event(0, "deal.created", "1", deal_id="d", amount=1_200, currency="EUR")])
    world.send([event(HOUR, kind, "2", deal_id="d")])
    world.send([event(2 * HOUR, "purchase.confirmed", "3")])
    assert worth(world)[-1] == ("customer", {"d": {"amount": 1_200, "currency": "EUR"}})


def test_the_amount_is_the_one_said_last_and_null_where_it_was_never_said() -> None:
    world = World(plan_of("agency34"))
    world.send([event(0, "deal.created", "1", deal_id="d", stage="offer")])
    world.send([event(2 * HOUR, "deal.updated", "3", deal_id="d", amount=90)])
    world.send([event(HOUR, "deal.updated", "2", deal_id="d", amount=70, currency="EUR")])  # late
    world.send([event(3 * HOUR, "sales.recycled", "4", reason="too early")])
    assert worth(world) == [
        ("known", {"d": {"amount": None, "currency": None}}),
        ("opportunity", {"d": {"amount": 70, "currency": "EUR"}}),
        ("lead", {"d": {"amount": 90, "currency": "EUR"}}),
    ]
