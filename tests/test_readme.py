"""What the README shows is so: its event is one, its definition compiles, its commands and their options exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from worker.commands import main
from worker.commands._verbs import group
from worker.definition.reader import read
from worker.definition.scenario import read_scenarios
from worker.events import decode
from worker.fold.outcome import Event
from worker.plan import compile_plan

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
FRAME = """
lifecycle: excerpt
version: 1
title: The README's excerpt
owners: {sales: Sales, marketing: Marketing}
"""
FIRST = "  lead: {name: Lead, means: Acted., owner: marketing, goal: Learn.}\n"


def snippets(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", TEXT, re.DOTALL)


def commands() -> list[str]:
    lines = [line for snippet in snippets("console") for line in snippet.splitlines()]
    return [line[2:].split("  #")[0].strip() for line in lines if line.startswith("$ lifecycle")]


def test_the_event_is_one() -> None:
    (text,) = snippets("json")
    event = decode(b"ann", text.encode())
    assert isinstance(event, Event)
    assert (event.type, event.subject, event.data["kind"]) == ("form.submitted", "ann", "pricing")


def test_the_definition_compiles() -> None:
    (text,) = snippets("yaml")
    plan = compile_plan(read(FRAME + text.replace("stages:\n", f"stages:\n{FIRST}"), "README.md"))
    assert plan.stages == ("lead", "mql")


@pytest.mark.parametrize("line", commands())
def test_the_command_and_its_options_exist(line: str) -> None:
    _, verb, *words = shlex.split(line)
    context = click.Context(group)
    command = group.get_command(context, verb)
    assert command is not None
    known = {option for parameter in command.get_params(context) for option in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= known


def test_there_are_as_many_scenarios_as_it_says() -> None:
    said = re.search(r"with (\d+) scenarios", TEXT)
    assert said is not None
    files = (ROOT / "statemachine").glob("*.scenarios.yaml")
    assert sum(len(read_scenarios(file)) for file in files) == int(said[1])


def test_its_parts_stand_in_the_order_that_a_newcomer_needs() -> None:
    headings = re.findall(r"^## (.+)$", TEXT, re.MULTILINE)
    assert headings[:5] == [
        "Two commands", "The same against a Kafka broker", "A lifecycle is a file",
        "What it guarantees, and what not", "Measured",
    ]  # fmt: skip
    assert callable(main)
