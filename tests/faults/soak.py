"""A group of connectors on three brokers, and random troubles for as long as one likes.

Promise: `run` lasts as long as it is told and ends with every trouble over: all brokers and members live, and the Edge
is well. A member that ends by itself fails it. What happened is in `told`, and in the ledgers.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from heapq import heappop, heappush
from itertools import count
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from tests.faults.events import BAD_KINDS, POISON_FAULT
from tests.faults.rig import PARTITIONS, QUICK
from tests.faults.steady import SteadyFeed, Stream
from tests.faults.troubles import Trouble, draw
from tests.faults.weather import WAITING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.faults.child import Child
    from tests.faults.rig import Rig, Settings
    from tests.faults.weather import Fault
    from tests.kafka.broker import Cluster, KafkaNode

EVENTS_PER_S = 300.0
_STEP_S = 0.1
_SAMPLE_S = 5.0
_WEATHER: dict[str, Fault] = {name: fault for name, fault in WAITING.items() if fault}

SETTINGS: Settings = {
    "consume": {"max_open_bytes": 8_388_608},
    "edge": {
        "timeout_ms": 2000,
        "connect_timeout_ms": 2000,
        "retry": {"max_ms": 2000},
        "probe_interval_ms": 1000,
        "lone_failure_ms": 0,
    },
    "dead_letter": {"kafka": {"message.timeout.ms": 5000}},
    "logging": {"summary_interval_ms": 10_000},
}


class Soak:
    """Two members, now and then three, and what befalls them."""

    def __init__(self, rig: Rig, cluster: Cluster, *, seconds: float, seed: int) -> None:
        self.seconds = seconds
        self.told: Counter[str] = Counter()
        self.memory_kb: list[int] = []
        self._rig = rig
        self._cluster = cluster
        self._troubles = draw(Random(seed), _WEATHER, seconds)
        self._ends: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._members: dict[int, Child] = {}
        self._hit_nodes: set[int] = set()
        self._faults: dict[str, Fault] = {}
        self._feed = SteadyFeed(rig.feed, [_stream(rig.topic)])

    def run(self) -> None:
        """Start everything, let the troubles happen, and end them all."""
        self._set_faults()
        for slot in (0, 1):
            self._start(slot)
        self._rig.until("a first assignment", lambda: any(m.lines("partitions_assigned") for m in self._living()))
        self._feed.start()
        began_s = time.monotonic()
        next_sample_s = 0.0
        left = list(self._troubles)
        while left or self._ends:
            elapsed_s = time.monotonic() - began_s
            while self._ends and self._ends[0][0] <= elapsed_s:
                heappop(self._ends)[2]()
            while left and left[0].at_s <= elapsed_s:
                self._begin(left.pop(0))
            if elapsed_s >= next_sample_s:
                self.memory_kb.append(max((_memory_kb(member) for member in self._living()), default=0))
                next_sample_s = elapsed_s + _SAMPLE_S
            self._assert_all_live()
            time.sleep(_STEP_S)
        self._cluster.start()
        self._feed.stop()

    def members(self) -> list[Child]:
        """The members that live now."""
        return list(self._members.values())

    def _begin(self, trouble: Trouble) -> None:
        end = self._HAPPENS[trouble.kind](self, trouble)
        if end is None:
            return  # whoever it was meant for is in trouble already
        print(trouble, flush=True)
        self.told[trouble.kind] += 1
        heappush(self._ends, (trouble.at_s + trouble.seconds, next(self._numbers), end))

    # Each begins a trouble and returns what ends it, or None where nobody is there to be hit.

    def _kill_member(self, trouble: Trouble) -> Callable[[], None] | None:
        slot = self._pick_member(trouble)
        if slot is None:
            return None
        self._members.pop(slot).kill()
        return lambda: self._start(slot)

    def _stop_member(self, trouble: Trouble) -> Callable[[], None] | None:
        slot = self._pick_member(trouble)
        if slot is None:
            return None
        leaving = self._members.pop(slot)
        leaving.terminate()

        def end() -> None:
            leaving.wait()
            self._start(slot)

        return end

    def _freeze_member(self, trouble: Trouble) -> Callable[[], None] | None:
        slot = self._pick_member(trouble)
        if slot is None:
            return None
        frozen = self._members.pop(slot)
        frozen.freeze()

        def end() -> None:
            frozen.thaw()
            self._members[slot] = frozen

        return end

    def _add_member(self, _: Trouble) -> Callable[[], None] | None:
        slot = 2 + next(self._numbers)
        self._start(slot)

        def end() -> None:
            # Killed, stopped or frozen meanwhile, it is the other trouble's to end.
            if slot in self._members:
                self._members.pop(slot).stop()

        return end

    def _hit_node(self, trouble: Trouble) -> Callable[[], None] | None:
        return self._hit(trouble, KafkaNodes.kill, KafkaNodes.bring_back, how_many=1)

    def _freeze_node(self, trouble: Trouble) -> Callable[[], None] | None:
        return self._hit(trouble, KafkaNodes.freeze, KafkaNodes.thaw, how_many=1)

    def _hit_two_nodes(self, trouble: Trouble) -> Callable[[], None] | None:
        return self._hit(trouble, KafkaNodes.kill, KafkaNodes.bring_back, how_many=2)

    def _change_weather(self, trouble: Trouble) -> Callable[[], None] | None:
        assert trouble.fault is not None
        name, fault = trouble.fault
        if name in self._faults:
            return None
        self._faults[name] = fault
        self._set_faults()

        def end() -> None:
            del self._faults[name]
            self._set_faults()

        return end

    _HAPPENS = {  # noqa: RUF012 - never changed
        "kill a member": _kill_member,
        "stop a member": _stop_member,
        "freeze a member": _freeze_member,
        "one member more": _add_member,
        "kill a broker": _hit_node,
        "freeze a broker": _freeze_node,
        "kill two brokers": _hit_two_nodes,
        "weather": _change_weather,
    }

    def _hit(
        self, trouble: Trouble, begin: Callable[[KafkaNode], None], end: Callable[[KafkaNode], None], *, how_many: int
    ) -> Callable[[], None] | None:
        nodes = self._cluster.nodes
        numbers = [(trouble.target + more) % len(nodes) for more in range(how_many)]
        if self._hit_nodes:
            return None
        self._hit_nodes.update(numbers)
        for number in numbers:
            begin(nodes[number])

        def bring_back() -> None:
            for number in numbers:
                end(nodes[number])
            self._hit_nodes.clear()

        return bring_back

    def _pick_member(self, trouble: Trouble) -> int | None:
        slots = sorted(self._members)
        return slots[trouble.target % len(slots)] if slots else None

    def _start(self, slot: int) -> None:
        self._members[slot] = self._rig.start(QUICK, SETTINGS)

    def _living(self) -> Iterator[Child]:
        return iter(self._members.values())

    def _assert_all_live(self) -> None:
        for member in self._living():
            assert member.exit_code is None, f"{member.name} ended by itself\n{member.log_tail()}"

    def _set_faults(self) -> None:
        # The poison stands first: what accepts before it fails must not accept that.
        self._rig.edge.set_faults(POISON_FAULT, *self._faults.values())


class KafkaNodes:
    """What is done to a broker, and undone."""

    @staticmethod
    def kill(node: KafkaNode) -> None:
        node.kill()

    @staticmethod
    def bring_back(node: KafkaNode) -> None:
        node.launch()

    @staticmethod
    def freeze(node: KafkaNode) -> None:
        os.kill(node.pid, signal.SIGSTOP)

    @staticmethod
    def thaw(node: KafkaNode) -> None:
        os.kill(node.pid, signal.SIGCONT)


def _stream(topic: str) -> Stream:
    return Stream(topic=topic, partitions=PARTITIONS, events_per_s=EVENTS_PER_S, bad_kinds=BAD_KINDS, bad_every=100)


def _memory_kb(member: Child) -> int:
    """The resident memory of a process; 0 where it has just ended."""
    try:
        status = Path(f"/proc/{member.pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")), 0)
