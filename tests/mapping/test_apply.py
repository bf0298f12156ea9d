"""What a mapping file can say, feature by feature, on the smallest mapping that shows it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.mapping.records import BASE, RECORD, dropped, event, mapping, refused
from worker.fold.outcome import Event
from worker.mapping.mapping import MAX_ITEMS
from worker.mapping.outcome import Refused


# ---------------------------------------------------------------------------------------------------------- the fields
def test_the_envelope_is_read_from_its_paths() -> None:
    found = event(mapping("type: cta.clicked").apply(RECORD))
    assert found == Event(1767603600000, "cta.clicked", "e1", "/test", "u1", {}, None)


@pytest.mark.parametrize(
    ("value", "given", "expected"),
    [
        ("x", {"x": "a"}, "a"),
        ("x", {"x": 12}, "12"),
        ("x", {"x": 12.0}, "12"),
        ("x", {"x": 12.5}, "12.5"),
        ("x", {"x": None}, None),
        ("[x, y]", {"y": "b"}, "b"),
        ("[x, y]", {"x": "", "y": "b"}, "b"),
        ("{always: z}", {}, "z"),
        ("{from: x, lower: true}", {"x": " AbC "}, "abc"),
        ("{from: x, upper: true}", {"x": "eur"}, "EUR"),
        ("{from: x, trim: true}", {"x": "  a b "}, "a b"),
        ("{from: x, slug: true}", {"x": "Order Completed (EU)"}, "order_completed_eu"),
        ("{from: x, prefix: 'p:'}", {"x": 7}, "p:7"),
        ("{from: x, prefix: 'p:'}", {}, None),
        ("{from: x, table: {POSITIVE: positive}}", {"x": "POSITIVE"}, "positive"),
        ("{from: x, table: {POSITIVE: positive}}", {"x": "ELSE"}, None),
        ("{from: x, table: {POSITIVE: positive}, otherwise: neutral}", {"x": "ELSE"}, "neutral"),
        ("{from: x, table: {POSITIVE: positive}, otherwise: {from: x, lower: true}}", {"x": "ELSE"}, "else"),
        ("{from: x, table: {'1': one, 'true': yes}}", {"x": 1}, "one"),
        ("{from: x, table: {'1': one, 'true': yes}}", {"x": True}, "yes"),
        ("{from: x, table: {a: b}}", {"x": {"a": 1}}, None),
        ("{from: x, words: {demo: demo, pric: pricing}, otherwise: other}", {"x": "Book a DEMO"}, "demo"),
        ("{from: x, words: {demo: demo, pric: pricing}, otherwise: other}", {"x": "?"}, "other"),
        ("{from: x, words: {demo: demo}, otherwise: other}", {"x": 5}, "other"),
        ("{email: x}", {"x": " Ada <Ada@Example.com> "}, "ada@example.com"),
        ("{email: [x, y]}", {"x": "n/a", "y": "b@example.com"}, "b@example.com"),
    ],
)
def test_a_text_field(value: str, given: dict[str, Any], expected: str | None) -> None:
    found = event(mapping(f"type: sales.rejected\ndata: {{reason: {value}}}").apply({**RECORD, **given}))
    assert found.data.get("reason") == expected
    assert ("reason" in found.data) == (expected is not None)


@pytest.mark.parametrize("count", [3, 50, 51, 2_000])
def test_of_any_number_of_words_the_first_that_the_text_holds_counts(count: int) -> None:
    words = ", ".join(f"W{number:04}-: m{number}" for number in range(count))
    made = mapping(f"type: sales.rejected\ndata: {{reason: {{from: x, words: {{{words}}}}}}}")
    for given, expected in (("w0001-w0000-", "m0"), (f"a W{count - 1:04}-", f"m{count - 1}"), ("w", None), (5, None)):
        assert event(made.apply({**RECORD, "x": given})).data.get("reason") == expected


@pytest.mark.parametrize(
    ("value", "given", "expected"),
    [
        ("x", {"x": "12.50"}, 12.5),
        ("x", {"x": "12"}, 12),
        ("x", {"x": ""}, None),
        ("x", {"x": 0}, 0),
        ("{from: x, divide: 100}", {"x": 1250}, 12.5),
        ("{from: x, divide: 100}", {"x": "1200"}, 12),
        ("{from: x, times: y}", {"x": 15, "y": "3"}, 45),
        ("{from: x, times: y, divide: 100}", {"x": 1250, "y": 2}, 25),
        ("{from: x, times: y}", {"x": 15}, 15),
        ("{from: x, times: y}", {"y": 2}, None),
        ("{from: x, divide: {from: y, table: {jpy: 1}, otherwise: 100}}", {"x": 1200, "y": "jpy"}, 1200),
        ("{from: x, if_wrong: leave out}", {"x": "10-20"}, None),
        ("99", {}, 99),
    ],
)
def test_a_number_field(value: str, given: dict[str, Any], expected: float | None) -> None:
    found = event(mapping(f"type: deal.won\ndata: {{amount: {value}}}").apply({**RECORD, **given}))
    assert found.data.get("amount") == expected
    assert type(found.data.get("amount")) is type(expected)


@pytest.mark.parametrize(
    ("value", "given", "expected"),
    [
        ("x", {"x": "Yes"}, True),
        ("x", {"x": 0}, False),
        ("x", {}, None),
        ("{is: x}", {}, False),
        ("{is: x == 'a' && y}", {"x": "a", "y": 1}, True),
        ("{any: [{is: x}, {is: y}]}", {"y": "z"}, True),
        ("{any: [{is: x}, {is: y}]}", {}, False),
        ("{any: [x, y]}", {"x": "false", "y": "true"}, True),
        ("true", {}, True),
    ],
)
def test_a_truth_field(value: str, given: dict[str, Any], expected: bool | None) -> None:
    found = event(mapping(f"type: page.viewed\ndata: {{high_intent: {value}}}").apply({**RECORD, **given}))
    assert found.data.get("high_intent") is expected


def test_a_list_of_texts_may_come_as_one_text() -> None:
    made = mapping('type: contact.updated\ntraits: {tech_stack: {from: x, split: ";"}}')
    assert event(made.apply({**RECORD, "x": "kafka; spark;"})).traits == {"tech_stack": ["kafka", "spark"]}
    assert event(made.apply({**RECORD, "x": ["kafka", 3]})).traits == {"tech_stack": ["kafka", "3"]}


@pytest.mark.parametrize(
    ("rule", "given", "path", "told"),
    [
        ("data: {amount: a.b}", {"a": {"b": "much"}}, "$.a.b", "expected a number, got text"),
        ("data: {amount: a.b}", {"a": {"b": True}}, "$.a.b", "expected a number, got true or false"),
        ("data: {amount: a.b}", {"a": {"b": 10**17}}, "$.a.b", "at most 9007199254740991"),
        ("data: {stage: x}", {"x": ["a"]}, "$.x", "expected text, got a list"),
        ("data: {stage: x}", {"x": True}, "$.x", "expected text, got true or false"),
        ("data: {indirect: x}", {"x": "maybe"}, "$.x", "expected true or false, got text"),
        ("data: {deal_id: x}", {"x": "d" * 257}, "$.x", "256 bytes"),
        ("traits: {tech_stack: x}", {"x": {"a": 1}}, "$.x", "expected a list of texts, got an object"),
        ("traits: {email: {email: x}}", {"x": 5}, "$.x", "expected an e-mail address, got a number"),
        ('data: {"*": x}', {"x": 5}, "$.x", "expected an object, got a number"),
        ('data: {"*": x}', {"x": {"amount": "much"}}, "$.x.amount", "expected a number"),
        ('data: {"*": x}', {"x": {"own": 10**17}}, "$.x.own", "at most"),
    ],
)
def test_a_field_of_another_kind_is_refused_with_its_path(
    rule: str, given: dict[str, Any], path: str, told: str
) -> None:
    bad = refused(mapping(f"type: deal.updated\n{rule}").apply({**RECORD, **given}))
    assert bad.path == path
    assert told in bad.refusal.message
    assert bad.refusal.message.startswith(path + ": ")
    assert msgspec.json.decode(bad.raw) == {**RECORD, **given}


def test_all_fields_of_an_object_are_taken_but_for_those_that_are_named_or_left_out() -> None:
    made = mapping('type: own.thing\ndata: {amount: x.price, "*": {from: x, except: [secret]}}')
    found = event(made.apply({**RECORD, "x": {"price": "5", "amount": 9, "secret": 1, "n": None, "list": 3, "o": {}}}))
    assert found.data == {"amount": 5, "price": "5", "list": "3", "o": {}}


def test_what_the_whole_mapping_gives_a_rule_may_change_and_take_out() -> None:
    extra = "data: {channel: {always: chat}, utm_source: src}\ntraits: {country: land}\n"
    made = mapping("type: conversation.logged\ndata: {channel: {always: call}, utm_source: null}", extra)
    found = event(made.apply({**RECORD, "src": "x", "land": "NO"}))
    assert (found.data, found.traits) == ({"channel": "call"}, {"country": "NO"})


# --------------------------------------------------------------------------------------------------------- the subject
SEVERAL = """\
mapping: test
source: /test
id: id
time: {iso: at}
ids:
  contact: contact
  email: {email: mail}
  browser: {from: cookie, shared: true}
  vendor: {from: number, prefix: "v:"}
subject: [contact, email, browser, vendor]
"""


@pytest.mark.parametrize(
    ("given", "subject"),
    [
        ({"contact": "c1", "mail": "a@b.example"}, "c1"),
        ({"contact": None, "mail": " A@B.example"}, "a@b.example"),
        ({"contact": " ", "mail": None, "cookie": "k"}, "k"),
        ({"mail": "nobody", "number": 7}, "v:7"),
    ],
)
def test_the_subject_is_the_first_that_is_there(given: dict[str, Any], subject: str) -> None:
    record = {"id": "e1", "at": "2026-01-05T09:00:00Z", **given}
    assert event(mapping("type: cta.clicked", base=SEVERAL).apply(record)).subject == subject


@pytest.mark.parametrize("mail", [None, "", "  ", "n/a", "a@", "@b", "a b@c"])
def test_a_record_of_nobody_is_refused_and_says_what_was_tried(mail: str | None) -> None:
    record = {"id": "e1", "at": "2026-01-05T09:00:00Z", "mail": mail}
    bad = refused(mapping("type: cta.clicked", base=SEVERAL).apply(record))
    assert bad.refusal.reason == "no-subject"
    assert "`contact`, `mail`, `cookie`, `number`" in bad.refusal.message


def test_other_names_of_the_contact_are_joined_before_the_event_and_once_each() -> None:
    made = mapping("type: contact.updated\njoins: [email, browser, vendor]", base=SEVERAL)
    record = {"at": "2026-01-05T09:00:00Z", "contact": "c1", "mail": "A@b.example", "cookie": "k", "number": 7}
    first, second = made.apply({**record, "id": "e1"}), made.apply({**record, "id": "e2"})
    kinds = [(found.type, found.subject, found.data) for found in first if isinstance(found, Event)]
    assert kinds == [
        ("contact.identified", "c1", {"anonymous_id": "a@b.example"}),
        ("contact.identified", "c1", {"anonymous_id": "k"}),
        ("contact.identified", "c1", {"anonymous_id": "v:7"}),
        ("contact.updated", "c1", {}),
    ]
    same = [a.id == b.id for a, b in zip(first, second, strict=True) if isinstance(a, Event) and isinstance(b, Event)]
    assert same == [True, False, True, False], "a shared name is identified anew, a firm one only once"


def test_the_subject_itself_is_not_joined() -> None:
    made = mapping("type: contact.updated\njoins: [email, vendor]", base=SEVERAL)
    assert event(made.apply({"id": "e", "at": "2026-01-05T09:00:00Z", "mail": "a@b.example"})).type == "contact.updated"


def test_a_contact_does_not_merge_with_itself() -> None:
    made = mapping("type: contact.merged\ndata: {from: other}")
    assert refused(made.apply({**RECORD, "other": "u1"})).refusal.reason == "merge-into-itself"
    assert refused(made.apply(RECORD)).refusal.reason == "missing-field"
    assert event(made.apply({**RECORD, "other": "u2"})).data == {"from": "u2"}


# -------------------------------------------------------------------------------------------------------------- the id
DIGEST = """\
mapping: test
source: /test
id: [id, {digest: [what, at, detail]}]
time: {iso: at}
ids: {user: user}
subject: [user]
"""


def test_a_missing_id_is_made_from_what_happened() -> None:
    made = mapping("type: cta.clicked", base=DIGEST)
    record = {"at": "2026-01-05T09:00:00Z", "user": "u1", "what": "open", "detail": {"a": 1, "b": [2]}, "attempt": 1}
    first = event(made.apply(record))
    again = event(made.apply({**record, "attempt": 2, "detail": {"b": [2], "a": 1}}))
    other = event(made.apply({**record, "what": "click"}))
    assert first.id == again.id != other.id
    assert event(made.apply({**record, "id": "own"})).id == "own"


def test_nothing_to_make_an_id_from_is_refused() -> None:
    base = DIGEST.replace("[what, at, detail]", "[what]")
    bad = refused(mapping("type: cta.clicked", base=base).apply({"at": "2026-01-05T09:00:00Z", "user": "u1"}))
    assert (bad.refusal.reason, bad.path) == ("wrong-type", "$.id")


def test_several_events_of_a_record_have_ids_of_their_own() -> None:
    made = mapping(
        """
        when: kind == 'x'
        events:
          - type: trial.ended
          - {when: paid, type: subscription.started}
          - {type: cta.clicked, part: first}
          - {type: cta.clicked, part: second}
        """
    )
    record = {**RECORD, "kind": "x"}
    ids = [found.id for found in made.apply({**record, "paid": True}) if isinstance(found, Event)]
    assert ids == ["e1:trial.ended", "e1:subscription.started", "e1:first", "e1:second"]
    ids = [found.id for found in made.apply(record) if isinstance(found, Event)]
    assert ids == ["e1:trial.ended", "e1:first", "e1:second"]


def test_a_long_id_keeps_its_part_and_its_length() -> None:
    made = mapping("events: [{type: trial.ended}, {type: subscription.started}]")
    ids = [found.id for found in made.apply({**RECORD, "id": "i" * 256}) if isinstance(found, Event)]
    assert len(set(ids)) == 2
    assert all(len(id_) <= 256 for id_ in ids)


def test_a_bad_event_of_several_refuses_the_record_whole() -> None:
    made = mapping("events: [{type: trial.ended}, {type: deal.won, data: {amount: x}}]")
    assert refused(made.apply({**RECORD, "x": "much"})).path == "$.x"


# ------------------------------------------------------------------------------------------------------- rules, fan-out
def test_the_first_rule_that_holds_decides() -> None:
    extra = "otherwise: {skip: unknown}\nshows: kind\n"
    made = mapping("when: kind == 'a'\ntype: cta.clicked", extra)
    assert event(made.apply({**RECORD, "kind": "a"})).type == "cta.clicked"
    assert dropped(made.apply({**RECORD, "kind": "b"})).reason == "unknown (kind: 'b')"
    assert dropped(made.apply({**RECORD, "kind": None})).reason == "unknown (kind: nothing)"


def test_a_type_may_be_looked_up_and_what_has_none_is_dropped_with_its_name() -> None:
    made = mapping("type: {from: kind, table: {a: cta.clicked, b: deal.won}}")
    assert event(made.apply({**RECORD, "kind": "b"})).type == "deal.won"
    assert "'c'" in dropped(made.apply({**RECORD, "kind": "c"})).reason


@pytest.mark.parametrize(
    ("takes", "told"),
    [
        ("id && deep.er && (one || two)", ", without `deep.er`, `one` or `two`"),
        ("kind == 'x' && id", ", without `kind == 'x'`"),
        ("a && b || c && d", ""),
        ("length(n) && gone", ", without `gone`"),
    ],
)
def test_a_refusal_names_what_a_record_of_the_format_would_have(takes: str, told: str) -> None:
    made = mapping("type: cta.clicked", f'takes: "{takes}"\n')
    message = refused(made.apply({**RECORD, "deep": {}, "n": [1]})).refusal.message
    assert message.partition("got another")[2] == told


def test_a_record_of_another_format_or_version_is_refused() -> None:
    extra = "takes: kind\nversion: {from: meta.version, known: ['2.0', '1'], required: true}\n"
    made = mapping("type: cta.clicked", extra)
    assert event(made.apply({**RECORD, "kind": "x", "meta": {"version": "2.0"}})).id == "e1"
    assert event(made.apply({**RECORD, "kind": "x", "meta": {"version": 1}})).id == "e1"
    assert refused(made.apply(RECORD)).refusal.reason == "not-taken"
    later = refused(made.apply({**RECORD, "kind": "x", "meta": {"version": "3.0"}}))
    assert (later.refusal.reason, later.path) == ("unknown-version", "$.meta.version")
    assert "'3.0'" in later.refusal.message
    assert "1, 2.0" in later.refusal.message
    assert refused(made.apply({**RECORD, "kind": "x"})).refusal.reason == "unknown-version"


def test_items_stand_for_themselves_and_see_what_is_around_them() -> None:
    base = """\
mapping: test
source: /test
each: [page.entries, changes]
id: id
time: {iso: envelope.at}
ids: {user: parent.user}
subject: [user]
"""
    made = mapping("type: cta.clicked\ndata: {note: envelope.page.name}", base=base)
    entries = [
        {"user": "u1", "changes": [{"id": "1"}, {"id": None}]},
        {"user": None, "changes": [{"id": "3"}]},
        {"user": "u3", "changes": []},
        {"user": "u4"},
        {"user": "u5", "changes": {"id": "5"}},
    ]
    results = made.apply({"at": "2026-01-05T09:00:00Z", "page": {"name": "p", "entries": entries}})
    found = [(r.subject, r.id, r.data) for r in results if isinstance(r, Event)]
    bad = [(r.path, r.refusal.reason) for r in results if isinstance(r, Refused)]
    assert found == [("u1", "1", {"note": "p"}), ("u5", "5", {"note": "p"})]
    assert sorted(bad) == [
        ("$.page.entries[0].changes[1].id", "wrong-type"),
        ("$.page.entries[1].changes[0]", "no-subject"),
        ("$.page.entries[3].changes", "wrong-type"),
    ]


def test_an_empty_list_holds_nothing() -> None:
    made = mapping("type: cta.clicked", "each: items\n")
    assert "no items" in dropped(made.apply({"items": []})).reason


def test_a_list_or_the_record_itself_where_an_empty_list_is_a_list() -> None:
    made = mapping("type: cta.clicked\ndata: {note: note}", 'each: ["not_null(items, rows, @)"]\n')
    assert "no items" in dropped(made.apply({"items": []})).reason
    assert event(made.apply(RECORD)).subject == event(made.apply({"rows": [RECORD]})).subject
    record = {"items": [RECORD, {**RECORD, "at": "?"}]}
    for given in (record, msgspec.json.encode(record)):
        assert [r.path for r in made.apply(given) if isinstance(r, Refused)] == ["$.items[1].at"]
    assert refused(made.apply({"rows": [{**RECORD, "at": "?"}]})).path == "$.rows[0].at"
    assert refused(made.apply({**RECORD, "at": "?"})).path == "$.at"
    assert refused(made.apply(b'{"items": {"other": 1}}')).path == refused(made.apply({"items": {"other": 1}})).path


def test_a_list_past_the_limit_is_refused_whole() -> None:
    made = mapping("type: cta.clicked", 'each: "@"\n')
    assert len(made.apply([RECORD] * MAX_ITEMS)) == MAX_ITEMS
    assert refused(made.apply([RECORD] * (MAX_ITEMS + 1))).refusal.reason == "too-large"


def test_headers_are_read_by_their_names_in_lower_case() -> None:
    made = mapping('when: header."x-topic" == \'orders\'\ntype: cta.clicked\ndata: {note: header."x-topic"}')
    assert event(made.apply(RECORD, [("X-Topic", b"orders"), ("x-null", None)])).data == {"note": "orders"}
    assert dropped(made.apply(RECORD)).reason.startswith("no rule")


def test_a_record_without_a_value_is_refused_or_dropped_as_the_mapping_says() -> None:
    assert refused(mapping("type: cta.clicked").apply(None)).refusal.reason == "null-value"
    assert dropped(mapping("type: cta.clicked", "empty: a tombstone\n").apply(None)).reason == "a tombstone"


def test_forms_are_read_with_their_brackets() -> None:
    made = mapping("type: cta.clicked\ndata: {note: data.merges.NAME}", "reads: form\n")
    body = b"id=e1&at=2026-01-05T09:00:00Z&user=u1&data[merges][NAME]=A+B&data[x]="
    assert event(made.apply(body)).data == {"note": "A B"}
    for broken in (b"=", b"a[b]=1&a=2", b"a=1&a[b]=2", b"a[b][c][d][e][f][g][h][i]=1", b"a=%ff", b"x"):
        assert refused(made.apply(broken)).path == "$"


def test_a_byte_order_mark_is_passed_over() -> None:
    assert event(mapping("type: cta.clicked").apply(b"\xef\xbb\xbf" + msgspec.json.encode(RECORD))).id == "e1"


@pytest.mark.parametrize(
    ("key", "subject"),
    [(b'{"id": 7}', "7"), (b'{"payload": {"id": 8}}', "8"), (b"plain", "plain"), (b"{no json", "{no json")],
)
def test_the_records_key_says_who_it_is_where_a_mapping_asks_for_it(key: bytes, subject: str) -> None:
    """Change data capture puts the row's key there; what is no JSON object is a text."""
    base = BASE.replace("ids: {user: user}", "ids: {user: [record_key.id, record_key.payload.id, record_key]}")
    own = mapping("type: contact.updated", base=base)
    assert event(own.apply({"id": "e", "at": "2026-01-05T09:00:00Z"}, (), key)).subject == subject


def test_a_record_without_a_key_has_none_to_read() -> None:
    base = BASE.replace("ids: {user: user}", "ids: {user: record_key.id}")
    own = mapping("type: contact.updated", base=base)
    bad = refused(own.apply(b'{"id": "e", "at": "2026-01-05T09:00:00Z"}'))
    assert bad.refusal.reason == "no-subject"


def test_of_several_items_only_those_that_are_named_are_looked_at() -> None:
    own = mapping("type: contact.updated", extra="each: items\n")
    items = [{**RECORD, "id": f"e{number}"} for number in range(4)]
    found = own.apply({"items": items}, only={"$.items[1]", "$.items[3]"})
    assert [getattr(each, "id", None) for each in found] == ["e1", "e3"]


def test_a_refusal_names_the_item_that_it_is_of() -> None:
    own = mapping("type: contact.updated", extra="each: items\n")
    bad = refused(own.apply({"items": [{**RECORD, "at": "never"}]}))
    assert (bad.item, bad.path) == ("$.items[0]", "$.items[0].at")
    assert refused(own.apply(b"[")).item == "$"
