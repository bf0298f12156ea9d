"""Every code that lint gives: how bad it is, what it means and what to do. `docs/lint.md` is made from it."""

from __future__ import annotations

from typing import Final, NamedTuple

from worker.lint.findings import Severity


class Code(NamedTuple):
    severity: Severity
    means: str
    remedy: str


CODES: Final[dict[str, Code]] = {
    # The machine: what contacts can come to.
    "unreachable-stage": Code(
        "error",
        "No event sequence brings a contact into the stage: nothing leads there, or what leads there starts where no"
        " contact comes or asks for what can't hold.",
        "Mend the guards of the transitions to it, add one, or take the stage out.",
    ),
    "dead-end": Code(
        "error",
        "Contacts come into the stage and never leave it, though it is neither the last one nor says by `exit` that"
        " it is an end.",
        "Add a transition from it, or say with `exit` why it ends there.",
    ),
    "never-fires": Code(
        "error",
        "The transition can't be taken from any stage it starts from: its guard contradicts itself, or asks for what"
        " never is.",
        "Mend the guard, or take the transition out.",
    ),
    "shadowed": Code(
        "error",
        "Whenever the transition could be taken, one that stands before it is taken instead.",
        "Put the special case before the general one, or take one of the two out.",
    ),
    "idle-origin": Code(
        "warning",
        "From one of the stages that the transition lists it can never be taken.",
        "Take the stage out of `from`, or mend the guard.",
    ),
    "order-decides": Code(
        "warning",
        "Two transitions can hold with the same event, and where the contact goes hangs on which of them stands"
        " first. A special case that stands before its general one is not told.",
        "Let one guard exclude the other (`and not …`), so that the order says nothing.",
    ),
    "skip": Code(
        "warning",
        "An event takes a contact over stages: a transition that leaves a stage out from wherever it starts, or"
        " three moves and more of single steps in one event, so that nobody is met in the stages between. A transition"
        " that says that it may jump (`any below …`, or a list with the stage below) is not told.",
        "Ask for what the stages between stand for, or say the jump: `from: any below …`.",
    ),
    "pass-through": Code(
        "warning",
        "Nobody ever rests in the stage: whatever brings a contact in lets it out again with the same event.",
        "Ask for something more on the way out, or take the stage out.",
    ),
    "loose": Code(
        "warning",
        "One event takes a contact from the first stage through to the last. A declared jump, such as a purchase from"
        " anywhere, is not told.",
        "Ask for more on the way: as they are, the criteria tell nobody from anybody.",
    ),
    "bounce": Code(
        "warning",
        "A move backward is undone at once: with the same event the contact goes forward again on the strength of"
        " what came before.",
        "Count only what came since: `since(x, setback)` or `count(x, since=setback)`, and let the score forget by"
        " `setback`.",
    ),
    "undecided": Code(
        "note",
        "The search ended at its bound: no events were found that show the stage or transition, and it is not proved"
        " that there are none.",
        "Write a scenario that shows it; if you can't, simplify the guard.",
    ),
    "switched-off": Code(
        "note",
        "The transition is switched off by a parameter's value.",
        "Nothing, if that is meant.",
    ),
    # Names and values.
    "never-happens": Code(
        "error",
        "The signal is read or published, and no event can set it off.",
        "Mend its patterns, or take out what reads it.",
    ),
    "never-set": Code(
        "error",
        "The fact is read, and no event can set it.",
        "Mend its patterns, or take out what reads it.",
    ),
    "never-holds": Code(
        "warning",
        "The condition, segment or rule can't hold for any contact.",
        "Mend it, or take it out.",
    ),
    "always-holds": Code(
        "warning",
        "The guard or comparison holds for every contact where it is read, so it asks for nothing.",
        "Mend it, or take it out.",
    ),
    "out-of-reach": Code(
        "error",
        "A comparison asks for a figure that its score, count or size can't come to: points, caps or what is kept of"
        " a signal don't allow it.",
        "Lower the threshold, raise the cap or `keep`, or add points.",
    ),
    "unused-parameter": Code("warning", "Nothing reads the parameter.", "Use it, or take it out."),
    "unused-signal": Code("warning", "The signal is set and never read or published.", "Use it, or take it out."),
    "unused-fact": Code("warning", "The fact is set and never read.", "Use it, or take it out."),
    "unused-condition": Code(
        "warning",
        "Nothing asks the condition. One named `fit` is published with every change and counts as used.",
        "Use it, or take it out.",
    ),
    "unused-owner": Code("warning", "The owner owns no stage and no SLA.", "Use it, or take it out."),
    "unused-status": Code(
        "warning",
        "No event leads to the status: nothing implies it, sets it or reopens to it.",
        "Say what implies it, or take it out.",
    ),
    "foreign-field": Code(
        "warning",
        "A guard reads a field that other types of event have and this one doesn't.",
        "Name the type that has it, or the field that this type has.",
    ),
    "foreign-value": Code(
        "warning",
        "A guard compares a field with a value that the field has with other types of event and not with this one.",
        "Name a value that this type has.",
    ),
    # The agreement.
    "stage-count": Code(
        "warning",
        "Fewer than five stages hide where contacts stall; more than eight are hard to keep.",
        "Split or join stages.",
    ),
    "no-entry": Code(
        "warning",
        "Nothing says by what a contact enters the stage: no transition leads there from below, and it has no `entry`.",
        "Write `entry`, or a transition.",
    ),
    "no-exit": Code(
        "warning",
        "Nothing says how the last stage ends: no transition leaves it, and it has no `exit`.",
        "Write `exit`, or a transition.",
    ),
    "no-sla": Code(
        "warning",
        "No stage promises anything, or every stage but this one does.",
        "Give it an `sla`.",
    ),
    "handoff-without-sla": Code(
        "warning",
        "Contacts come to another owner with this stage, and neither it nor the stage before promises anything on the"
        " new owner's part: nobody notices where they are left lying.",
        "Give the stage an `sla`, or the stage before one whose `late` is the new owner.",
    ),
    "warns-too-late": Code(
        "warning",
        "The warning of an SLA would come when its time is up, so it never does.",
        "Let `warn_after` be shorter than `within`.",
    ),
    "assumed": Code(
        "note",
        "So much of the definition is marked `assumed: true`: nobody has decided it yet.",
        "Decide it, and take the mark off.",
    ),
    "unsigned": Code(
        "note",
        "Someone whose agreement the definition asks for has not signed, or it asks for nobody's.",
        "`lifecycle document L --sign NAME --role ROLE`.",
    ),
    "changed-since-signed": Code(
        "warning",
        "The definition is not the one that was signed: its fingerprint is another.",
        "Have it signed again, or take the change back.",
    ),
}
