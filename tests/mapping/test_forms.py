"""Forms are read as the standard library reads them, nested by their brackets, and no field more than is looked at."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.mapping.records import mapping, shipped
from worker.mapping.expression import DIRECT, parse, searcher
from worker.mapping.forms import Wanted, read_form, unquoted, wanted_of
from worker.mapping.outcome import BodyError

ENCODED = st.text(alphabet="ab%+0123456789ABCDEFabcdef\\xé&=\n\t ~_", max_size=30)


@given(st.dictionaries(st.text(min_size=1, max_size=8).filter(lambda name: "[" not in name and "]" not in name),
                       st.text(max_size=40), min_size=1, max_size=8))  # fmt: skip
def test_what_was_encoded_is_read_again(fields: dict[str, str]) -> None:
    assert read_form(urlencode(fields, errors="surrogatepass").encode()) == fields


@given(ENCODED)
def test_any_bytes_are_read_as_the_standard_library_reads_them(text: str) -> None:
    body = f"a={text.replace('&', '').replace('=', '')}".encode()
    try:
        expected: Any = dict(parse_qsl(body.decode(), keep_blank_values=True, errors="strict"))
    except UnicodeDecodeError:
        expected = "not-utf8"
    try:
        found: Any = read_form(body)
    except BodyError as error:
        found = error.refusal.reason
    assert found == expected


@pytest.mark.parametrize(
    ("text", "meant"),
    [("a%20b+c", "a b c"), ("%C3%A9", "é"), ("100%", "100%"), ("%4", "%4"), ("%zz%41", "%zzA"), ("\\x41%41", "\\x41A")],
)
def test_an_escape_that_is_none_stays_as_it_is(text: str, meant: str) -> None:
    assert unquoted(text) == meant


@pytest.mark.parametrize(
    "body", [b"", b"a", b"a=1&", b"&".join([b"a=1"] * 1_001), b"a=%ff", b"a=1&a[b]=2", b"a[b]=2&a=1"]
)
def test_what_is_no_form_is_refused(body: bytes) -> None:
    with pytest.raises(BodyError):
        read_form(body)


def test_fields_that_nobody_looks_at_are_passed_over() -> None:
    wanted = wanted_of([("data", "email"), ("type",)])
    body = b"type=x&data%5Bemail%5D=a%40b.c&data[merges][FNAME]=Ada&data[email2]=y&other=%ff"
    assert read_form(body, wanted) == {"type": "x", "data": {"email": "a@b.c"}}
    assert wanted_of([("a",), ()]) is None


FIELDS = st.lists(st.tuples(st.sampled_from(["a", "b[c]", "b%5Bd%5D", "b[c][e]", "*.", "f"]),
                            st.text(alphabet="a%+4=[\\é\n", max_size=6)), min_size=1, max_size=5)  # fmt: skip


def told(body: bytes, wanted: Wanted | None) -> Any:
    """The document with its order, or why there is none."""
    try:
        return json.dumps(read_form(body, wanted))
    except BodyError as error:
        return error.refusal


@given(st.lists(FIELDS, min_size=1, max_size=4), st.sampled_from([None, ("a",), ("b",), ("b", "c")]))
def test_forms_like_earlier_ones_are_read_as_if_they_were_the_first(
    forms: list[list[tuple[str, str]]], path: tuple[str, ...] | None
) -> None:
    bodies = ["&".join(f"{name}={value}" for name, value in form).encode() for form in forms]
    paths = [()] if path is None else [path]
    kept = wanted_of(paths)
    for body in bodies * 3:
        assert told(body, kept) == told(body, Wanted(None if path is None else frozenset(paths)))


def test_a_form_whose_names_were_seen_twice_is_read_at_once() -> None:
    wanted = Wanted(None)
    for value in ("1", "2"):
        assert wanted.at_once(f"a={value}&b[c]=x") is None
        read_form(f"a={value}&b[c]=x".encode(), wanted)
    assert wanted.at_once("a=%41&b[c]=+") == {"a": "A", "b": {"c": " "}}
    assert wanted.at_once("b[c]=x&a=1") is None
    assert wanted.at_once("a=1&b[c]=x&") is None


def test_who_sends_other_names_each_time_fills_no_memory() -> None:
    wanted = Wanted(None)
    for number in range(3_000):
        for _ in range(3):
            read_form(f"a{number}=1".encode(), wanted)
    assert wanted.at_once("a0=1") == {"a0": "1"}
    assert wanted.at_once("a2999=1") is None


def test_a_shipped_mapping_of_forms_comes_to_the_same_with_all_fields() -> None:
    body = (
        b"type=unsubscribe&fired_at=2026-01-05+09%3A00%3A00&data%5Baction%5D=unsub&data%5Breason%5D=manual"
        b"&data%5Bid%5D=8a&data%5Bemail%5D=ada%40example.com&data%5Bmerges%5D%5BFNAME%5D=Ada&data%5Blist_id%5D=a6"
    )
    assert shipped("mailchimp").apply(body) == shipped("mailchimp").apply(read_form(body))
    assert shipped("mailchimp").apply(body)


@pytest.mark.parametrize("name", sorted(DIRECT))
@given(values=st.lists(st.one_of(st.text(max_size=6), st.integers(), st.none(), st.booleans(), st.lists(st.integers())),
                       min_size=3, max_size=3))  # fmt: skip
def test_functions_that_are_called_without_the_library_give_what_it_gives(name: str, values: list[Any]) -> None:
    count = {"replace": 3, "from_json": 1, "to_string": 1}.get(name, 2)
    text = f"{name}({', '.join('abc'[:count])})"
    record = dict(zip("abc", values, strict=True))
    library = searcher(parse(text).ast)(record)
    assert DIRECT[name](*values[:count]) == library


def test_what_is_looked_up_in_two_places_is_worked_out_once_where_both_are_reached() -> None:
    """In a branch of its own it is worked out there: the other may not have run."""
    own = mapping(
        """
        when: max_by(items, &n).kind == 'a'
        type: form.submitted
        data: {form: "max_by(items, &n).name", kind: {from: "max_by(items, &n).kind", table: {a: demo}}}
        """,
    )
    items = [{"n": 1, "kind": "b", "name": "first"}, {"n": 2, "kind": "a", "name": "last"}]
    (event,) = own.apply({"id": "e", "at": "2026-01-05T09:00:00Z", "user": "u", "items": items})
    assert getattr(event, "data", None) == {"form": "last", "kind": "demo"}
