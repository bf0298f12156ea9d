"""The source of a plan's functions, generated from a lifecycle's meaning, and run.

Everything generated is made of expressions that an allow-list has checked and of the fixed words below; `worker.plan.
expressions` says what the short names in it stand for.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping
from typing import Any

from worker.definition.trees import copied
from worker.plan import support
from worker.plan.expressions import flips, is_event_only, source
from worker.plan.meaning import Meaning

ARGUMENTS = "s, e, t, h, y, z"
_LOCALS = {"S": "S = s.signals", "F": "F = s.facts", "x": "x = s.traits"}
_NO_EVENT = {"e": "e = {}", "h": "h = 0", "y": "y = ''", "z": "z = ''"}  # what a guard reads where there is none
_FITS_KEPT = 50_000  # fit scores remembered by the traits they come of
PER_TYPE = ("uses", "ignores", "applies", "status", "move", "meets")


class Generator:
    """Writes the functions of one plan; `run` gives them by name."""

    def __init__(self, meaning: Meaning) -> None:
        self.meaning = meaning
        self.lines: list[str] = []
        self.kinds = ["", *meaning.types]

    @property
    def source(self) -> str:
        return "\n".join(self.lines)

    def generate(self) -> None:
        """All of the plan's functions: per event type numbered as `kinds`, left out where they never do a thing."""
        self._fit()
        for number, kind in enumerate(self.kinds):
            self._uses(number, kind)
            self._applies(number, kind)
            self._statuses_for(number, kind)
            self._moves_for(number, kind)
            self._meets(number, kind)
        self._onward()
        self._marks()
        self._traits()
        self._derive()
        self._forgotten()
        self._due()
        self._stages()
        self._moves()
        self._predicates()

    def function(
        self, name: str, arguments: str, body: list[str], inner: bool = True, unset: Mapping[str, str] | None = None
    ) -> None:
        """Write a function that begins with those lines of `_LOCALS` (`inner`) and of `unset` that its body needs."""
        text = "\n".join(body)
        known = {**(unset or {}), **(_LOCALS if inner else {})}
        used = [line for short, line in known.items() if re.search(rf"\b{short}\b", text)]
        self.lines.append(f"def {name}({arguments}):")
        self.lines += [f"    {line}" for line in used + body]
        self.lines.append("")

    # The plan, part by part.

    def run(self) -> dict[str, Any]:
        space: dict[str, Any] = {name: getattr(support, name) for name in dir(support) if not name.startswith("_")}
        space |= {"STAGES": self.meaning.stages, "STATUSES": self.meaning.statuses, "ceil": math.ceil}
        space["R"] = [re.compile(pattern).fullmatch for pattern in self.meaning.names.patterns]
        name = f"<plan of {self.meaning.lifecycle.lifecycle}>"
        exec(compile(self.source, name, "exec"), space)
        return space

    def _fit(self) -> None:
        fit = self.meaning.lifecycle.score.fit
        parts = [
            f"({self.meaning.text(figure)} if {self.meaning.text(guard)} else 0)"
            for guard, figure in fit.points.items()
        ]
        total = f"min({self.meaning.text(fit.cap)}, {' + '.join(parts)})" if parts else "0"
        traits = traits_alone(total)
        if traits:
            # Asked several times of each change, and by far not as many different answers.
            key = ", ".join(f"x.get({name!r}, ...)" for name in traits)
            body = [f"k = ({key},) if x else ()"]
            body += ["try:", "    return FITS[k]", "except KeyError:", "    pass", "except TypeError:", "    k = None"]
            body += [f"v = {total}", "if k is not None:", f"    if len(FITS) >= {_FITS_KEPT}: FITS.clear()"]
            body += ["    FITS[k] = v", "return v"]
            self.lines.append("FITS = {}")
            self.function("fit", "s", body)
        else:
            self.function("fit", "s", [f"return {total}"], unset={"t": "t = s.at", **_NO_EVENT})
        self.function("behaviour_at", "s, t", [f"return {self.meaning.names.behaviour}"], inner=False)

    def _uses(self, number: int, kind: str) -> None:
        """Could an event of this type do anything, by what it carries alone (traits and attribution apart)?"""
        tests = [f"{name!r} in e" for name in sorted(self.meaning.free_fields())]
        for pattern in self.meaning.all_patterns():
            if pattern.kind != "type" or pattern.name != kind or self.meaning.only_ignores(pattern):
                continue
            guard = None if pattern.guard is None else self.meaning.names.expand(pattern.guard)
            tests.append("True" if guard is None or not is_event_only(guard) else source(guard, self.meaning.names))
        ignored = self.meaning.any_of(self.meaning.patterns(self.meaning.lifecycle.ignore), kind)
        body = [f"if {ignored}: return False"] if ignored else []
        if ignored:
            self.function(f"ignores_{number}", "e, y, z", ["t = 0", f"return bool({ignored})"], inner=False)
        body.append("return True" if "True" in tests else f"return bool({' or '.join(tests) or 'False'})")
        self.function(f"uses_{number}", "e, y, z", ["t = 0", *body], inner=False)

    def _applies(self, number: int, kind: str) -> None:
        body = ["h = 0"]
        for sort, name in self.meaning.order():
            body += self._fact(name, kind) if sort == "fact" else self._signal(name, kind)
        body += self._points(kind)
        body.append("return h")
        self.function(f"applies_{number}", "s, e, t, y, z", body)

    def _said(self, given: str | None) -> str:
        """Source of what the event says beside an id, None where it says nothing: then what was said before stands."""
        if given is None:
            return "None"
        node = self.meaning.parse(given)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "event":
            return f"e.get({node.attr!r})"
        return self.meaning.guard(node)

    def _fact(self, name: str, kind: str) -> list[str]:
        fact, place = self.meaning.lifecycle.facts[name], self.meaning.names.facts[name][0]
        node = self.meaning.parse(fact.from_)
        lines: list[str] = []
        if fact.type == "ids":
            added = self.meaning.any_of(self.meaning.patterns(fact.added_by or []), kind)
            removed = self.meaning.any_of(self.meaning.patterns(fact.removed_by or []), kind)
            value = source(self.meaning.names.expand(node), self.meaning.names)
            if added:
                amount, currency = self._said(fact.amount), self._said(fact.currency)
                lines.append(f"if {added}: add_id(F[{place}], {value}, {amount}, {currency})")
            if removed:
                lines.append(f"if {removed}: F[{place}].pop(text({value}), None)")
        elif fact.of is not None or not self.meaning.derived(node):
            found = self.meaning.any_of(self.meaning.patterns(fact.of), kind) if fact.of is not None else "True"
            if found and isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                if node.value.id == "event":
                    read = {"type": "y", "ce_source": "z", "time": "t"}.get(node.attr, f"e.get({node.attr!r})")
                    lines += [f"v = {read}"]
                    lines += [f"if v is not None and ({found}): F[{place}] = as_{fact.type}(v, F[{place}])"]
                elif fact.of is not None:
                    lines += [f"if {found}: F[{place}] = as_{fact.type}(x.get({node.attr!r}), F[{place}])"]
            elif found:
                lines.append(f"if {found}: F[{place}] = as_{fact.type}({self.meaning.guard(node)}, F[{place}])")
        if fact.forget:
            forgotten = self.meaning.any_of(self.meaning.patterns(fact.forget), kind)
            if forgotten:
                lines.append(f"if {forgotten}: F[{place}] = {_EMPTY_SOURCE[fact.type]}")
        return lines

    def _signal(self, name: str, kind: str) -> list[str]:
        code = self.meaning.any_of(self.meaning.signal_patterns[name], kind)
        if code is None:
            return []
        place = self.meaning.place[name]
        keep = self.meaning.lifecycle.signals[name].keep if name in self.meaning.names.windows else 0
        hit = f"h |= {1 << place}; S[{place}] = hit(S[{place}], t, s.order, {keep})"
        return [hit] if code == "True" else [f"if {code}:", f"    {hit}"]

    def _points(self, kind: str) -> list[str]:
        score = self.meaning.lifecycle.score
        lines: list[str] = []
        for text, figure in score.behaviour.points.items():
            code = self.meaning.happens(self.meaning.patterns([text])[0], kind)
            if code is not None:
                points = self.meaning.text(figure)
                lines.append(f"p += number({points})" if code == "True" else f"if {code}: p += number({points})")
        if lines:
            ignored = f"if not ({self.meaning.text(score.ignore)}):" if score.ignore else "if True:"
            cap, before = self.meaning.text(score.behaviour.cap), self.meaning.names.behaviour
            grow = f"s.behaviour = min({cap}, max(0, {before} + p))"
            lines = ["p = 0", ignored, *(f"    {line}" for line in lines), f"    if p: {grow}; s.behaviour_at = t"]
        forgotten = self.meaning.any_of(self.meaning.patterns(score.forget or []), kind)
        if forgotten:
            lines.append(f"if {forgotten}: s.behaviour = 0; s.behaviour_at = t")
        return lines

    def _statuses_for(self, number: int, kind: str) -> None:
        statuses = self.meaning.lifecycle.statuses
        body = ["now = s.status"]
        if statuses is None:
            return
        setter = self.meaning.any_of(self.meaning.patterns(statuses.set_by), kind)
        if setter:
            body.append(f"if ({setter}) and e.get('status') in PLACES: return PLACES[e['status']]")
        track = len(statuses.track)
        body += ["best = -1"]
        asides: list[str] = []
        for name, rule in statuses.implied_by.items():
            code = self.meaning.any_of(self.meaning.patterns(rule.any), kind)
            if code is None:
                continue
            place = self.meaning.statuses.index(name)
            if place >= track:
                asides.append(f"if (now < {track}{' or True' if rule.from_aside else ''}) and ({code}): return {place}")
            else:
                free = "" if rule.from_aside else f"now < {track} and "
                right = f"(now >= {track} or {place} > now)" if rule.from_aside else f"{place} > now"
                body.append(f"if {free}{right} and {place} > best and ({code}): best = {place}")
        reopened: list[str] = []
        for reopen in statuses.reopen:
            code = self.meaning.any_of(self.meaning.patterns(reopen.by), kind)
            if code is None:
                continue
            places = [self.meaning.statuses.index(name) for name in (reopen.from_ or statuses.aside)]
            when = f" and ({self.meaning.text(reopen.when)})" if reopen.when else ""
            reopened.append(f"if now in {tuple(places)!r} and ({code}){when}:")
            reopened.append(f"    best = {self.meaning.statuses.index(reopen.to)}")
            for name, rule in statuses.implied_by.items():
                code, place = (
                    self.meaning.any_of(self.meaning.patterns(rule.any), kind),
                    self.meaning.statuses.index(name),
                )
                if code is not None and place < track:
                    reopened.append(f"    if {place} > best and ({code}): best = {place}")
            # An implied aside other than the present one may be what the event implies (a reply "later").
            for name, rule in statuses.implied_by.items():
                code, place = (
                    self.meaning.any_of(self.meaning.patterns(rule.any), kind),
                    self.meaning.statuses.index(name),
                )
                if code is not None and place >= track:
                    reopened.append(f"    if now != {place} and ({code}): best = {place}")
            reopened.append("    return best")
        if len(body) > 2 or reopened or asides:
            self.function(f"status_{number}", ARGUMENTS, [*body, *reopened, *asides, "return best"])

    def _moves_for(self, number: int, kind: str) -> None:
        body = ["a = s.stage"]
        for origin in range(len(self.meaning.stages)):
            tests: list[str] = []
            for edge in self.meaning.ways_out(origin):
                transition = self.meaning.lifecycle.transitions[edge.transition]
                if transition.event is None:
                    continue
                code = self.meaning.any_of(self.meaning.patterns(transition.event), kind)
                if code is not None:
                    tests.append(
                        f"    if {self._and(code, self.meaning.rest(edge.transition))}: return {edge.transition}"
                    )
            if tests:
                body += [f"if a == {origin}:", *dict.fromkeys(tests), "    return -1"]
        self.function(f"move_{number}", ARGUMENTS, [*(body if len(body) > 1 else ()), "return -1"])

    @staticmethod
    def _and(left: str, right: str | None) -> str:
        return f"({left})" if right is None else f"({left}) and {right}"

    def _onward(self) -> None:
        body = ["a = s.stage"]
        for origin in range(len(self.meaning.stages)):
            tests = [
                f"    if {self.meaning.rest(edge.transition)}: return {edge.transition}"
                for edge in self.meaning.ways_out(origin)
                if self.meaning.lifecycle.transitions[edge.transition].event is None
            ]
            if tests:
                body += [f"if a == {origin}:", *dict.fromkeys(tests), "    return -1"]
        self.function("onward", ARGUMENTS, [*body, "return -1"])

    def _meets(self, number: int, kind: str) -> None:
        body = ["a = s.stage"]
        for place, stage in enumerate(self.meaning.lifecycle.stages.values()):
            code = self.meaning.any_of(self.meaning.patterns(stage.sla.met_by), kind) if stage.sla else None
            if code is not None:
                body.append(f"if a == {place}: return {code}")
        if len(body) > 1:
            self.function(f"meets_{number}", ARGUMENTS, [*body, "return False"])

    def _marks(self) -> None:
        body = ["m = 0"]
        body += [
            f"if {self.meaning.text(guard)}: m |= {1 << place}"
            for place, guard in enumerate(self.meaning.flag_guards())
        ]
        self.function("marks", ARGUMENTS, [*body, "return m"])

    def _traits(self) -> None:
        body = ["x = s.traits; F = s.facts", "for name in TRAITS:", "    if name in given: x[name] = given[name]"]
        for name, fact in self.meaning.lifecycle.facts.items():
            node = self.meaning.parse(fact.from_)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "traits":
                place = self.meaning.names.facts[name][0]
                if fact.of is None and fact.type != "ids":
                    body.append(
                        f"if {node.attr!r} in given: F[{place}] = as_{fact.type}(given[{node.attr!r}], F[{place}])"
                    )
        self.function("take_traits", "s, given", body, inner=False)
        self.lines.append(f"TRAITS = {tuple(sorted(self.meaning.kept_traits()))!r}")
        self.lines.append(f"PLACES = { {name: place for place, name in enumerate(self.meaning.statuses)}!r}")
        self.lines.append("")

    def _derive(self) -> None:
        body: list[str] = []
        for sort, name in self.meaning.order():
            if sort != "fact":
                continue
            fact = self.meaning.lifecycle.facts[name]
            node = self.meaning.parse(fact.from_)
            if fact.type != "ids" and fact.of is None and self.meaning.derived(node):
                place = self.meaning.names.facts[name][0]
                body.append(f"F[{place}] = as_{fact.type}({self.meaning.guard(node)}, F[{place}])")
        self.function("derive", "s, t", body or ["return"], unset=_NO_EVENT)

    def _forgotten(self) -> None:
        """What a move makes the contact forget, by the signals that it set off."""
        facts, body = self.meaning.lifecycle.facts, list[str]()
        for name, fact in facts.items():
            if code := self.meaning.forgotten(fact.forget):
                place = self.meaning.names.facts[name][0]
                body.append(f"if {code}: F[{place}] = {_EMPTY_SOURCE[fact.type]}")
        if code := self.meaning.forgotten(self.meaning.lifecycle.score.forget):
            body.append(f"if {code}: s.behaviour = 0; s.behaviour_at = t")
        self.function("forgotten", ARGUMENTS, [*body, "derive(s, t)"])

    def _due(self) -> None:
        body: list[str] = []
        seen: set[tuple[int | None, str]] = set()

        def consider(code: str, stage: int | None) -> None:
            if (stage, code) in seen or (None, code) in seen:
                return
            seen.add((stage, code))
            test = "" if stage is None else f"s.stage == {stage} and "
            body.append(f"if {test}a < (v := {code}) and (not b or v < b): b = v")

        for guard in self.meaning.flag_guards():
            for flip in flips(self.meaning.names.expand(self.meaning.parse(guard)), self.meaning.names, both=True):
                consider(flip.code, None)
        for origin in range(len(self.meaning.stages)):
            for edge in self.meaning.ways_out(origin):
                transition = self.meaning.lifecycle.transitions[edge.transition]
                if transition.event is not None:
                    continue
                if transition.after:
                    consider(f"s.entered + ceil({self.meaning.text(transition.after)})", origin)
                if transition.when:
                    for flip in flips(
                        self.meaning.names.expand(self.meaning.parse(transition.when)), self.meaning.names, both=False
                    ):
                        consider(flip.code, origin)
        body = ["t = a = s.at; b = 0", *body, "return b"] if body else ["return 0"]
        self.function("due", "s", body, unset=_NO_EVENT)

    def _stages(self) -> None:
        for place, stage in enumerate(self.meaning.lifecycle.stages.values()):
            if stage.sla:
                self.function(f"within_{place}", ARGUMENTS, [f"return {self.meaning.text(stage.sla.within)}"])
                if stage.sla.warn_after:
                    self.function(f"warns_{place}", ARGUMENTS, [f"return {self.meaning.text(stage.sla.warn_after)}"])
                if stage.sla.unless:
                    self.function(f"unless_{place}", ARGUMENTS, [f"return {self.meaning.text(stage.sla.unless)}"])
            for word in ("entering", "leaving"):
                self._status_of_move(word, place)

    def _status_of_move(self, word: str, place: int) -> None:
        """Statuses that follow from entering or leaving a stage: like implied ones, only to the right."""
        statuses = self.meaning.lifecycle.statuses
        tests: list[str] = []
        for name, rule in (statuses.implied_by if statuses else {}).items():
            for pattern in self.meaning.patterns(rule.any):
                if pattern.kind != word or pattern.name != self.meaning.stages[place]:
                    continue
                target, track = self.meaning.statuses.index(name), len(statuses.track) if statuses else 1
                right = f"{target} > s.status" if target < track else "True"
                free = f"(s.status < {track} and {right})"
                if rule.from_aside:
                    free = f"(s.status >= {track} or {right})"
                guard = "" if pattern.guard is None else f" and {self.meaning.guard(pattern.guard)}"
                tests.append(f"if {free}{guard}: return {target}")
        if tests:
            self.function(f"{word}_{place}", ARGUMENTS, [*tests, "return -1"])

    def _moves(self) -> None:
        for place, transition in enumerate(self.meaning.lifecycle.transitions):
            when = self.meaning.parse(transition.when) if transition.when else None
            parts = [f"{in_words(part)!r}: bool({self.meaning.guard(part)})" for part in _conjuncts(when)]
            self.function(f"guards_{place}", ARGUMENTS, ["return {" + ", ".join(parts) + "}"])
            if transition.reason:
                self.function(f"reason_{place}", ARGUMENTS, [f"return text({self.meaning.text(transition.reason)})"])

    def _predicates(self) -> None:
        statuses, company = self.meaning.lifecycle.statuses, self.meaning.lifecycle.company
        forget = self.meaning.lifecycle.forget
        guards = {
            "disqualified": (statuses and statuses.disqualify) or "False",
            "suppressed": (statuses and statuses.suppress) or "False",
            "spared": (forget and forget.unless) or "False",
        }
        if "fit" in self.meaning.lifecycle.conditions:
            guards["fits"] = "fit"
        guards |= {
            f"company_{number}": guard for number, guard in enumerate(company.statuses.values() if company else ())
        }
        for name, guard in guards.items():
            self.function(name, "s, t", [f"return bool({self.meaning.text(guard)})"], unset=_NO_EVENT)


_EMPTY_SOURCE = {"boolean": "False", "number": "0", "text": "''", "time": "0", "ids": "{}"}


def _conjuncts(guard: ast.expr | None) -> list[ast.expr]:
    """The conditions that a guard joins by `and`."""
    if guard is None:
        return []
    return guard.values if isinstance(guard, ast.BoolOp) and isinstance(guard.op, ast.And) else [guard]


class _Words(ast.NodeTransformer):
    """Durations, truth values and `none` as a person writes them."""

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if node.value is None or isinstance(node.value, bool):
            return ast.Name(id=str(node.value).lower())
        if node.kind == "duration" and isinstance(node.value, int | float):
            for unit, ms in (("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
                if node.value and node.value % ms == 0:
                    return ast.Name(id=f"{node.value // ms:g}{unit}")
        return node


def in_words(node: ast.expr) -> str:
    """The expression as it may stand in the file."""
    return ast.unparse(_Words().visit(copied(node)))


def traits_alone(code: str) -> list[str]:
    """The traits that an expression's source reads, where it reads nothing else of a state; else none."""
    names: set[str] = set()
    seen = uses = 0
    for node in ast.walk(ast.parse(code, mode="eval")):
        match node:
            case ast.Name(id="x"):
                uses += 1
            case ast.Name(id="s" | "S" | "F" | "t" | "h" | "e" | "y" | "z"):
                return []
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="x"), attr="get"), args=[ast.Constant(value=str(name)), *_]
            ):
                names.add(name)
                seen += 1
            case ast.Compare(left=ast.Constant(value=str(name)), ops=[ast.In()], comparators=[ast.Name(id="x")]):
                names.add(name)
                seen += 1
    return sorted(names) if seen == uses else []
