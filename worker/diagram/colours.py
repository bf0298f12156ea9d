"""A colour for each owner: the same in every picture and page of one lifecycle, legible on light and on dark."""

from __future__ import annotations

from typing import Final, NamedTuple

from worker.definition.model import Lifecycle


class Colour(NamedTuple):
    """`light` and `dark` are for lines and marks on such a page; `tint` and `shade` for areas under text."""

    place: int
    light: str
    tint: str
    dark: str
    shade: str


_PALETTE: Final = (
    ("#2563c9", "#e8f0fd", "#7fb0ff", "#182a47"),  # blue
    ("#137a4f", "#e3f5ec", "#5fd3a0", "#12332a"),  # green
    ("#a14a06", "#fdf0e2", "#f2ad6b", "#3a2816"),  # orange
    ("#6d3fc4", "#f1ebfc", "#b79cf5", "#2a2145"),  # violet
    ("#0c7280", "#e0f4f6", "#63cbd8", "#12323a"),  # teal
    ("#b02a5b", "#fce8ef", "#f48fb1", "#3d1a2a"),  # rose
)


def colours(lifecycle: Lifecycle) -> dict[str, Colour]:
    """By owner, in the order in which stages name them; past six, colours come again."""
    owners = dict.fromkeys(stage.owner.value for stage in lifecycle.stages.values())
    return {owner: Colour(place, *_PALETTE[place % len(_PALETTE)]) for place, owner in enumerate(owners)}


def owner_name(lifecycle: Lifecycle, owner: str) -> str:
    """The owner as the lifecycle names it."""
    return lifecycle.owners.get(owner, owner.replace("_", " "))
