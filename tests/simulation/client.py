"""What Kafka's client does for one member: it stands somewhere in each partition, and reads on from there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import OFFSET_BEGINNING, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Iterable

    from connector.model import Record
    from tests.simulation.oracle import Place
    from tests.simulation.world import World


class Client:
    """The partitions that one member reads."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.positions: dict[Place, int] = {}
        self.paused: set[Place] = set()
        self._starts: dict[Place, int] = {}
        self.begun_at: dict[Place, float] = {}

    def begin(self, targets: Iterable[TopicPartition]) -> None:
        """Read under an assignment that begins now."""
        for target in targets:
            place = place_of(target)
            self.positions[place] = self._starts[place] = target.offset
            self.begun_at[place] = self._world.now
            self.paused.discard(place)

    def seek(self, targets: Iterable[TopicPartition]) -> None:
        """Read on from elsewhere."""
        for target in targets:
            self.positions[place_of(target)] = target.offset

    def forget(self, targets: Iterable[TopicPartition]) -> None:
        """Read no more."""
        for target in targets:
            self.positions.pop(place_of(target), None)

    def go_back(self) -> None:
        """Hand over again what was handed over already under the same assignment."""
        rng = self._world.rng
        place = rng.choice(list(self.positions))
        if self.positions[place] >= 0 and self._starts[place] >= 0:
            back = max(self._starts[place], self.positions[place] - rng.randint(1, 20))
            self.positions[place] = max(back, self._world.logs[place].earliest)

    def gather(self, most: int) -> list[tuple[Place, list[Record]]]:
        """What one fetch brings; the positions move on."""
        found: list[tuple[Place, list[Record]]] = []
        if self._world.brokers_away:
            return found
        for place, position in list(self.positions.items()):
            if place in self.paused or most <= 0 or self._is_gone(place, position):
                continue
            records = self._world.logs[place].read(position, self._world.rng.randint(1, most))
            if records:
                self.positions[place] = (records[-1].offset() or 0) + 1
                found.append((place, records))
                most -= len(records)
        return found

    def find_gone(self) -> list[Place]:
        """The partitions whose next record is gone: the client waits to be told where to go on."""
        if self._world.brokers_away:
            return []
        return [place for place, position in self.positions.items() if self._is_gone(place, position)]

    def _is_gone(self, place: Place, position: int) -> bool:
        log = self._world.logs[place]
        return position != OFFSET_BEGINNING and not log.earliest <= position <= log.end


def place_of(target: TopicPartition) -> Place:
    """Topic and partition."""
    return target.topic, target.partition
