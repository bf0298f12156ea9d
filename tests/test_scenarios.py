"""Every shipped scenario holds, and a scenario that doesn't hold says where."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.definition.errors import UnknownNames
from worker.definition.reader import read, turn
from worker.definition.scenario import ExpectedContact, Scenario, read_scenarios
from worker.scenarios import Runner
from worker.shipped import folder, lifecycle_names, lifecycle_path, scenarios_path

SHIPPED = [scenario for path in sorted(folder().glob("*.scenarios.yaml")) for scenario in read_scenarios(path)]
RUNNER = Runner()


@pytest.mark.parametrize("scenario", SHIPPED, ids=lambda scenario: f"{scenario.lifecycle}: {scenario.name}")
def test_the_lifecycle_does_what_its_scenario_says(scenario: Scenario) -> None:
    assert [f"{what}: {expected} != {actual}" for what, expected, actual in RUNNER.run(scenario).differences] == []


def test_every_lifecycle_has_scenarios() -> None:
    for name in lifecycle_names():
        assert scenarios_path(lifecycle_path(name)).is_file()
    assert {scenario.lifecycle for scenario in SHIPPED} == set(lifecycle_names())


BEGIN = """
- name: a
  lifecycle: {lifecycle}
  events:
    - {{at: "2026-01-05T09:00:00Z", type: form.submitted, kind: demo, traits: {{icp_fit: true, company_id: acme}}}}
    - {{at: +1h, type: page.viewed, contact: c2}}
    - {{at: +1h, type: form.submitted, form: [1]}}
  until: +30d
  expect: {expect}
"""


def run(expect: str, lifecycle: str = "10ex", runner: Runner | None = None) -> list[tuple[str, object, object]]:
    (scenario,) = read_scenarios(BEGIN.format(expect=expect, lifecycle=lifecycle))
    return [tuple(difference) for difference in (runner or Runner()).run(scenario).differences]


def test_what_holds_makes_no_difference() -> None:
    expect = """{stage: mql, visited: [prospect, lead, mql], status: lead, qualified: true, owner: marketing,
        sla_breaches: [mql], dead_letters: 1, companies: {acme: {stage: mql}}, contacts: {c2: {stage: prospect}}}"""
    assert run(expect) == []


def test_each_difference_says_what_was_expected_and_what_came() -> None:
    expect = """{stage: lead, visited: [prospect], score: 3, segment: nurture, dead_letters: 0, sla_breaches: [],
        companies: {acme: {stage: sql}, none: {stage: lead}}, contacts: {c2: {status: lead}, c3: {stage: lead}}}"""
    found = {what: (expected, actual) for what, expected, actual in run(expect)}
    score = found.pop("score")
    assert score[0] == 3
    assert found == {
        "stage": ("lead", "mql"),
        "visited": (["prospect"], ["prospect", "lead", "mql"]),
        "segment": ("nurture", []),
        "dead_letters": (0, 1),
        "sla_breaches": ([], ["mql"]),
        "companies.acme.stage": ("sql", "mql"),
        "companies.none.stage": ("lead", None),
        "contacts.c2.status": ("lead", "prospect"),
        "contacts.c3.stage": ("lead", None),
    }


def test_a_score_is_compared_as_it_stands_when_the_clock_stops() -> None:
    assert run("{score: 110}") == run("{score: 110}")
    (difference,) = run("{score: 0}")
    assert 100 < float(str(difference[2])) < 120, "fit, and behaviour that has faded for a month"


def test_a_scenario_with_a_name_that_the_lifecycle_lacks_is_not_run() -> None:
    with pytest.raises(UnknownNames, match="mqll"):
        run("{stage: mqll}")


def test_an_event_ahead_of_the_clock_is_a_dead_letter() -> None:
    text = BEGIN.format(expect="{dead_letters: 2, stage: mql}", lifecycle="10ex").replace("+30d", "-119m")
    (scenario,) = read_scenarios(text)
    assert Runner().run(scenario).passed


def test_a_lifecycle_may_be_named_by_a_path_beside_the_scenarios(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(lifecycle_path("10ex").read_text())
    path = tmp_path / "own.scenarios.yaml"
    path.write_text(BEGIN.format(expect="{stage: mql}", lifecycle="own.yaml"))
    (scenario,) = read_scenarios(path)
    assert Runner().run(scenario).passed
    with pytest.raises(UnknownNames, match=r"^<text>:3:14: unknown-lifecycle: no lifecycle or file named 'own.yaml'"):
        run("{stage: mql}", lifecycle="own.yaml")


TURNED = """
- name: a
  lifecycle: 10ex
  parameters: {parameters}
  events:
    - {{at: "2026-01-05T09:00:00Z", type: contact.imported, traits: {{email: ada}}}}
    - {{at: +1d, type: email.replied, sentiment: negative}}
  expect: {expect}
"""


def turned(parameters: str, expect: str, runner: Runner | None = None) -> list[tuple[str, object, object]]:
    (scenario,) = read_scenarios(TURNED.format(parameters=parameters, expect=expect), "x.yaml")
    return [tuple(difference) for difference in (runner or Runner()).run(scenario).differences]


def test_a_parameter_is_turned_for_its_scenario_alone() -> None:
    runner = Runner(coverage=True)
    for _ in range(2):
        assert not turned("{nurture_not_interested: true}", "{suppressed: false, segments: [nurture]}", runner)
        assert not turned("{}", "{suppressed: true, segments: []}", runner)
    assert len(runner.coverage) == len(runner.lifecycles()) == 1, "of one lifecycle, whatever its parameters"


def test_what_is_kept_suppressed_or_at_fault_can_be_expected() -> None:
    assert not turned("{}", "{known: true, hygiene: [email_malformed], contacts: {zoe: {known: false}}}")
    found = turned("{}", "{known: false, suppressed: false, hygiene: [], segments: [nurture]}")
    assert found == [
        ("known", False, True),
        ("suppressed", False, True),
        ("segments", ["nurture"], []),
        ("hygiene", [], ["email_malformed"]),
    ]


@pytest.mark.parametrize(
    ("parameters", "expect", "told"),
    [
        ("{mql_scor: 3}", "{}", "x.yaml:4:16: unknown-parameter: 'mql_scor' .* did you mean 'mql_score'"),
        ("{mql_score: many}", "{}", "x.yaml:4:27: bad-value: 'many' .* it is a number"),
        ("{accept_within: 3}", "{}", "x.yaml:4:31: bad-value: '3' .* it is a duration"),
        ("{}", "{hygiene: [email_malfromed]}", "x.yaml:8:22: unknown-rule: .* did you mean 'email_malformed'"),
        ("{}", "{segments: [nurtur]}", "x.yaml:8:23: unknown-segment: .* did you mean 'nurture'"),
    ],
)
def test_names_and_values_that_cannot_be_are_told_where_they_stand(parameters: str, expect: str, told: str) -> None:
    with pytest.raises(UnknownNames, match=told):
        turned(parameters, expect)


def test_coverage_tells_what_no_scenario_reaches() -> None:
    runner = Runner(coverage=True)
    run("{stage: mql}", runner=runner)
    (coverage,) = runner.coverage.values()
    taken, moves = coverage.count()
    assert (taken, moves) == (2, 15)
    missing = list(coverage.missing())
    assert any(line.startswith("no contact goes from mql to sql:") for line in missing)
    assert not any(line.startswith("no contact goes from prospect to lead:") for line in missing)
    assert "the promise on sql never runs out" in missing
    assert "the promise on mql never runs out" not in missing


TIMED = """
lifecycle: timed
version: 1
title: Timed
parameters: {idle: {value: 30d, means: how long a deal may lie}}
signals: {hello: form.submitted}
stages:
  visitor: {name: Visitor, means: a, owner: marketing, goal: g}
  lead:
    {name: Lead, means: a, owner: marketing, goal: g, sla: {within: 24h, warn_after: 12h, met_by: meeting.booked,
     late: marketing, unless: traits.vip}}
  deal: {name: Deal, means: a, owner: sales, goal: g}
  won: {name: Won, means: a, owner: sales, goal: g}
transitions:
  - {from: visitor, to: lead, event: hello when event.kind != "newsletter", says: says hello}
  - {from: lead, to: deal, event: meeting.held, when: event.kind == "demo", says: meets}
  - {from: deal, to: lead, after: idle, when: not traits.vip, says: lies too long}
  - {from: [lead, deal], to: won, event: deal.won, when: event.amount > 10, says: buys}
forget: {stage: visitor, after: 60d, unless: traits.vip}
"""

WINS = [
    "type: form.submitted", "type: form.submitted, contact: zoe", "type: product.used, traits: {vip: true}",
    "type: meeting.held, kind: demo", "type: product.used, traits: {vip: false}", "type: deal.won, amount: 20",
]  # fmt: skip


def uncovered(tmp_path: Path, *scenarios: tuple[list[str], str]) -> set[str]:
    """What these scenarios leave out, each of an event an hour and the time to let pass after the last."""
    (tmp_path / "timed.yaml").write_text(TIMED)
    runner = Runner(coverage=True)
    for events, until in scenarios:
        lines = [f"{{at: {'+1h' if number else '2026-01-05T09:00Z'}, {event}}}" for number, event in enumerate(events)]
        text = "- {name: a, lifecycle: timed.yaml, expect: {}, events: [" + ", ".join(lines) + f"], until: {until}}}"
        for scenario in read_scenarios(text, str(tmp_path / "x.yaml")):
            runner.run(scenario)
    (coverage,) = runner.coverage.values()
    return set(coverage.missing())


def test_a_guard_counts_as_asked_only_where_its_event_came_and_its_time_was_over(tmp_path: Path) -> None:
    """Else any other event in the stage, and any minute before, would show the outcome that nobody tested."""
    assert uncovered(tmp_path, (WINS, "+1h")) == {
        "no contact goes from deal to lead: lies too long",
        "no contact goes from lead to won: buys",
        "event.kind != 'newsletter' is always true where contacts may go to lead",
        "event.kind == 'demo' is always true where contacts may go to deal",
        "event.amount > 10 is always true where contacts may go to won",
        "the promise on lead never runs out",
        "nobody is warned of the promise on lead",
        "no contact is forgotten in visitor",
    }


def test_each_timer_that_a_scenario_lets_run_out_is_covered(tmp_path: Path) -> None:
    hello, vip = "type: form.submitted", "type: form.submitted, traits: {vip: true}"

    def left(word: str, *scenarios: tuple[list[str], str]) -> list[str]:
        return [sentence for sentence in sorted(uncovered(tmp_path, *scenarios)) if word in sentence]

    assert left("promise", ([hello], "+13h")) == ["the promise on lead never runs out"]
    late = "traits.vip is always false where the promise on lead runs out"
    assert left("promise", ([hello], "+2d")) == [late]
    assert left("promise", ([hello], "+2d"), ([vip], "+2d")) == []
    assert left("lies too long", ([hello, "type: meeting.held, kind: demo"], "+40d")) == []
    assert left("lies too long", ([hello, "type: meeting.held, kind: demo"], "+20d")) != []
    visitor, kept = "type: page.viewed", "type: page.viewed, contact: bob, traits: {vip: true}"
    assert left("forgotten", ([visitor, kept], "+20d"))[-1] == "no contact is forgotten in visitor"
    assert left("forgotten", ([visitor, kept], "+80d")) == []
    assert left("forgotten", ([visitor], "+80d")) == [
        "traits.vip is always false where contacts of visitor may be forgotten"
    ]


def test_shipped_scenarios_reach_all_of_their_lifecycles() -> None:
    runner = Runner(coverage=True)
    for scenario in SHIPPED:
        runner.run(scenario)
    found = [sentence for coverage in runner.coverage.values() for sentence in coverage.missing()]
    # Who is identified leaves that stage at once; the file says it all the same, for those who read it.
    assert found == ["identified is always false where contacts of anonymous_visitor may be forgotten"]


def test_a_watched_plan_folds_as_the_plain_one_does() -> None:
    for scenario in SHIPPED[::10]:
        assert Runner(coverage=True).run(scenario).passed


@pytest.mark.parametrize("name", lifecycle_names())
def test_every_switch_of_a_shipped_lifecycle_can_be_turned(name: str) -> None:
    """A parameter that the definition refuses at its other value is none."""
    lifecycle = read(lifecycle_path(name))
    for parameter, known in lifecycle.parameters.items():
        if isinstance(known.value, bool):
            assert turn(lifecycle, {parameter: not known.value}).parameters[parameter].value is not known.value


def test_the_documented_scenario_holds() -> None:
    page = (Path(__file__).parents[1] / "docs" / "test.md").read_text()
    (scenario,) = read_scenarios(page.partition("```yaml\n")[2].partition("```")[0], "docs/test.md")
    assert not Runner().run(scenario).differences
    for what in (*ExpectedContact.model_fields, "contacts", "companies", "dead_letters"):
        assert f"`{what}" in page, f"docs/test.md says nothing of {what}"
