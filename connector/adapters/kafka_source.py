"""The consumer: polls, pauses, commits, and takes part in rebalances.

Promise: each record is handed over once per assignment and in order, together with the offsets object
of the assignment under which it was read. If the client loses what it had gathered (an exception out of
`consume`), the position goes back and the records come again. Nothing is committed unless told to.

Not promised: when to commit, or what; the pipeline decides.

Threads: one thread owns the consumer, because the client admits one caller and starves the others. It is
the single worker of an executor: each call is queued there and comes back to the event loop as a value.
Rebalance callbacks run inside `consume` on that thread; they ask the loop and wait for its answer.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeVar

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from connector.model import offset_of
from connector.ports import Slice, SourceFatal, Start

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence

    from connector.core.offsets import PartitionOffsets
    from connector.ports import AssignmentListener

T = TypeVar("T")
Key = tuple[str, int]
"""Topic and partition."""

_COMMITTED_TIMEOUT_S: Final = 10.0
_COMMITTED_TRIES: Final = 6


class KafkaSource:
    """One member of the consumer group."""

    def __init__(
        self,
        properties: Mapping[str, Any],
        topics: Sequence[str],
        *,
        starts_at_latest: bool,
        logger: logging.Logger,
    ) -> None:
        self._properties = dict(properties)
        self._topics = list(topics)
        self._starts_at_latest = starts_at_latest
        self._logger = logger
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kafka")
        self._owners: dict[Key, PartitionOffsets] = {}
        self._positions: dict[Key, int] = {}  # the next offset to hand over; the seek target after a mishap
        self._just_assigned: set[Key] = set()  # during the poll under way
        self._committing: dict[Key, PartitionOffsets] = {}  # for whom a commit is under way
        self._consumer: Consumer
        self._listener: AssignmentListener
        self._loop: asyncio.AbstractEventLoop

    async def start(self, listener: AssignmentListener) -> None:
        """Join the group; partitions come later, through the listener.

        Raises:
            KafkaException: librdkafka refuses the properties.
        """
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        await self._call(self._subscribe)

    async def poll(self, max_records: int, timeout_s: float) -> list[Slice]:
        """Read records; waits for all of `timeout_s` where fewer than `max_records` come.

        Raises:
            KafkaException: the client cannot go on (it says so by a fatal error).
        """
        return await self._call(self._poll, max_records, timeout_s)

    def commit(self, offsets: Sequence[tuple[PartitionOffsets, int]]) -> None:
        """Start a commit; the listener hears how it ended, partition by partition."""
        self._submit(self._commit, tuple(offsets))

    def pause(self, owners: Iterable[PartitionOffsets]) -> None:
        """Stop fetching from partitions but stay their owner. Throws away what was read ahead."""
        self._submit(self._pause, tuple(owners))

    def resume(self, owners: Iterable[PartitionOffsets]) -> None:
        """Fetch again from paused partitions."""
        self._submit(self._resume, tuple(owners))

    async def ends(self, owners: Sequence[PartitionOffsets]) -> list[int | None]:
        """The end offset of each partition as last heard from its broker, None where nothing was heard."""
        return await self._call(self._ends, tuple(owners))

    async def close(self, timeout_s: float) -> bool:
        """Leave the group; False if the client did not end in time and was left behind."""
        try:
            await asyncio.wait_for(self._call(self._close), timeout_s)
        except TimeoutError:
            return False
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)
        return True

    async def _call(self, function: Callable[..., T], *arguments: object) -> T:
        return await self._loop.run_in_executor(self._thread, function, *arguments)

    def _submit(self, function: Callable[..., None], *arguments: object) -> None:
        self._thread.submit(self._guard, function, *arguments)

    # ---- On the Kafka thread from here on ----

    def _guard(self, function: Callable[..., None], *arguments: object) -> None:
        """Run what nobody waits for. It can fail only because partitions left meanwhile, or the client is closed."""
        try:
            function(*arguments)
        except (KafkaException, RuntimeError) as error:
            fault = error.args[0]
            self._tell(self._listener.source_fault, fault if isinstance(fault, KafkaError) else KafkaError(-1))

    def _ask(self, question: Coroutine[Any, Any, T]) -> T:
        """Put a question to the event loop and wait; the loop bounds the answer by its own deadline."""
        return asyncio.run_coroutine_threadsafe(question, self._loop).result()

    def _tell(self, function: Callable[..., None], *arguments: object) -> None:
        self._loop.call_soon_threadsafe(function, *arguments)

    def _subscribe(self) -> None:
        self._consumer = Consumer(
            {**self._properties, "on_commit": self._on_commit, "error_cb": self._on_error},
            logger=self._logger,
        )
        self._consumer.subscribe(
            self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def _poll(self, max_records: int, timeout_s: float) -> list[Slice]:
        self._just_assigned.clear()
        try:
            messages = self._consumer.consume(max_records, timeout_s)
        except BaseException as error:
            # Whatever it was, the client has moved on past records that we never saw.
            self._seek_back(self._positions)
            self._raise_fatal(error)
            return []
        slices = self._slices(messages)
        if self._just_assigned:
            slices = self._drop_older_assignments(slices)
        for owner, records in slices:
            self._positions[owner.topic, owner.partition] = offset_of(records[-1]) + 1
        return slices

    def _raise_fatal(self, error: BaseException) -> None:
        """Pass on what ends the run; a fault that the client recovers from is only told."""
        if not isinstance(error, KafkaException):
            raise error
        if error.args[0].fatal():
            raise SourceFatal(error.args[0].str()) from error
        self._tell(self._listener.source_fault, error.args[0])

    def _slices(self, messages: list[Message]) -> list[Slice]:
        """Group messages by partition; those of partitions that are not ours any more are left out."""
        slices: list[Slice] = []
        topic: str | None = None
        partition: int | None = -1
        append: Callable[[Message], None] | None = None
        for message in messages:
            if message.partition() != partition or message.topic() != topic:
                topic, partition = message.topic(), message.partition()
                owner = self._owners.get((topic, partition))  # type: ignore[arg-type] # None is in no key
                append = None
                if owner is not None:
                    records: list[Message] = []
                    slices.append(Slice(owner, records))
                    append = records.append
            error = message.error()
            if error is not None:
                self._note_fault(error, topic, partition)
            elif append is not None:
                append(message)
        return [part for part in slices if part.records]

    def _note_fault(self, error: KafkaError, topic: str | None, partition: int | None) -> None:
        """Report a fault that came in a record's place; one of them needs an answer."""
        owner = self._owners.get((topic or "", -1 if partition is None else partition))
        if error.code() != KafkaError._AUTO_OFFSET_RESET or owner is None:  # noqa: SLF001 - librdkafka's own name
            self._tell(self._listener.source_fault, error)
            return
        # The next record is gone, and the client waits to be told where to go on.
        earliest, _ = self._consumer.get_watermark_offsets(_partition(owner), timeout=_COMMITTED_TIMEOUT_S)
        key = (owner.topic, owner.partition)
        self._owners[key] = self._ask(self._listener.repositioned(owner, earliest))
        self._positions[key] = earliest
        self._seek_back({key: earliest})

    def _drop_older_assignments(self, slices: list[Slice]) -> list[Slice]:
        """Drop records of partitions that were assigned anew within this very poll, and read them again.

        They may have been gathered under the assignment before, from another position. Taken for the
        first records of the new one they would hide all that lies between.
        """
        again = {key: self._positions[key] for key in self._just_assigned if key in self._positions}
        kept = [part for part in slices if (part.owner.topic, part.owner.partition) not in self._just_assigned]
        if len(kept) < len(slices):
            self._seek_back(again)
        return kept

    def _seek_back(self, positions: Mapping[Key, int]) -> None:
        for (topic, partition), offset in positions.items():
            self._consumer.seek(TopicPartition(topic, partition, offset))

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if not partitions:
            return
        try:
            starts = [self._start(found) for found in self._committed(partitions)]
        except KafkaException as error:
            raise SourceFatal(f"the group's offsets cannot be read: {error.args[0].str()}") from error
        owners = self._ask(self._listener.assigned(starts))
        for owner, start in zip(owners, starts, strict=True):
            key = (owner.topic, owner.partition)
            self._owners[key] = owner
            self._positions[key] = OFFSET_BEGINNING if start.offset is None else start.offset
            self._just_assigned.add(key)
        targets = [TopicPartition(*key, self._positions[key]) for key in self._just_assigned]
        if self._is_cooperative():
            consumer.incremental_assign(targets)
        else:
            consumer.assign(targets)

    def _is_cooperative(self) -> bool:
        strategy = str(self._properties.get("partition.assignment.strategy", ""))
        return self._properties.get("group.protocol") == "consumer" or "cooperative" in strategy

    def _committed(self, partitions: list[TopicPartition]) -> list[TopicPartition]:
        """The group's commits; tried again, as the coordinator may be moving at this very moment."""
        for _ in range(_COMMITTED_TRIES - 1):
            try:
                return self._consumer.committed(partitions, timeout=_COMMITTED_TIMEOUT_S)
            except KafkaException as error:
                self._tell(self._listener.source_fault, error.args[0])
        return self._consumer.committed(partitions, timeout=_COMMITTED_TIMEOUT_S)

    def _start(self, found: TopicPartition) -> Start:
        """Where to begin; without a commit at the earliest record, as nothing that waits may be skipped."""
        if found.error is not None:
            raise KafkaException(found.error)
        committed = found.offset if found.offset >= 0 else None
        offset = committed
        if committed is None and self._starts_at_latest:
            _, offset = self._consumer.get_watermark_offsets(found, timeout=_COMMITTED_TIMEOUT_S)
        return Start(found.topic, found.partition, offset, committed)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        owners = [self._owners[key] for key in map(_key, partitions) if key in self._owners]
        if owners:
            offsets = self._ask(self._listener.revoked(owners))
            self._commit_now(offsets)
        self._forget(partitions)
        del consumer  # the client lets the partitions go by itself, in the way its protocol wants

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        owners = [self._owners[key] for key in map(_key, partitions) if key in self._owners]
        self._ask(self._listener.lost(owners))
        self._forget(partitions)
        del consumer

    def _forget(self, partitions: list[TopicPartition]) -> None:
        for key in map(_key, partitions):
            self._owners.pop(key, None)
            self._positions.pop(key, None)
            self._just_assigned.discard(key)

    def _commit(self, offsets: Sequence[tuple[PartitionOffsets, int]]) -> None:
        targets = self._targets(offsets)
        if not targets:
            return
        try:
            self._consumer.commit(offsets=targets, asynchronous=True)
        except KafkaException as error:
            self._report_commit(error.args[0], targets)

    def _targets(self, offsets: Iterable[tuple[PartitionOffsets, int]]) -> list[TopicPartition]:
        """What may be committed: the broker would take a commit for a partition that is not ours any more."""
        owned = [(owner, offset) for owner, offset in offsets if self._is_owner(owner)]
        self._committing.update({(owner.topic, owner.partition): owner for owner, _ in owned})
        return [TopicPartition(owner.topic, owner.partition, offset) for owner, offset in owned]

    def _commit_now(self, offsets: Sequence[tuple[PartitionOffsets, int]]) -> None:
        """Commit and wait: the last chance before the partitions belong to somebody else."""
        targets = self._targets(offsets)
        if not targets:
            return
        try:
            self._consumer.commit(offsets=targets, asynchronous=False)
        except KafkaException as error:
            self._report_commit(error.args[0], targets)
        else:
            self._report_commit(None, targets)

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        self._report_commit(error, partitions)

    def _report_commit(self, error: KafkaError | None, partitions: Iterable[TopicPartition]) -> None:
        for partition in partitions:
            owner = self._committing.pop(_key(partition), None)
            if owner is not None:
                fault = error or partition.error
                self._tell(self._listener.commit_ended, owner, partition.offset, fault)

    def _on_error(self, error: KafkaError) -> None:
        self._tell(self._listener.source_fault, error)

    def _is_owner(self, owner: PartitionOffsets) -> bool:
        return self._owners.get((owner.topic, owner.partition)) is owner

    def _pause(self, owners: Iterable[PartitionOffsets]) -> None:
        self._consumer.pause([_partition(owner) for owner in owners if self._is_owner(owner)])

    def _resume(self, owners: Iterable[PartitionOffsets]) -> None:
        self._consumer.resume([_partition(owner) for owner in owners if self._is_owner(owner)])

    def _ends(self, owners: Iterable[PartitionOffsets]) -> list[int | None]:
        ends: list[int | None] = []
        for owner in owners:
            if not self._is_owner(owner):
                ends.append(None)
                continue
            _, high = self._consumer.get_watermark_offsets(_partition(owner), cached=True)
            ends.append(high if high >= 0 else None)
        return ends

    def _close(self) -> None:
        self._consumer.close()


def _key(partition: TopicPartition) -> Key:
    return partition.topic, partition.partition


def _partition(owner: PartitionOffsets) -> TopicPartition:
    return TopicPartition(owner.topic, owner.partition)
