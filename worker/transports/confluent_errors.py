"""librdkafka's errors as ours, decided in this one place; a test walks all of its codes through it."""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException

from worker.transports.errors import Fatal, Fenced, OffsetOutOfRange, RecordTooLarge, Retriable, TransportError

LIBRARY = (KafkaException, RuntimeError, BufferError, ValueError, TypeError)  # what the library raises for cause

FENCED = frozenset(
    {
        "_FENCED",
        "_ASSIGNMENT_LOST",
        "_MAX_POLL_EXCEEDED",
        "PRODUCER_FENCED",
        "INVALID_PRODUCER_EPOCH",
        "TRANSACTION_COORDINATOR_FENCED",
        "FENCED_INSTANCE_ID",
        "ILLEGAL_GENERATION",
        "UNKNOWN_MEMBER_ID",
        "FENCED_MEMBER_EPOCH",
        "STALE_MEMBER_EPOCH",
    }
)

OUT_OF_RANGE = frozenset(
    {
        "_AUTO_OFFSET_RESET",  # what auto.offset.reset=error makes of it
        "_LOG_TRUNCATION",
        "_NO_OFFSET",
        "OFFSET_OUT_OF_RANGE",
    }
)

TOO_LARGE = frozenset({"MSG_SIZE_TOO_LARGE", "RECORD_LIST_TOO_LARGE"})

REMEDIES = {
    "_AUTHENTICATION": "check sasl.username, sasl.password and sasl.mechanism in the [kafka] options",
    "SASL_AUTHENTICATION_FAILED": "check sasl.username and sasl.password in the [kafka] options",
    "UNSUPPORTED_SASL_MECHANISM": "check sasl.mechanism in the [kafka] options",
    "_SSL": "check security.protocol and the ssl. options in [kafka]: the certificate authority, host name and key",
    "TOPIC_AUTHORIZATION_FAILED": "give this user rights on the topic (Read, Write, Describe as needed)",
    "GROUP_AUTHORIZATION_FAILED": "give this user the right Read on the consumer group",
    "CLUSTER_AUTHORIZATION_FAILED": "give this user the rights it needs",
    "DELEGATION_TOKEN_AUTHORIZATION_FAILED": "give this user the rights it needs",
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED": "give this user Write and Describe on the transactional id",
    "INCONSISTENT_GROUP_PROTOCOL": "members of another client or assignor are in this group: use a new group",
    "INVALID_TRANSACTION_TIMEOUT": "raise transaction.max.timeout.ms of the broker to ten seconds or more",
    "UNSUPPORTED_VERSION": "Apache Kafka 2.5 or newer is needed",
    "_UNSUPPORTED_FEATURE": "Apache Kafka 2.5 or newer is needed",
    "INVALID_SESSION_TIMEOUT": "choose session.timeout.ms within the broker's limits",
    "POLICY_VIOLATION": "the broker's policy forbids it: see the message",
}

# Beyond what librdkafka itself calls retriable: a new client or a later try mends these.
TRY_AGAIN = frozenset(
    {
        "_ALL_BROKERS_DOWN",
        "_APPLICATION",
        "_BAD_MSG",
        "_CONFLICT",
        "_DESTROY",
        "_DESTROY_BROKER",
        "_FAIL",
        "_GAPLESS_GUARANTEE",
        "_INCONSISTENT",
        "_INTR",
        "_IN_PROGRESS",
        "_ISR_INSUFF",
        "_MSG_TIMED_OUT",
        "_NODE_UPDATE",
        "_NOENT",  # "no leaders found", of a broker that has just come back
        "_OUTDATED",
        "_PARTIAL",
        "_PREV_IN_PROGRESS",
        "_PURGE_INFLIGHT",
        "_PURGE_QUEUE",
        "_QUEUE_FULL",
        "_RESOLVE",
        "_RETRY",
        "_STATE",
        "_TIMED_OUT",
        "_TIMED_OUT_QUEUE",
        "_TRANSPORT",
        "_UNDERFLOW",
        "_UNKNOWN_BROKER",
        "_WAIT_CACHE",
        "_WAIT_COORD",
        "UNKNOWN",
        "UNKNOWN_TOPIC_OR_PART",
        "LEADER_NOT_AVAILABLE",
        "NOT_LEADER_FOR_PARTITION",
        "REQUEST_TIMED_OUT",
        "BROKER_NOT_AVAILABLE",
        "REPLICA_NOT_AVAILABLE",
        "STALE_CTRL_EPOCH",
        "STALE_BROKER_EPOCH",
        "NETWORK_EXCEPTION",
        "COORDINATOR_LOAD_IN_PROGRESS",
        "COORDINATOR_NOT_AVAILABLE",
        "NOT_COORDINATOR",
        "NOT_ENOUGH_REPLICAS",
        "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
        "REBALANCE_IN_PROGRESS",
        "NOT_CONTROLLER",
        "OUT_OF_ORDER_SEQUENCE_NUMBER",
        "DUPLICATE_SEQUENCE_NUMBER",
        "INVALID_TXN_STATE",
        "INVALID_PRODUCER_ID_MAPPING",
        "CONCURRENT_TRANSACTIONS",
        "OPERATION_NOT_ATTEMPTED",
        "KAFKA_STORAGE_ERROR",
        "UNKNOWN_PRODUCER_ID",
        "REASSIGNMENT_IN_PROGRESS",
        "FETCH_SESSION_ID_NOT_FOUND",
        "INVALID_FETCH_SESSION_EPOCH",
        "LISTENER_NOT_FOUND",
        "FENCED_LEADER_EPOCH",
        "UNKNOWN_LEADER_EPOCH",
        "OFFSET_NOT_AVAILABLE",
        "MEMBER_ID_REQUIRED",
        "PREFERRED_LEADER_NOT_AVAILABLE",
        "ELIGIBLE_LEADERS_NOT_AVAILABLE",
        "ELECTION_NOT_NEEDED",
        "UNSTABLE_OFFSET_COMMIT",
        "THROTTLING_QUOTA_EXCEEDED",
        "UNKNOWN_TOPIC_ID",
        "INCONSISTENT_TOPIC_ID",
        "UNRELEASED_INSTANCE_ID",
        "TRANSACTION_ABORTABLE",
        "SHARE_SESSION_NOT_FOUND",
        "INVALID_SHARE_SESSION_EPOCH",
    }
)


def translate(error: BaseException | KafkaError, doing: str, index: int | None = None) -> TransportError:
    """What an error of the client means to the worker; `doing` says what was tried, `index` which record it was."""
    if isinstance(error, TransportError):
        return error
    theirs = kafka_error(error)
    if theirs is None:
        if isinstance(error, OSError | RuntimeError | BufferError):
            return Retriable(f"{doing}: {type(error).__name__}: {error}")
        return Fatal(f"{doing}: {type(error).__name__}: {error}")
    code = theirs.name()
    text = f"{doing}: {theirs.name()}: {theirs.str()}"
    if code in TOO_LARGE and index is not None:
        return RecordTooLarge(text, index)
    if code == "_FATAL":  # the client is of no use any more; the code of why is in the text alone
        return Fenced(text) if "fenced" in text.lower() else Retriable(text)
    if code in OUT_OF_RANGE:
        return OffsetOutOfRange(text, "the records were deleted before they were read: see the topic's retention")
    if code in FENCED:
        return Fenced(text)
    if code in REMEDIES:
        return Fatal(text, REMEDIES[code])
    if code in TRY_AGAIN or theirs.retriable():
        return Retriable(text)
    return Fatal(text)


def kafka_error(error: BaseException | KafkaError) -> KafkaError | None:
    """The library's error inside of an exception that carries one."""
    if isinstance(error, KafkaError):
        return error
    if isinstance(error, KafkaException) and error.args and isinstance(error.args[0], KafkaError):
        return error.args[0]
    return None
