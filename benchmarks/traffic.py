"""Traffic that is the same on any machine: CloudEvents drawn with a seed, and what they must come to.

python -m benchmarks.traffic EVENTS CONTACTS [SEED] > events.jsonl
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from worker.instants import format_instant, parse_instant

START_MS: Final = parse_instant("2026-01-02T03:04:05Z")
STEP_MS: Final = 10
WEIGHTS: Final = {"form.submitted": 8, "email.replied": 6, "meeting.booked": 4, "page.viewed": 50, "email.opened": 32}
HOT: Final = "c-hot"

KeyValue = tuple[bytes, bytes]


def events(count: int, contacts: int, seed: int = 1, hot: int = 0) -> Iterator[KeyValue]:
    """Key and value of events 10 ms apart, contacts drawn evenly; with `hot`, every hot-th is one contact's instead.

    About 230 bytes each. The same arguments give the same events.
    """
    rng = random.Random(seed)
    types, weights = list(WEIGHTS), list(WEIGHTS.values())
    for number in range(count):
        contact = f"c{rng.randrange(contacts):07d}"
        kind = rng.choices(types, weights)[0]
        score = rng.randrange(20)
        if hot and not number % hot:
            contact = HOT
        data = {"contact_id": contact, "form_id": "pricing", "sentiment": "positive", "score": score}
        yield _event(number, seed, contact, kind, data)


def round_robin(count: int, contacts: int, seed: int = 1) -> Iterator[KeyValue]:
    """As `events`, but each contact in its turn: `contacts` events touch all of them."""
    for number, (_, value) in enumerate(events(count, contacts, seed)):
        event = msgspec.json.decode(value)
        contact = f"c{number % contacts:07d}"
        event["subject"] = event["data"]["contact_id"] = contact
        yield contact.encode(), json.dumps(event).encode()


def mixed(count: int, contacts: int, seed: int = 1) -> Iterator[KeyValue]:
    """What a company of every kind sees: imports, anonymous page views, mail, forms, meetings, deals, agreements.

    The times are spread over 90 days; half of the traffic is opens and views, as it is anywhere.
    """
    rng = random.Random(seed)
    kinds = list(MIX)
    weights = [weight for weight, _ in MIX.values()]
    step_ms = max(1, 90 * 86_400_000 // count)
    for number in range(count):
        contact = f"c{rng.randrange(contacts):07d}"
        kind = rng.choices(kinds, weights)[0]
        yield _event(number, seed, contact, kind, MIX[kind][1](rng), step_ms)


def _event(number: int, seed: int, contact: str, kind: str, data: dict[str, Any], step_ms: int = STEP_MS) -> KeyValue:
    body = {
        "specversion": "1.0",
        "type": kind,
        "id": f"e{seed}-{number}",
        "source": "/bench",
        "subject": contact,
        "time": format_instant(START_MS + step_ms * number),
        "data": data,
    }
    return contact.encode(), json.dumps(body).encode()


def _imported(rng: random.Random) -> dict[str, Any]:
    traits = {
        "icp_fit": rng.random() < 0.6,
        "title": rng.choice(["VP Marketing", "Head of Growth", "CTO", "Analyst"]),
        "industry": rng.choice(["software", "manufacturing", "retail"]),
        "employees": rng.choice([12, 80, 450, 3_000]),
        "company_id": f"o{rng.randrange(5_000)}",
    }
    return {"origin": "list", "traits": traits}


MIX: Final[dict[str, tuple[int, Callable[[random.Random], dict[str, Any]]]]] = {
    "contact.imported": (8, _imported),
    "page.viewed": (
        26,
        lambda rng: {
            "url": f"https://example.com/{rng.choice(['pricing', 'blog', 'docs', 'about'])}",
            "high_intent": rng.random() < 0.1,
        },
    ),
    "email.opened": (22, lambda rng: {"machine": rng.random() < 0.3}),
    "email.clicked": (10, lambda rng: {"machine": rng.random() < 0.3}),
    "email.replied": (6, lambda rng: {"sentiment": rng.choice(["positive", "neutral", "negative"]), "to": "outreach"}),
    "form.submitted": (6, lambda rng: {"form": "f1", "kind": rng.choice(["content", "contact", "demo", "pricing"])}),
    "content.downloaded": (5, lambda rng: {"asset": "guide", "gated": True}),
    "webinar.attended": (4, lambda rng: {"webinar": f"w{rng.randrange(10)}"}),
    "meeting.booked": (3, lambda rng: {"kind": "discovery"}),
    "meeting.held": (2, lambda rng: {"kind": "discovery"}),
    "sales.accepted": (3, lambda rng: {}),
    "sales.qualified": (2, lambda rng: {"need": True, "authority": True, "budget": True, "timeline": True}),
    "deal.created": (1, lambda rng: {"deal_id": f"d{rng.randrange(1 << 30)}", "amount": 9_000, "currency": "EUR"}),
    "deal.won": (1, lambda rng: {"deal_id": f"d{rng.randrange(1 << 30)}", "amount": 9_000, "currency": "EUR"}),
    "product.used": (1, lambda rng: {"product": "suite"}),
}
"""Type: its weight, and how its data are drawn."""

MOVES: Final = {
    ("prospect", "form.submitted"): "lead",
    ("lead", "email.replied"): "mql",
    ("lead", "page.viewed"): "mql",
    ("mql", "meeting.booked"): "sql",
}


def expected_changes(traffic: Iterator[KeyValue]) -> int:
    """How many stage changes the side-by-side job must publish for this traffic: it is worked out, not run."""
    contacts: dict[str, tuple[str, int]] = {}
    changes = 0
    for _, value in traffic:
        event = msgspec.json.decode(value)
        contact, kind = event["subject"], event["type"]
        stage, score = contacts.get(contact, ("prospect", 0))
        score += event["data"]["score"]
        target = MOVES.get((stage, kind))
        if target is not None and (kind != "page.viewed" or score > 100):
            stage = target
            changes += 1
        contacts[contact] = (stage, score)
    return changes


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:]]
    for _, line in events(*numbers):
        sys.stdout.buffer.write(line + b"\n")
