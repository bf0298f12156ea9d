"""The picture shows every stage in order and every transition with its words, and nothing covers anything else."""

from __future__ import annotations

import re
from html import unescape
from itertools import combinations
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from tests.chromium import opened
from worker.commands import group
from worker.definition.reader import read
from worker.diagram import Arrow, Volumes, arrows, mermaid, svg
from worker.diagram.layout import lay_out
from worker.shipped import lifecycle_names, lifecycle_path

SHIPPED = lifecycle_names()
SPACE = re.compile(r"\s+")


@pytest.mark.parametrize("name", SHIPPED)
def test_every_stage_and_transition_is_drawn_in_words(name: str) -> None:
    lifecycle = read(lifecycle_path(name))
    drawing = svg(lifecycle)
    root = ElementTree.fromstring(drawing)
    names = [element.text for element in root.iter() if element.get("class") == "name"]
    assert names == [stage.name for stage in lifecycle.stages.values()]
    said = [" ".join(element.itertext()) for element in root.iter() if (element.get("class") or "").startswith("says")]
    for transition in lifecycle.transitions:
        assert any(SPACE.sub(" ", one).removesuffix(" (assumed)") == transition.says for one in said), transition.says
    text = mermaid(lifecycle)
    assert all(transition.says.replace('"', "#34;") in text for transition in lifecycle.transitions)


@pytest.mark.parametrize("name", SHIPPED)
def test_what_goes_back_looks_otherwise(name: str) -> None:
    lifecycle = read(lifecycle_path(name))
    drawn = arrows(lifecycle)
    assert svg(lifecycle).count('class="says backward"') == sum(arrow.backward for arrow in drawn)
    assert mermaid(lifecycle).count("-.->") == sum(len(arrow.origins) for arrow in drawn if arrow.backward)


MARKUP = [
    '"', "#", "<b>", "&amp;", "%%", "%%{init: {}}%%", "$$x$$", "\\n", "fa:fa-car", "fas:fa-x", "end", "[", "]", "(",
    "}", "|", ";", ":", "`", "--", "\n", "\u2028", "漢字", "é", "#quot;", " ", "subgraph", "@{", "~~~", "%", "$", "\\",
]  # fmt: skip
SVG = "{http://www.w3.org/2000/svg}"
PLAIN = read(lifecycle_path("10ex"))
LABEL = re.compile(r'^  s_\w+(?:\("(?P<box>.*)"\)| (?:-->|-\.->)\|"(?P<arrow>.*)"\| s_\w+)$')


@given(st.lists(st.sampled_from(MARKUP), min_size=1, max_size=8).map("".join).filter(str.strip))
def test_words_are_never_mermaids_markup(words: str) -> None:
    """What of Mermaid's own was seen to be read in words: quotes, entities, comments, formulas, line breaks, icons."""
    lifecycle = PLAIN
    stages, transitions = dict(lifecycle.stages), list(lifecycle.transitions)
    stages["prospect"] = stages["prospect"].model_copy(update={"name": words})
    transitions[0] = transitions[0].model_copy(update={"says": words})
    lines = mermaid(lifecycle.model_copy(update={"stages": stages, "transitions": transitions})).split("\n")
    found = [match for line in lines if (match := LABEL.match(line))]
    assert len(found) == len(stages) + sum(len(lifecycle.origins(one)) for one in transitions)
    box = next(match["box"] for match in found if match["box"]).removeprefix("<b>").partition("</b><br/>")[0]
    arrow = next(match["arrow"] for match in found if match["arrow"])
    for label in (box, arrow):
        assert not re.search(r"""["<>&]|%%|\$\$|\\n|fa[a-z]?:fa-|#(?!\d+;)""", label)
        assert unescape(label.replace("#", "&#")).replace("\u2060", "") == " ".join(words.split())


def test_a_picture_is_xml_whatever_a_name_holds() -> None:
    stages = dict(PLAIN.stages)
    stages["lead"] = stages["lead"].model_copy(update={"name": "L\x01e\ufffe<\u0085&]]>\t\nd"})
    root = ElementTree.fromstring(svg(PLAIN.model_copy(update={"stages": stages})))
    assert "Le<\u0085&]]>\t\nd" in [title.text for title in root.iter(f"{SVG}title")]


def test_lines_are_as_broad_as_contacts_went_along_them() -> None:
    lifecycle = read(lifecycle_path("10ex"))
    says = next(one.says for one in lifecycle.transitions if one.to == "mql" and one.event is None)
    volumes = Volumes({("lead", "mql", says): 400}, {"mql": 300}, {"mql": 400})
    drawn = {arrow.says: arrow for arrow in arrows(lifecycle, volumes)}
    assert drawn[says].total == 400
    lines = {line.arrow.says: line for line in lay_out(5, list(drawn.values())).lines}
    assert lines[says].width == max(line.width for line in lines.values()) > 10
    assert f"400 · {says}" in unescape(svg(lifecycle, volumes)) and "300 now, 400 entered" in svg(lifecycle, volumes)


@st.composite
def drawings(draw: st.DrawFn) -> tuple[int, list[Arrow]]:
    stages = draw(st.integers(2, 9))
    found = []
    for _ in range(draw(st.integers(1, 14))):
        target = draw(st.integers(0, stages - 1))
        side = draw(st.booleans()) if 0 < target < stages - 1 else target == 0
        others = range(target + 1, stages) if side else range(target)
        origins = draw(st.sets(st.sampled_from(list(others)), min_size=1))
        words = draw(st.text("abc ", min_size=1, max_size=90).filter(str.strip))
        found.append(Arrow(tuple(sorted(origins)), target, words, draw(st.booleans())))
    return stages, found


@given(drawings())
def test_nothing_stands_on_anything_else(given_: tuple[int, list[Arrow]]) -> None:
    """Over any lifecycle: boxes, ports, lanes and words each have their own place, and all lie on the sheet."""
    stages, drawn = given_
    layout = lay_out(stages, drawn)
    for upper, lower in combinations(layout.boxes, 2):
        assert upper.y + upper.height < lower.y
    beside = [line for line in layout.lines if not line.arrow.onward]
    ports: set[tuple[bool, float]] = set()
    for line in beside:
        points = [*line.path, *(point for points, _ in line.tails for point in points)]
        assert all(0 <= x <= layout.width and 0 <= y <= layout.height for x, y in points)
        box = layout.boxes[line.arrow.target]
        assert box.y < line.path[-1][1] < box.y + box.height
        for origin, (points, _) in zip(line.arrow.origins, line.tails, strict=True):
            box = layout.boxes[origin]
            assert box.y < points[0][1] < box.y + box.height
        for y in (line.path[-1][1], *(points[0][1] for points, _ in line.tails)):
            assert (line.arrow.backward, y) not in ports
            ports.add((line.arrow.backward, y))
    for one, other in combinations(beside, 2):
        if one.arrow.backward == other.arrow.backward and one.path[0][0] == other.path[0][0]:
            spans = [sorted((line.path[0][1], line.path[1][1])) for line in (one, other)]
            assert spans[0][1] <= spans[1][0] or spans[1][1] <= spans[0][0], "two lines in one lane"
    for one, other in combinations(layout.lines, 2):
        if one.arrow.backward != other.arrow.backward:
            continue
        tops = [(line.words.y - 11, line.words.y + 15 * (len(line.words.lines) - 1)) for line in (one, other)]
        assert tops[0][1] <= tops[1][0] or tops[1][1] <= tops[0][0], "words on words"


def test_the_command_draws_to_a_file_and_counts_events(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    events.write_text(
        '{"specversion":"1.0","id":"1","source":"/t","type":"form.submitted","subject":"ada",'
        '"time":"2026-01-05T09:00:00Z","data":{"kind":"demo"}}\n'
    )
    out = tmp_path / "picture.svg"
    result = CliRunner().invoke(group, ["diagram", "10ex", "--events", str(events), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "1 · does something identifiable" in out.read_text()


def on_a_page(folder: Path, drawing: str) -> Path:
    file = folder / "picture.html"
    file.write_text(f"<!doctype html><title>t</title><link rel=icon href=data:,>{drawing}")
    return file


LONG = [
    "Marketing Qualified Lead (enterprise only)",
    "Kundenbeziehungspflegeverantwortung",
    "Sales & Co <now>",
    "Лид",
]


@pytest.mark.browser
@pytest.mark.parametrize("stages", [2, 3, 5])
def test_long_names_stay_in_their_boxes_and_the_legend_on_its_sheet(tmp_path: Path, stages: int) -> None:
    """Whole ones are told where one points at the box."""
    given_ = list(PLAIN.stages.items())[-stages:]
    names = [LONG[place % len(LONG)] for place in range(stages)]
    long = {
        stage: part.model_copy(
            update={"name": name, "owner": part.owner.model_copy(update={"value": f"{name} {place}"})}
        )
        for place, ((stage, part), name) in enumerate(zip(given_, names, strict=True))
    }
    moves = [one for one in PLAIN.transitions if one.to in long and isinstance(one.from_, str)][: stages - 2]
    lifecycle = PLAIN.model_copy(update={"stages": long, "transitions": moves})
    drawing = svg(lifecycle)
    assert [title.text for title in ElementTree.fromstring(drawing).iter(f"{SVG}title")][1:] == names
    with opened(on_a_page(tmp_path, drawing), width=1400) as page:
        outside = page.evaluate(
            "() => { const inside = (one, box) => one.left >= box.left && one.right <= box.right &&"
            " one.top >= box.top && one.bottom <= box.bottom, of = node => node.getBoundingClientRect();"
            " const sheet = of(document.querySelector('svg'));"
            " return [...document.querySelectorAll('text')].filter(text => !inside(of(text),"
            " text.closest('.stage') ? of(text.closest('.stage').querySelector('.area')) : sheet))"
            " .map(text => text.textContent) }"
        )
    assert outside == []


@pytest.mark.browser
@pytest.mark.parametrize("name", SHIPPED)
def test_words_in_the_picture_keep_clear_of_boxes_and_of_each_other(tmp_path: Path, name: str) -> None:
    """As the browser sets them, with its own fonts."""
    with opened(on_a_page(tmp_path, svg(read(lifecycle_path(name)))), width=1400) as page:
        boxes = page.evaluate(
            "() => [...document.querySelectorAll('.says tspan, .area')].map(one => {"
            " const box = one.getBoundingClientRect();"
            " return [box.left, box.top + 2, box.right, box.bottom - 2, one.textContent || 'box'] })"
        )
        sheet = page.evaluate(
            "() => { const b = document.querySelector('svg').getBoundingClientRect(); return b.right }"
        )
        for one, other in combinations(boxes, 2):
            apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
            assert apart, (one, other)
        assert all(box[2] <= sheet for box in boxes)


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_picture_opened_by_itself_has_a_ground_that_its_words_stand_out_from(
    tmp_path: Path, theme: Literal["light", "dark"]
) -> None:
    file = tmp_path / "picture.svg"
    file.write_text(svg(read(lifecycle_path("10ex"))))
    with opened(file, theme) as page:
        ground, ink = page.evaluate(
            "() => [getComputedStyle(document.documentElement).backgroundColor,"
            " getComputedStyle(document.querySelector('.says')).fill]"
        )
    brightness = [sum(map(int, re.findall(r"\d+", colour)[:3])) / 3 for colour in (ground, ink)]
    assert abs(brightness[0] - brightness[1]) > 150, (ground, ink)
