"""The part of the catalogue that is about Kafka: partitions, offsets, the client. See `telemetry.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import structlog

from connector.core.rollup import RollUp

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

    from confluent_kafka import KafkaError

    from connector.core.offsets import PartitionOffsets

ROLL_UP_S: Final = 30.0
REMINDER_S: Final = 600.0  # of what lasts until a person acts: told every half minute it would bury the others

_REMEDIES: Final = {
    "GROUP_AUTHORIZATION_FAILED": "Allow this principal to read the group.",
    "TOPIC_AUTHORIZATION_FAILED": "Allow this principal to describe and read the topics.",
    "UNRELEASED_INSTANCE_ID": "Mostly nothing: the session of a process that died has to end first. If another one "
    "lives, give each a group.instance.id of its own.",
    "_FATAL": "The text says which right was taken away, or that another member has this group.instance.id.",
}
_ANY_REMEDY: Final = "Check that the brokers can be reached and that this group may read the topics."


class KafkaTelemetry:
    """Reports what happens around Kafka. Owned by the event loop."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self.commits = 0
        self.commit_failures = 0
        self.source_faults = 0
        self.rebalances = 0
        self._log: Any = structlog.get_logger("connector")
        self._clock = clock
        self._roll_up = RollUp(ROLL_UP_S)
        self._reminders = RollUp(REMINDER_S)

    def _fault(self, kind: Hashable, event: str, every: RollUp | None = None, /, **fields: object) -> None:
        """Log a warning at once, then once per interval with how often it happened."""
        occurrences = (every or self._roll_up).note((event, kind), self._clock())
        if occurrences is not None:
            self._log.warning(event, **fields, **({"occurrences": occurrences} if occurrences > 1 else {}))

    # Partitions

    def partitions_assigned(self, owners: Sequence[PartitionOffsets]) -> None:
        """The group gave this member partitions. What settled above the start before is not delivered again."""
        self.rebalances += 1
        above = sum(end - first for owner in owners for first, end in owner.restored)
        start = [owner.watermark for owner in owners]
        self._log.info("partitions_assigned", partitions=_names(owners), start=start, settled_above=above)

    def records_skipped(self, skipped: Mapping[PartitionOffsets, int]) -> None:
        """Partitions without a commit begin at the latest, as consume.start_at asks; so many records are not read."""
        found = {owner: count for owner, count in skipped.items() if count}
        if found:
            remedy = "To read them, set consume.start_at: earliest and give the group a new group.id."
            self._log.warning("records_skipped", partitions=_names(found), records=sum(found.values()), remedy=remedy)

    def partitions_revoked(
        self, owners: Sequence[PartitionOffsets], *, abandoned: int, cut_off: int, seconds: float
    ) -> None:
        """The group took partitions away. Abandoned records were not settled: their next owner reads them again. Of
        these, those cut off were under way when time was up, and may come twice."""
        self.rebalances += 1
        self._log.info(
            "partitions_revoked", partitions=_names(owners), abandoned=abandoned, cut_off=cut_off,
            seconds=round(seconds, 3),
        )  # fmt: skip

    def partitions_lost(self, owners: Sequence[PartitionOffsets]) -> None:
        """The group gave this member up. Nothing was committed; what was not committed yet is read again."""
        self.rebalances += 1
        remedy = "Look for broker outages or a stalled process longer than session.timeout.ms."
        self._log.warning("partitions_lost", partitions=_names(owners), remedy=remedy)

    def offsets_committed(self, owner: PartitionOffsets) -> None:
        """The broker confirmed a commit."""
        self.commits += 1
        self._log.debug("offsets_committed", topic=owner.topic, partition=owner.partition, offset=owner.committed)

    def commit_failed(self, owner: PartitionOffsets, error: KafkaError) -> None:
        """A commit failed; it is tried again for as long as the partition is owned."""
        self.commit_failures += 1
        remedy = "Nothing is lost. If it goes on, check that the brokers are well and that this group may commit."
        self._fault(
            error.name(), "commit_failed", topic=owner.topic, partition=owner.partition, cause=error.name(),
            remedy=remedy,
        )  # fmt: skip

    def commit_note_ignored(self, topic: str, partition: int, cause: str) -> None:
        """A commit's note on what is settled above it is not used: those records come again, and nothing is lost."""
        self._fault(cause, "commit_note_ignored", topic=topic, partition=partition, cause=cause)

    def topic_recreated(self, topic: str, partition: int) -> None:
        """The topic was deleted and made anew: its offsets mean other records now, and all of them are read."""
        remedy = "Nothing to mend here: reading begins at the first record. What the old topic held unread is gone."
        self._log.error("topic_recreated", topic=topic, partition=partition, remedy=remedy)

    def topic_claimed_twice(self, topic: str, routes: Sequence[str]) -> None:
        """The patterns of several routes match a topic; the first route in the file takes it."""
        remedy = "Narrow the patterns, so that each topic belongs to one route."
        self._fault(topic, "topic_claimed_twice", self._reminders, topic=topic, routes=list(routes), remedy=remedy)

    def records_seen_again(self, owner: PartitionOffsets, count: int) -> None:
        """Records came a second time within one assignment and were skipped: they are open or settled already."""
        self._fault(owner.topic, "records_seen_again", topic=owner.topic, partition=owner.partition, count=count)

    def offset_out_of_range(self, owner: PartitionOffsets, *, position: int | None, earliest: int) -> None:
        """The next record is gone (retention, deletion, or a topic made anew); reading goes on at the earliest one."""
        is_behind = position is not None and earliest < position
        missing = None if position is None or is_behind else earliest - position
        remedy = "If records expired before they were read, raise the topic's retention above the longest outage."
        if is_behind:
            remedy = "Nothing to mend here, if the topic was made anew: all that it holds now is read."
        self._log.error(
            "offset_out_of_range", topic=owner.topic, partition=owner.partition, position=position, earliest=earliest,
            records_missing=missing, remedy=remedy,
        )  # fmt: skip

    def source_fault(self, error: KafkaError) -> None:
        """Kafka's client met a fault; it mends by itself unless the line says fatal."""
        self.source_faults += 1
        cause = error.name()
        remedy = _REMEDIES.get(cause, _ANY_REMEDY)
        self._fault(cause, "source_fault", cause=cause, text=error.str(), fatal=error.fatal(), remedy=remedy)

    def consumption_paused(self, route: str, reason: str) -> None:
        """A route's partitions are paused; Kafka keeps the backlog and the membership lives on."""
        self._log.debug("consumption_paused", route=route, reason=reason)

    def consumption_resumed(self, route: str) -> None:
        """A route's partitions are read again."""
        self._log.debug("consumption_resumed", route=route)


def _names(owners: Iterable[PartitionOffsets]) -> list[str]:
    return [f"{owner.topic}[{owner.partition}]" for owner in owners]
