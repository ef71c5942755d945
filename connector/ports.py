"""What the pipeline needs from the outside, and what the outside asks of it.

The adapters fulfil these; tests fulfil them with fakes that follow a script. Everything here is called on the event
loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from confluent_kafka import KafkaError

    from connector.core.codes import NoAnswer
    from connector.core.offsets import PartitionOffsets
    from connector.core.settled import Ignored, Range
    from connector.core.verdict import Answer
    from connector.model import Record, Rejection


class Slice(NamedTuple):
    """Consecutive records of one partition, in order."""

    owner: PartitionOffsets
    records: Sequence[Record]


class Start(NamedTuple):
    """Where an assigned partition begins."""

    topic: str
    partition: int
    offset: int | None  # None where only the first record will tell
    committed: int | None  # None where the group has no commit
    settled: tuple[Range, ...] = ()  # what the commit says is settled above it
    identity: str = ""  # the topic's id, empty where the brokers do not tell
    ignored: Ignored | None = None  # why the commit's note is not used
    unread_note: str = ""  # the note itself, where only the topic's id is missing to read it
    is_recreated: bool = False  # the commit was for another topic of the same name, and is not used
    skipped: int = 0  # how many records wait below it and are not read, as the config asks


class Commit(NamedTuple):
    """What is committed of one partition."""

    owner: PartitionOffsets
    offset: int
    note: str  # the commit's metadata


class Extent(NamedTuple):
    """Where a partition begins and ends."""

    earliest: int
    end: int  # the offset of the next record to come


class SourceFatal(Exception):  # noqa: N818 - it names the state that Kafka's client reports
    """Kafka's client cannot go on; only a new process can."""


class AssignmentListener(Protocol):
    """What the source asks of the pipeline during a rebalance, and what it tells it."""

    async def assigned(self, starts: Sequence[Start]) -> Sequence[PartitionOffsets]:
        """Take over partitions; return their offsets objects in the order given."""
        ...

    async def revoked(self, owners: Sequence[PartitionOffsets]) -> Sequence[Commit]:
        """Finish or abandon what is in flight, within one deadline; return what to commit."""
        ...

    async def lost(self, owners: Sequence[PartitionOffsets]) -> None:
        """Forget partitions that somebody else may own by now."""
        ...

    async def repositioned(self, owner: PartitionOffsets, earliest: int) -> PartitionOffsets:
        """Go on at `earliest`, because the next record is gone; returns the offsets object from now on."""
        ...

    async def recreated(self, owner: PartitionOffsets, identity: str) -> PartitionOffsets:
        """Begin anew, because the topic was; returns the offsets object from now on."""
        ...

    def identified(self, owner: PartitionOffsets, identity: str) -> None:
        """Hear the topic's id, which was not known before."""
        ...

    def commit_ended(self, owner: PartitionOffsets, offset: int, error: KafkaError | None) -> None:
        """Hear how the commit of one partition ended."""
        ...

    def source_fault(self, error: KafkaError) -> None:
        """Hear of a fault that the client met by itself."""
        ...


class Source(Protocol):
    """Where records come from, and where offsets are committed."""

    async def start(self, listener: AssignmentListener) -> None:
        """Join the group; partitions come later, through the listener."""
        ...

    async def poll(self, max_records: int, timeout_s: float) -> list[Slice]:
        """Read records; may wait for all of `timeout_s`."""
        ...

    def commit(self, commits: Sequence[Commit]) -> None:
        """Start a commit; the listener hears how it ended, partition by partition."""
        ...

    def pause(self, owners: Iterable[PartitionOffsets]) -> None:
        """Stop fetching from partitions but stay their owner."""
        ...

    def resume(self, owners: Iterable[PartitionOffsets]) -> None:
        """Fetch again from paused partitions."""
        ...

    async def extents(self, owners: Sequence[PartitionOffsets]) -> list[Extent | None]:
        """Where each partition begins and ends, also while it is paused; None where nothing was heard."""
        ...

    async def close(self, timeout_s: float) -> bool:
        """Leave the group; False if that did not end in time."""
        ...


class PartitionCounts(Protocol):
    """Who knows how large the topics are."""

    async def partition_counts(self, reads: Callable[[str], bool]) -> Mapping[str, int] | None:
        """How many partitions each topic has that `reads` says yes to, None where the brokers do not say."""
        ...


class CountingSource(Source, PartitionCounts, Protocol):
    """A source that also knows how large the topics are."""


class Edge(Protocol):
    """Sends one request."""

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer | NoAnswer:
        """Send a body once; never raises for anything that a network or a server can do."""
        ...


class TokenFailed(Exception):  # noqa: N818 - it says what happened
    """No token could be had; the text names the cause and the remedy, never the secret."""

    def __init__(self, cause: str, remedy: str, *, is_refusal: bool) -> None:
        super().__init__(f"{cause}: {remedy}")
        self.cause = cause
        self.remedy = remedy
        self.is_refusal = is_refusal  # the endpoint said no, as opposed to saying nothing


class Credentials(Protocol):
    """The headers that authenticate a request, and what renews them."""

    async def headers(self) -> Mapping[str, str]:
        """Headers for the next request.

        Raises:
            TokenFailed: there is no valid token, and none could be had.
        """
        ...

    async def renew(self, refused: Mapping[str, str]) -> None:
        """Replace the token that was refused; does nothing if it was replaced already.

        Raises:
            TokenFailed: no other token could be had.
        """
        ...


class WriteFailed(Exception):  # noqa: N818 - it says what happened
    """A record is not confirmed; the event that it is about is still open."""

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(f"{cause}: {remedy}")
        self.cause = cause
        self.remedy = remedy


class Write(Protocol):
    """Writes one record, as far as that was not done by the calls before."""

    async def __call__(self) -> None:
        """Return when the broker has confirmed the record.

        Raises:
            WriteFailed: it is not confirmed; call again later.
        """
        ...


class DeadLetters(Protocol):
    """Where rejected records go."""

    def letter(self, route: str, datastream: str, record: Record, rejection: Rejection) -> Write:
        """The write of one dead letter."""
        ...


class ResponseSink(Protocol):
    """Where the Edge's answers to accepted events go."""

    def response(self, route: str, datastream: str, record: Record, request_id: str, handles: bytes) -> Write:
        """The write of the handles, a JSON array, for the event of a record."""
        ...
