"""Where a verb finds its log: the address, the topics, the client and its options, as `run` has them."""

from __future__ import annotations

from worker.replay.records import ReplayError

INPUT_TOPIC = "engagement"


def topic_address(given: str) -> tuple[str, str]:
    """`kafka://HOST:PORT/TOPIC` or `embedded:FILE#TOPIC` as the log's address and the topic (default: `engagement`).

    Raises: ReplayError for an address that names no topic and has no default.
    """
    if given.startswith("embedded:"):
        file, _, topic = given.partition("#")
        return file, topic or INPUT_TOPIC
    hosts, slash, topic = given.removeprefix("kafka://").partition("/")
    if not hosts or (slash and not topic):
        raise ReplayError(f"{given}: names no topic: write kafka://HOST:PORT/TOPIC")
    return f"kafka://{hosts}", topic or INPUT_TOPIC
