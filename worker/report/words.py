"""What each figure means, what to look at, and what it is made from, in the words of those who read it."""

from __future__ import annotations

from typing import Final, NamedTuple


class Words(NamedTuple):
    title: str
    means: str
    look: str
    needs: str = "changes"


WORDS: Final[dict[str, Words]] = {
    "funnel": Words(
        "Funnel",
        "Contacts that were ever in a stage (the whole bar), and those that are in it now (its dark part). The"
        " share is of those ever in the stage before, how many came to this one later.",
        "Look for the step that loses most: few MQLs that become SALs mean that criteria differ or content is weak.",
    ),
    "moves": Words(
        "Moves between stages",
        "Every stage change that stands, by where it came from and where it went; corrections are applied.",
        "Look for what flows back to the left: each such contact was handed on too early, or not taken care of.",
    ),
    "stays": Words(
        "Time in stage",
        "Of the visits to a stage, the share that still goes on after a time (Kaplan–Meier: visits that go on now count"
        " as lasting at least so long).",
        "Look for curves that stay high: contacts rest there, and nobody moves them on.",
    ),
    "trend": Words(
        "Entries by week",
        "Stage changes into each stage, by the week (from Monday, UTC) in which they became true.",
        "Look for a stage whose line falls while the one before it rises: the next team doesn't keep up.",
    ),
    "cohorts": Words(
        "Cohorts by week of arrival",
        "Contacts by the week of their first change, and the share of them ever in each stage up to now; drawn are the"
        " latest twenty weeks. Young cohorts had less time.",
        "Look down a column: a later week that is better at the same age shows that something now works.",
    ),
    "attribution": Words(
        "What brought them",
        "Contacts ever in each stage by the source of their first touch. Without an attributed event: none.",
        "Look for sources with many contacts and few customers: they cost work and bring little.",
    ),
    "sla": Words(
        "Promises kept",
        "Visits of stages with an SLA, by who would be late: kept (not breached when due), breached, or running.",
        "Look for an owner with many breaches: too few people, or leads that they don't believe in.",
    ),
    "value": Words(
        "Pipeline value by stage",
        "Open deals, each once however many contacts it has, in the stage of the contact that last said it. Currencies"
        " are never added up.",
        "Look for value in early stages that is old: it is hoped for rather than worked on.",
    ),
    "returned": Words(
        "Returned, with reasons",
        "Moves to a lower stage, by the reason that was given.",
        "Look for the commonest reason: it names the criterion on which the teams disagree.",
    ),
    "conversions_by_week": Words(
        "Conversion to the next stage by week",
        "Of those whose first entry of a stage was in the week, the share that came to the next one after it.",
        "Look for a week from which on the share is another: something changed then. The latest weeks had less time.",
    ),
    "statuses": Words(
        "Contacts by status",
        "The status that each contact has now, beside its stage.",
        "Look for statuses that gather contacts: nobody works them.",
    ),
    "first_touch": Words(
        "Entries by first touch",
        "Entries of each stage by the source, medium and campaign of the earliest attributed event as of then.",
        "Look for what brings those who become customers, rather than those who become leads.",
    ),
    "last_touch": Words(
        "Entries by last touch",
        "The same by the latest attributed event as of then.",
        "Look for what moves contacts on in late stages.",
    ),
    "first_value": Words(
        "Deals by first touch",
        "Each deal once, by the first touch of the contact that last said it.",
        "Look for sources whose deals are won.",
        "changes; won and lost need events",
    ),
    "last_value": Words(
        "Deals by last touch",
        "Each deal once, by the last touch of the contact that last said it.",
        "Look for campaigns that open deals and don't close them.",
        "changes; won and lost need events",
    ),
    "outcomes": Words(
        "Accepted and rejected",
        "Visits of a stage that ended in a higher stage (accepted), in a lower one (rejected), or go on.",
        "Look at MQLs: many rejected ones mean that what makes one is too lax.",
    ),
    "skips": Words(
        "Stages skipped",
        "Moves over at least one stage.",
        "Look whether the stage skipped is of use, or whether its criterion is not recorded.",
    ),
    "quality": Words(
        "Quality on entry",
        "Mean score, share that fits (of those where it is known) and share qualified, of all entries of a stage.",
        "Look for a share of fitting contacts that doesn't rise from stage to stage.",
    ),
    "conversions": Words(
        "Conversion between any two stages",
        "Of those ever in the one, the share that came to the other after their first entry, and the median time of"
        " those who came. Now: of those in the one or above, the share that is in the other or above.",
        "Look for pairs whose share now is well below that of the cohort: contacts come, and fall back.",
    ),
    "hygiene": Words(
        "Faults of records",
        "Contacts for whom a rule failed, and those still in the stage where it did; a rule on a next step tells"
        " of leads without one.",
        "Look for rules that fail often: a form or a sync leaves the field out.",
    ),
    "by_hand": Words(
        "Placed by hand",
        "Stage changes whose cause is a person.",
        "Look for stages that people set often: their criterion isn't recorded.",
    ),
    "customers": Words(
        "Customers active and inactive",
        "Contacts ever at the end, active while there and not of inactive status; companies by customer status.",
        "Look for a rising number of inactive ones.",
    ),
    "touches": Words(
        "Touches before each stage",
        "Events of a contact up to its first entry of the stage; between: after the change before that entry.",
        "Look for a stage that takes many more touches than the one before it.",
        "events",
    ),
    "list_growth": Words(
        "List growth and demand",
        "By week: subscriptions and their ends, and contacts that first came to where demand begins.",
        "Look for lists that grow while demand doesn't: readers, no buyers.",
        "events",
    ),
    "cost": Words(
        "Cost per contact by stage",
        "All spend recorded of a campaign, over the contacts with it as first touch that were ever in the stage.",
        "Look for campaigns that are cheap by the lead and dear by the customer.",
        "events",
    ),
    "deals": Words(
        "Deals",
        "Deals, each once: open, won or lost as the events say; from changes alone, open or closed.",
        "Look at lost value beside won value.",
        "changes; won and lost need events",
    ),
}
