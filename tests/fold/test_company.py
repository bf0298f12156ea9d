"""Companies: the highest stage among their contacts, whatever order contacts, parents and moves arrive in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.fold.strategies import CUTS, arrivals, traffic
from tests.fold.world import DAY, HOUR, START, World, batches, event, plan_of
from worker.company.rollup import LEFT_MS
from worker.fold.outcome import Event

ACME = {"company_id": "acme"}


def form(identity: str, contact: str) -> Event:
    """A question about the product: an SQL in this lifecycle."""
    return event(0, "form.submitted", identity, contact, ACME, kind="contact")


def test_a_company_has_the_highest_stage_among_its_contacts_and_falls_with_it() -> None:
    world = World(plan_of("aspiration"))
    world.send([event(0, "list.subscribed", "1", "a", ACME), form("2", "b")])
    assert world.companies()["acme"][0] == "sql"
    world.send([event(HOUR, "contact.updated", "3", "b", {"company_id": "globex"})])
    assert world.companies()["acme"][0] == "subscriber"
    assert world.companies()["globex"][0] == "sql"


def test_whoever_left_a_company_is_forgotten_there_in_time_and_may_come_back() -> None:
    world, globex = World(plan_of("aspiration")), {"company_id": "globex"}
    world.send([form("1", "a"), event(0, "list.subscribed", "2", "b", ACME)], now=START)
    world.send([event(HOUR, "contact.updated", "3", "a", globex)], now=START + HOUR)
    member = world.engine.keys.member("acme", world.engine.keys.contact("a"))
    ends = START + HOUR + LEFT_MS
    assert world.engine.apply(member, world.states[member], [], START).due == ends
    for clock, stays in ((ends - 1, True), (ends, False)):
        outcome = world.engine.advance(member, world.states[member], clock, clock)
        assert outcome.changed != stays
        assert outcome.due == (ends if stays else None)
    del world.states[member]  # as the last outcome says
    world.send([event(DAY, "contact.updated", "4", "a", ACME)], now=ends)
    assert world.companies() == {"acme": ("sql", None), "globex": (None, None)}
    assert [body["data"]["contacts"] for body in world.published if body["subject"] == "acme"][-1] == 2


def test_nothing_flows_back_to_contacts() -> None:
    world = World(plan_of("aspiration"))
    world.send([event(0, "list.subscribed", "1", "a", ACME)])
    world.send([event(HOUR, "deal.won", "2", "b", ACME, deal_id="d", agreement_executed=True)])
    assert world.companies()["acme"][0] == "customer"
    assert world.currents["a"]["stage"] == "subscriber"


def test_an_erased_contact_leaves_its_company() -> None:
    world = World(plan_of("aspiration"))
    world.send([event(0, "list.subscribed", "1", "a", ACME), form("2", "b")])
    world.send([event(HOUR, "contact.erased", "3", "b")])
    assert world.companies()["acme"][0] == "subscriber"


def test_a_merged_contact_is_counted_once() -> None:
    world = World(plan_of("aspiration"))
    world.send([form("1", "a"), event(0, "list.subscribed", "2", "b", ACME)])
    world.send([event(HOUR, "contact.merged", "3", "b", **{"from": "a"})])
    assert world.companies()["acme"][0] == "sql"
    world.send([event(2 * HOUR, "contact.updated", "4", "b", {"company_id": "globex"})])
    assert world.companies()["acme"] == (None, None)


def test_a_company_whose_parent_contracts_is_a_customer_too_but_not_by_a_derived_standing() -> None:
    world = World(plan_of("aspiration"))
    world.send([event(0, "list.subscribed", "1", "a", {"company_id": "child", "parent_company_id": "parent"})])
    world.send([event(0, "list.subscribed", "2", "b", {"company_id": "parent", "parent_company_id": "top"})])
    world.send([event(HOUR, "deal.won", "3", "c", {"company_id": "top"}, deal_id="d", agreement_executed=True)])
    assert {name: stage for name, (stage, _) in world.companies().items()} == dict.fromkeys(
        ("child", "parent", "top"), "customer"
    )


def test_a_circle_of_parents_ends_at_its_first_repeat() -> None:
    world = World(plan_of("aspiration"))
    world.send([event(0, "list.subscribed", "1", "a", {"company_id": "x", "parent_company_id": "y"})])
    world.send([event(0, "list.subscribed", "2", "b", {"company_id": "y", "parent_company_id": "x"})])
    world.send([event(HOUR, "deal.won", "3", "b", deal_id="d", agreement_executed=True)])
    assert world.companies()["x"][0] == "customer"


@given(data=st.data())
def test_any_order_of_arrival_leaves_companies_the_same(data: st.DataObject) -> None:
    events = data.draw(traffic(contacts=("a", "b", "c")))
    reference = World(plan_of("aspiration"))
    for one in events:
        reference.send([one])
    world = World(plan_of("aspiration"))
    when = data.draw(st.lists(st.booleans(), min_size=1, max_size=4))
    for place, batch in enumerate(batches(data.draw(arrivals(events)), data.draw(CUTS))):
        world.send(batch, deliver=when[place % len(when)])
    world.deliver()
    present = {name: standing for name, standing in world.companies().items() if standing != (None, None)}
    assert present == {name: standing for name, standing in reference.companies().items() if standing != (None, None)}


def test_an_event_costs_a_large_company_no_more_than_a_small_one() -> None:
    """What is kept under a company's key does not grow with its contacts."""
    world = World(plan_of("aspiration"))
    sizes = []
    for number in range(300):
        world.send([event(number, "list.subscribed", f"e{number}", f"c{number}", ACME)])
        sizes.append(len(world.states[world.engine.keys.company("acme")]))
    assert sizes[-1] <= sizes[5] + 8
