"""From a checked expression to Python source over a state.

In the generated code stand: `s` the state, `e` the event's data ({} for a timer), `t` its time in epoch ms, `h` the
signals that this event set off (a bit each), `S`, `F`, `x` for `s.signals`, `s.facts`, `s.traits`, `y` the event's
type and `z` its envelope's source. Conditions and parameters are written out first (`Names.expand`), so that one
expression is self-contained and its dependence on events and on time can be read off it.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field

from worker.definition.trees import copied

Parameters = Mapping[str, bool | int | float | str]

_DEFAULTS = {"boolean": "False", "number": "0", "text": "''", "time": "0", "ids": "{}"}
_ORDER = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
_TIMED_CALLS = {"last", "days_in_stage", "count", "seen"}


@dataclass(frozen=True)
class Names:
    """What the names in a lifecycle's expressions stand for; indices are places in the state's lists."""

    parameters: Parameters
    conditions: Mapping[str, ast.expr]
    signals: Mapping[str, int]
    facts: Mapping[str, tuple[int, str]]  # name → (place, type)
    stages: tuple[str, ...]
    statuses: tuple[str, ...]
    fields: Mapping[str, str]  # event field → type, where it is known
    traits: Mapping[str, str]
    half_life: float | None = None
    fit: str = "0"  # source of the fit score
    windows: frozenset[str] = frozenset()  # signals counted in windows
    patterns: list[str] = field(default_factory=list)  # regular expressions, by their place in the generated `R`

    @property
    def behaviour(self) -> str:
        """Source of the behaviour score as it stands at `t`."""
        if self.half_life is None:
            return "s.behaviour"
        return f"behaviour(s.behaviour, s.behaviour_at, t, {self.half_life!r})"

    def expand(self, node: ast.expr) -> ast.expr:
        """The expression with conditions and parameters written out, until neither is left."""
        return _Expand(self).visit(copied(node))  # type: ignore[no-any-return]  # a NodeTransformer returns Any


class _Expand(ast.NodeTransformer):
    def __init__(self, names: Names) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in self.names.conditions:
            return self.names.expand(self.names.conditions[node.id])
        if node.id in self.names.parameters:
            return ast.Constant(value=self.names.parameters[node.id])
        return node


def event_fields(node: ast.expr) -> set[str]:
    """The fields of `event.…` that the expression reads, the envelope's own apart."""
    return {
        part.attr
        for part in ast.walk(node)
        if isinstance(part, ast.Attribute) and _root(part) == "event" and part.attr not in ("type", "ce_source", "time")
    }


def trait_names(node: ast.expr) -> set[str]:
    return {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute) and _root(part) == "traits"}


def is_event_only(node: ast.expr) -> bool:
    """Whether the value follows from the event alone, whatever the contact's state."""
    for part in ast.walk(node):
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Name):
            if part.func.id not in ("min", "max", "size", "contains", "starts_with", "matches"):
                return False
        elif isinstance(part, ast.Attribute):
            if _root(part) != "event":
                return False
        elif isinstance(part, ast.Name) and part.id not in (
            "event", "min", "max", "size", "contains", "starts_with", "matches",
        ):  # fmt: skip
            return False
    return True


def is_timed(node: ast.AST) -> bool:
    """Whether the value can change while nothing happens."""
    fit: set[int] = set()  # the name `score` of a `score.fit`, which ast.walk gives after its attribute
    for part in ast.walk(node):
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Name) and part.func.id in _TIMED_CALLS:
            if part.func.id not in ("count", "seen") or _argument(part, 1, "within") is not None:
                return True
        if isinstance(part, ast.Attribute) and _root(part) == "score" and part.attr == "fit":
            fit.add(id(part.value))
        if isinstance(part, ast.Name) and part.id == "score" and id(part) not in fit:
            return True
    return False


def _root(node: ast.Attribute) -> str:
    return node.value.id if isinstance(node.value, ast.Name) else ""


def _argument(call: ast.Call, place: int, keyword: str) -> ast.expr | None:
    for given in call.keywords:
        if given.arg == keyword:
            return given.value
    return call.args[place] if len(call.args) > place else None


def source(node: ast.expr, names: Names) -> str:
    """Python source of an expanded expression; its value is as documented in the definition's words."""
    return _Source(names).emit(node)[0]


class _Source:
    def __init__(self, names: Names) -> None:
        self.names = names

    def emit(self, node: ast.expr, wanted: str = "any") -> tuple[str, str]:
        """(source, type); `wanted` is the type of what it is compared with, for the default of an unset field."""
        match node:
            case ast.Constant():
                return self._constant(node)
            case ast.Name():
                return self._name(node.id)
            case ast.Attribute():
                return self._attribute(_root(node), node.attr, wanted)
            case ast.BoolOp():
                word = " and " if isinstance(node.op, ast.And) else " or "
                return "(" + word.join(self.emit(part)[0] for part in node.values) + ")", "boolean"
            case ast.UnaryOp(op=ast.Not()):
                return f"(not {self.emit(node.operand)[0]})", "boolean"
            case ast.UnaryOp():
                sign = "-" if isinstance(node.op, ast.USub) else ""
                return f"({sign}{self._number(node.operand)})", "number"
            case ast.BinOp():
                return self._arithmetic(node), "number"
            case ast.Compare():
                return self._compare(node), "boolean"
            case ast.IfExp():
                then, kind = self.emit(node.body, wanted)
                other, _ = self.emit(node.orelse, wanted)
                return f"({then} if {self.emit(node.test)[0]} else {other})", kind
            case ast.Tuple() | ast.List():
                return "(" + "".join(self.emit(part)[0] + "," for part in node.elts) + ")", "list"
            case ast.Call():
                return self._call(node)
        raise TypeError(f"not an expression of a lifecycle: {ast.dump(node)}")

    def _constant(self, node: ast.Constant) -> tuple[str, str]:
        value = node.value
        if isinstance(value, bool):
            return repr(value), "boolean"
        if isinstance(value, int | float):
            return repr(value), "number"
        return repr(value), "text" if isinstance(value, str) else "any"

    def _name(self, name: str) -> tuple[str, str]:
        names = self.names
        if name in names.facts:
            place, kind = names.facts[name]
            return f"F[{place}]", kind
        if name in names.signals:
            return f"(h >> {names.signals[name]} & 1)", "boolean"
        if name == "stage":
            return "STAGES[s.stage]", "text"
        if name == "status":
            return "STATUSES[s.status]", "text"
        if name == "score":
            return f"({self.names.behaviour} + {names.fit})", "number"
        raise TypeError(f"no such name: {name}")

    def _attribute(self, root: str, name: str, wanted: str) -> tuple[str, str]:
        if root == "score":
            return {
                "fit": (f"({self.names.fit})", "number"),
                "behaviour": (self.names.behaviour, "number"),
                "total": (f"({self.names.behaviour} + {self.names.fit})", "number"),
            }[name]
        if root == "event" and name in ("type", "ce_source", "time"):
            return {"type": ("y", "text"), "ce_source": ("z", "text"), "time": ("t", "time")}[name]
        kinds, where = (self.names.fields, "e") if root == "event" else (self.names.traits, "x")
        kind = kinds.get(name, "any")
        default = _DEFAULTS.get(kind if kind != "any" else wanted)
        if default is None or default == "{}":
            return f"{where}.get({name!r})", kind
        return f"{where}.get({name!r}, {default})", kind

    def _number(self, node: ast.expr) -> str:
        code, kind = self.emit(node, "number")
        return code if kind in ("number", "time", "boolean") else f"number({code})"

    def _arithmetic(self, node: ast.BinOp) -> str:
        left, right = self._number(node.left), self._number(node.right)
        if isinstance(node.op, ast.Div):
            return f"divide({left}, {right})"
        if isinstance(node.op, ast.Mod):
            return f"remainder({left}, {right})"
        sign = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*"}[type(node.op)]
        return f"({left} {sign} {right})"

    def _compare(self, node: ast.Compare) -> str:
        parts = [node.left, *node.comparators]
        pairs = [self._pair(op, parts[place], parts[place + 1]) for place, op in enumerate(node.ops)]
        return pairs[0] if len(pairs) == 1 else "(" + " and ".join(pairs) + ")"

    def _pair(self, op: ast.cmpop, left: ast.expr, right: ast.expr) -> str:
        if isinstance(op, ast.In | ast.NotIn):
            negation = "not " if isinstance(op, ast.NotIn) else ""
            given, kind = self.emit(left, "text")
            whole, whole_kind = self.emit(right)
            if whole_kind == "list" and kind in ("text", "number", "boolean"):
                return f"({given} {negation}in {whole})"
            return f"({negation}within({given}, {whole}))"
        short = self._unset(op, left, right) or self._unset(op, right, left)
        short = short or self._place(op, left, right) or self._place(op, right, left)
        if short:
            return short
        first, first_kind = self.emit(left, self._kind(right))
        second, second_kind = self.emit(right, self._kind(left))
        numbers = ("number", "time", "boolean")
        same = (first_kind in numbers and second_kind in numbers) or first_kind == second_kind == "text"
        if isinstance(op, ast.Eq | ast.NotEq):
            sign = "==" if isinstance(op, ast.Eq) else "!="
            if same:
                return f"({first} {sign} {second})"
            return f"equal({first}, {second})" if sign == "==" else f"(not equal({first}, {second}))"
        if same:
            return f"({first} {_ORDER[type(op)]} {second})"
        if isinstance(op, ast.Gt | ast.GtE):
            first, second = second, first
        return f"{'less' if isinstance(op, ast.Lt | ast.Gt) else 'less_or_equal'}({first}, {second})"

    def _kind(self, node: ast.expr) -> str:
        return self.emit(node)[1]

    def _unset(self, op: ast.cmpop, left: ast.expr, right: ast.expr) -> str | None:
        """`event.fit == none`: the field is not there at all, which is not the same as false."""
        if not (isinstance(right, ast.Constant) and right.value is None and isinstance(left, ast.Attribute)):
            return None
        root = _root(left)
        if root not in ("event", "traits") or not isinstance(op, ast.Eq | ast.NotEq):
            return None
        negation = "" if isinstance(op, ast.Eq) else "not "
        return f"({left.attr!r} {'not in' if not negation else 'in'} {'e' if root == 'event' else 'x'})"

    def _place(self, op: ast.cmpop, left: ast.expr, right: ast.expr) -> str | None:
        """`stage == "mql"` as a comparison of places, which is quicker than of texts."""
        if not (isinstance(left, ast.Name) and left.id in ("stage", "status") and isinstance(right, ast.Constant)):
            return None
        known = self.names.stages if left.id == "stage" else self.names.statuses
        if not isinstance(op, ast.Eq | ast.NotEq) or right.value not in known:
            return None
        return f"(s.{left.id} {'==' if isinstance(op, ast.Eq) else '!='} {known.index(right.value)})"

    def _call(self, node: ast.Call) -> tuple[str, str]:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        match name:
            case "seen" if len(node.args) == 1 and not node.keywords:
                return f"({self._entry(node.args[0])} is not None)", "boolean"
            case "seen" | "count":
                return self._count(node, name)
            case "since":
                return f"since({self._entry(node.args[0])}, {self._entry(node.args[1])})", "boolean"
            case "last":
                return f"last({self._entry(node.args[0])}, t)", "number"
            case "size":
                return f"size({self.emit(node.args[0])[0]})", "number"
            case "min" | "max":
                return f"{name}({', '.join(self._number(part) for part in node.args)})", "number"
            case "contains" | "starts_with":
                return f"{name}({self.emit(node.args[0])[0]}, {self.emit(node.args[1], 'text')[0]})", "boolean"
            case "matches":
                return self._matches(node), "boolean"
            case "days_in_stage":
                return "((t - s.entered) / 86400000)", "number"
            case "at_least":
                stage = node.args[0].value if isinstance(node.args[0], ast.Constant) else None
                return f"(s.stage >= {self.names.stages.index(str(stage))})", "boolean"
        raise TypeError(f"no such function: {name}")

    def _entry(self, node: ast.expr) -> str:
        if not isinstance(node, ast.Name):
            raise TypeError("a signal is named, not computed")
        return f"S[{self.names.signals[node.id]}]"

    def _count(self, node: ast.Call, name: str) -> tuple[str, str]:
        window, after = _argument(node, 1, "within"), _argument(node, 2, "since")
        signal = node.args[0].id if isinstance(node.args[0], ast.Name) else ""
        code = (
            f"count({self._entry(node.args[0])}, t, {'None' if window is None else self._number(window)},"
            f" {'None' if after is None else self._entry(after)}, {signal in self.names.windows})"
        )
        return (f"({code} > 0)", "boolean") if name == "seen" else (code, "number")

    def _matches(self, node: ast.Call) -> str:
        value = node.args[1].value if isinstance(node.args[1], ast.Constant) else ""
        self.names.patterns.append(str(value))
        given = self.emit(node.args[0], "text")[0]
        return f"(R[{len(self.names.patterns) - 1}](text({given})[:1000]) is not None)"


@dataclass(frozen=True)
class Flip:
    """An instant at which time alone changes a guard: source over `s`, `S` giving epoch ms, or a list of them."""

    code: str


def flips(node: ast.expr, names: Names, both: bool) -> list[Flip]:
    """When time alone could make the expanded guard hold, or with `both` hold or cease to hold."""
    found: list[Flip] = []
    _flips(node, names, True, both, found)
    return found


def _flips(node: ast.AST, names: Names, positive: bool, both: bool, found: list[Flip]) -> None:
    match node:
        case ast.UnaryOp(op=ast.Not()):
            _flips(node.operand, names, not positive, both, found)
        case ast.BoolOp():
            for part in node.values:
                _flips(part, names, positive, both, found)
        case ast.Compare(ops=[_]) if is_timed(node):
            _compare_flips(node, names, positive, both, found)
        case ast.IfExp():
            _flips(node.test, names, True, True, found)
            _flips(node.body, names, positive, both, found)
            _flips(node.orelse, names, positive, both, found)
        case ast.Call(func=ast.Name(id="seen")) if is_timed(node):
            code = _instants(node, "1", ast.GtE, names)[1]
            if code is not None and (both or not positive):
                found.append(Flip(code))
        case ast.AST() if is_timed(node):
            for child in ast.iter_child_nodes(node):
                _flips(child, names, True, True, found)


_TURNED: dict[type[ast.cmpop], type[ast.cmpop]] = {ast.Lt: ast.Gt, ast.Gt: ast.Lt, ast.LtE: ast.GtE, ast.GtE: ast.LtE}


def _compare_flips(node: ast.Compare, names: Names, positive: bool, both: bool, found: list[Flip]) -> None:
    left, right = node.left, node.comparators[0]
    op: type[ast.cmpop] = type(node.ops[0])
    if is_timed(right):
        left, right, op = right, left, _TURNED.get(op, op)
    bound = source(right, names)
    rising, code = _instants(left, bound, op, names)
    if code is None:
        return
    becomes_true = (op in (ast.Gt, ast.GtE)) == rising if op in _TURNED else None
    if both or becomes_true is None or becomes_true == positive:
        found.append(Flip(code))


def _instants(left: ast.expr, bound: str, op: type[ast.cmpop], names: Names) -> tuple[bool, str | None]:
    """(whether it rises with time, source of when it crosses `bound`)."""
    emitter = _Source(names)
    past = 0 if op in (ast.GtE, ast.Lt) else 1
    match left:
        case ast.Call(func=ast.Name(id="days_in_stage")):
            return True, f"s.entered + ceil(({bound}) * 86400000) + {past}"
        case ast.Call(func=ast.Name(id="last"), args=[ast.Name(id=name)]):
            return True, f"after_last(S[{names.signals[name]}], {bound}, {past})"
        case ast.Call(func=ast.Name(id="count" | "seen")):
            window = _argument(left, 1, "within")
            if window is None:
                return False, None
            name = left.args[0].id if isinstance(left.args[0], ast.Name) else ""
            return False, f"leaves_window(S[{names.signals[name]}], s.at, {emitter.emit(window)[0]})"
        case ast.Name(id="score") | ast.Attribute(attr="total"):
            fit = names.fit
        case ast.Attribute(attr="behaviour"):
            fit = "0"
        case _:
            raise TypeError("time is compared with a constant only: last(), days_in_stage(), count() or score alone")
    if names.half_life is None:
        return False, None
    at_bound = int(op in (ast.Gt, ast.LtE))
    return False, f"decays_to(s.behaviour, s.behaviour_at, ({bound}) - ({fit}), {names.half_life!r}, {at_bound})"
