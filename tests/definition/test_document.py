"""YAML as this project reads it: 1.2, nothing that hides what is meant, one finding for each fault of form."""

from __future__ import annotations

import pytest

from worker.definition.document import DEPTH_MAX, NODES_MAX, SIZE_MAX, read_document
from worker.definition.errors import DefinitionError


def test_words_that_yaml_1_1_took_for_something_else_are_texts() -> None:
    plain = read_document("{a: NO, b: 18:00, c: on, d: 2026-01-05, e: 0o17, f: 1_000, g: 1:30, h: yes}").root.plain()
    assert all(isinstance(value, str) for value in plain.values())
    assert read_document("on: 1").root.plain() == {"on": 1}


def test_numbers_truth_and_nothing_are_what_they_are() -> None:
    plain = read_document("{a: 1, b: -2.5, c: 1e3, d: true, e: False, f: ~, g: null, h: '1', i: \"true\"}").root.plain()
    assert plain == {"a": 1, "b": -2.5, "c": 1000.0, "d": True, "e": False, "f": None, "g": None, "h": "1", "i": "true"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "1:1: empty: "),
        ("# nothing but a remark\n", "1:1: empty: "),
        ("~\n", "1:1: empty: "),
        ("a:\n\t- b", "2:1: yaml: a tab; YAML is indented with spaces"),
        ("a: b: c", "1:5: yaml: a second `: ` on the line"),
        ("a: [1, 2", "1:9: yaml: the file ends in the middle"),
        ('a: "b', "1:6: yaml: the file ends in the middle"),
        ("a: 1\n b: 2", "2:2: yaml: the line goes on with the text above"),
        ("a:b\nc: d", "1:2: yaml: a space is missing after the `:`"),
        ("a: b\nc d\ne: f", "2:1: yaml: a line without `key: value`"),
        ("a:\n\u00a0 b: c\n  d: e", "2:1: yaml: a no-break space"),
        ("a: {b: c\nd: e", "1:4: yaml: this `{` is not closed before line 2 begins"),
        ("a: [b,\n  c\nd: e", "1:4: yaml: this `[` is not closed before line 3 begins"),
        (
            "a:\n  - {b: c #d}\n  - {b: d}",
            "2:5: yaml: this `{` is not closed before line 3 begins; ` #` begins a comment",
        ),
        ('a: {b: c in ("d", "e")}', "1:22: yaml: `,` or `}` must stand here, not text that goes on. Within [ ] or { }"),
        ('a: {b: c in ["d"]}', "1:13: yaml: `,` or `}` must stand here, not `[`. Within [ ] or { }"),
        ("a: {b: c: d}", "1:9: yaml: `,` or `}` must stand here, not `:`. Within [ ] or { }"),
        ("a: 'It's ours'", "1:8: yaml: text goes on after its closing quote"),
        ("a:\n  b: c\n d: e", "3:2: yaml: the indentation doesn't fit what stands above"),
        ("a: 1\n---\nb: 2", "2:1: yaml: a second document"),
        ("a: 1\nb: 2\na: 3", "3:1: duplicate-key: 'a' stands there twice; first on line 1"),
        ("a: &x 1\nb: *x", "1:4: alias: anchors (`&x`) are not used here"),
        ("a: {b: *x}", "1:8: alias: aliases (`*x`) are not used here"),
        ("a: {*x: b, *x: c}", "1:5: alias: aliases (`*x:`) are not used here"),
        ("<<: {a: 1}", "1:1: alias: merge keys"),
        ("a: !!python/object/apply:os.system [ls]", "1:4: tag: tags"),
        ("a: !!int '3'", "1:4: tag: tags"),
        ("? [a]\n: b", "1:3: yaml: a key is a name"),
        ("a: \x00", "1:4: encoding: a character U+0000"),
        ('a: "\\ud800"', "1:4: encoding: half of a surrogate pair"),
        ("a: 1e999", "1:4: too-large: the number"),
        ("a: " + "9" * 40, "1:4: too-large: the number"),
        ("a: " + "[" * 60, f"1:{4 + DEPTH_MAX}: too-large: deeper than {DEPTH_MAX} levels"),
        (b"a: b\nc: \xff", "2:4: encoding: byte 0xff is not UTF-8"),
        (b"\xff\xfea\x00", "1:1: encoding: the file is in UTF-16"),
        ("a: " + "b" * SIZE_MAX, "1:1: too-large: the file is larger than 1024 KiB"),
    ],
)
def test_a_fault_of_form_is_one_finding(text: str | bytes, told: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        read_document(text, "x.yaml")
    assert str(caught.value.findings[0]).startswith(f"x.yaml:{told}")


def test_a_file_of_very_many_values_is_refused() -> None:
    with pytest.raises(DefinitionError, match=f"more than {NODES_MAX} values"):
        read_document("[" + "1," * (NODES_MAX + 10) + "]")


def test_several_faults_are_told_at_once() -> None:
    with pytest.raises(DefinitionError) as caught:
        read_document("a: &x 1\na: *x\nb: !!str c")
    assert [finding.code for finding in caught.value.findings] == ["alias", "duplicate-key", "alias", "tag"]


def test_places_count_characters_not_bytes() -> None:
    document = read_document("größe: 1\nweite: grüße an alle")
    node, whole = document.find(["weite"])
    assert whole
    assert document.place(document.within(node, node.value.index("an"))) == (2, 14)


def test_a_path_into_a_short_form_leads_to_what_stands_there() -> None:
    document = read_document("signals: {intent: [a, b]}")
    node, _ = document.find(["signals", "intent", "any", 1])
    assert node.value == "b"
