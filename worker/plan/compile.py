"""From a lifecycle to its transition plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from worker.definition import vocabulary
from worker.definition.model import Lifecycle
from worker.definition.parameters import duration_ms, fingerprint
from worker.plan.calendar import Calendar
from worker.plan.generate import PER_TYPE, Generator
from worker.plan.meaning import Meaning
from worker.plan.plan import NOT_OF_CONTACTS, Flag, Move, Plan

_EMPTY: dict[str, Any] = {"boolean": False, "number": 0, "text": "", "time": 0, "ids": None}


def compile_plan(lifecycle: Lifecycle) -> Plan:
    """The plan of a lifecycle that `worker.definition` has read and found sound."""
    meaning = Meaning(lifecycle)
    generator = Generator(meaning)
    generator.generate()
    space, kinds = generator.run(), generator.kinds
    per = {
        name: {kind: space[f"{name}_{number}"] for number, kind in enumerate(kinds) if f"{name}_{number}" in space}
        for name in PER_TYPE
    }
    statuses = lifecycle.statuses
    company = lifecycle.company
    value = [place for place, fact in enumerate(lifecycle.facts.values()) if fact.type == "ids" and fact.amount]
    stages = range(len(meaning.stages))
    return Plan(
        lifecycle=lifecycle,
        fingerprint=fingerprint(lifecycle),
        parameters=meaning.parameters,
        stages=meaning.stages,
        statuses=meaning.statuses,
        track=len(statuses.track) if statuses else 1,
        signals=meaning.signals,
        published=meaning.bits(name for name, signal in lifecycle.signals.items() if signal.publish),
        horizon=int(duration_ms(lifecycle.horizon)),
        moves=tuple(_move(meaning, place, space) for place in range(len(lifecycle.transitions))),
        flags=_flags(meaning),
        calendar=Calendar.of(lifecycle.business_hours),
        fields=meaning.fields(),
        traits=meaning.kept_traits(),
        qualified=tuple(stage.qualified for stage in lifecycle.stages.values()),
        owners=tuple(stage.owner.value for stage in lifecycle.stages.values()),
        manual=frozenset(name for name, stage in lifecycle.stages.items() if stage.manual),
        status_names=meaning.status_names(),
        empty_facts=tuple(_EMPTY[fact.type] for fact in lifecycle.facts.values()),
        value_fact=value[0] if value else None,
        company=company.id.removeprefix("traits.") if company else None,
        parent=company.parent.removeprefix("traits.") if company and company.parent else None,
        creating=frozenset(vocabulary.EVENT_TYPES - NOT_OF_CONTACTS) | frozenset(meaning.types),
        sets_status=frozenset(
            pattern.name for pattern in meaning.patterns(statuses.set_by if statuses else ()) if pattern.kind == "type"
        ),
        uses=per["uses"],
        ignores=per["ignores"],
        applies=per["applies"],
        statuses_for=per["status"],
        moves_for=per["move"],
        meets=per["meets"],
        onward=space["onward"],
        marks=space["marks"],
        take_traits=space["take_traits"],
        derive=space["derive"],
        due=space["due"],
        within={n: space[f"within_{n}"] for n in stages if f"within_{n}" in space},
        warns={n: space[f"warns_{n}"] for n in stages if f"warns_{n}" in space},
        unless={n: space[f"unless_{n}"] for n in stages if f"unless_{n}" in space},
        entering={n: space[f"entering_{n}"] for n in stages if f"entering_{n}" in space},
        leaving={n: space[f"leaving_{n}"] for n in stages if f"leaving_{n}" in space},
        entered_signals=meaning.move_signals("entering"),
        left_signals=meaning.move_signals("leaving"),
        windows=meaning.bits(meaning.names.windows),
        keep=tuple(lifecycle.signals[name].keep if name in lifecycle.signals else 20 for name in meaning.signals),
        forgets=meaning.bits(
            pattern.name
            for forget in (lifecycle.score.forget, *(fact.forget for fact in lifecycle.facts.values()))
            for pattern in meaning.forgetting(forget)
        ),
        forgotten=space["forgotten"],
        fits=space.get("fits"),
        fit=space["fit"],
        behaviour=space["behaviour_at"],
        disqualified=space["disqualified"],
        suppressed=space["suppressed"],
        forget=meaning.forget(),
        spared=space["spared"],
        company_statuses=tuple(
            (name, space[f"company_{n}"]) for n, name in enumerate(company.statuses if company else ())
        ),
        source=generator.source,
    )


def _move(meaning: Meaning, place: int, space: Mapping[str, Any]) -> Move:
    transition = meaning.lifecycle.transitions[place]
    return Move(
        place=place,
        to=meaning.stages.index(transition.to),
        says=transition.says,
        status=meaning.statuses.index(transition.status) if transition.status else None,
        assumed=transition.assumed,
        guards=space[f"guards_{place}"],
        reason=space.get(f"reason_{place}"),
    )


def _flags(meaning: Meaning) -> tuple[Flag, ...]:
    lifecycle = meaning.lifecycle
    segments = [Flag("segment", name, part.means, None) for name, part in lifecycle.segments.items()]
    rules = [Flag("hygiene", name, rule.says, rule.field) for name, rule in lifecycle.hygiene.items()]
    return (*segments, *rules)
