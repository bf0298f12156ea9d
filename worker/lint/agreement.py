"""What leadership agrees on, and whether it has: stages, owners, criteria, promises, signatures."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from pydantic import BaseModel

from worker.definition.model import Lifecycle, Stage
from worker.definition.signatures import signed
from worker.lint.findings import Remark
from worker.lint.machine import Look

STAGES_MIN, STAGES_MAX = 5, 8


def agreement(look: Look) -> Iterator[Remark]:
    """Every finding about what a definition must say to be one that people can sign."""
    yield from _stages(look)
    yield from _promises(look)
    yield from _signatures(look.lifecycle)


def _stages(look: Look) -> Iterator[Remark]:
    lifecycle = look.lifecycle
    count = len(lifecycle.stages)
    if not STAGES_MIN <= count <= STAGES_MAX:
        why = "fewer than five hide where contacts stall" if count < STAGES_MIN else "more than eight are hard to keep"
        stages = "1 stage" if count == 1 else f"{count} stages"
        yield Remark(("stages",), "stage-count", f"{stages}: {why}; split or join some", on_key=True)
    order = list(lifecycle.stages)
    for place, (name, stage) in enumerate(lifecycle.stages.items()):
        entered = any(
            transition.to == name and any(order.index(origin) < place for origin in lifecycle.origins(transition))
            for transition in lifecycle.transitions
        )
        if not entered and stage.entry is None:
            yield Remark(
                ("stages", name), "no-entry",
                f"nothing says by what a contact enters '{name}'; write `entry`"
                + (", or a transition from below" if place else ""),
                on_key=True, assumed=stage.assumed,
            )  # fmt: skip
    last = order[-1]
    left = any(last in lifecycle.origins(transition) for transition in lifecycle.transitions)
    if not left and lifecycle.stages[last].exit is None:
        yield Remark(
            ("stages", last), "no-exit",
            f"nothing says how '{last}' ends; write `exit`, or a transition from it",
            on_key=True, assumed=lifecycle.stages[last].assumed,
        )  # fmt: skip


def _promises(look: Look) -> Iterator[Remark]:
    lifecycle = look.lifecycle
    stages = list(lifecycle.stages.items())
    without = [name for name, stage in stages if stage.sla is None]
    if len(without) == len(stages):
        yield Remark(("stages",), "no-sla", "no stage promises anything; give at least one an `sla`", on_key=True)
    elif len(without) == 1 and len(stages) > 2:
        name = without[0]
        yield Remark(
            ("stages", name), "no-sla",
            f"'{name}' promises nothing, and every other stage does; give it an `sla`",
            on_key=True, assumed=lifecycle.stages[name].assumed,
        )  # fmt: skip
    for (_, before), (name, stage) in zip(stages, stages[1:], strict=False):
        if name not in without[:1] or len(without) > 1:
            yield from _handoff(before, name, stage)
    for name, stage in stages:
        if stage.sla is not None and stage.sla.warn_after is not None:
            warns, within = (_most(look.subject.expanded(text)) for text in (stage.sla.warn_after, stage.sla.within))
            if warns is not None and within is not None and warns >= within:
                yield Remark(
                    ("stages", name, "sla", "warn_after"), "warns-too-late",
                    f"warns after {stage.sla.warn_after}, when the time is up ({stage.sla.within}); let it be shorter",
                    assumed=stage.sla.assumed,
                )  # fmt: skip


def _handoff(before: Stage, name: str, stage: Stage) -> Iterator[Remark]:
    owner = stage.owner.value
    if before.owner.value == owner or stage.sla is not None:
        return
    if before.sla is not None and before.sla.late == owner:
        return
    yield Remark(
        ("stages", name), "handoff-without-sla",
        f"'{name}' comes to {owner} from {before.owner.value}, and nothing is promised on {owner}'s part; give it an"
        " `sla`",
        on_key=True, assumed=stage.assumed or stage.owner.assumed or before.owner.assumed,
    )  # fmt: skip


def _most(node: ast.expr) -> float | None:
    """The figure that stands there, of a choice the greatest; None where it is worked out."""
    match node:
        case ast.Constant(value=int() | float() as value):
            return float(value)
        case ast.IfExp(body=body, orelse=orelse):
            ways = [_most(body), _most(orelse)]
            return None if None in ways else max(way for way in ways if way is not None)
    return None


def _signatures(lifecycle: Lifecycle) -> Iterator[Remark]:
    counts = _assumed(lifecycle)
    if counts:
        told = ", ".join(f"{count} in `{section}`" for section, count in counts.items())
        yield Remark(
            ("lifecycle",), "assumed",
            f"{sum(counts.values())} things are assumed and not decided ({told}); decide them with leadership and take"
            " the marks off",
        )  # fmt: skip
    standing = signed(lifecycle)
    if standing.missing or not lifecycle.sign_off:
        who = f"not signed by: {', '.join(standing.missing)}" if standing.missing else "asks for nobody's signature"
        path = ("sign_off",) if lifecycle.sign_off else ("lifecycle",)
        yield Remark(
            path, "unsigned", f"{who}; `lifecycle document` prints what is to be signed, and `--sign` records it",
            on_key=True,
        )  # fmt: skip
    for place, entry in enumerate(lifecycle.sign_off):
        if entry in standing.changed and entry.fingerprint is not None:
            when = f" on {entry.date}" if entry.date else ""
            yield Remark(
                ("sign_off", place), "changed-since-signed",
                f"{entry.name} signed another version{when} ({entry.fingerprint[:8]}…; this is"
                f" {standing.fingerprint[:8]}…); have it signed again, or take the change back",
            )  # fmt: skip


def _assumed(lifecycle: Lifecycle) -> dict[str, int]:
    """Section → how many of its parts are marked as assumed."""
    found: dict[str, int] = {}
    for section in Lifecycle.model_fields:
        count = _marked(getattr(lifecycle, section))
        if count:
            found[section] = count
    return found


def _marked(value: object) -> int:
    match value:
        case BaseModel():
            own = int(bool(getattr(value, "assumed", False)))
            return own + sum(_marked(getattr(value, name)) for name in type(value).model_fields)
        case dict():
            return sum(map(_marked, value.values()))
        case list():
            return sum(map(_marked, value))
    return 0
