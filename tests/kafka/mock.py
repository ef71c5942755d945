"""librdkafka's mock cluster with faults on order, for what a real broker does not do when a test wants it.

Promise: `MockKafka` answers the next requests of one kind with the errors that a test names, one after the other.
Topics and groups behave as in `connector.local.embedded_kafka`, which is the same cluster without orders.

Not promised: that it is there. It is an experimental part of librdkafka, reached in the library that
confluent-kafka's wheel brings along; `why_no_mock` says why it cannot be had.
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import confluent_kafka

if TYPE_CHECKING:
    from collections.abc import Sequence

OFFSET_COMMIT: Final = 8
"""The number by which Kafka's protocol knows a commit."""

_POINTER, _INT, _TEXT = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
_SIGNATURES: Final[dict[str, tuple[Any, ...]]] = {
    "rd_kafka_conf_new": (_POINTER,),
    "rd_kafka_conf_set": (_INT, _POINTER, _TEXT, _TEXT, _TEXT, ctypes.c_size_t),
    "rd_kafka_new": (_POINTER, _INT, _POINTER, _TEXT, ctypes.c_size_t),
    "rd_kafka_destroy": (None, _POINTER),
    "rd_kafka_mock_cluster_new": (_POINTER, _POINTER, _INT),
    "rd_kafka_mock_cluster_destroy": (None, _POINTER),
    "rd_kafka_mock_cluster_bootstraps": (_TEXT, _POINTER),
    "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, _POINTER, ctypes.c_int32),
    "rd_kafka_mock_topic_create": (_INT, _POINTER, _TEXT, _INT, _INT),
    "rd_kafka_mock_push_request_errors_array": (
        None, _POINTER, ctypes.c_int16, ctypes.c_size_t, ctypes.POINTER(ctypes.c_int),
    ),
}  # fmt: skip
"""By name what a function returns, and what it takes."""

_PRODUCER: Final = 0
_TEXT_BYTES: Final = 512
_PARTITIONS: Final = 4


def why_no_mock() -> str | None:
    """Why faults cannot be ordered here, or None where they can."""
    if _library() is None:
        return "confluent-kafka brings no librdkafka of its own, or one without a mock cluster"
    return None


class MockKafka:
    """One broker in this process, from `with` to the end of its block."""

    def __init__(self) -> None:
        self.bootstrap_servers = ""  # known inside the block
        self._host: Any = None
        self._cluster: Any = None

    def __enter__(self) -> Self:
        library = _library()
        assert library is not None
        text = ctypes.create_string_buffer(_TEXT_BYTES)
        settings = library.rd_kafka_conf_new()
        library.rd_kafka_conf_set(settings, b"log_level", b"0", text, _TEXT_BYTES)
        self._host = library.rd_kafka_new(_PRODUCER, settings, text, _TEXT_BYTES)
        assert self._host, text.value
        self._cluster = library.rd_kafka_mock_cluster_new(self._host, 1)
        assert self._cluster, "the mock cluster does not start"
        self.bootstrap_servers = library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()
        # The real default would let every group of a test wait for three seconds before it forms.
        library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        return self

    def __exit__(self, *_: object) -> None:
        library = _library()
        assert library is not None
        library.rd_kafka_mock_cluster_destroy(self._cluster)
        library.rd_kafka_destroy(self._host)

    def create_topic(self, name: str) -> None:
        """Make a topic with as many partitions as the embedded broker would."""
        library = _library()
        assert library is not None
        assert library.rd_kafka_mock_topic_create(self._cluster, name.encode(), _PARTITIONS, 1) == 0

    def fail_next(self, request: int, errors: Sequence[int]) -> None:
        """Answer the next requests of a kind with these errors, in order; librdkafka's own `_TRANSPORT` disconnects."""
        library = _library()
        assert library is not None
        codes = (ctypes.c_int * len(errors))(*errors)
        library.rd_kafka_mock_push_request_errors_array(self._cluster, request, len(errors), codes)


@cache
def _library() -> Any:  # noqa: ANN401 - ctypes has no types for what it loads
    """The very library that the clients of this process use."""
    beside = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
    found = sorted(beside.glob("librdkafka*"))
    if not found:
        return None
    library = ctypes.CDLL(str(found[0]))
    try:
        for name, (result, *arguments) in _SIGNATURES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except AttributeError:
        return None
    return library
