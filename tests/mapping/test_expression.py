"""Compiled paths against the library that the language comes from."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.definition.errors import ExpressionError
from worker.mapping.code import Code
from worker.mapping.compile import _load
from worker.mapping.expression import parse, reads, searcher, shown, simple
from worker.mapping.semantics import is_false

NAMES = st.sampled_from(["a", "b", "c"])
LITERALS = st.sampled_from(["'x'", "'12'", "`1`", "`true`", "`null`", "`[]`", "`1.5`"])


def _extend(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("{}.{}".format, inner, NAMES),
        st.builds("{}[{}]".format, inner, st.integers(-2, 2)),
        st.builds("({} || {})".format, inner, inner),
        st.builds("({} && {})".format, inner, inner),
        st.builds("(!({}))".format, inner),
        st.builds("({} {} {})".format, inner, st.sampled_from(["==", "!=", "<", ">=", "<=", ">"]), inner | LITERALS),
        st.builds("({} {} {})".format, LITERALS, st.sampled_from(["==", "!=", "<", ">="]), inner),
        st.builds("contains({}, {})".format, inner, LITERALS),
        st.builds("starts_with({}, {})".format, inner, LITERALS),
        st.builds("{}[?{} == {}].{} | [0]".format, inner, NAMES, LITERALS, NAMES),
        st.builds("{}[].{}".format, inner, NAMES),
        st.builds("{}[*].{}".format, inner, NAMES),
        st.builds("length({})".format, inner),
        st.builds("[{}, {}]".format, inner, inner),
    )


def _is_read(text: str) -> bool:
    """`!a.b` is refused, as it hardly ever means what its writer meant."""
    try:
        parse(text)
    except ExpressionError:
        return False
    return True


EXPRESSIONS = st.recursive(NAMES | st.just("@"), _extend, max_leaves=5).filter(_is_read)
VALUES = st.recursive(
    st.sampled_from([None, True, False, 0, 1, 1.5, "", "x", "12", "xy"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)


def compiled(text: str) -> Any:
    code = Code(root_is_object=False)
    with code.function("def found(record, envelope, parent, header):"):
        code.emit(f"return {code.value(parse(text).ast)}")
    return _load(code, "found")


@settings(max_examples=250, deadline=None)
@given(EXPRESSIONS, VALUES)
def test_compiled_paths_find_what_the_library_finds(text: str, document: Any) -> None:
    expected = searcher(parse(text).ast)(document)
    found = compiled(text)(document, document, None, {})
    assert (found, type(found)) == (expected, type(expected))


def _met(condition: str, inner: str) -> Any:
    """Compiled as a rule is: what is read inside of it, or `none` where the condition doesn't hold."""
    code = Code(root_is_object=False)
    with code.function("def found(record, envelope, parent, header):"):
        with code.where(parse(condition).ast):
            code.emit(f"return {code.value(parse(inner).ast)}")
        code.emit("return 'none'")
    return _load(code, "found")


CONDITIONS = st.one_of(
    EXPRESSIONS,
    st.lists(EXPRESSIONS, min_size=2, max_size=4).map(" && ".join),
    st.builds("{}.to_string(@) && {} == {}".format, NAMES, EXPRESSIONS, LITERALS),
).filter(_is_read)


@settings(max_examples=400, deadline=None)
@given(CONDITIONS, EXPRESSIONS, VALUES)
def test_what_a_condition_tells_of_a_record_is_true_of_it_inside(condition: str, inner: str, document: Any) -> None:
    holds = not is_false(searcher(parse(condition).ast)(document))
    expected = searcher(parse(inner).ast)(document) if holds else "none"
    found = _met(condition, inner)(document, document, None, {})
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize("word", ["&&", "||"])
def test_a_condition_may_have_as_many_terms_as_it_has_room_for(word: str) -> None:
    names = [f"n{number:03}" for number in range(120)]
    condition = word.join(names)
    every, last = dict.fromkeys(names, "x"), {names[-1]: "x"}
    assert _met(condition, "n119")(every, every, None, {}) == "x"
    assert _met(condition, "n119")(last, last, None, {}) == ("x" if word == "||" else "none")


@settings(max_examples=150, deadline=None)
@given(EXPRESSIONS, VALUES)
def test_what_an_expression_is_said_not_to_read_changes_nothing(text: str, document: Any) -> None:
    """The decoder skips what nothing reads: so `reads` must name everything that is looked at."""
    ast = parse(text).ast
    kept = _kept(document, {path[1:] for path in reads(ast)})
    assert searcher(ast)(kept) == searcher(ast)(document)


def _kept(value: Any, paths: set[tuple[str, ...]]) -> Any:
    """The value with only what lies on these paths, as the typed decoder would give it."""
    if () in paths:
        return value
    if isinstance(value, dict):
        names = {path[0] for path in paths}
        return {
            name: _kept(part, {path[1:] for path in paths if path[0] == name})
            for name, part in value.items()
            if name in names
        }
    if isinstance(value, list):
        inner = {path[1:] for path in paths if path[0] == "[]"}
        return [_kept(part, inner) for part in value] if inner else value
    return value


@pytest.mark.parametrize(
    ("text", "offset", "words"),
    [
        ("a.", 1, "no JMESPath"),
        ("a ==", 3, "ends in the middle"),
        ("", 0, "empty"),
        ("lowr(a)", 0, "did you mean 'lower'"),
        ("headers.content-type", 15, "double quotes"),
        ("x && !a.b", 5, "`!(a.b)`"),
        ("a" * 1_001, 0, "longer than"),
    ],
)
def test_a_path_that_is_none_is_told_where_it_goes_wrong(text: str, offset: int, words: str) -> None:
    with pytest.raises(ExpressionError, match=r".") as caught:
        parse(text)
    assert words in caught.value.message
    assert caught.value.offset == offset


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a.b", ".a.b"),
        ("a[0].b[-1]", ".a[0].b[-1]"),
        ('a."x y"', '.a."x y"'),
        ("envelope.a", ".a"),
        ("@", ""),
    ],
)
def test_plain_paths_are_shown_as_they_are_written(text: str, path: str) -> None:
    found = simple(parse(text).ast)
    assert found is not None
    assert shown(found) == path


def test_names_of_let_stand_for_their_expressions_at_the_root_only() -> None:
    names = {"x": parse("a.b").ast}
    assert searcher(parse("x.c", names).ast)({"a": {"b": {"c": 1}}, "x": {"c": 2}}) == 1
    assert searcher(parse("d[?x == 'y'].z | [0]", names).ast)({"d": [{"x": "y", "z": 3}]}) == 3
