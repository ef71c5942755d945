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
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from connector.adapters.kafka_admission import Admission
from connector.adapters.kafka_assignments import Assignments
from connector.adapters.kafka_extents import find_extents
from connector.adapters.kafka_first_sight import FirstSight
from connector.adapters.kafka_last_commit import commit_and_wait
from connector.adapters.kafka_partition_counts import count_partitions
from connector.adapters.kafka_positions import Positions, is_cooperative
from connector.adapters.kafka_starts import QUERY_TIMEOUT_S, find_starts
from connector.ports import SourceFatal

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence

    from connector.adapters.kafka_topic_ids import TopicIds
    from connector.core.offsets import PartitionOffsets
    from connector.ports import AssignmentListener, Commit, Extent, Slice

T = TypeVar("T")


class KafkaSource:
    """One member of the consumer group."""

    def __init__(
        self,
        properties: Mapping[str, Any],
        topics: Sequence[str],
        *,
        starts_at_latest: bool,
        topic_ids: TopicIds,
        logger: logging.Logger,
    ) -> None:
        self._properties = dict(properties)
        self._topics = list(topics)
        self._first_sight = FirstSight(topics, starts_at_latest=starts_at_latest)
        self._topic_ids = topic_ids
        self._logger = logger
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kafka")
        self._assignments = Assignments()
        self._admission = Admission()
        self._consumer: Consumer
        self._read_from: Positions
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
            SourceFatal: the client cannot go on.
        """
        return await self._call(self._poll, max_records, timeout_s)

    def commit(self, commits: Sequence[Commit]) -> None:
        """Start a commit; the listener hears how it ended, partition by partition."""
        self._submit(self._commit, tuple(commits))

    def pause(self, owners: Iterable[PartitionOffsets]) -> None:
        """Stop fetching from partitions but stay their owner. Throws away what was read ahead."""
        self._submit(self._pause, tuple(owners))

    def resume(self, owners: Iterable[PartitionOffsets]) -> None:
        """Fetch again from paused partitions."""
        self._submit(self._resume, tuple(owners))

    async def extents(self, owners: Sequence[PartitionOffsets]) -> list[Extent | None]:
        """Where each partition begins and ends: of paused ones asked for, of others as last heard; None if unknown."""
        return await self._call(self._extents, tuple(owners))

    async def partition_counts(self, reads: Callable[[str], bool]) -> dict[str, int] | None:
        """How many partitions each topic has that `reads` says yes to, None where the brokers do not say."""
        with suppress(RuntimeError):  # the client is closed: nobody needs to know any more
            return await self._call(lambda: count_partitions(self._consumer, self._topics, reads))
        return None

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
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(function, *arguments)

    def _subscribe(self) -> None:
        self._consumer = Consumer(
            {**self._properties, "on_commit": self._on_commit, "error_cb": self._on_error},
            logger=self._logger,
        )
        self._read_from = Positions(
            self._consumer, self._assignments.positions, is_cooperative=is_cooperative(self._properties)
        )
        self._topic_ids.prepare(self._topics)
        self._consumer.subscribe(
            self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def _poll(self, max_records: int, timeout_s: float) -> list[Slice]:
        self._assignments.begin_poll()
        if self._admission.is_due():
            self._consumer.close()
            self._subscribe()
        self._first_sight.look(self._consumer)  # no assignment comes while the topics are still to be made
        self._note_topic_ids()
        try:
            messages = self._consumer.consume(max_records, timeout_s)
        except BaseException as error:  # noqa: BLE001 - whatever it was, the client has moved on past what we never saw
            self._read_from.seek(self._assignments.positions())
            self._raise_fatal(error)
            return []
        read, faults = self._assignments.slices_of(messages)
        slices, again = self._assignments.hand_over(read)
        self._read_from.seek(again)
        for fault in faults:
            self._note_fault(fault)
        return slices

    def _raise_fatal(self, error: BaseException) -> None:
        """Pass on what ends the run; a fault that the client recovers from is only told."""
        if not isinstance(error, KafkaException):
            raise error
        fault = self._admission.judge(error.args[0])
        if fault.fatal():
            raise SourceFatal(fault.str()) from error
        self._tell(self._listener.source_fault, fault)

    def _note_fault(self, fault: Message) -> None:
        """Report a fault that came in a record's place; one of them needs an answer."""
        error = fault.error()
        owner = self._assignments.owner(fault.topic(), fault.partition())
        if error is None or error.code() != KafkaError._AUTO_OFFSET_RESET or owner is None:  # noqa: SLF001 - librdkafka's own name
            self._on_error(error or KafkaError(-1))
            return
        # The next record is gone, and the client waits to be told where to go on.
        gone = self._assignments.position(owner)
        try:
            earliest, _ = self._consumer.get_watermark_offsets(gone, timeout=QUERY_TIMEOUT_S)
        except KafkaException as failure:
            self._tell(self._listener.source_fault, failure.args[0])
            self._read_from.seek([gone])  # it is found to be gone once more, and asked for again
            return
        successor = self._ask(self._listener.repositioned(owner, earliest))
        if successor is owner:
            self._read_from.seek([self._assignments.skip_to(owner, earliest)])
        else:
            self._read_from.seek([self._assignments.take(successor, earliest)])
            for identity in self._topic_ids.ask([owner.topic]).values():
                self._tell(self._listener.identified, successor, identity)

    def _note_topic_ids(self) -> None:
        """Begin anew where a topic was made anew: its offsets mean other records now, and nothing else would tell."""
        ids = self._topic_ids.news(lambda: (owner.topic for owner in self._assignments.owners))
        for owner in self._assignments.owners if ids else ():
            identity = ids.get(owner.topic)
            if identity is None or identity == owner.identity:
                continue
            if owner.is_for_another(identity):
                successor = self._ask(self._listener.recreated(owner, identity))
                self._read_from.seek([self._assignments.take(successor, None)])
            else:
                self._tell(self._listener.identified, owner, identity)

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._admission.granted()
        self._first_sight.look(consumer)
        if not partitions:
            return
        report = partial(self._tell, self._listener.source_fault)
        ids = self._topic_ids.ask(partition.topic for partition in partitions)
        starts = find_starts(consumer, partitions, ids, self._first_sight, report=report)
        owners = self._ask(self._listener.assigned(starts))
        targets = [self._assignments.take(owner, start.offset) for owner, start in zip(owners, starts, strict=True)]
        self._read_from.begin(targets)

    # After a revoke or a loss the client lets the partitions go by itself, in the way its protocol wants.

    def _on_revoke(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        owners = self._assignments.owners_of(partitions)
        if owners:
            targets = self._assignments.targets_of(self._ask(self._listener.revoked(owners)))
            error, ended = commit_and_wait(self._consumer, targets)
            for partition in ended:  # maybe without its note
                owner = self._assignments.owner(partition.topic, partition.partition)
                self._tell_commit(owner, partition, error)
        self._assignments.forget(partitions)

    def _on_lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        owners = self._assignments.owners_of(partitions)
        if owners:
            self._ask(self._listener.lost(owners))
        self._assignments.forget(partitions)

    def _commit(self, commits: Sequence[Commit]) -> None:
        targets = self._assignments.begin_commit(commits)
        if not targets:
            return
        try:
            self._consumer.commit(offsets=targets, asynchronous=True)
        except KafkaException as error:
            self._on_commit(error.args[0], targets)

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        for partition in partitions:
            self._tell_commit(self._assignments.end_commit(partition), partition, error)

    def _tell_commit(self, owner: PartitionOffsets | None, ended: TopicPartition, error: KafkaError | None) -> None:
        if owner is not None:
            self._tell(self._listener.commit_ended, owner, ended.offset, error or ended.error)

    def _on_error(self, error: KafkaError) -> None:
        self._tell(self._listener.source_fault, self._admission.judge(error))

    def _pause(self, owners: Iterable[PartitionOffsets]) -> None:
        self._consumer.pause(self._assignments.pause(owners))

    def _resume(self, owners: Iterable[PartitionOffsets]) -> None:
        self._consumer.resume(self._assignments.resume(owners))

    def _extents(self, owners: Sequence[PartitionOffsets]) -> list[Extent | None]:
        ours = [owner for owner in owners if self._assignments.is_current(owner)]
        paused = [self._assignments.is_paused(owner) for owner in ours]
        pairs = zip(self._assignments.partitions_of(ours), paused, strict=True)
        extents = dict(zip(ours, find_extents(self._consumer, list(pairs)), strict=True))
        return [extents.get(owner) for owner in owners]

    def _close(self) -> None:
        self._consumer.close()
