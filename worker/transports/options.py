"""The `[kafka]` options: passed through to a client in its own names, refused where they would break a promise.

Values may be secrets: no error or log of this package contains one, only names.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from worker.transports.errors import Fatal

Options = Mapping[str, Any]
CLIENT_STEM = "lifecycle-worker-"  # client ids are this and the library's name, unless the options say otherwise


def servers(url: str) -> str:
    """`kafka://host:port,…` as clients want it: `host:port,…`. Raises `Fatal` where no host is named."""
    scheme, separator, rest = url.partition("://")
    addresses = [address.strip() for address in rest.rstrip("/").split(",") if address.strip()]
    if scheme != "kafka" or not separator or not addresses:
        raise Fatal(
            f"{url!r} is no address of a Kafka broker", "write kafka://host:port or kafka://host1:port,host2:port"
        )
    return ",".join(address if ":" in address else f"{address}:9092" for address in addresses)


def check(options: Options, known: Collection[str], kept: Mapping[str, str], client: str) -> None:
    """Raises `Fatal` for an option the client doesn't have, and for one whose value is the worker's to choose.

    `kept` maps such an option to the reason why.
    """
    for name in options:
        if name in kept:
            raise Fatal(f"the option {name!r} can't be set: {kept[name]}", f"remove {name!r} from the [kafka] options")
        if known and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"options are named as {client} names them"
            raise Fatal(f"{client} has no option {name!r}", hint)


def typed(value: Any, like: Any) -> Any:
    """A value that came as text (from the environment) in the type of the client's default; others unchanged."""
    if not isinstance(value, str) or isinstance(like, str) or like is None:
        return value
    try:
        if isinstance(like, bool):
            return {"true": True, "false": False}[value.lower()]
        if isinstance(like, int):
            return int(value)
        if isinstance(like, float):
            return float(value)
    except (KeyError, ValueError):
        return value  # the client says what it can't take
    return value


def refuse_strangers(group: str, members: Collection[str], client_id: str) -> None:
    """Raises `Fatal` where a group has workers over another library: they can't read each other's assignments."""
    strangers = sorted(each for each in members if each.startswith(CLIENT_STEM) and each != client_id)
    if strangers:
        raise Fatal(
            f"the group {group!r} has members of another client: {', '.join(strangers)}",
            "run all workers of a group with the same --client",
        )


def never_answered(address: str, security_option: str) -> str:
    """What to look at where no broker answered; `security_option` is what the client calls it."""
    return (
        f"check that a broker answers at {address}, and {security_option} and the sasl options in [kafka] "
        "(a broker that wants TLS or another login may end the connection without a word)"
    )
