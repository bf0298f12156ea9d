"""From a definition to the page that leadership signs. Nothing on it comes from anywhere else, so it can't drift."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from worker.definition.model import Assumable, Lifecycle, Sla, Transition
from worker.definition.model import Stage as Defined
from worker.definition.signatures import Standing, signed
from worker.diagram import mermaid, svg
from worker.diagram.colours import colours, owner_name
from worker.document.blocks import (
    ASSUMED,
    Block,
    Bullets,
    Cell,
    Document,
    Facts,
    Paragraph,
    Picture,
    Section,
    Span,
    Stage,
    Table,
    code,
    joined,
    plain,
)
from worker.document.words import figure, figure_words, origins_in_words, spoken

__all__ = ["Document", "document"]


def document(lifecycle: Lifecycle) -> Document:
    """The page of a lifecycle that `worker.definition` has read and found sound."""
    return _Content(lifecycle).document()


def _owners(chosen: Iterable[tuple[int, str, str]]) -> str:
    return "".join(f".o{place}{{--own:{line};--own-area:{area}}}" for place, line, area in chosen)


class _Content:
    def __init__(self, lifecycle: Lifecycle) -> None:
        self.lifecycle = lifecycle
        self.names = {name: stage.name for name, stage in lifecycle.stages.items()}
        self.standing: Standing = signed(lifecycle)

    def document(self) -> Document:
        lifecycle = self.lifecycle
        assumed, says = list(self.assumed()), self.standing.says
        names = list(self.names.values())
        marks: list[tuple[str, Cell]] = [
            ("Definition", code(f"{lifecycle.lifecycle}, version {lifecycle.version}")),
            ("Fingerprint", code(self.standing.fingerprint)),
            ("Standing", plain((says[:1].upper() + says[1:]).replace("`", ""))),
            ("Assumed", plain(f"{len(assumed)} points, marked and listed below" if assumed else "nothing")),
        ]
        if lifecycle.text:
            marks.insert(0, ("After", plain(lifecycle.text)))
        sections = [
            Section("At a glance", (Picture(svg(lifecycle), mermaid(lifecycle)),),
                    "Every stage, its owner, and what moves a contact. Nothing moves back unless it is drawn here."),
            Section("Stages", tuple(self.stages())),
            Section("Handoffs", tuple(self.handoffs()), "Where a contact passes from one team to another."),
            Section("Promises", tuple(self.promises()), "How soon somebody acts, and who is late when nobody has."),
            Section("What goes back", tuple(self.recycling()), "How contacts are recycled, and why."),
            Section("Buyer's journey and content", tuple(self.journey())),
            Section("Scoring", tuple(self.scoring())),
            Section("Statuses", tuple(self.statuses()), "The track beside the stage, as the CRM shows it."),
            Section("Figures that may be turned", tuple(self.parameters())),
            Section("Conditions", tuple(self.conditions()), "The words used above, as they are decided."),
            Section("What counts as what", tuple(self.signals()), "Signals: what an event means to the team."),
            Section("Segments, companies and data", tuple(self.rest())),
            Section("Notes", (Bullets(tuple(plain(note) for note in lifecycle.notes)),) if lifecycle.notes else ()),
            Section("Still assumed", (Bullets(tuple(assumed)),) if assumed else (),
                    "Nobody has decided these yet. Who signs below agrees to them as they stand."),
            Section("Sign-off", tuple(self.sign_off())),
        ]  # fmt: skip
        light = ((colour.place, colour.light, colour.tint) for colour in colours(lifecycle).values())
        dark = ((colour.place, colour.dark, colour.shade) for colour in colours(lifecycle).values())
        owners = _owners(light) + f"@media screen and (prefers-color-scheme:dark){{{_owners(dark)}}}"
        return Document(
            lifecycle.title,
            f"{len(names)} stages from {names[0]} to {names[-1]}" if len(names) > 1 else f"One stage, {names[0]}",
            tuple(marks), tuple(section for section in sections if section.blocks), owners,
            f"{lifecycle.lifecycle} version {lifecycle.version}, fingerprint {self.standing.fingerprint}",
        )  # fmt: skip

    # Stages.

    def stages(self) -> Iterator[Block]:
        known = colours(self.lifecycle)
        for number, (name, stage) in enumerate(self.lifecycle.stages.items(), 1):
            owner = owner_name(self.lifecycle, stage.owner.value)
            yield Stage(number, stage.name, owner, known[stage.owner.value].place, stage.assumed)
            yield Facts(tuple(self.stage(name, stage)))

    def stage(self, name: str, stage: Defined) -> Iterator[tuple[str, Cell | Bullets]]:
        yield "Meaning", self.said(stage.means)
        yield "Owner", plain(owner_name(self.lifecycle, stage.owner.value), stage.owner.assumed)
        yield "Goal", self.said(stage.goal)
        yield "Enters when it", Bullets(tuple(self.entry(name, stage)))
        yield "Leaves when it", Bullets(tuple(self.exit(name, stage)))
        if stage.sla is not None:
            yield "Promise", self.promise(stage.sla)
        if stage.journey is not None:
            yield "Buyer's journey", self.said(stage.journey)
        if stage.content is not None:
            yield "Content", self.said(stage.content)
        said = "Contacts here are qualified" if stage.qualified else "Contacts here are not qualified"
        placed = "; a person may place a contact here." if stage.manual else "."
        yield "Standing", plain(said + placed)

    def entry(self, name: str, stage: Defined) -> Iterator[Cell]:
        if stage.entry is not None:
            yield self.said(stage.entry)
        for transition in self.lifecycle.transitions:
            origins = [self.names[origin] for origin in self.lifecycle.origins(transition) if origin != name]
            if transition.to == name and origins:
                words = origins_in_words(origins, self.names, transition)
                yield (*plain(transition.says), Span(f" ({words})", "soft"), *self.mark(transition.assumed))

    def exit(self, name: str, stage: Defined) -> Iterator[Cell]:
        if stage.exit is not None:
            yield self.said(stage.exit)
        for transition in self.lifecycle.transitions:
            if name in self.lifecycle.origins(transition) and transition.to != name:
                to = self.names[transition.to]
                yield (*plain(transition.says), Span(f" (to {to})", "soft"), *self.mark(transition.assumed))

    # Handoffs, promises, recycling.

    def handoffs(self) -> Iterator[Block]:
        stages, order = self.lifecycle.stages, list(self.lifecycle.stages)
        rows: list[tuple[Cell, ...]] = []
        for transition in self.lifecycle.transitions:
            to = stages[transition.to]
            groups: dict[str, list[str]] = {}
            for origin in self.lifecycle.origins(transition):
                if stages[origin].owner.value != to.owner.value and order.index(origin) != order.index(transition.to):
                    groups.setdefault(stages[origin].owner.value, []).append(self.names[origin])
            for owner, origins in groups.items():
                rows.append((
                    plain(owner_name(self.lifecycle, owner)), plain(owner_name(self.lifecycle, to.owner.value)),
                    plain(f"{', '.join(origins)} → {to.name}"), plain(transition.says, transition.assumed),
                    self.promise(to.sla) if to.sla is not None else (Span("no promise", "soft"),),
                ))  # fmt: skip
        if rows:
            yield Table(("From", "To", "Stages", "When it", "Promise of the receiving stage"), tuple(rows))

    def promises(self) -> Iterator[Block]:
        rows = [
            (plain(stage.name), *self.promised(stage.sla))
            for stage in self.lifecycle.stages.values()
            if stage.sla is not None
        ]
        if rows:
            yield Table(("Stage", "Within", "Met by", "Who is late", "Warning", "Unless"), tuple(rows))
            hours = self.lifecycle.business_hours
            if any(stage.sla is not None and stage.sla.business_hours for stage in self.lifecycle.stages.values()):
                days = f"Working hours are {hours.days}, {hours.open} to {hours.close} ({hours.timezone})"
                off = f", without {len(hours.holidays)} days off" if hours.holidays else ""
                yield Paragraph((Span(f"{days}{off}. "), *self.mark(hours.assumed)))

    def promised(self, sla: Sla) -> tuple[Cell, ...]:
        hours = " working time" if sla.business_hours else ""
        within = (
            Span(figure(self.lifecycle, sla.within) + hours),
            *self.mark(self.is_assumed(sla.within, sla.assumed)),
        )
        return (
            within,
            joined(code(pattern) for pattern in sla.met_by) if sla.met_by else plain("leaving the stage"),
            plain(owner_name(self.lifecycle, sla.late)),
            plain(figure(self.lifecycle, sla.warn_after)) if sla.warn_after else plain("none"),
            code(sla.unless) if sla.unless else plain("nothing"),
        )

    def promise(self, sla: Sla) -> Cell:
        hours = " of working time" if sla.business_hours else ""
        met = joined((code(pattern) for pattern in sla.met_by), " or ") if sla.met_by else plain("leaving the stage")
        return (
            Span(f"{owner_name(self.lifecycle, sla.late)} within {figure(self.lifecycle, sla.within)}{hours}, by "),
            *met, *self.mark(self.is_assumed(sla.within, sla.assumed)),
        )  # fmt: skip

    def recycling(self) -> Iterator[Block]:
        order = list(self.lifecycle.stages)
        rows: list[tuple[Cell, ...]] = []
        for transition in self.lifecycle.transitions:
            later = [
                name for name in self.lifecycle.origins(transition) if order.index(name) > order.index(transition.to)
            ]
            if later:
                rows.append((
                    plain(", ".join(self.names[name] for name in later)), plain(self.names[transition.to]),
                    plain(transition.says, transition.assumed), self.what_moves(transition),
                ))  # fmt: skip
        if rows:
            yield Table(("From", "Back to", "When it", "Decided by"), tuple(rows))

    def what_moves(self, transition: Transition) -> Cell:
        parts: list[Cell] = []
        if transition.event:
            parts.append(joined((code(pattern) for pattern in transition.event), " or "))
        if transition.when:
            parts.append(code(transition.when))
        if transition.after:
            parts.append(plain(f"{figure(self.lifecycle, transition.after)} in the stage"))
        return joined(parts, " and ")

    def journey(self) -> Iterator[Block]:
        rows = [
            (
                plain(stage.name),
                self.said(stage.journey) if stage.journey else plain("–"),
                self.said(stage.content) if stage.content else plain("–"),
            )
            for stage in self.lifecycle.stages.values()
            if stage.journey is not None or stage.content is not None
        ]
        if rows:
            yield Table(("Stage", "Phase of the journey", "Content"), tuple(rows))

    # Scores and statuses.

    def scoring(self) -> Iterator[Block]:
        score = self.lifecycle.score
        if score.fit.points:
            cap = figure(self.lifecycle, score.fit.cap)
            yield Paragraph((Span(f"Fit: what a contact is, {cap} points at most. "), *self.mark(score.fit.assumed)))
            rows = tuple(
                (self.meaning(text), plain(figure(self.lifecycle, points))) for text, points in score.fit.points.items()
            )
            yield Table(("Holds", "Points"), rows)
        if score.behaviour.points:
            cap = figure(self.lifecycle, score.behaviour.cap)
            fading = score.behaviour.half_life
            fades = f", halved every {figure(self.lifecycle, fading)}" if fading else ""
            lead = Span(f"Behaviour: what a contact does, {cap} points at most{fades}. ")
            yield Paragraph((lead, *self.mark(score.behaviour.assumed)))
            yield Table(("Happens", "Points"), tuple(
                (code(text), plain(figure(self.lifecycle, points))) for text, points in score.behaviour.points.items()
            ))  # fmt: skip
        if score.ignore:
            yield Paragraph((Span("Nothing scores when "), *code(score.ignore)))
        if score.forget:
            yield Paragraph((Span("Behaviour starts again at 0 with "), *joined(map(code, score.forget), " or ")))

    def statuses(self) -> Iterator[Block]:
        statuses = self.lifecycle.statuses
        if statuses is None:
            return
        rows: list[tuple[Cell, ...]] = []
        for name in (*statuses.track, *statuses.aside):
            meaning = statuses.meanings.get(name)
            implied = statuses.implied_by.get(name)
            rows.append((
                plain(meaning.name if meaning else spoken(name)),
                plain("beside" if name in statuses.aside else "track"),
                plain(meaning.means, meaning.assumed) if meaning else plain("–"),
                plain((meaning.stage if meaning else None) or "–"),
                plain((meaning.qualified if meaning else None) or "–"),
                joined(map(code, implied.any)) if implied else plain("set by hand only" if statuses.set_by else "–"),
            ))  # fmt: skip
        yield Table(("Status", "Where", "Means", "Stage", "Qualified", "Follows from"), tuple(rows))
        yield Paragraph(plain("What happens moves the status along the track, never back; the CRM may set any."))
        for reopen in statuses.reopen:
            origins = ", ".join(spoken(name) for name in reopen.from_ or statuses.aside)
            when = (Span(" when "), *code(reopen.when)) if reopen.when else ()
            yield Paragraph(
                (Span(f"{origins} reopens as {spoken(reopen.to)} on "), *joined(map(code, reopen.by), " or "), *when)
            )
        if statuses.disqualify:
            yield Paragraph((Span("A contact is not qualified while "), *code(statuses.disqualify)))
        if statuses.suppress:
            yield Paragraph((Span("A contact is not written to while "), *code(statuses.suppress)))

    # Words and figures.

    def parameters(self) -> Iterator[Block]:
        rows = tuple(
            (code(name), plain(figure_words(parameter.value), parameter.assumed), plain(parameter.means))
            for name, parameter in self.lifecycle.parameters.items()
        )
        if rows:
            yield Table(("Name", "Value", "Meaning"), rows)

    def conditions(self) -> Iterator[Block]:
        if self.lifecycle.conditions:
            rows = tuple((code(name), code(text)) for name, text in self.lifecycle.conditions.items())
            yield Table(("Condition", "Holds while"), rows)

    def signals(self) -> Iterator[Block]:
        lifecycle = self.lifecycle
        rows = tuple(
            (
                code(name),
                joined(map(code, signal.any), " or "),
                plain((signal.means or "") + (" (told to other systems at once)" if signal.publish else "")),
            )
            for name, signal in lifecycle.signals.items()
        )
        if rows:
            yield Table(("Signal", "Happens with", "Means"), rows)
        if lifecycle.ignore:
            yield Paragraph((Span("Nobody's act, and so nothing: "), *joined(map(code, lifecycle.ignore))))

    def meaning(self, text: str) -> Cell:
        if text in self.lifecycle.conditions:
            return (Span(spoken(text)), Span(" "), *code(self.lifecycle.conditions[text]))
        return code(text)

    def rest(self) -> Iterator[Block]:
        lifecycle = self.lifecycle
        if lifecycle.segments:
            yield Table(("Segment", "Means", "While"), tuple(
                (plain(spoken(name)), plain(segment.means, segment.assumed), code(segment.when))
                for name, segment in lifecycle.segments.items()
            ))  # fmt: skip
        company = lifecycle.company
        if company is not None:
            facts: list[tuple[str, Cell | Bullets]] = [("Company", code(company.id))]
            if company.parent:
                facts.append(("Its parent", code(company.parent)))
            facts.append(("Its stage", plain("the highest of its contacts'", company.assumed)))
            for name, guard in company.statuses.items():
                facts.append((f"Customer status {spoken(name)}", code(guard)))
            if company.from_parent:
                facts.append(
                    ("From its parent", plain(f"{self.names[company.from_parent]}, once an ancestor is there"))
                )
            yield Facts(tuple(facts))
        if lifecycle.hygiene:
            yield Table(("Fault of a record", "While"), tuple(
                (plain(rule.says, rule.assumed), code(rule.when)) for rule in lifecycle.hygiene.values()
            ))  # fmt: skip
        facts = [("Late events", plain(f"take their place in history up to {lifecycle.horizon} behind the newest"))]
        if lifecycle.publish.traits:
            facts.append(("Sent with every change", joined(map(code, lifecycle.publish.traits))))
        if lifecycle.forget is not None:
            stage = self.names[lifecycle.forget.stage]
            after = figure(lifecycle, lifecycle.forget.after)
            facts.append(("Forgotten", plain(f"a {stage} without any event for {after}")))
        yield Facts(tuple(facts))

    # What is assumed, and who signs.

    def assumed(self) -> Iterator[Cell]:
        lifecycle = self.lifecycle
        for name, parameter in lifecycle.parameters.items():
            if parameter.assumed:
                value = code(figure_words(parameter.value))
                yield (Span(f"{parameter.means}: "), *value, Span(f" ({name})", "soft"))
        for stage in lifecycle.stages.values():
            for what, given in (
                ("meaning", stage.means), ("owner", stage.owner), ("goal", stage.goal), ("journey", stage.journey),
                ("content", stage.content), ("entry", stage.entry), ("exit", stage.exit),
            ):  # fmt: skip
                if given is not None and given.assumed:
                    told = owner_name(lifecycle, given.value) if what == "owner" else given.value
                    yield (Span(f"{stage.name}, {what}: ", "strong"), Span(told))
            if stage.assumed:
                yield (Span(f"{stage.name}", "strong"), Span(": that there is such a stage"))
            if stage.sla is not None and stage.sla.assumed:
                yield (Span(f"{stage.name}, promise: ", "strong"), *self.promise(stage.sla)[:-1])
        for transition in lifecycle.transitions:
            if transition.assumed:
                origins = ", ".join(self.names[name] for name in lifecycle.origins(transition))
                yield (Span(f"{origins} → {self.names[transition.to]}: ", "strong"), Span(transition.says))
        for what, part in (
            ("Fit score", lifecycle.score.fit.assumed), ("Behaviour score", lifecycle.score.behaviour.assumed),
            ("Working hours", lifecycle.business_hours.assumed),
            ("Statuses", lifecycle.statuses is not None and lifecycle.statuses.assumed),
            ("Companies", lifecycle.company is not None and lifecycle.company.assumed),
        ):  # fmt: skip
            if part:
                yield (Span(what, "strong"), Span(": as written above"))
        for name, fact in lifecycle.facts.items():
            if fact.assumed:
                yield (Span(f"{spoken(name)}: ", "strong"), Span(fact.means or "how it is told"))
        for name, segment in lifecycle.segments.items():
            if segment.assumed:
                yield (Span(f"Segment {spoken(name)}: ", "strong"), Span(segment.means))
        for name, rule in lifecycle.hygiene.items():
            if rule.assumed:
                yield (Span(f"Fault {spoken(name)}: ", "strong"), Span(rule.says))

    def sign_off(self) -> Iterator[Block]:
        yield Paragraph((
            Span("Signing agrees to all of the above, what is assumed included, as it stands in the definition of "),
            Span("fingerprint "),
            *code(self.standing.fingerprint), Span("."),
        ))  # fmt: skip
        rows: list[tuple[Cell, ...]] = []
        for one in self.lifecycle.sign_off:
            state: Cell = plain("")
            if one in self.standing.signed:
                state = plain("this definition")
            elif one in self.standing.changed:
                state = (Span("an earlier one: sign again", "assumed"),)
            rows.append((plain(one.role), plain(one.name or ""), plain(one.date or ""), state))
        if rows:
            yield Table(("Role", "Name", "Date", "Signed"), tuple(rows))
        else:
            yield Paragraph(
                (Span("Nobody is named who must sign: list the roles under "), *code("sign_off"), Span("."))
            )

    def said(self, given: Assumable) -> Cell:
        return plain(given.value, given.assumed)

    def is_assumed(self, given: str, also: bool) -> bool:
        parameter = self.lifecycle.parameters.get(given)
        return also or (parameter is not None and parameter.assumed)

    @staticmethod
    def mark(assumed: bool) -> Cell:
        return (ASSUMED,) if assumed else ()
