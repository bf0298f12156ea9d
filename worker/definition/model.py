"""The lifecycle file as typed values: what may stand in it, and nothing else.

One YAML file is one lifecycle. The models say its form; `worker.definition.check` says whether its names and guards
hold together; `worker.definition.reader` gives both their file, line and column. Short forms (a list where a mapping
with more could stand) are widened here, so that everything after sees one form only.

An expression is a guard over `event`, `traits`, facts, signals, conditions, parameters, `score`, `stage`, `status`
(`worker.definition.expression`). A pattern (`worker.definition.pattern`) names what happens, in the same words
everywhere:

    email.replied                         an event of this type
    email.replied when event.machine      the same, when the guard holds
    intent  /  intent when fit            a signal that this event set off
    entering mql  /  leaving prospect     a move, where statuses and signals may follow one
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, field_validator, model_validator

Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
Expression = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
Pattern = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
Duration = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)?(ms|s|m|h|d|w)$")]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]


_STAGE_IS = re.compile(r"^stage is ")


def _text(value: object) -> object:
    """YAML gives `true`, `40` and `7d` their own types; where an expression may stand, they are one."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _many(value: object) -> object:
    return value if isinstance(value, list) else [value]


Guard = Annotated[Expression, BeforeValidator(_text)]
Figure = Annotated[Expression, BeforeValidator(_text)]  # a number, a duration, a parameter's name or an expression
Patterns = Annotated[list[Pattern], BeforeValidator(_many)]
Names = Annotated[list[Identifier], BeforeValidator(_many)]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Assumable(Part):
    """A text that leadership has stated, or that is assumed until it does: `owner: {assumed: sales}`."""

    value: Text
    assumed: bool = False

    @model_validator(mode="before")
    @classmethod
    def _widen(cls, given: Any) -> Any:
        if isinstance(given, str):
            return {"value": given}
        if isinstance(given, dict) and isinstance(given.get("assumed"), str) and len(given) == 1:
            return {"value": given["assumed"], "assumed": True}
        return given


class Parameter(Part):
    """A figure that may be turned. `value` is a number, a truth value, a text or a duration such as `7d`."""

    value: bool | int | float | str
    means: Text
    assumed: bool = False


class BusinessHours(Part):
    """When people work: `days` such as `mon-fri` or `mon,wed`; a time zone of the IANA database; days off by date."""

    days: Text = "mon-fri"
    open: Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = "09:00"
    close: Annotated[str, StringConstraints(pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$")] = "18:00"
    timezone: Text = "UTC"
    holidays: list[Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\d$")]] = []
    assumed: bool = False


class Signal(Part):
    """A named kind of event. Kept of it: how often, first, last, and the last `keep` times (for counts in windows).

    With `publish: true` each occurrence goes out as `lifecycle.signal.v1`.
    """

    any: Patterns
    publish: bool = False
    means: Text | None = None
    keep: Annotated[int, Field(ge=1, le=1000)] = 20

    @model_validator(mode="before")
    @classmethod
    def _widen(cls, given: Any) -> Any:
        return {"any": given} if isinstance(given, list | str) else given


class Fact(Part):
    """A typed value, the newest by event time. `ids` is a set: what adds an id, what removes it.

    `from` is a path (`traits.icp_fit`, `event.reason`) or, for a value worked out from traits and other facts, an
    expression. `of` restricts which events may set it. For `ids`: `added_by` and `removed_by` are patterns, an event
    without the field counts as the one id `""`; `amount` and `currency` name fields kept beside each id (the value
    of open deals). `forget` empties the fact when that pattern happens, `setback` also by a move backward.
    """

    type: Literal["boolean", "number", "text", "time", "ids"]
    from_: Annotated[Expression, Field(alias="from")]
    of: Patterns | None = None
    added_by: Patterns | None = None
    removed_by: Patterns | None = None
    amount: Expression | None = None
    currency: Expression | None = None
    forget: Patterns | None = None
    means: Text | None = None
    assumed: bool = False

    @model_validator(mode="after")
    def _whole(self) -> Fact:
        if self.type == "ids" and not self.added_by:
            raise ValueError("a fact of type ids needs added_by: the patterns that add an id")
        if self.type != "ids" and (self.added_by or self.removed_by or self.amount or self.currency):
            raise ValueError("added_by, removed_by, amount and currency belong to a fact of type ids")
        return self


class FitScore(Part):
    """Points for what a contact is: each guard that holds adds its points, up to `cap`."""

    cap: Figure = "100"
    points: dict[str, Figure] = {}
    assumed: bool = False


class BehaviourScore(Part):
    """Points for what a contact does: each pattern adds its points when it happens; halved every `half_life`."""

    cap: Figure = "100"
    half_life: Figure | None = None
    points: dict[str, Figure] = {}
    assumed: bool = False


class Score(Part):
    """Fit and behaviour, apart. `ignore` holds for events that score nothing; `forget` starts behaviour again at 0."""

    fit: FitScore = FitScore()
    behaviour: BehaviourScore = BehaviourScore()
    ignore: Guard | None = None
    forget: Patterns | None = None


class Sla(Part):
    """A promise about a stage: within `within` of entering it, one of `met_by` happens, or the stage is left.

    `within` is a figure, or an expression such as `4h if score.behaviour >= 80 else 24h`, read on entry. `late` is
    the owner whose breach it is. `warn_after` of entering, a warning goes out. `unless` is read at the deadline.
    """

    within: Figure
    business_hours: bool = False
    met_by: Patterns = []
    late: Identifier
    warn_after: Figure | None = None
    unless: Guard | None = None
    assumed: bool = False


class Stage(Part):
    """One stage. `manual: true` lets a person place a contact here; `qualified` is what its changes carry."""

    name: Text
    means: Assumable
    owner: Assumable
    goal: Assumable
    qualified: bool = False
    sla: Sla | None = None
    journey: Assumable | None = None
    content: Assumable | None = None
    entry: Assumable | None = None  # only where no transition can say it (the first stage)
    exit: Assumable | None = None  # only where no transition can say it (the last stage)
    manual: bool = False
    was: Names = []  # ids it had in earlier versions: contacts there go on here
    assumed: bool = False


class Transition(Part):
    """From where, to where, on what, and why in the team's words: the first that holds is taken.

    `from` is a stage, a list, `any`, `any below X` or `any above X`. Without `event` it is taken whenever `when`
    (and `after`, the time in the stage) holds. `status` is set on the way; `reason` is an expression for the
    change's reason where the event's own `reason` field is not it.
    """

    from_: Annotated[str | list[Identifier], Field(alias="from")]
    to: Identifier
    event: Patterns | None = None
    when: Guard | None = None
    after: Figure | None = None
    status: Identifier | None = None
    reason: Expression | None = None
    says: Text
    assumed: bool = False

    @model_validator(mode="after")
    def _moved_by_something(self) -> Transition:
        if self.event is None and self.when is None and self.after is None:
            raise ValueError("needs `event`, `when` or `after`: something must move the contact")
        return self


class StatusMeaning(Part):
    """What a status says of stage and qualification, in words; `crm` lists the names a CRM may send for it."""

    name: Text
    means: Text
    stage: Text | None = None
    qualified: Text | None = None
    crm: list[Text] = []
    assumed: bool = False


class Implied(Part):
    """What implies a status. With `from_aside: true` it is taken from an aside as well (a purchase)."""

    any: Patterns
    from_aside: bool = False

    @model_validator(mode="before")
    @classmethod
    def _widen(cls, given: Any) -> Any:
        return {"any": given} if isinstance(given, list | str) else given

    @field_validator("any", mode="after")
    @classmethod
    def _entered(cls, patterns: list[str]) -> list[str]:
        """`stage is mql` is another way to say `entering mql`, as long as it is: columns stay right."""
        return [_STAGE_IS.sub("entering ", pattern) for pattern in patterns]


class Reopen(Part):
    """How an aside is left: by the pattern, when the guard holds, for what the event implies, else `to`."""

    from_: Annotated[Names | None, Field(alias="from")] = None
    by: Patterns
    when: Guard | None = None
    to: Identifier


class Statuses(Part):
    """The track beside the stage. The first of `track` is where every contact begins.

    Events move it only to the right along `track`, or into an `aside`; `set_by` (an event with a `status` field)
    may set any; `reopen` leaves an aside. `disqualify` and `suppress` are guards: while they hold, the contact is
    not qualified, or not to be written to.
    """

    track: Annotated[list[Identifier], Field(min_length=1)]
    aside: list[Identifier] = []
    meanings: dict[Identifier, StatusMeaning] = {}
    set_by: Patterns = []
    implied_by: dict[Identifier, Implied] = {}
    reopen: Annotated[list[Reopen], BeforeValidator(_many)] = []
    disqualify: Guard | None = None
    suppress: Guard | None = None
    assumed: bool = False


class Segment(Part):
    """A named group of contacts, entered while `when` holds; entering and leaving are published."""

    when: Guard
    means: Text
    assumed: bool = False


class Company(Part):
    """How contacts make a company. Its stage is the highest among its contacts (`stage: highest`).

    `statuses` maps a customer status to a guard over a contact; the first held by any contact is the company's.
    `from_parent` names a stage: a company below it whose ancestor reached it, by its own contacts, has it too.
    """

    id: Expression = "traits.company_id"
    parent: Expression | None = None
    stage: Literal["highest"] = "highest"
    statuses: dict[Identifier, Guard] = {}
    from_parent: Identifier | None = None
    assumed: bool = False


class HygieneRule(Part):
    """A fault of the record: reported once when `when` begins to hold, without stopping the contact."""

    when: Guard
    says: Text
    field: Text | None = None
    assumed: bool = False


class Publish(Part):
    """What travels with every change. Nothing of a contact's traits does unless it is named here."""

    traits: list[Text] = []


class Forget(Part):
    """Anonymous contacts that came to nothing: in `stage`, `after` this long without an event, the record ends."""

    stage: Identifier
    after: Figure
    unless: Guard | None = None


class SignOff(Part):
    """Who must agree; filled in by `lifecycle document --sign`: name, day and the fingerprint that was signed."""

    role: Text
    name: Text | None = None
    date: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\d$")] | None = None
    fingerprint: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")] | None = None


class Lifecycle(Part):
    """One lifecycle, whole. Stages are in order, lowest first; the first is where every contact begins."""

    lifecycle: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=64)]
    version: Annotated[int, Field(ge=1)]
    title: Text
    text: Text | None = None
    horizon: Duration = "7d"
    business_hours: BusinessHours = BusinessHours()
    parameters: dict[Identifier, Parameter] = {}
    ignore: Patterns = []
    signals: dict[Identifier, Signal] = {}
    facts: dict[Identifier, Fact] = {}
    score: Score = Score()
    conditions: dict[Identifier, Guard] = {}
    stages: Annotated[dict[Identifier, Stage], Field(min_length=1)]
    transitions: list[Transition] = []
    statuses: Statuses | None = None
    segments: dict[Identifier, Segment] = {}
    company: Company | None = None
    hygiene: dict[Identifier, HygieneRule] = {}
    publish: Publish = Publish()
    forget: Forget | None = None
    owners: dict[Identifier, Text] = {}
    notes: list[Text] = []
    sign_off: list[SignOff] = []

    def origins(self, transition: Transition) -> list[str]:
        """The stages a transition starts from, lowest first: `any below X` and the like written out."""
        order = list(self.stages)
        given = transition.from_
        if isinstance(given, list):
            return [stage for stage in order if stage in given]
        match given.split():
            case ["any"]:
                return [stage for stage in order if stage != transition.to]
            case ["any", "below", bound] if bound in order:
                return order[: order.index(bound)]
            case ["any", "above", bound] if bound in order:
                return order[order.index(bound) + 1 :]
            case [stage] if stage in order:
                return [stage]
        return []
