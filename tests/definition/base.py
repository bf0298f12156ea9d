"""A small lifecycle that uses every part of the format, to be spoilt in one place at a time."""

from __future__ import annotations

from worker.definition.errors import Finding

BASE = """\
# A shop's customers.
lifecycle: shop
version: 3
title: The shop's customers
horizon: 7d
business_hours: {days: mon-fri, open: "09:00", close: "17:30", timezone: Europe/Berlin, holidays: ["2026-12-25"]}

parameters:
  threshold: {value: 40, means: score that shows intent, assumed: true}
  window:    {value: 7d, means: the time in which visits must fall}
  strict:    {value: false, means: whether fit is asked for}
  region:    {value: north, means: where we sell}

ignore:
  - email.clicked when event.machine

signals:
  action:
    - form.submitted when event.kind in ("demo", "pricing")
    - email.replied when event.sentiment != "negative"
  visit: page.viewed when event.high_intent
  intent:
    any:
      - action
      - visit when count(visit, window, since=setback) >= 3
    publish: true
    keep: 30
  ended: [subscription.cancelled, contract.ended]
  arrived: entering customer
  setback: [sales.rejected]

facts:
  icp_fit: {type: boolean, from: traits.icp_fit}
  reason:  {type: text, from: event.reason, of: [sales.rejected, deal.lost]}
  agreements:
    type: ids
    from: event.agreement_id
    added_by: [subscription.started, contract.signed]
    removed_by: ended
    amount: event.amount
    currency: event.currency

score:
  forget: setback
  ignore: event.machine
  fit:       {cap: 40, points: {icp_fit: 40}}
  behaviour: {cap: 60, half_life: 30d, points: {action: 20, 'page.viewed when event.high_intent': 10}}

conditions:
  fit:    icp_fit or not strict
  keen:   since(intent, setback) or score.behaviour >= threshold
  bound:  size(agreements) > 0

stages:
  visitor:
    name: Visitor
    means: Looks around.
    owner: marketing
    goal: Make known.
  lead:
    name: Lead
    means: Shows intent.
    owner: {assumed: marketing}
    goal: Qualify.
    manual: true
    sla: {within: 2d, business_hours: true, met_by: [sales.accepted], late: sales, warn_after: 1d, unless: not fit}
  customer:
    name: Customer
    means: Has bought.
    owner: sales
    goal: Keep.
    qualified: true

transitions:
  - {from: any below customer, to: customer, event: subscription.started, says: buys}
  - {from: visitor, to: lead, when: fit and keen, says: shows intent}
  - from: lead
    to: visitor
    event: sales.rejected
    status: lost
    reason: event.reason
    says: is rejected
  - {from: lead, to: visitor, after: 90d, when: not keen, says: goes quiet, assumed: true}
  - {from: customer, to: visitor, event: ended, when: not bound, says: leaves}

statuses:
  track: [open, working, won]
  aside: [lost]
  set_by: crm.status_changed
  meanings:
    open: {name: Open, means: Nobody has looked yet., crm: [New, Open]}
  implied_by:
    working: [leaving visitor, meeting.booked]
    won: {any: subscription.started, from_aside: true}
  reopen: {from: lost, by: intent, when: fit, to: open}
  disqualify: status == "lost"
  suppress: status in ("lost",)

segments:
  sleepers: {when: last(intent) > 30d and stage == "lead", means: Went quiet.}

company: {id: traits.company_id, parent: traits.parent_company_id, statuses: {active: bound}, from_parent: customer}

hygiene:
  email: {when: 'traits.email == ""', says: There is no e-mail address., field: email}

publish: {traits: [email]}
forget: {stage: visitor, after: 90d, unless: seen(intent)}
owners: {marketing: Marketing, sales: Sales}
notes: [Seen by nobody yet.]
sign_off:
  - {role: Head of Marketing}
"""


def place_of(text: str, words: str, after: str = "") -> tuple[int, int]:
    """Line and column of the first `words` in the text, behind the first `after`."""
    start = text.index(words, text.index(after) if after else 0)
    return text.count("\n", 0, start) + 1, start - (text.rfind("\n", 0, start) + 1) + 1


def shown(findings: list[Finding]) -> str:
    return "\n".join(map(str, findings))
