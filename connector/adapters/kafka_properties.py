"""Which librdkafka properties each client gets, and why.

Promise: what the config says is passed on as it is, except where a property would break a promise of the
connector; those are set here and refused there. Nothing is dropped silently: a property that belongs to another
kind of client is kept away from the clients that would only warn about it.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import Consumer, KafkaException, Producer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_CONSUMER_PROMISES: Final[dict[str, Any]] = {
    # Offsets move only by an explicit commit, after the verdicts.
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    # The start of a partition without a commit is chosen on assignment; a reset may never skip silently.
    "auto.offset.reset": "error",
    "enable.partition.eof": False,
}

_CONSUMER_DEFAULTS: Final[dict[str, Any]] = {
    "client.id": "xdm-connector",
    "partition.assignment.strategy": "cooperative-sticky",  # a rebalance interrupts only what moves
    "isolation.level": "read_committed",
    "check.crcs": True,
    "allow.auto.create.topics": False,
    "socket.keepalive.enable": True,
    # A connection that the network forgot is given up after this, which has to be well before the session ends (45 s
    # unless the config says otherwise): at the default of 60 s the partitions are lost before anybody connects anew.
    "socket.timeout.ms": 30_000,
    "reconnect.backoff.max.ms": 5000,
    # Bounds what librdkafka reads ahead over all partitions; its default of 64 MB doubles the process.
    "queued.max.messages.kbytes": 16384,
    # One answer of a broker may exceed that bound by all of itself; the default is 50 MB.
    "fetch.max.bytes": 8_388_608,
    # When a partition's queue was full, its next fetch waits this long. At the default of 1000 ms a fast
    # consumer stands still most of the time.
    "fetch.queue.backoff.ms": 20,
    "fetch.wait.max.ms": 100,
}

_KIP_848_REFUSES: Final = frozenset(
    {"partition.assignment.strategy", "session.timeout.ms", "heartbeat.interval.ms", "group.protocol.type"}
)
"""With `group.protocol: consumer` the broker decides these; librdkafka refuses to start with them."""

_PRODUCER_PROMISES: Final[dict[str, Any]] = {
    "enable.idempotence": True,  # a retry inside the client doubles nothing
    "acks": "all",  # a dead letter or a response settles a record, so it must survive the loss of a broker
}

_PRODUCER_DEFAULTS: Final[dict[str, Any]] = {
    "client.id": "xdm-connector-dead-letter",
    "socket.keepalive.enable": True,
    "reconnect.backoff.max.ms": 5000,
    "linger.ms": 5,
    "compression.type": "lz4",
    # The topic decides how large a record may be, not this client: a record that Kafka once took, plus the
    # headers that say what happened to it, must fit.
    "message.max.bytes": 67_108_864,
    # After this a write counts as failed, is reported, and is tried again.
    "message.timeout.ms": 30_000,
    # A connection that the network forgot is given up in time to write again on a new one; the client's own default of
    # 60 s would hold a route whose brokers are well.
    "socket.timeout.ms": 10_000,
    # A missing topic is reported after this instead of half a minute.
    "topic.metadata.propagation.max.ms": 5_000,
}

_RESPONSE_DEFAULTS: Final[dict[str, Any]] = {
    **_PRODUCER_DEFAULTS,
    "client.id": "xdm-connector-responses",
    # The key is a source record's. Java's clients would give it the same partition, so topics can be joined.
    "partitioner": "murmur2_random",
}

_CONSUMER_ONLY: Final = frozenset(
    {
        "group.id", "group.instance.id", "group.protocol", "group.protocol.type", "group.remote.assignor",
        "partition.assignment.strategy", "session.timeout.ms", "heartbeat.interval.ms",
        "coordinator.query.interval.ms", "max.poll.interval.ms", "queued.min.messages",
        "queued.max.messages.kbytes", "fetch.wait.max.ms", "fetch.queue.backoff.ms", "fetch.message.max.bytes",
        "max.partition.fetch.bytes", "fetch.max.bytes", "fetch.min.bytes", "fetch.error.backoff.ms",
        "isolation.level", "check.crcs", "consume.callback.max.messages", "allow.auto.create.topics",
    }
)  # fmt: skip

_PRODUCER_ONLY: Final = frozenset(
    {
        "queue.buffering.max.messages", "queue.buffering.max.kbytes", "queue.buffering.max.ms", "linger.ms",
        "message.send.max.retries", "retries", "retry.backoff.ms", "retry.backoff.max.ms", "compression.codec",
        "compression.type", "compression.level", "batch.num.messages", "batch.size", "message.timeout.ms",
        "delivery.timeout.ms", "request.timeout.ms", "partitioner", "sticky.partitioning.linger.ms",
        "queue.buffering.backpressure.threshold", "acks", "request.required.acks", "enable.idempotence",
        "enable.gapless.guarantee", "transactional.id", "transaction.timeout.ms", "delivery.report.only.error",
    }
)  # fmt: skip

_CONNECTION: Final = frozenset(
    {
        "bootstrap.servers", "broker.address.family", "broker.address.ttl", "client.dns.lookup", "client.id",
        "client.rack", "connections.max.idle.ms", "debug", "enable.sasl.oauthbearer.unsecure.jwt",
        "enable.ssl.certificate.verification", "message.max.bytes", "metadata.max.age.ms",
        "receive.message.max.bytes", "reconnect.backoff.max.ms", "reconnect.backoff.ms", "sasl.kerberos.keytab",
        "sasl.kerberos.principal", "sasl.kerberos.service.name", "sasl.mechanisms", "sasl.oauthbearer.client.id",
        "sasl.oauthbearer.client.secret", "sasl.oauthbearer.config", "sasl.oauthbearer.extensions",
        "sasl.oauthbearer.method", "sasl.oauthbearer.scope", "sasl.oauthbearer.token.endpoint.url", "sasl.password",
        "sasl.username", "security.protocol", "socket.connection.setup.timeout.ms", "socket.keepalive.enable",
        "socket.receive.buffer.bytes", "socket.send.buffer.bytes", "socket.timeout.ms", "ssl.ca.location",
        "ssl.ca.pem", "ssl.certificate.location", "ssl.certificate.pem", "ssl.cipher.suites",
        "ssl.endpoint.identification.algorithm", "ssl.key.location", "ssl.key.password", "ssl.key.pem",
        "ssl.keystore.location", "ssl.keystore.password", "statistics.interval.ms",
        "topic.metadata.propagation.max.ms", "topic.metadata.refresh.interval.ms",
    }
)  # fmt: skip
"""The properties of all clients that people set; only to recognise one that is misspelled."""

_KNOWN: Final = tuple(sorted(_CONNECTION | _CONSUMER_ONLY | _PRODUCER_ONLY))

_OTHER_NAMES: Final = {
    "compression.codec": "compression.type",
    "fetch.message.max.bytes": "max.partition.fetch.bytes",
    "message.timeout.ms": "delivery.timeout.ms",
    "queue.buffering.max.ms": "linger.ms",
    "sasl.mechanisms": "sasl.mechanism",
}
"""By the name that librdkafka's messages use, the other one that a config may hold."""

_FAILED: Final = re.compile(r"^Failed to create \w+: ")


def consumer_properties(kafka: Mapping[str, Any]) -> dict[str, Any]:
    """The consumer's properties: careful defaults, then the config, then what no config may change."""
    defaults = dict(_CONSUMER_DEFAULTS)
    if kafka.get("group.protocol") == "consumer":
        defaults = {name: value for name, value in defaults.items() if name not in _KIP_848_REFUSES}
    own = {name: value for name, value in kafka.items() if name not in _PRODUCER_ONLY}
    return {**defaults, **own, **_CONSUMER_PROMISES}


def producer_properties(kafka: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The dead-letter producer's properties: the connection is the consumer's, the rest its own."""
    shared = {name: value for name, value in kafka.items() if name not in _CONSUMER_ONLY}
    return {**_PRODUCER_DEFAULTS, **shared, **overrides, **_PRODUCER_PROMISES}


def response_producer_properties(kafka: Mapping[str, Any]) -> dict[str, Any]:
    """The responses' producer's properties: what `kafka` says, and nothing that is for dead letters."""
    shared = {name: value for name, value in kafka.items() if name not in _CONSUMER_ONLY}
    return {**_RESPONSE_DEFAULTS, **shared, **_PRODUCER_PROMISES}


def admin_properties(kafka: Mapping[str, Any]) -> dict[str, Any]:
    """Only what is needed to connect."""
    return {name: value for name, value in kafka.items() if name not in _CONSUMER_ONLY | _PRODUCER_ONLY}


def refused_properties(properties: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(property, reason) for everything that librdkafka itself refuses; no broker is contacted.

    librdkafka names one fault at a time, so each one is taken out and the rest is tried again.
    """
    return _refused(Consumer, consumer_properties(properties))


def refused_producer_properties(properties: Mapping[str, Any], overrides: Mapping[str, Any]) -> list[tuple[str, str]]:
    """As `refused_properties`, for the dead-letter producer's overrides."""
    return _refused(Producer, producer_properties(properties, overrides))


def refused_response_properties(properties: Mapping[str, Any]) -> list[tuple[str, str]]:
    """As `refused_properties`, for the responses' producer."""
    return _refused(Producer, response_producer_properties(properties))


def _refused(client: Callable[[dict[str, Any]], object], properties: dict[str, Any]) -> list[tuple[str, str]]:
    trial = {**properties, "bootstrap.servers": "", "log_level": 0}
    found: list[tuple[str, str]] = []
    while True:
        try:
            client(trial)
        except KafkaException as error:
            reason = _FAILED.sub("", str(error.args[0].str())).strip()
            name = _named_property(reason, trial)
            found.append((name or "", reason + _suggestion(reason, name)))
            if name is None:
                return found
            del trial[name]
        else:
            return found


def _named_property(reason: str, properties: Mapping[str, Any]) -> str | None:
    """The property that librdkafka's message speaks of, maybe by another of its names."""
    quoted = re.findall(r'"([^"]+)"', reason)
    words = [*quoted, *re.split(r"[\s`'\",:=]+", reason)]
    names = [name for word in words for name in (word, _OTHER_NAMES.get(word))]
    return next((name for name in names if name in properties and name != "bootstrap.servers"), None)


def _suggestion(reason: str, name: str | None) -> str:
    """What an unknown property was probably meant to be."""
    if name is None or not reason.startswith("No such"):
        return ""
    near = get_close_matches(name, _KNOWN, n=1, cutoff=0.8)
    return f'; did you mean "{near[0]}"?' if near else ""
