"""Horizontal bars, as wide as the screen lets them be."""

from __future__ import annotations

from collections.abc import Sequence

from rich.bar import Bar
from rich.table import Table


def bars(rows: Sequence[tuple[str, int]], notes: Sequence[str] = ()) -> Table:
    """One line a row: its name, its count, a bar relative to the greatest, and a note where there are any."""
    greatest = max((count for _, count in rows), default=0) or 1
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(ratio=1)
    table.add_column(no_wrap=True, justify="right")
    for place, (name, count) in enumerate(rows):
        table.add_row(name, f"{count:,}", Bar(greatest, 0, count, color="cyan"), notes[place] if notes else "")
    return table
