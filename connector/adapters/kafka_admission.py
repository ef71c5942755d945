"""What a fault of Kafka's client means for the membership: it mends by itself, a new client mends it, or nothing does.

Promise: a fault that ends a client is told as fatal, under whatever code the client reports it. A member whose name
(`group.instance.id`) the group still holds for a process before it asks again until that one's session must be over.

Not promised: anything for two live members of one name; with `group.protocol: consumer` the second one gives up.
Runs on the Kafka thread.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaError

if TYPE_CHECKING:
    from collections.abc import Callable

_ASK_EVERY_S: Final = 5.0
_PATIENCE_S: Final = 75.0  # brokers allow sessions of at most 60 s, unless told otherwise

_NAME_TAKEN: Final = KafkaError(KafkaError.UNRELEASED_INSTANCE_ID).str()


class Admission:
    """Whether the group takes this member in."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._refused_since: float | None = None
        self._ask_at: float | None = None

    def judge(self, error: KafkaError) -> KafkaError:
        """The fault as it is to be told; a refusal because of the name is fatal only when patience ends."""
        if not (error.fatal() or error.code() == KafkaError._FATAL):  # noqa: SLF001 - librdkafka's own name
            return error
        if _NAME_TAKEN not in error.str():
            return KafkaError(error.code(), error.str(), True)  # noqa: FBT003 - fatal; it takes no names
        now = self._clock()
        if self._refused_since is None:
            self._refused_since = now
        is_over = now - self._refused_since >= _PATIENCE_S
        self._ask_at = None if is_over else now + _ASK_EVERY_S
        return KafkaError(KafkaError.UNRELEASED_INSTANCE_ID, error.str(), is_over)

    def is_due(self) -> bool:
        """Whether a new client has to ask now: the refused one never will. Says so once."""
        if self._ask_at is None or self._clock() < self._ask_at:
            return False
        self._ask_at = None
        return True

    def granted(self) -> None:
        """The group has taken this member in."""
        self._refused_since = self._ask_at = None
