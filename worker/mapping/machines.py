"""Who opens and clicks without being anybody: scanners, prefetchers and proxies of mail systems.

The list is a file with the source of each entry; another one may be given in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from worker.definition.document import Document, Node, read_document
from worker.definition.errors import DefinitionError, Finding

KEPT: Final = 16_384  # different pairs of agent and address whose verdict is remembered
ACTS: Final = ("open", "click")
AGENT_MAX: Final = 512  # characters of a user agent that are looked at
ADDRESS_MAX: Final = 64

_ENTRY_KEYS: Final = frozenset({"contains", "is", "network", "acts", "who", "source"})


class Entry(NamedTuple):
    """One pattern: `contains` and `exact` are about the user agent, in lower case."""

    who: str
    source: str
    acts: frozenset[str]
    contains: str | None
    exact: str | None
    network: IPv4Network | IPv6Network | None


def _cut(value: Any, length: int) -> str:
    return value[:length] if isinstance(value, str) else ""


class Machines:
    """The list, and its verdicts."""

    def __init__(self, entries: tuple[Entry, ...], fastest_click_ms: int) -> None:
        self.entries = entries
        self.fastest_click_ms = fastest_click_ms
        self.who: Callable[[str, str, str], str | None] = lru_cache(KEPT)(self._who)

    def _who(self, act: str, agent: str, address: str) -> str | None:
        lower = agent.strip().lower()
        place = None
        if address:
            try:
                place = ip_address(address.strip())
            except ValueError:
                place = None
        for entry in self.entries:
            if act not in entry.acts:
                continue
            if entry.contains is not None and entry.contains in lower:
                return entry.who
            if entry.exact is not None and entry.exact == lower:
                return entry.who
            if entry.network is not None and place is not None and place in entry.network:
                return entry.who
        return None

    def is_machine(self, act: str, agent: Any, address: Any, after_ms: int | None) -> bool:
        """Whether the list knows the agent or the address, or the click came sooner after the sending than hands do."""
        if act == "click" and after_ms is not None and 0 <= after_ms < self.fastest_click_ms:
            return True
        agent = agent if agent.__class__ is str and len(agent) <= AGENT_MAX else _cut(agent, AGENT_MAX)
        address = address if address.__class__ is str and len(address) <= ADDRESS_MAX else _cut(address, ADDRESS_MAX)
        return self.who(act, agent, address) is not None


def read_machines(given: Path | str | bytes, source: str | None = None) -> Machines:
    """The list of a file (a `Path`) or a text. Raises: DefinitionError with all its faults."""
    document = read_document(given, source)
    findings: list[Finding] = []

    def fail(node: Node, code: str, message: str) -> None:
        findings.append(document.finding(node.start, code, message))

    top = _items(document.root)
    fastest = top.get("fastest_click_ms")
    if fastest is None or fastest.value.__class__ is not int:
        fail(fastest or document.root, "missing-key", "fastest_click_ms: expected a number of milliseconds")
    machines = top.get("machines")
    if machines is None or not machines.is_list or machines.items is None:
        fail(machines or document.root, "missing-key", "machines: expected a list of patterns")
        raise DefinitionError(findings)
    entries = [_entry(document, node, findings) for node in machines.items.values()]
    for key, node in top.items():
        if key not in ("about", "fastest_click_ms", "machines"):
            fail(node, "unknown-key", f"a list of machines has no '{key}'")
    if findings:
        raise DefinitionError(findings)
    return Machines(tuple(entry for entry in entries if entry is not None), cast(Node, fastest).value)


def _items(node: Node) -> Mapping[str, Node]:
    return {} if node.items is None or node.is_list else cast(dict[str, Node], node.items)


def _entry(document: Document, node: Node, findings: list[Finding]) -> Entry | None:
    items = _items(node)
    kinds = [key for key in ("contains", "is", "network") if key in items]

    def fail(message: str, code: str = "wrong-type", at: Node = node) -> None:
        findings.append(document.finding(at.start, code, message))

    for key, item in items.items():
        if key not in _ENTRY_KEYS:
            fail(f"a pattern has no '{key}'; there are: {', '.join(sorted(_ENTRY_KEYS))}", "unknown-key", item)
    if len(kinds) != 1:
        fail("a pattern has one of contains, is (user agents) and network", "ambiguous")
        return None
    for key in ("who", "source"):
        if key not in items or not isinstance(items[key].value, str):
            fail(f"a pattern says {key}: who it is, and how that is known", "missing-key")
    acts = items["acts"].plain() if "acts" in items else list(ACTS)
    if not isinstance(acts, list) or not acts or any(act not in ACTS for act in acts):
        fail("acts: expected a list of open, click", at=items["acts"])
        acts = ACTS
    pattern, network = items[kinds[0]].value, None
    if not isinstance(pattern, str) or not pattern.strip():
        fail(f"{kinds[0]}: expected a text", at=items[kinds[0]])
        return None
    if kinds[0] == "network":
        try:
            network = ip_network(pattern)
        except ValueError as error:
            fail(f"network: {error}", at=items["network"])
            return None
    return Entry(
        who=str(items["who"].value) if "who" in items else "",
        source=str(items["source"].value) if "source" in items else "",
        acts=frozenset(acts),
        contains=pattern.lower() if kinds[0] == "contains" else None,
        exact=pattern.lower() if kinds[0] == "is" else None,
        network=network,
    )
