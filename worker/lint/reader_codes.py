"""Every code of a definition that can't be read at all: what it means and what to do. They are all errors."""

from __future__ import annotations

from typing import Final

from worker.lint.codes import Code


def _error(means: str, remedy: str) -> Code:
    return Code("error", means, remedy)


READER: Final[dict[str, Code]] = {
    # The file.
    "unreadable": _error("The file can't be opened.", "Mend its name or its rights."),
    "encoding": _error("The file is not UTF-8, or holds a character that no YAML may hold.", "Save it as UTF-8."),
    "yaml": _error("The file is no YAML.", "Mend what stands at the place; usually a quote or the indentation."),
    "empty": _error("There is nothing in the file.", "`lifecycle copy 10ex own.yaml` gives one to begin with."),
    "too-large": _error("The file, a number or a name is larger than anything meant can be.", "Make it smaller."),
    "too-long": _error("A text or a list is longer than may be.", "Shorten it, or name parts under `conditions`."),
    "alias": _error("Anchors, aliases and merge keys are not used here.", "Write out what is meant."),
    "tag": _error("Tags are not used here.", "Take it out."),
    "duplicate-key": _error("A key stands twice, and only one could count.", "Take one out."),
    # Keys and values.
    "missing-field": _error("Something is missing that must be there.", "Write it."),
    "unknown-field": _error(
        "No such key may stand here, or no event or contact has such a field.",
        "Mend the name; a field of one's own that is nearly a known one is written `event[\"name\"]`.",
    ),
    "wrong-type": _error("A list stands where a text belongs, or the like.", "Write what the message asks for."),
    "bad-value": _error("The value is of the right kind and can't be meant.", "Write what the message asks for."),
    "duplicate-name": _error("Two things have one name, so that an expression could mean either.", "Rename one."),
    "reserved-name": _error("The name has a meaning of its own in expressions.", "Choose another."),
    "unknown-stage": _error("There is no such stage.", "Mend the name; the message has the nearest."),
    "unknown-status": _error("There is no such status.", "Mend the name; the message has the nearest."),
    "unknown-owner": _error("Nobody of that name stands under `owners`.", "Mend the name, or add it there."),
    "unknown-aside": _error("Only asides are reopened, and this is none.", "Name one of `aside`."),
    "unreachable-stage": _error(
        "No transition leads to the stage, and nobody may place a contact there by hand; or what leads there can never"
        " be taken.",
        "Add a transition to it, mend the one there is, or take the stage out.",
    ),
    # Expressions.
    "syntax": _error("The expression or pattern can't be read.", "Write what the message expects."),
    "too-deep": _error("Too many parts within each other.", "Name some of them under `conditions`."),
    "private-name": _error("No name here begins with an underscore.", "Choose another."),
    "bad-duration": _error("A number with a unit that is none.", "Units are ms, s, m, h, d and w."),
    "bad-arguments": _error("The function takes something else.", "Write it as the message shows."),
    "bad-regex": _error("The regular expression can't be read, or could take too long.", "Make it simpler."),
    "unknown-name": _error("No parameter, signal, fact or condition has this name.", "Mend it; a text needs quotes."),
    "unknown-signal": _error("There is no such signal.", "Mend the name; a type without a dot stands in quotes."),
    "unknown-type": _error("The type of event is nearly a known one.", "Mend it; one of your own stands in quotes."),
    "unknown-function": _error("There is no such function.", "Mend the name; the message lists those there are."),
    "unknown-score": _error("A score has two halves, `fit` and `behaviour`.", "Name one of them."),
    "unknown-value": _error("The value is nearly one that the field has.", "Mend it."),
    "wrong-kind": _error("Kinds that don't go together: a text compared with a number.", "Compare like with like."),
    "not-allowed": _error(
        "What is asked can't be known where it is asked, such as an event where only time passes.",
        "Ask for something that is known there; the message says what.",
    ),
    "timed": _error(
        "A guard that changes with time alone must say when: time stands on one side of a comparison.",
        "Write it as `last(x) > 30d` or `score >= 50`.",
    ),
    # The parts together.
    "circle": _error("Something is made of itself.", "Break the circle."),
    "no-event": _error("The transition waits for what no event can set off.", "Ask for it in `when`."),
    "endless": _error(
        "Transitions without an event lead round, and their guards can hold together: a contact would go on for ever.",
        "Let one exclude the other, or count only what came since the setback.",
    ),
}  # fmt: skip
