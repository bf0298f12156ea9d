"""Whether a definition's names and guards hold together."""

from __future__ import annotations

from worker.definition import vocabulary
from worker.definition.expression import Scope
from worker.definition.model import Lifecycle


def scope_of(lifecycle: Lifecycle) -> Scope:
    """Every name that the lifecycle's expressions may use, with nothing ruled out by where they stand."""
    statuses = lifecycle.statuses
    return Scope(
        parameters={name: parameter.value for name, parameter in lifecycle.parameters.items()},
        signals=frozenset(lifecycle.signals),
        facts={name: fact.type for name, fact in lifecycle.facts.items()},
        conditions=frozenset(lifecycle.conditions),
        stages=tuple(lifecycle.stages),
        statuses=(*statuses.track, *statuses.aside) if statuses else (),
        event_types=vocabulary.EVENT_TYPES,
        event_fields=vocabulary.EVENT_FIELDS,
        traits=vocabulary.TRAIT_FIELDS,
        field_values=vocabulary.FIELD_VALUES,
    )
