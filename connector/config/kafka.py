"""librdkafka's properties as the config file gives them, and those that it may not give.

Promise: a property that would break a promise of the connector is refused with its reason, also where its value
is the one that the connector sets itself. Values reach librdkafka as they were written. A value that its name shows
to be a secret is a `Secret`.

Not promised: that a property exists or that its value is possible; librdkafka says so when a client is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final

from pydantic import AfterValidator, PlainSerializer, PlainValidator, WithJsonSchema

from connector.config.fields import expected, refused
from connector.config.secret import Secret, is_secret_name

_COMMITS: Final = "the connector commits an offset itself, and only after a final verdict on every record before it"
_START: Final = "the connector picks the start of a partition itself; set consume.start_at"
_STORE: Final = "offsets are kept in the consumer group, where every copy of the connector finds them"
_CALLBACK: Final = "callbacks belong to the connector; a config file cannot hold code"
_CONFIRMED: Final = "a dead letter or a response counts only when all in-sync replicas have it, once and in order"
_DELIVERY: Final = "an event is settled by the broker's confirmation of its dead letter or response: each is reported"
_ALIAS: Final = "write bootstrap.servers, its one name here"
_TRANSACTION: Final = "each record is confirmed by itself; an open transaction would hide it from readers"

_CONSUMER: Final = {
    "auto.commit.enable": _COMMITS,
    "auto.commit.interval.ms": f"{_COMMITS}; set consume.commit_interval_ms",
    "auto.offset.reset": _START,
    "enable.auto.commit": _COMMITS,
    "enable.auto.offset.store": _COMMITS,
    "enable.partition.eof": "the end of a partition is no record, and nothing here waits for it",
    "offset.store.method": _STORE,
    "offset.store.path": _STORE,
    "offset.store.sync.interval.ms": _STORE,
}
_PRODUCER: Final = {
    "acks": _CONFIRMED,
    "delivery.report.only.error": _DELIVERY,
    "enable.idempotence": _CONFIRMED,
    "max.in.flight": _CONFIRMED,
    "max.in.flight.requests.per.connection": _CONFIRMED,
    "message.send.max.retries": _CONFIRMED,
    "produce.offset.report": _DELIVERY,
    "request.required.acks": _CONFIRMED,
    "retries": _CONFIRMED,
    "transactional.id": _TRANSACTION,
}
_CLIENT: Final = {
    "background_event_cb": _CALLBACK,
    "default.topic.config": "properties are flat: write the topic's properties beside the others",
    "enabled_events": _CALLBACK,
    "logger": _CALLBACK,
    "metadata.broker.list": _ALIAS,
    "on_commit": _CALLBACK,
    "on_delivery": _CALLBACK,
    "opaque": _CALLBACK,
    "plugin.library.paths": "a plugin can take records and answers before the connector sees them",
}
_FIXED: Final = {**_CONSUMER, **_PRODUCER, **_CLIENT}

REQUIRED: Final = ("bootstrap.servers", "group.id")


def refusal(name: str) -> str | None:
    """Why a property may not be set, or None where it may."""
    if name.startswith("test.mock."):
        return "it would put a mock in the place of the real cluster"
    if name.endswith(("_cb", ".cb")):
        return _CALLBACK
    if "${" in name:
        return "substitutions work in values, not in names"
    return _FIXED.get(name)


def refused_names() -> Mapping[str, str]:
    """Every property that is refused by its full name, with its reason."""
    return MappingProxyType(_FIXED)


def reveal(properties: Mapping[str, str | Secret]) -> dict[str, Any]:
    """The properties in clear text, for librdkafka alone."""
    return {name: value.reveal() if isinstance(value, Secret) else value for name, value in properties.items()}


def _name(name: str) -> str:
    why = refusal(name)
    if why is not None:
        raise refused(f"cannot be set here: {why}")
    return name


def _value(value: object) -> str | Secret:
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case str():
            return str(value)
        case Secret():
            return value
        case list():
            raise refused("expected one value: librdkafka takes lists as text with commas, such as a:9092,b:9092")
        case dict():
            raise refused("expected one value: properties are flat, dotted names, such as ssl.ca.location: /path")
        case _:
            raise expected("text, a number, true or false")


def _freeze(properties: Mapping[str, str | Secret]) -> Mapping[str, str | Secret]:
    return MappingProxyType(
        {
            name: Secret(value) if isinstance(value, str) and is_secret_name(name) else value
            for name, value in properties.items()
        }
    )


def _masked(properties: Mapping[str, str | Secret]) -> dict[str, str]:
    return {name: str(value) for name, value in properties.items()}


_Name = Annotated[str, AfterValidator(_name)]
_Value = Annotated[
    str | Secret,
    PlainValidator(_value),
    WithJsonSchema({"type": ["string", "number", "boolean"]}),
]
Properties = Annotated[Mapping[_Name, _Value], AfterValidator(_freeze), PlainSerializer(_masked)]
