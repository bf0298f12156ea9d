"""kafka-python's errors as ours, decided in this one place; a test walks all of theirs through it."""

from __future__ import annotations

import logging
import re
import ssl
from collections.abc import Iterator

import kafka.errors as theirs
from kafka.consumer.fetcher import RecordTooLargeError as FetchTooSmall

from worker.transports.errors import Fatal, Fenced, OffsetOutOfRange, RecordTooLarge, Retriable, TransportError

LIBRARY = (theirs.KafkaError, OSError, RuntimeError, ValueError, TypeError)  # what the library raises for cause

FENCED = (
    theirs.ProducerFencedError,
    theirs.InvalidProducerEpochError,
    theirs.TransactionCoordinatorFencedError,
    theirs.FencedInstanceIdError,
    theirs.FencedMemberEpochError,
    theirs.StaleMemberEpochError,
    theirs.IllegalGenerationError,
    theirs.UnknownMemberIdError,
    theirs.CommitFailedError,
)

OUT_OF_RANGE = (
    theirs.OffsetOutOfRangeError,
    theirs.LogTruncationError,
    theirs.NoOffsetForPartitionError,
    theirs.PositionOutOfRangeError,
    theirs.OffsetMovedToTieredStorageError,
)

TOO_LARGE = (theirs.MessageSizeTooLargeError, theirs.RecordListTooLargeError)

# The client does not call these retriable; a new producer or a later try mends them all the same.
TRY_AGAIN = (
    theirs.RetriableError,
    theirs.UnknownError,
    theirs.BrokerNotAvailableError,
    theirs.StaleControllerEpochError,
    theirs.StaleBrokerEpochError,
    theirs.RebalanceInProgressError,
    theirs.MemberIdRequiredError,
    theirs.InvalidTxnStateError,
    theirs.InvalidProducerIdMappingError,
    theirs.UnknownProducerIdError,
    theirs.OutOfOrderSequenceNumberError,
    theirs.DuplicateSequenceNumberError,
    theirs.TransactionAbortableError,
    theirs.TransactionAbortedError,
    theirs.OperationNotAttemptedError,
    theirs.UnreleasedInstanceIdError,
    theirs.NewLeaderElectedError,
    theirs.IneligibleReplicaError,
    theirs.InvalidReceiveError,
    theirs.KafkaProtocolError,
    theirs.UnknownBrokerIdError,
    theirs.QuotaViolationError,
    theirs.ReassignmentInProgressError,
    theirs.IllegalStateError,  # a producer or consumer closed under us, or in a state that an error left
)

TLS_REMEDY = "check security_protocol and the ssl_ options in [kafka]: the certificate authority, host name and key"

REMEDIES: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
    (
        (theirs.SaslAuthenticationFailedError, theirs.UnsupportedSaslMechanismError, theirs.IllegalSaslStateError),
        "check the user, the secret and sasl_mechanism in the [kafka] options",
    ),
    (theirs.TopicAuthorizationFailedError, "give this user rights on the topic (Read, Write, Describe as needed)"),
    (theirs.GroupAuthorizationFailedError, "give this user the right Read on the consumer group"),
    (
        theirs.TransactionalIdAuthorizationFailedError,
        "give this user the rights Write and Describe on the transactional id",
    ),
    (theirs.AuthorizationError, "give this user the rights it needs"),
    (theirs.InconsistentGroupProtocolError, "members of another client or assignor are in this group: use a new group"),
    (theirs.InvalidTransactionTimeoutError, "raise transaction.max.timeout.ms of the broker to ten seconds or more"),
    (theirs.UnsupportedVersionError, "Apache Kafka 2.5 or newer is needed"),
    (theirs.InvalidSessionTimeoutError, "choose session_timeout_ms within the broker's limits"),
    (theirs.UnsupportedCodecError, "pip install 'kafka-python[lz4,snappy,zstd]': the records are compressed with it"),
    (theirs.PolicyViolationError, "the broker's policy forbids it: see the message"),
    (FetchTooSmall, "raise max_partition_fetch_bytes in the [kafka] options"),
    (ssl.SSLError, TLS_REMEDY),
)

CLASS_NAME = re.compile(r"\b[A-Z]\w+")
BROKER_SAID = re.compile(r"""error_message=(["'])(.+?)\1""")


def translate(error: BaseException, doing: str, index: int | None = None) -> TransportError:
    """What an error of the client means to the worker; `doing` says what was tried, `index` which record it concerns.

    The client wraps errors in its base class, sometimes as text: what is inside decides, the worst of it first.
    """
    if isinstance(error, TransportError):
        return error
    inner = list(insides(error))
    text = f"{doing}: {describe(error)}"
    if any(isinstance(each, TOO_LARGE) for each in inner) and index is not None:
        return RecordTooLarge(text, index)
    for each in inner:
        if isinstance(each, OUT_OF_RANGE):
            return OffsetOutOfRange(text, "the records were deleted before they were read: see the topic's retention")
    for each in inner:
        if isinstance(each, FENCED):
            return Fenced(text)
    if any(isinstance(each, theirs.KafkaConnectionError) and "[SSL:" in str(each) for each in inner):
        return Fatal(text, TLS_REMEDY)  # the library puts what TLS objected to into words
    for each in inner:
        for kind, remedy in REMEDIES:
            if isinstance(each, kind):
                return Fatal(text, remedy)
    if any(type(each) is not theirs.KafkaError and not isinstance(each, (*TRY_AGAIN, OSError)) for each in inner):
        return Fatal(text)
    return Retriable(text)


def insides(error: BaseException) -> Iterator[BaseException]:
    """The error, and those it names: as a cause, among its arguments, or in its text."""
    yield error
    named: list[object] = [error.__cause__, *getattr(error, "args", ())]
    for each in named:
        if isinstance(each, BaseException):
            yield from insides(each)
        elif isinstance(each, str) and type(error) is theirs.KafkaError:
            for name in CLASS_NAME.findall(each):
                kind = getattr(theirs, name, None)
                if isinstance(kind, type) and issubclass(kind, theirs.KafkaError) and kind is not theirs.KafkaError:
                    yield kind(*((),) if kind is theirs.LogTruncationError else ())


def describe(error: BaseException) -> str:
    """The error in a line; of a request that was refused, what the broker said of it and no more."""
    if not isinstance(error, theirs.KafkaError):
        return f"{type(error).__name__}: {error}"
    text = str(error)
    if "failed with response" not in text:
        return text
    said = BROKER_SAID.search(text)
    return type(error).__name__ + (f": {said[2]}" if said else "")


class Overheard(logging.Handler):
    """The errors that the library only logs while it connects: it tries on for ten seconds, whatever the cause."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.errors: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        arguments = record.args if isinstance(record.args, tuple) else (record.args,)
        self.errors += [each for each in arguments if isinstance(each, BaseException)]

    def causes(self) -> list[BaseException]:
        """What was in the way, but for the time that ran out over it."""
        return [each for each in self.errors if not isinstance(each, theirs.KafkaTimeoutError)]

    def __enter__(self) -> Overheard:
        logging.getLogger("kafka.net.manager").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("kafka.net.manager").removeHandler(self)
