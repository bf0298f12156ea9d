"""Every error of the clients below maps to one of ours; which one decides what the worker does."""

from __future__ import annotations

import inspect
import ssl
from typing import Any

import kafka.errors as kafka_python
import pytest

from worker.transports import kafka_python_errors
from worker.transports.errors import (
    CommitUnknown,
    Fatal,
    Fenced,
    OffsetOutOfRange,
    RecordTooLarge,
    Retriable,
    TransportError,
)

OURS = (Retriable, Fenced, RecordTooLarge, OffsetOutOfRange, Fatal)


def made(kind: type[kafka_python.KafkaError]) -> Any:
    return kind({}) if kind is kafka_python.LogTruncationError else kind()


ALL_OF_KAFKA_PYTHON = sorted(
    {
        kind
        for _, kind in inspect.getmembers(kafka_python, inspect.isclass)
        if issubclass(kind, kafka_python.KafkaError) and kind is not kafka_python.KafkaError
    },
    key=lambda kind: kind.__name__,
)


def test_the_library_has_the_errors_this_suite_walks() -> None:
    assert len(ALL_OF_KAFKA_PYTHON) > 120


@pytest.mark.parametrize("kind", ALL_OF_KAFKA_PYTHON, ids=lambda kind: kind.__name__)
def test_each_error_of_kafka_python_is_one_of_ours(kind: type[kafka_python.KafkaError]) -> None:
    error = made(kind)
    ours = kafka_python_errors.translate(error, "reading")
    assert type(ours) in OURS
    assert str(ours).startswith("reading: ")
    assert kind.__name__ in str(ours)
    if kind.retriable:
        assert isinstance(ours, Retriable), "what the client would try again, we try again"
    if issubclass(kind, kafka_python.AuthorizationError):
        assert isinstance(ours, Fatal)
        assert ours.remedy
    if "Fenced" in kind.__name__ and "Leader" not in kind.__name__ and kind is not kafka_python.FencedStateEpochError:
        assert isinstance(ours, Fenced)


@pytest.mark.parametrize("kind", ALL_OF_KAFKA_PYTHON, ids=lambda kind: kind.__name__)
def test_an_error_wrapped_in_the_client_s_base_class_counts_as_itself(kind: type[kafka_python.KafkaError]) -> None:
    bare = kafka_python_errors.translate(made(kind), "x")
    wrapped = kafka_python.KafkaError("a previous request has failed", made(kind))
    assert type(kafka_python_errors.translate(wrapped, "x")) is type(bare)
    as_text = kafka_python.KafkaError(f"Unhandled error in EndTxnResponse: {made(kind)}")
    assert type(kafka_python_errors.translate(as_text, "x")) is type(bare)


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (kafka_python.MessageSizeTooLargeError(), RecordTooLarge),
        (kafka_python.OffsetOutOfRangeError({}), OffsetOutOfRange),
        (kafka_python.NoOffsetForPartitionError(), OffsetOutOfRange),
        (kafka_python.CommitFailedError(), Fenced),
        (kafka_python.InvalidProducerEpochError(), Fenced),
        (kafka_python.OutOfOrderSequenceNumberError(), Retriable),
        (kafka_python.KafkaError("no one knows"), Retriable),
        (ConnectionResetError("gone"), Retriable),
        (ssl.SSLCertVerificationError("not known"), Fatal),
        (RuntimeError("a fault in the library"), Fatal),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_what_the_worker_must_do_is_decided_by_the_kind(error: Exception, ours: type[TransportError]) -> None:
    translated = kafka_python_errors.translate(error, "writing", 7)
    assert type(translated) is ours
    if isinstance(translated, RecordTooLarge):
        assert translated.index == 7


def test_our_own_errors_pass_unchanged() -> None:
    own = CommitUnknown("lost")
    assert kafka_python_errors.translate(own, "x") is own


def librdkafka_codes() -> list[tuple[str, int]]:
    library = pytest.importorskip("confluent_kafka", reason="librdkafka's codes come with the extra `confluent`")
    return [
        (name, value)
        for name, value in inspect.getmembers(library.KafkaError)
        if isinstance(value, int) and not name.startswith("__")
    ]


def test_each_code_of_librdkafka_is_one_of_ours() -> None:
    codes = librdkafka_codes()
    assert len(codes) > 150
    from confluent_kafka import KafkaError, KafkaException

    from worker.transports import confluent_errors

    kinds: dict[str, type[TransportError]] = {}
    for name, code in codes:
        ours = confluent_errors.translate(KafkaException(KafkaError(code)), "reading")
        assert type(ours) in OURS, name
        assert name in str(ours)
        if name.endswith("AUTHORIZATION_FAILED"):
            assert isinstance(ours, Fatal), name
            assert ours.remedy, name
        assert type(confluent_errors.translate(KafkaError(code), "reading")) is type(ours)
        kinds[name] = type(ours)
    for table in (confluent_errors.FENCED, confluent_errors.OUT_OF_RANGE, confluent_errors.TRY_AGAIN):
        assert table <= kinds.keys(), "a name that the library doesn't have"
    assert confluent_errors.REMEDIES.keys() <= kinds.keys()


def test_the_clients_agree_on_what_brokers_say() -> None:
    """One broker error, one meaning, whichever client it reached us through."""
    pytest.importorskip("confluent_kafka", reason="librdkafka's codes come with the extra `confluent`")
    from confluent_kafka import KafkaError

    from worker.transports import confluent_errors

    known = {value for _, value in librdkafka_codes()}
    differing = {}
    for kind in ALL_OF_KAFKA_PYTHON:
        code = getattr(kind, "errno", None)
        if code and code > 0 and code in known:
            one = kafka_python_errors.translate(made(kind), "x")
            other = confluent_errors.translate(KafkaError(code), "x")
            if type(one) is not type(other):
                differing[kind.__name__] = (type(one).__name__, type(other).__name__)
    assert differing == {}


def test_a_fatal_state_of_librdkafka_is_fenced_where_it_says_so() -> None:
    pytest.importorskip("confluent_kafka", reason="librdkafka's codes come with the extra `confluent`")
    from confluent_kafka import KafkaError

    from worker.transports.confluent_errors import translate

    fenced = KafkaError(KafkaError._FATAL, "Static consumer fenced by other consumer with same group.instance.id")
    assert isinstance(translate(fenced, "x"), Fenced)
    assert isinstance(translate(KafkaError(KafkaError._FATAL, "something else"), "x"), Retriable)


def test_leaders_that_a_broker_does_not_know_yet_are_waited_for() -> None:
    """Seen when a broker had been killed and was back: the worker ended, where waiting would have done."""
    pytest.importorskip("confluent_kafka", reason="librdkafka's codes come with the extra `confluent`")
    from confluent_kafka import KafkaError

    from worker.transports.confluent_errors import translate

    error = KafkaError(KafkaError._NOENT, "Failed to query partition leaders: No leaders found")
    assert isinstance(translate(error, "looking up offsets"), Retriable)
