"""Membership: nobody shares a partition, none is forgotten, and little moves, whatever order members come and go in."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from worker.transports.base import TopicPartition
from worker.transports.errors import Fenced
from worker.transports.groups import Group, Membership

PARTITIONS = 7
COUNTS = {"in": PARTITIONS}
EVERYTHING = frozenset(TopicPartition("in", number) for number in range(PARTITIONS))
places = st.integers(0, 4)


class Members(RuleBasedStateMachine):
    """Clients 0 to 2 are dynamic, 3 and 4 static. Who is put out learns it in a later poll, as in life."""

    def __init__(self) -> None:
        super().__init__()
        self.group = Group("group")
        self.clients: dict[int, Membership] = {}

    @rule(place=places)
    def poll(self, place: int) -> None:
        if place not in self.clients:
            self.clients[place] = Membership(f"client{place}", f"i{place}" if place >= 3 else None, ["in"])
        self.clients[place].poll(self.group, COUNTS)

    @rule(place=places)
    def put_out(self, place: int) -> None:
        client = self.clients.get(place)
        if client is not None and client.id is not None:
            self.group.remove(client.id, COUNTS)

    @rule(place=places)
    def leave(self, place: int) -> None:
        self.put_out(place)
        self.clients.pop(place, None)

    @precondition(lambda self: 3 in self.clients)
    @rule()
    def restart_a_static_one(self) -> None:
        """Its successor comes, and it never polls again."""
        self.clients.pop(3)
        self.poll(3)

    @invariant()
    def no_partition_has_two_members(self) -> None:
        seen: set[TopicPartition] = set()
        for client in self.clients.values():
            if client.id in self.group.members:
                assert not seen & client.held
                seen |= client.held

    @rule()
    def all_is_given_out_once_everybody_polls(self) -> None:
        for _ in range(8):
            for client in self.clients.values():
                client.poll(self.group, COUNTS)
        if not self.clients:
            return
        lots = sorted(len(client.held) for client in self.clients.values())
        assert frozenset().union(*(client.held for client in self.clients.values())) == EVERYTHING
        assert lots[-1] - lots[0] <= 1
        assert {client.generation for client in self.clients.values()} == {self.group.generation}
        assert not self.group.rebalancing


TestMembers = Members.TestCase
TestMembers.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def settled(group: Group, *clients: Membership) -> None:
    for _ in range(8):
        for client in clients:
            client.poll(group, COUNTS)


def test_a_newcomer_takes_only_its_share() -> None:
    group, one, two = Group("group"), Membership("a", None, ["in"]), Membership("b", None, ["in"])
    settled(group, one)
    assert one.held == EVERYTHING
    settled(group, one, two)

    assert (len(one.held), len(two.held)) == (4, 3)


def test_who_stays_keeps_all_it_has_when_another_one_goes() -> None:
    group = Group("group")
    clients = [Membership(name, None, ["in"]) for name in "abc"]
    settled(group, *clients)
    before = [client.held for client in clients]
    group.remove(clients[1].id or "", COUNTS)
    settled(group, clients[0], clients[2])

    assert clients[0].held >= before[0]
    assert clients[2].held >= before[2]


def test_a_static_successor_during_a_rebalance_strands_no_partition() -> None:
    """It joins with nothing: what its predecessor had must not be kept for it and then given to nobody."""
    group = Group("group")
    static, other = Membership("s", "i", ["in"]), Membership("a", None, ["in"])
    settled(group, static, other)
    newcomer = Membership("b", None, ["in"])
    newcomer.poll(group, COUNTS)
    successor = Membership("s", "i", ["in"])
    successor.poll(group, COUNTS)
    settled(group, other, newcomer, successor)

    assert other.held | newcomer.held | successor.held == EVERYTHING


def test_what_a_static_member_died_before_giving_up_is_given_to_others() -> None:
    group = Group("group")
    static, other = Membership("s", "i", ["in"]), Membership("a", None, ["in"])
    newcomer, successor = Membership("b", None, ["in"]), Membership("s", "i", ["in"])
    settled(group, static)
    settled(group, static, other)
    for client in (newcomer, static, other):  # the last of them ends the rebalance; the static one never learns of it
        client.poll(group, COUNTS)
    assert group.members[static.id or ""].assigned < static.held
    settled(group, newcomer, successor, other)

    assert newcomer.held | successor.held | other.held == EVERYTHING


def test_a_displaced_static_member_is_told_who_has_its_place() -> None:
    group = Group("group")
    first, second = Membership("s", "i", ["in"]), Membership("t", "i", ["in"])
    settled(group, first)
    settled(group, second)
    assert second.held == EVERYTHING
    with pytest.raises(Fenced, match="instance i"):
        first.poll(group, COUNTS)
    assert first.lost()
    assert first.held == frozenset()


def test_a_subscription_to_a_topic_that_is_not_there_yet_gets_nothing() -> None:
    group, one = Group("group"), Membership("a", None, ["none", "in"])
    settled(group, one)

    assert one.held == EVERYTHING
