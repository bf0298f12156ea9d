"""How many faults of a definition are noticed before it runs: shipped definitions broken at random, and who sees it.

    python -m benchmarks.mutations [--count 1000] [--seed 1] [--jobs 2] [--json FILE]

One thing is broken at a time: a name misspelt, a guard negated, a transition dropped or doubled, a stage orphaned. A
break is caught by the reader or by lint where they say anything that they don't say of the whole definition; the
second column adds the definition's own scenarios. What nobody can notice, because no contact's history would differ,
counts as equivalent, and only where that is proved.
"""

from __future__ import annotations

import argparse
import ast
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from worker.definition.document import read_document
from worker.definition.errors import DefinitionError
from worker.definition.model import Lifecycle
from worker.definition.parameters import fingerprint
from worker.definition.places import places
from worker.definition.reader import read
from worker.definition.scenario import Scenario, read_scenarios
from worker.lint import lint
from worker.lint.explorer import Explorer
from worker.lint.formula import Formula, conjunction, disjunction, negation
from worker.lint.names import PUBLISHED
from worker.lint.proof import Prover
from worker.lint.subject import Subject
from worker.lint.terms import Reading
from worker.scenarios import Runner
from worker.shipped import lifecycle_names, lifecycle_path, scenarios_path

Json = dict[str, Any]
Path_ = tuple[str | int, ...]
Verdict = Literal["reader", "lint", "scenarios", "equivalent", "missed"]

OF_THE_AGREEMENT: Final = {"assumed", "unsigned", "changed-since-signed"}  # they change with any change
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{2,}")
_WORDS: Final = {"and", "not", "when", "any", "below", "above", "entering", "leaving", "none", "true", "false", "else"}


@dataclass(frozen=True)
class Mutation:
    """One break: `what` of the five kinds, `where` in words, and the whole definition with it, as JSON."""

    lifecycle: str
    what: str
    where: str
    text: str


@dataclass(frozen=True)
class Outcome:
    lifecycle: str
    what: str
    where: str
    verdict: Verdict
    by: str  # the first code, or the scenario
    seconds: float


def mutations(count: int, seed: int) -> Iterator[Mutation]:
    """As many different breaks, the kinds and the lifecycles in turn."""
    chance = random.Random(seed)
    names = lifecycle_names()
    kinds: list[tuple[str, Callable[[random.Random, Json, Lifecycle], str | None]]] = [
        ("name misspelt", misspell), ("guard negated", negate), ("transition dropped", drop),
        ("transition doubled", double), ("stage orphaned", orphan),
    ]  # fmt: skip
    seen: set[str] = set()
    tries = 0
    while len(seen) < count and tries < 20 * count:
        name = names[tries % len(names)]
        what, mutate = kinds[tries // len(names) % len(kinds)]
        tries += 1
        plain = deepcopy(_plain(name))
        where = mutate(chance, plain, _lifecycle(name))
        if where is None:
            continue
        text = json.dumps(plain, ensure_ascii=False, indent=1)
        if text not in seen and text != _text(name):
            seen.add(text)
            yield Mutation(name, what, where, text)


@cache
def _plain(name: str) -> Json:
    plain = read_document(lifecycle_path(name)).root.plain()
    assert isinstance(plain, dict)
    return plain


@cache
def _text(name: str) -> str:
    return json.dumps(_plain(name), ensure_ascii=False, indent=1)


@cache
def _lifecycle(name: str) -> Lifecycle:
    return read(lifecycle_path(name))


# The five kinds. Each changes the plain definition it is given and says where, or None where there was nothing to do.


def misspell(chance: random.Random, plain: Json, lifecycle: Lifecycle) -> str | None:
    """One letter of one name, wherever names are written: in guards, patterns and references."""
    found = [path for path, value in _scalars(plain) if isinstance(value, str) and _holds_names(path)]
    found += [place.path for place in places(lifecycle) if place.on_key]
    path = chance.choice(sorted(set(found), key=repr))
    on_key = any(place.on_key and place.path == path for place in places(lifecycle))
    text = str(path[-1]) if on_key else _at(plain, path)
    words = [match for match in _NAME.finditer(_without_texts(text)) if match[0] not in _WORDS]
    if not words:
        return None
    word = chance.choice(words)
    wrong = _slip(chance, word[0])
    changed = text[: word.start()] + wrong + text[word.end() :]
    if on_key:
        points = _at(plain, path[:-1])
        renamed = {changed if key == text else key: value for key, value in points.items()}
        points.clear()
        points.update(renamed)
    else:
        _put(plain, path, changed)
    return f"{_shown(path)}: {word[0]} → {wrong}"


def _holds_names(path: Path_) -> bool:
    prose = {"means", "title", "text", "says", "name", "goal", "content", "journey", "entry", "exit", "crm", "value",
             "field"}  # fmt: skip
    if path[0] in ("business_hours", "sign_off", "owners", "publish", "parameters", "notes", *prose):
        return False
    if len(path) == 1 or (path[0] == "statuses" and "meanings" in path):
        return False
    return not any(step in prose for step in path[1:] if isinstance(step, str) and path[0] != "conditions")


def _without_texts(text: str) -> str:
    """The text with what stands in quotes blanked: a value may be any word."""
    return re.sub(r'"[^"]*"|\'[^\']*\'', lambda match: " " * len(match[0]), text)


def _slip(chance: random.Random, word: str) -> str:
    place = chance.randrange(len(word) - 1)
    match chance.randrange(4):
        case 0:
            wrong = word[:place] + word[place + 1 :]
        case 1:
            wrong = word[:place] + word[place + 1] + word[place] + word[place + 2 :]
        case 2:
            wrong = word[:place] + chance.choice("abcdefghijklmnopqrstuvwxyz") + word[place + 1 :]
        case _:
            wrong = word[:place] + word[place] + word[place:]
    return wrong if wrong != word else word + word[-1]


def negate(chance: random.Random, plain: Json, lifecycle: Lifecycle) -> str | None:
    """A guard, or one of the conditions that it joins, turned into its contrary."""
    chosen = [
        place
        for place in places(lifecycle)
        if (place.form == "guard" and not place.on_key) or (place.form == "pattern" and " when " in place.text)
    ]
    place = chance.choice(chosen)
    path, text = _real(plain, place.path), place.text
    if place.on_key:
        return None
    head, when, guard = text.partition(" when ") if place.form == "pattern" else ("", "", text)
    parts = re.split(r" and (?![^(]*\))", guard)
    if len(parts) > 1 and chance.random() < 0.7:
        number = chance.randrange(len(parts))
        parts[number] = f"not ({parts[number]})"
        guard = " and ".join(parts)
    else:
        guard = f"not ({guard})"
    changed = f"{head}{when}{guard}"
    _put(plain, path, changed)
    return f"{_shown(path)}: {changed}"


def drop(chance: random.Random, plain: Json, lifecycle: Lifecycle) -> str | None:
    number = chance.randrange(len(plain["transitions"]))
    gone = plain["transitions"].pop(number)
    return f"{gone['from']} → {gone['to']}: {gone['says']}"


def double(chance: random.Random, plain: Json, lifecycle: Lifecycle) -> str | None:
    """Once more somewhere: as it is, or with another end, as a line copied and half changed is."""
    moves = plain["transitions"]
    number = chance.randrange(len(moves))
    copied = deepcopy(moves[number])
    if chance.random() < 0.5:
        others = [name for name in plain["stages"] if name != copied["to"] and name not in _origins(lifecycle, number)]
        if others:
            copied["to"] = chance.choice(others)
    place = chance.randint(0, len(moves))
    moves.insert(place, copied)
    return f"{copied['from']} → {copied['to']}: {copied['says']}, at {place}"


def orphan(chance: random.Random, plain: Json, lifecycle: Lifecycle) -> str | None:
    """Everything that leads to a stage, or everything that leads from it, goes or leads elsewhere."""
    stages = list(plain["stages"])
    place = chance.randrange(1, len(stages))
    stage = stages[place]
    moves = plain["transitions"]
    if chance.random() < 0.5:
        other = chance.choice([name for name in stages if name != stage])
        kept = []
        for number, move in enumerate(moves):
            if move["to"] == stage:
                if other in _origins(lifecycle, number) or chance.random() < 0.5:
                    continue
                move["to"] = other
            kept.append(move)
        plain["transitions"] = kept
        return f"nothing leads to {stage}"
    kept = []
    for number, move in enumerate(moves):
        origins = [name for name in _origins(lifecycle, number) if name != stage]
        if origins:
            kept.append({**move, "from": origins})
    plain["transitions"] = kept
    return f"nothing leads from {stage}"


def _origins(lifecycle: Lifecycle, number: int) -> list[str]:
    return lifecycle.origins(lifecycle.transitions[number])


# Paths into the plain definition.


def _scalars(value: Any, path: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _scalars(part, (*path, key))
    elif isinstance(value, list):
        for place, part in enumerate(value):
            yield from _scalars(part, (*path, place))
    else:
        yield path, value


def _at(value: Any, path: Path_) -> Any:
    for step in path:
        value = value[step]
    return value


def _put(value: Any, path: Path_, new: Any) -> None:
    _at(value, path[:-1])[path[-1]] = new


def _real(plain: Json, path: Path_) -> Path_:
    """The path as the file has it: steps into what was widened from a short form are left out."""
    here: Any = plain
    real: list[str | int] = []
    for step in path:
        if step in here if isinstance(here, dict) else isinstance(here, list) and isinstance(step, int):
            here = here[step]
            real.append(step)
    return tuple(real)


def _shown(path: Path_) -> str:
    return ".".join(map(str, path))


# Who notices.


def judge(mutation: Mutation) -> Outcome:
    """Who catches a break: the reader, else lint, else the scenarios; nobody, where it makes no difference."""
    started = time.perf_counter()
    verdict, by = _judged(mutation)
    return Outcome(
        mutation.lifecycle, mutation.what, mutation.where, verdict, by, round(time.perf_counter() - started, 2)
    )


def _judged(mutation: Mutation) -> tuple[Verdict, str]:
    try:
        broken = read(mutation.text)
    except DefinitionError as error:
        return "reader", error.findings[0].code
    if fingerprint(broken) == fingerprint(_lifecycle(mutation.lifecycle)):
        return "equivalent", "fingerprint"
    new = _told(mutation.text) - _baseline(mutation.lifecycle)
    if new:
        return "lint", min(new)[0]
    failed = _failing(mutation.lifecycle, broken)
    if failed is not None:
        return "scenarios", failed
    if equivalent(_lifecycle(mutation.lifecycle), broken):
        return "equivalent", "proved"
    return "missed", ""


def _told(text: str) -> Counter[tuple[str, str]]:
    found = [(finding.code, re.sub(r"line \d+", "line", finding.message)) for finding in lint(text)]
    return Counter(told for told in found if told[0] not in OF_THE_AGREEMENT)


@cache
def _baseline(name: str) -> Counter[tuple[str, str]]:
    return _told(_text(name))


@cache
def _scenarios(name: str) -> Sequence[Scenario]:
    return read_scenarios(scenarios_path(lifecycle_path(name)))


def _failing(name: str, broken: Lifecycle) -> str | None:
    """The first of the lifecycle's scenarios that fails with the broken definition."""
    runner = _Broken(broken)
    for scenario in _scenarios(name):
        try:
            if not runner.run(scenario).passed:
                return scenario.name
        except DefinitionError:  # a stage or status that the scenario expects is gone
            return scenario.name
    return None


class _Broken(Runner):
    """Runs every scenario with one definition, whichever it names."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        super().__init__()
        self._broken = lifecycle

    def _lifecycle(self, path: Path) -> Lifecycle:
        return self._broken


def equivalent(whole: Lifecycle, broken: Lifecycle) -> bool:
    """Proved that no contact's history can differ: wherever the two definitions differ is a guard of the same moment,
    and no values make the one hold and not the other."""
    one, other = (lifecycle.model_dump(mode="json") for lifecycle in (whole, broken))
    differ = [name for name in one if one[name] != other[name]]
    if differ != ["transitions"] and differ != ["conditions"]:
        return False
    if len(whole.transitions) != len(broken.transitions):
        return False
    for before, after in zip(whole.transitions, broken.transitions, strict=True):
        if before.model_copy(update={"when": None}) != after.model_copy(update={"when": None}):
            return False
    subjects = [Subject(whole), Subject(broken)]
    if any(
        PUBLISHED in lifecycle.conditions for lifecycle in (whole, broken)
    ):  # it goes out whether or not it is asked
        fits = [subject.expanded(PUBLISHED) for subject in subjects if PUBLISHED in subject.lifecycle.conditions]
        if len(fits) < len(subjects) or ast.dump(fits[0]) != ast.dump(fits[1]):
            return False
    explorer = Explorer(subjects[0])
    prover = Prover(subjects[0], explorer.probe, explorer.explore())
    texts = [[text.tree for text in subject.texts()] for subject in subjects]
    if len(texts[0]) != len(texts[1]):
        return False
    for stage in sorted(prover.world.stages):
        for left, right in zip(*texts, strict=True):
            if ast.dump(left) == ast.dump(right):
                continue

            def ask(reading: Reading, left: ast.expr = left, right: ast.expr = right) -> Formula:
                first, second = reading.guard(left), reading.guard(right)
                return disjunction([conjunction([first, negation(second)]), conjunction([second, negation(first)])])

            if prover.holds(stage, None, ask) is not False:
                return False
    return True


# The table.

KINDS: Final = ("name misspelt", "guard negated", "transition dropped", "transition doubled", "stage orphaned")


def measure(count: int, seed: int, jobs: int) -> list[Outcome]:
    """What became of so many breaks."""
    given = list(mutations(count, seed))
    if jobs <= 1:
        return [judge(mutation) for mutation in given]
    with ProcessPoolExecutor(jobs) as pool:
        return list(pool.map(judge, given, chunksize=8))


def share(outcomes: Sequence[Outcome], verdicts: Sequence[Verdict]) -> float:
    """The part of the breaks that make a difference which these catch."""
    real = [outcome for outcome in outcomes if outcome.verdict != "equivalent"]
    return sum(outcome.verdict in verdicts for outcome in real) / len(real) if real else 1.0


def table(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Markdown: a line for each kind of break."""
    yield "| broken | how often | equivalent | reader and lint | with scenarios |"
    yield "|-|-:|-:|-:|-:|"
    for what in (*KINDS, "all"):
        mine = [outcome for outcome in outcomes if what in (outcome.what, "all")]
        counts: Mapping[str, int] = Counter(outcome.verdict for outcome in mine)
        yield (
            f"| {what} | {len(mine)} | {counts.get('equivalent', 0)} | {share(mine, ['reader', 'lint']):.1%}"
            f" | {share(mine, ['reader', 'lint', 'scenarios']):.1%} |"
        )


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutations", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--count", type=int, default=1000, help="breaks (1000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="processes (1)")
    parser.add_argument("--json", type=Path, help="write every break and its verdict here, a line each")
    given = parser.parse_args(arguments)
    started = time.perf_counter()
    outcomes = measure(given.count, given.seed, given.jobs)
    for line in table(outcomes):
        print(line)
    print(f"{len(outcomes)} breaks, seed {given.seed}, {time.perf_counter() - started:.0f} s", file=sys.stderr)
    if given.json:
        given.json.write_text("".join(json.dumps(asdict(outcome), ensure_ascii=False) + "\n" for outcome in outcomes))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
