"""Merges, anonymous ids, splits and erasure: over several keys, in any order of arrival and of delivery."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fold.strategies import CUTS, arrivals, traffic
from tests.fold.world import DAY, HOUR, START, World, batches, event, plan_of
from worker.fold.outcome import Event

PAGE = "page.viewed"


def merge(at: int, survivor: str, other: str, identity: str, kind: str = "contact.merged") -> Event:
    field = "from" if kind == "contact.merged" else "anonymous_id"
    return event(at, kind, identity, survivor, **{field: other})


def run(events: list[Event], cuts: list[int], when: list[bool]) -> World:
    """The batches, delivering messages after those for which `when` says so, and at the end."""
    world = World(plan_of("10ex"))
    for place, batch in enumerate(batches(events, cuts)):
        world.send(batch, deliver=when[place % len(when)])
    world.deliver()
    return world.advance(START + 30 * DAY)


@given(data=st.data())
def test_a_merge_folds_the_union_whatever_arrives_first(data: st.DataObject) -> None:
    events = data.draw(traffic(contacts=("a", "b", "c")))
    merges = [
        merge(data.draw(st.integers(0, 5)) * DAY, *pair, f"m{n}") for n, pair in enumerate([("a", "b"), ("a", "c")])
    ]
    everything = sorted([*events, *merges], key=lambda one: one.time)
    reference = run(everything, list(range(1, len(everything))), [True])
    order = data.draw(arrivals(everything))
    world = run(order, data.draw(CUTS), data.draw(st.lists(st.booleans(), min_size=1, max_size=4)))
    assert not world.refused
    assert world.ids("a") == reference.ids("a")
    # What the ended ids had published inside the horizon is withdrawn: it stands under the survivor now.
    assert not world.history("b") and not world.history("c")
    assert set(world.currents) == {"a"}


@given(data=st.data())
def test_the_survivor_s_history_is_that_of_one_contact_with_all_the_events(data: st.DataObject) -> None:
    events = data.draw(traffic(contacts=("a", "b")))
    times = {one.time for one in events}
    if len(times) < len(events):
        events = [one._replace(time=one.time + place) for place, one in enumerate(events)]
    joined = run([*events, merge(5 * DAY + 1, "a", "b", "m")], data.draw(CUTS), [True])
    alone = run([*(one._replace(subject="a") for one in events)], [], [True])
    kinds = [(body["type"], body["time"], body["data"].get("to")) for body in joined.history("a")]
    merged = "lifecycle.contact.merged.v1"
    assert [kind for kind in kinds if kind[0] != merged] == [
        (body["type"], body["time"], body["data"].get("to")) for body in alone.history("a")
    ] or any(one.time > START + 5 * DAY for one in events)


def test_what_is_told_of_an_identification_names_the_visitor_s_id_whatever_else_it_carries() -> None:
    world = World(plan_of("10ex"))
    stray = event(HOUR, "contact.identified", "m", "a", anonymous_id="visitor", **{"from": "newsletter"})
    world.send([event(0, "form.submitted", "1", "visitor"), event(0, "form.submitted", "2", "a"), stray])
    told = [body["data"] for body in world.history("a") if body["type"] == "lifecycle.contact.merged.v1"]
    assert [(data["contact"], data["from"]) for data in told] == [("a", "visitor")]


def test_of_two_that_claim_each_other_the_earlier_claim_stands() -> None:
    world = World(plan_of("10ex"))
    world.send([event(0, "form.submitted", "1", "a"), event(1, "form.submitted", "2", "b")])
    world.send([merge(HOUR, "a", "b", "m1"), merge(2 * HOUR, "b", "a", "m2")], deliver=False)
    world.deliver()
    assert [refusal.reason for refusal in world.refused] == ["merge-refused"]
    assert set(world.currents) == {"a"}
    assert not world.history("b")


@pytest.mark.parametrize("erased", [False, True])
def test_a_claim_that_had_to_wait_is_refused_aloud_when_the_id_goes_to_another(erased: bool) -> None:
    world = World(plan_of("10ex"))
    world.send([event(0, "form.submitted", f"f{name}", name) for name in "abcz"])
    world.send([merge(2 * HOUR, "b", "z", "m2")], deliver=False)  # what b has claimed has not heard of it yet
    unheard = list(world.pending)
    world.pending.clear()
    if erased:  # of two that wait the first has it, once b's own claim is no more
        world.send([merge(3 * HOUR, "a", "b", "m1"), merge(4 * HOUR, "c", "b", "m3")])
        world.send([event(5 * HOUR, "contact.erased", "x", "b")])
    else:  # one that comes after it, and is earlier than b's own, has it
        world.send([merge(4 * HOUR, "c", "b", "m3")]).send([merge(HOUR, "a", "b", "m1")])
    world.pending.extend(unheard)
    world.deliver()
    assert [refusal.reason for refusal in world.refused] == ["merge-refused"]
    assert "'m3'" in world.refused[0].message


@given(order=st.permutations(["m1", "m2", "m3"]), first=st.booleans())
def test_a_circle_of_claims_leaves_one_contact(order: list[str], first: bool) -> None:
    world = World(plan_of("10ex"))
    claims = {
        "m1": merge(HOUR, "a", "b", "m1"), "m2": merge(2 * HOUR, "b", "c", "m2"), "m3": merge(3 * HOUR, "c", "a", "m3"),
    }  # fmt: skip
    if first:
        world.send([event(0, "form.submitted", f"f{name}", name) for name in "abc"])
    for name in order:
        world.send([claims[name]], deliver=False)
    world.deliver()
    assert len(world.currents) == 1
    assert [refusal.reason for refusal in world.refused] == ["merge-refused"]


def test_later_events_of_the_ended_id_reach_the_survivor() -> None:
    world = World(plan_of("10ex")).send([event(0, PAGE, "1", "a"), event(0, PAGE, "2", "b")])
    world.send([merge(HOUR, "a", "b", "m")])
    world.send([event(2 * HOUR, "form.submitted", "3", "b")])
    assert world.stages("a") == ["prospect", "lead"]


def test_a_chain_of_merges_passes_events_on_to_its_end() -> None:
    world = World(plan_of("10ex")).send([merge(0, "b", "c", "m1")]).send([merge(HOUR, "a", "b", "m2")])
    world.send([event(2 * HOUR, "form.submitted", "3", "c")])
    assert world.stages("a") == ["prospect", "lead"]
    assert set(world.currents) == {"a"}


def test_a_forwarding_record_of_an_old_log_lasts_its_time_from_when_it_was_read() -> None:
    read = START + 1_000 * DAY
    world = World(plan_of("10ex"))
    world.send([event(0, PAGE, "1", "a"), event(0, PAGE, "2", "b"), merge(HOUR, "a", "b", "m")], now=read)
    world.advance(read + 399 * DAY).send([event(2 * HOUR, "form.submitted", "3", "b")], now=read + 399 * DAY)
    assert world.stages("a") == ["prospect", "lead"]
    world.advance(read + 799 * DAY)
    assert world.engine.keys.contact("b") not in world.states


def test_a_repeated_merge_is_nothing() -> None:
    world = World(plan_of("10ex")).send([event(0, "form.submitted", "1", "b"), merge(HOUR, "a", "b", "m")])
    published = list(world.published)
    world.send([merge(HOUR, "a", "b", "m")])
    assert world.published == published
    assert world.duplicates == 1


def test_an_anonymous_id_belongs_to_the_identification_latest_before_each_event() -> None:
    world = World(plan_of("10ex"))
    world.send([event(0, PAGE, "1", "x", high_intent=True), event(3 * DAY, "form.submitted", "2", "x")])
    world.send([merge(DAY, "ann", "x", "i1", "contact.identified")])
    assert world.stages("ann") == ["prospect", "lead"]
    world.send([merge(2 * DAY, "bob", "x", "i2", "contact.identified")])
    # The form came after bob's identification: it is his, and ann's history forgets it.
    assert world.stages("ann") == ["prospect"]
    assert world.stages("bob") == ["prospect", "lead"]


def test_a_split_gives_both_their_own_histories_back() -> None:
    world = World(plan_of("10ex"))
    world.send([event(0, "form.submitted", "1", "a"), event(HOUR, "webinar.attended", "2", "b", {"icp_fit": True})])
    alone = world.ids("b")
    world.send([merge(DAY, "a", "b", "m")])
    assert world.stages("a") == ["prospect", "lead", "mql"]
    world.send([event(2 * DAY, "contact.split", "s", "a", **{"from": "b"})])
    assert world.stages("a") == ["prospect", "lead"]
    assert world.ids("b") == alone
    assert set(world.currents) == {"a", "b"}


def test_a_split_that_is_repeated_after_another_merge_is_nothing() -> None:
    world = World(plan_of("10ex")).send([event(0, "form.submitted", "1", "a"), event(0, "form.submitted", "2", "b")])
    once = event(2 * HOUR, "contact.split", "s", "a", **{"from": "b"})
    world.send([merge(HOUR, "a", "b", "m1"), once]).send([merge(3 * HOUR, "a", "b", "m2"), once])
    assert set(world.currents) == {"a"}
    assert world.duplicates == 1
    assert not world.refused


def test_a_split_of_what_was_never_merged_is_refused() -> None:
    world = World(plan_of("10ex")).send([event(0, "contact.split", "s", "a", **{"from": "b"})])
    assert [refusal.reason for refusal in world.refused] == ["nothing-to-split"]


def test_erasure_forgets_what_was_and_drops_it_when_it_comes_again() -> None:
    first = event(0, "form.submitted", "1", "a", {"email": "ann@example.com"})
    world = World(plan_of("10ex")).send([first])
    world.send([event(DAY, "contact.erased", "x", "a")])
    assert not world.currents
    assert not any(b"ann@example.com" in state for state in world.states.values())
    assert not any(b"ann@example.com" in key for key in world.states)
    published = list(world.published)
    world.send([first])
    assert world.published == published
    assert not world.refused


def test_an_erasure_that_comes_twice_in_one_batch_is_remembered() -> None:
    first, erased = event(0, "form.submitted", "1", "a"), event(DAY, "contact.erased", "x", "a")
    world = World(plan_of("10ex")).send([first]).send([erased, erased])
    published = list(world.published)
    world.send([first])
    assert world.published == published
    world.send([event(2 * DAY, PAGE, "2", "a")])
    assert world.published[-1]["data"]["current"]["revision"] == len(world.published)


def test_after_an_erasure_a_contact_begins_anew() -> None:
    world = World(plan_of("10ex")).send([event(0, "form.submitted", "1", "a"), event(2 * DAY, PAGE, "2", "a")])
    world.send([event(DAY, "contact.erased", "x", "a")]).send([event(3 * DAY, "webinar.attended", "3", "a")])
    said = [body for body in world.history("a") if body["type"] == "lifecycle.contact.erased.v1"]
    after = world.history("a")[world.history("a").index(said[0]) + 1 :]
    entered = [body["data"]["to"] for body in after if body["type"] == "lifecycle.stage.changed.v1"]
    assert entered == ["prospect", "lead"]


@pytest.mark.parametrize("cuts", product((False, True), repeat=3))
def test_what_comes_again_after_an_erasure_leaves_no_trace_in_whatever_batch_it_comes(cuts: tuple[bool, ...]) -> None:
    """With the erasure in one batch it opened a record that had not begun: it held the id, and what began it later."""
    who = "ann@example.com"
    first, late = event(0, "form.submitted", "1", who), event(HOUR, "email.replied", "2", who)
    world = World(plan_of("10ex")).send([first])
    batch: list[Event] = []
    for one, cut in zip([event(DAY, "contact.erased", "x", who), first, late], cuts, strict=True):
        batch.append(one)
        if cut:
            world.send(batch)
            batch = []
    world.send(batch)
    assert not any(who.encode() in state for state in world.states.values())
    world.send([event(2 * DAY, PAGE, "3", who)])  # of a kind that does nothing but say that the contact is there
    assert world.stages(who)[-1] == "prospect"
    assert set(world.currents) == {who}


def test_erasing_a_merged_id_erases_the_survivor() -> None:
    world = World(plan_of("10ex")).send([event(0, "form.submitted", "1", "a"), merge(HOUR, "a", "b", "m")])
    world.send([event(DAY, "contact.erased", "x", "b")])
    assert not world.currents
    # The events that came after do not find the survivor any more: b is a contact of its own again.
    world.send([event(2 * DAY, "form.submitted", "2", "b")])
    assert set(world.currents) == {"b"}


def test_an_erased_survivor_takes_its_other_ids_along() -> None:
    world = World(plan_of("10ex")).send([event(0, "form.submitted", "1", "a"), merge(HOUR, "a", "b", "m")])
    world.send([event(DAY, "contact.erased", "x", "a")])
    assert not any(b'"b"' in state or b"\xa1b" in state for state in world.states.values())


def test_merging_does_not_sum_scores_behind_the_horizon() -> None:
    world = World(plan_of("10ex"))
    for contact in "ab":
        world.send([event(0, "form.submitted", f"1{contact}", contact)])
        world.send([event(30 * DAY, "form.submitted", f"2{contact}", contact)])
        world.send([event(60 * DAY, PAGE, f"3{contact}", contact, high_intent=True)])
    scores = [body["data"]["score"]["behaviour"] for body in world.published if "score" in body["data"]]
    world.send([merge(60 * DAY + HOUR, "a", "b", "m")])
    world.send([event(61 * DAY, "purchase.confirmed", "4", "a")])
    last = next(body for body in reversed(world.history("a")) if body["type"] == "lifecycle.stage.changed.v1")
    assert last["data"]["to"] == "customer"
    assert last["data"]["score"]["behaviour"] <= max(scores) * 2


def test_a_merge_behind_the_horizon_withdraws_nothing_that_the_survivor_published() -> None:
    world = World(plan_of("10ex"))
    for contact in "ab":
        world.send([event(0, "form.submitted", f"1{contact}", contact, {"icp_fit": True}, kind="demo")])
        world.send([event(9 * DAY, "purchase.confirmed", f"2{contact}", contact)])
    world.send([event(14 * DAY, "webinar.attended", "3a", "a")])
    world.send([event(12 * DAY, "webinar.attended", "3b", "b"), event(17 * DAY, "webinar.attended", "4b", "b")])
    assert world.stages("a")[-1] == "customer"
    before = [body for body in world.history("a") if body["time"] < "2026-01-15"]
    world.send([merge(17 * DAY + HOUR, "a", "b", "m")])
    assert [body["id"] for body in before] == [body["id"] for body in world.history("a")][: len(before)]


def long_lived(late: bool, timers: bool) -> World:
    """Two contacts that are found to be one after weeks; a late event, or the clock, moves what lies in their bases."""
    world = World(plan_of("10ex"))
    fit = {"icp_fit": True}
    world.send([event(0, "form.submitted", "1a", "a"), event(9 * DAY, "webinar.attended", "2a", "a")])
    world.send([event(DAY, "form.submitted", "1b", "b", fit, kind="demo")])
    for day in (4, 7, 10):
        world.send([event(day * DAY, "webinar.attended", f"b{day}", "b")])
    if late:  # of no consequence but that everything is folded again
        world.send(
            [event(8 * DAY, PAGE, "lb", "b", high_intent=True), event(8 * DAY, PAGE, "la", "a", high_intent=True)]
        )
    if timers:
        world.advance(START + 10 * DAY)
    return world.send([merge(10 * DAY + HOUR, "a", "b", "m")])


def test_what_the_ended_id_published_behind_the_horizon_stands_and_the_survivor_tells_its_stage() -> None:
    told = [long_lived(False, False), long_lived(True, False), long_lived(False, True)]
    for world in told:
        assert world.stages("b") == ["prospect", "lead", "mql"]
        assert all(body["time"] < "2026-01-08T09" for body in world.history("b"))
        assert world.stages("a") == ["prospect", "lead", "mql"]
        moved = [body for body in world.history("a") if body["data"].get("to") == "mql"]
        assert [body["data"]["cause"]["id"] for body in moved] == ["m"]
    assert told[0].ids("b") == told[2].ids("b")
    assert told[0].ids("a") == told[2].ids("a")


def test_a_contact_that_begins_with_a_merge_enters_where_the_other_id_stood() -> None:
    world = World(plan_of("mops"))
    for day in (0, 10, 20):
        world.send([event(day * DAY, PAGE, f"{day}", "x", high_intent=True)])
    world.send([merge(20 * DAY + HOUR, "ann", "x", "i", "contact.identified")])
    assert world.stages("ann") == ["anonymous_visitor", "known_lead"]
    assert world.history("ann")[0]["data"]["entered_at"] == world.history("x")[0]["data"]["entered_at"]
