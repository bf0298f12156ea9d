"""Two ids' histories made one: folded together where both are at hand, else their states joined behind the horizon."""

from __future__ import annotations

from worker.fold import step, tell
from worker.fold.contact import CORRECTED, Contact, mend, seal
from worker.fold.join import join_told
from worker.fold.messages import Answer
from worker.fold.state import Kept, State, encoder


def take_in(contact: Contact, answer: Answer, made: Kept) -> None:
    """The two histories become one: wholly where nothing of either is behind a horizon, else from the later on.

    Behind it what both published stands, each under its own id, and their states are joined. What the other id
    published from there on is withdrawn under that id: it is restated here. `made` is the merge event.
    """
    if not answer.base and not answer.events:
        return
    record, engine = contact.record, contact.engine
    assert record is not None
    whole = contact.whole() and is_whole(answer)
    plan, since, events = engine.plan, engine.publish_from, contact.reorder()
    was, stands = tell.Told(plan, answer.of, since), tell.Told(plan, answer.of, since)
    stood = contact.state_of(answer.base)
    step.run(plan, stood, answer.events, answer.fired, was)
    if not whole:
        horizon = record.horizon = max(record.horizon, answer.horizon)
        ours, theirs = contact.state_of(record.base), contact.state_of(answer.base)
        past = tell.Told(plan, contact.name, since)
        step.run(plan, ours, [event for event in events if event.time < horizon], horizon - 1, past)
        step.run(plan, theirs, [event for event in answer.events if event.time < horizon], horizon - 1, stands)
        record.base = encoder.encode(join_told(plan, ours, theirs, made, past))
        contact.settled += past.outputs
        events[:] = [event for event in events if event.time >= horizon]
        answer.events = [event for event in answer.events if event.time >= horizon]
    _correct(contact, answer, stood, was, stands, made)
    known = {(event.id, event.source) for event in events}
    for event in answer.events:
        if (event.id, event.source) not in known:
            contact.insert(event)
            record.newest = max(record.newest, event.time)


def _correct(contact: Contact, answer: Answer, stood: State, was: tell.Told, stands: tell.Told, made: Kept) -> None:
    """Publish, under the id that is this contact now, that `stands` is what stands of it, in place of `was`."""
    plan = contact.engine.plan
    [*mended] = mend(plan, answer.of, was.outputs, stands.outputs, made.time)
    if not mended:
        return
    if mended[0].body["type"] != CORRECTED:
        data = {"contact": answer.of, "withdrawn": [], "restated": [output.body for output in mended]}
        mended = [tell.output(plan, CORRECTED, answer.of, made.time, data)]
    seal(mended[0], tell.current(plan, stood, answer.revision + 1), tell.iso(contact.now))
    contact.outcome.outputs.append(mended[0]._replace(elsewhere=True))


def is_whole(answer: Answer) -> bool:
    """Whether nothing of what the other id gives lies behind its horizon."""
    return not answer.base and (not answer.events or answer.events[0].time >= answer.horizon)
