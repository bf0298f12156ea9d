"""Results as Markdown."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("kafka-python", "confluent-kafka", "msgspec", "lmdb", "python-statemachine")


@dataclass(frozen=True)
class Table:
    """One measurement: what was measured, figures, and what they mean against what was aimed at."""

    title: str
    says: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    verdicts: Sequence[str] = field(default_factory=tuple)

    def markdown(self) -> str:
        lines = [f"## {self.title}", "", self.says, "", _row(self.columns), "|" + "-|" * len(self.columns)]
        lines += [_row(row) for row in self.rows]
        if self.verdicts:
            lines += ["", *(f"- {verdict}" for verdict in self.verdicts)]
        return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def verdict(what: str, figure: float, target: float, unit: str = "", *, at_most: bool = False) -> str:
    """A sentence that says whether the target is met."""
    met = figure <= target if at_most else figure >= target
    bound = "at most" if at_most else "at least"
    return f"{what}: **{number(figure)}{unit}** ({bound} {number(target)}{unit}: {'met' if met else 'missed'})"


def number(figure: float) -> str:
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}"


def heading() -> str:
    """The machine, the date and the versions."""
    load = os.getloadavg()[0]
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        "# Measurements\n\n"
        "Broker and systems on one machine; only the ratios within one run tell something about the systems.\n\n"
        f"{time.strftime('%Y-%m-%d')}, {_machine()}. Python {platform.python_version()}, {packages}. "
        f"Load average {load:.1f}, by this and whatever else ran.\n"
    )


def _machine() -> str:
    cpus = [line for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    model = cpus[0].partition(":")[2].strip() if cpus else platform.machine()
    memory = next((line.split()[1] for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), "0")
    return f"{len(cpus) or '?'} × {model}, {int(memory) / (1 << 20):.0f} GB, {platform.system()} {platform.release()}"


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
