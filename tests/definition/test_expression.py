"""The language of guards: what it reads, what it refuses and in which words, and that it can hold nothing else."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.definition.errors import ExpressionError
from worker.definition.expression import is_timed, parse
from worker.definition.pattern import parse_pattern
from worker.definition.scope import FUNCTIONS, Scope
from worker.definition.syntax import parse_syntax
from worker.definition.tokens import duration_ms

SCOPE = Scope(
    parameters={"week": "7d", "least": 3, "word": "demo"},
    signals={"intent", "action"},
    facts={"icp_fit": "boolean", "amount": "number", "deals": "ids"},
    conditions={"keen", "fit"},
    stages=("visitor", "lead", "mql", "customer"),
    statuses=("open", "won", "lost"),
    event_types={"email.replied", "email.clicked", "form.submitted"},
    event_fields={"sentiment": "text", "kind": "text", "high_intent": "boolean", "amount": "number"},
    traits={"email": "text", "employees": "number"},
    field_values={"sentiment": frozenset({"positive", "negative"})},
)
ALLOWED = (
    ast.expr, ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.keyword, ast.Load,
)  # fmt: skip
NODES = (
    ast.Constant, ast.Name, ast.Attribute, ast.Call, ast.Tuple, ast.Compare, ast.BoolOp, ast.UnaryOp, ast.BinOp,
    ast.IfExp,
)  # fmt: skip


def error_of(text: str, scope: Scope = SCOPE) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        parse(text, scope)
    return caught.value


# Grammar: what Python has too means the same here.

_NAMES = st.sampled_from(["icp_fit", "amount", "keen", "fit", "least", "stage"])
_ATOMS = st.one_of(
    _NAMES,
    st.integers(0, 10**6).map(str),
    st.floats(0, 1000).map(lambda number: f"{number:.4f}"),
    st.sampled_from(["'demo'", '"a b"', "event.amount", "traits.employees", "True", "False", "None", "seen(intent)"]),
)


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.tuples(inner, inner)
    return st.one_of(
        st.tuples(
            inner, st.sampled_from(["+", "-", "*", "/", "%", "<", "<=", "==", "!=", ">", "and", "or"]), inner
        ).map(" ".join),
        st.tuples(inner, st.sampled_from(["<", ">="]), inner, st.sampled_from(["<", "=="]), inner).map(" ".join),
        inner.map("not {}".format),
        inner.map("-{}".format),
        inner.map("({})".format),
        pair.map(lambda two: f"min({two[0]}, {two[1]})"),
        st.tuples(inner, inner, inner).map(lambda three: f"{three[0]} if {three[1]} else {three[2]}"),
        inner.map(lambda one: f"({one} in ('demo', 2, -3))"),
        inner.map(lambda one: f"({one} not in [least])"),
        inner.map("\n  {}  ".format),
    )


EXPRESSIONS = st.recursive(_ATOMS, _grown, max_leaves=12)


def _shape(tree: ast.AST) -> str:
    text = ast.dump(tree)
    return text.replace("List(", "Tuple(").replace(", kind=None", "")


@given(EXPRESSIONS)
def test_what_python_can_read_as_well_is_the_same_tree(text: str) -> None:
    try:
        with warnings.catch_warnings(action="ignore"):  # of `1 in ...` and the like, which Python finds odd
            python = ast.parse(f"({text}\n)", mode="eval").body
    except SyntaxError:  # `a < not b` and the like
        with pytest.raises(ExpressionError):
            parse_syntax(text)
        return

    def members(tree: ast.AST) -> None:
        for part in ast.walk(tree):
            if isinstance(part, ast.Tuple | ast.List):
                part.elts = [
                    ast.Constant(-e.operand.value)  # type: ignore[operator]
                    if isinstance(e, ast.UnaryOp) and isinstance(e.operand, ast.Constant)
                    else e
                    for e in part.elts
                ]

    members(python)
    assert _shape(parse_syntax(text)) == _shape(python)


@given(EXPRESSIONS)
def test_offsets_are_those_of_the_words(text: str) -> None:
    try:
        tree = parse_syntax(text)
    except ExpressionError:
        return
    for part in ast.walk(tree):
        if isinstance(part, ast.Name):
            assert text[part.col_offset : part.end_col_offset] == part.id


@given(st.text(max_size=60))
def test_no_text_does_anything_but_be_refused(text: str) -> None:
    _refused_or_allowed(text)


_SCRAPS = st.lists(
    st.sampled_from(
        ["icp_fit", "intent", "event", ".", "kind", "(", ")", "[", "]", ",", "==", "=", "<", "and", "or", "not", "in",
         "if", "else", "7d", "3", "1.5", '"demo"', "'x", "count", "seen", "last", "since=", "within=", "week", "-", "*",
         "__class__", "lambda", ":", ":=", "{", "}", "f'{x}'", "\\", "\n", "é", "\x00", "\ud800", "@", "**", "#", " "]
    ),
    max_size=25,
).map(" ".join)  # fmt: skip


@given(_SCRAPS)
def test_no_heap_of_words_does_anything_but_be_refused(text: str) -> None:
    _refused_or_allowed(text)
    refused = _refusal(lambda: parse_pattern(text, SCOPE))
    assert refused is None or 0 <= refused.offset <= len(text)


def _refusal(read: Callable[[], object]) -> ExpressionError | None:
    try:
        read()
    except ExpressionError as error:
        return error
    return None


def _refused_or_allowed(text: str) -> None:
    refused = _refusal(lambda: parse(text, SCOPE))
    if refused is not None:
        assert 0 <= refused.offset <= len(text)
        assert refused.message
        return
    for part in ast.walk(parse(text, SCOPE)):
        assert isinstance(part, ALLOWED)
        assert not isinstance(part, ast.expr) or isinstance(part, NODES)
        if isinstance(part, ast.Name):
            assert part.id in {*SCOPE.parameters, *SCOPE.every_signal, *SCOPE.facts, *SCOPE.conditions, *FUNCTIONS,
                               "event", "traits", "score", "stage", "status"}  # fmt: skip
        if isinstance(part, ast.Attribute):
            assert not part.attr.startswith("_")


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')", "event.__class__", "icp_fit.real", "lambda: 1", "[x for x in deals]",
        "(icp_fit := true)", "f'{icp_fit}'", "open('x')", "print(1)", "icp_fit if keen", "event", "traits.a.b",
        "event['kind']['x']", "seen", "deals", "-'x' ** 2", "1_000", "0x10", "1e9", "'a' 'b'", "x[0]", "*deals", "a;b",
        "true and", "and true", "()", "in (1)", "1 in 2", "stage in (lead)", "not", "last()", "count()",
        "since(intent)",
        "min(1)", "at_least(stage)", "at_least('x')", "size(amount)", "size(1)", "seen('intent')", "seen(icp_fit)",
        "count(intent, since=3)", "count(intent, 3)", "count(intent, within=7d, within=7d)", "count(intent, every=7d)",
        "count(within=7d, intent)", "last(intent, 7d)", "matches(traits.email, '(')", "matches(traits.email, '(a+)+')",
        "matches(traits.email, word)", "5y", "1.5ms", "99999999w", "9999999999999999999", "'" + "a" * 201 + "'",
        "score.total", "event[kind]", "event['_x']", "event['']", "(1, 2)", "[1]", "lead", "won", "kind", "keen()",
    ],
)  # fmt: skip
def test_what_the_language_has_no_words_for_is_refused(text: str) -> None:
    error = error_of(text)
    assert 0 <= error.offset <= len(text)


@pytest.mark.parametrize(
    ("text", "code", "marked", "says"),
    [
        ("icp_fti and keen", "unknown-name", "icp_fti", "did you mean 'icp_fit'?"),
        ("icp_fit = true", "syntax", "=", "`=` is written `==` here"),
        ("amount => 3", "syntax", "=>", "`=>` is written `>=` here"),
        ("icp_fit AND keen", "syntax", "AND", "`AND` is written `and` here"),
        ("stage is lead", "syntax", "is", "`is` is written `==` here"),
        ("!icp_fit", "syntax", "!", "`!` is written `not` here"),
        ('event.kind in "demo"', "syntax", '"demo"', 'a list after `in`, such as ("demo", "pricing")'),
        ("event.kind in (demo)", "unknown-name", "demo", "a text stands in quotes"),
        ("last(intent) > 7x", "bad-duration", "7x", "one of ms, s, m, h, d, w"),
        ("seen(intnet)", "unknown-signal", "intnet", "did you mean 'intent'?"),
        ("count(intent, amount)", "unknown-name", "amount", "'amount' is no parameter"),
        ("count(intent, least)", "wrong-kind", "least", "takes a duration such as 7d"),
        ("deals > 0", "wrong-kind", "deals", "size(deals)"),
        ("since(intent)", "bad-arguments", "since(intent)", "since(signal, signal)"),
        ('stage == "customr"', "unknown-stage", '"customr"', "did you mean 'customer'?"),
        ('status in ("open", "wno")', "unknown-status", '"wno"', "did you mean 'won'?"),
        ("stage == 3", "wrong-kind", "3", "a stage's id in quotes"),
        ('event.type == "email.clickd"', "unknown-value", '"email.clickd"', "did you mean 'email.clicked'?"),
        ("score.behavior > 3", "unknown-score", "behavior", "did you mean 'behaviour'?"),
        ("traits.emailx", "unknown-field", "emailx", 'traits["emailx"]'),
        ('("demo", "pricing")', "syntax", "(", "a list stands only after `in`"),
        ("foo.bar", "unknown-name", "foo.bar", "only event, traits and score have"),
    ],
)
def test_an_error_marks_the_words_and_says_what_to_write(text: str, code: str, marked: str, says: str) -> None:
    error = error_of(text)
    assert (error.code, text[error.offset : error.offset + error.length]) == (code, marked)
    assert says in error.message


def test_a_field_in_quotes_is_taken_as_it_stands() -> None:
    tree = parse('traits["Company Size"] > 3 and event["knid"]', SCOPE)
    assert {part.attr for part in ast.walk(tree) if isinstance(part, ast.Attribute)} == {"Company Size", "knid"}


def test_count_has_one_form_however_it_was_written() -> None:
    forms = ["count(intent, week, since=setback)", "count(intent, within=week, since=setback)"]
    assert len({ast.unparse(parse(form, SCOPE)) for form in forms}) == 1


@pytest.mark.parametrize("text", ["(" * 300 + "1" + ")" * 300, "not " * 300 + "fit", "-" * 300 + "1", "1" + "+1" * 600,
                                  "1 if 1 else " * 150 + "1", "min(" * 200 + "1"])  # fmt: skip
def test_depth_is_bounded(text: str) -> None:
    assert error_of(text).code in ("too-deep", "syntax")


def test_length_is_bounded() -> None:
    assert error_of("fit and " * 300 + "fit").code == "too-long"


@given(st.integers(0, 10_000), st.sampled_from(["ms", "s", "m", "h", "d", "w"]))
def test_a_duration_is_its_milliseconds(number: int, unit: str) -> None:
    try:
        tree = parse_syntax(f"{number}{unit}")
    except ExpressionError:
        assert unit == "w"
        return
    assert isinstance(tree, ast.Constant)
    assert tree.kind == "duration"
    length = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}[unit]
    assert tree.value == duration_ms(f"{number}{unit}") == number * length


@pytest.mark.parametrize(
    ("text", "kind", "name", "guarded"),
    [
        ("email.replied", "type", "email.replied", False),
        ("  email.replied  when  keen ", "type", "email.replied", True),
        ("intent", "signal", "intent", False),
        ("setback when fit", "signal", "setback", True),
        ("entering lead", "entering", "lead", False),
        ("leaving lead when fit", "leaving", "lead", True),
        ("acme.signup", "type", "acme.signup", False),
        ('"signup"', "type", "signup", False),
        ("'email.clickde' when keen", "type", "email.clickde", True),
    ],
)
def test_a_pattern_says_what_happens(text: str, kind: str, name: str, guarded: bool) -> None:
    pattern = parse_pattern(text, SCOPE)
    assert (pattern.kind, pattern.name, pattern.guard is not None) == (kind, name, guarded)


@pytest.mark.parametrize(
    ("text", "code", "marked"),
    [
        ("intnet", "unknown-signal", "intnet"),
        ("signup", "unknown-signal", "signup"),
        ("email.clickde", "unknown-type", "email.clickde"),
        ("entering leed", "unknown-stage", "leed"),
        ("email.replied whenn keen", "syntax", "whenn keen"),
        ("email.replied when ken", "unknown-name", "ken"),
        ("email.replied when", "syntax", ""),
        ("", "syntax", ""),
        ("'a b'", "syntax", "a b"),
    ],
)
def test_a_pattern_that_says_nothing_is_refused(text: str, code: str, marked: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_pattern(text, SCOPE)
    error = caught.value
    assert (error.code, text[error.offset : error.offset + error.length]) == (code, marked)


def test_a_pattern_s_guard_is_found_in_the_pattern() -> None:
    text = "email.replied when keen and icp_fit"
    guard = parse_pattern(text, SCOPE).guard
    assert guard is not None
    names = [part for part in ast.walk(guard) if isinstance(part, ast.Name)]
    assert [text[part.col_offset : part.end_col_offset] for part in names] == ["keen", "icp_fit"]


@pytest.mark.parametrize(
    ("text", "timed"),
    [
        ("seen(intent)", False), ("since(intent, setback)", False), ("count(intent) > 3", False),
        ("count(intent, since=setback) > 3", False), ("count(intent, 7d) > 3", True), ("last(intent) > 7d", True),
        ("days_in_stage() > 3", True), ("days_in_stage > 3", True),
        ("score > 3", True), ("score.behaviour > 3", True), ("score.fit > 3", False),
        ("keen", True), ("fit", False), ("not (icp_fit or keen)", True), ("event.amount > 3", False),
    ],
)  # fmt: skip
def test_what_changes_with_time_alone_is_known(text: str, timed: bool) -> None:
    conditions = {"keen": parse("last(intent) < 3d", SCOPE), "fit": parse("icp_fit", SCOPE)}
    assert is_timed(parse(text, SCOPE), conditions) is timed


def test_a_score_that_does_not_decay_does_not_change_with_time() -> None:
    assert not is_timed(parse("score > 3", SCOPE), decays=False)
