"""Does to the scene what the plan says, and ends it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.kafka import Committed
from tests.simulation.plan import Act

if TYPE_CHECKING:
    from tests.simulation.member import Member
    from tests.simulation.world import World


class Faults:
    """The hand of fate."""

    def __init__(self, world: World) -> None:
        self._world = world

    def do(self, act: Act) -> None:
        """Do one thing now."""
        world = self._world
        world.trace.note("world", f"{act.kind} {act.detail} for {act.lasts_s:.2f} s".replace("  ", " "))
        match act.kind:
            case "edge":
                self._world.edge.fault = act.detail
                self._world.later(act.lasts_s, self._mend_edge)
            case "letters":
                self._world.letters.is_away = True
                self._world.later(act.lasts_s, self._mend_letters)
            case "brokers":
                self._world.away_since = self._world.now
                self._world.later(act.lasts_s, self._mend_brokers)
            case "retention" | "recreate" | "reset":
                self._change_topic(act)
            case "rebalance":
                self._world.group.rebalance(shuffle=True)
            case "join":
                if len(self._world.running) < 4:
                    self._world.start_member()
            case _:
                running = self._world.running
                if running:
                    self._strike(act, running[int(act.target * len(running))])

    def _strike(self, act: Act, member: Member) -> None:
        """Something happens to one process."""
        self._world.trace.note("world", f"{act.kind}: {member.name}")
        match act.kind:
            case "kill":
                member.kill()
                self._world.ended(member)
                self._world.later(act.lasts_s, self._world.start_member)
            case "stop":
                member.thaw()
                member.stop()
                self._world.later(act.lasts_s, self._world.start_member)
            case "freeze":
                member.freeze()
                self._world.later(act.lasts_s, member.thaw)
                if act.lasts_s >= self._world.session_s and member.source.id is not None:
                    self._world.later(self._world.session_s, self._world.group.expel, member.source.id)
            case "lose":
                if member.source.id is not None:
                    self._world.group.expel(member.source.id)
            case _:
                raise AssertionError(act)

    def _change_topic(self, act: Act) -> None:
        """Something happens to a topic, or to what the group knows of it."""
        match act.kind:
            case "retention":
                self._delete_records(act)
            case "recreate":
                self._recreate(act)
            case _:
                self._reset(act)

    def _delete_records(self, act: Act) -> None:
        place = list(self._world.logs)[int(act.target * len(self._world.logs))]
        log = self._world.logs[place]
        if log.offsets:
            below = self._world.rng.choice(log.offsets)
            log.earliest = max(log.earliest, below)
            self._world.oracle.gone(place, log.earliest)

    def _recreate(self, act: Act) -> None:
        """A topic is deleted and made anew, which deletes what the group had committed of it."""
        world = self._world
        topic = list(world.plan.topics)[int(act.target * len(world.plan.topics))]
        world.group.topic_ids[topic] += "+"
        for place, log in world.logs.items():
            if place[0] == topic:
                log.clear()
                world.group.committed.pop(place, None)
                world.oracle.recreated(place)

    def _reset(self, act: Act) -> None:
        """A person moves the group's offset back, for which the group must have no member."""
        world = self._world
        for member in world.running:
            self._strike(Act(act.at, "kill", lasts_s=act.lasts_s), member)
        for name in list(world.group.members):
            world.group.expel(name)
        place = list(world.logs)[int(act.target * len(world.logs))]
        if place in world.group.committed:
            offset = world.rng.randint(0, world.group.committed_offset(place))
            world.trace.note("world", f"the offset of {place} goes back to {offset}")
            world.group.committed[place] = Committed(offset)
            world.oracle.broke(place, offset)

    def mend(self) -> None:
        """End every fault."""
        for member in self._world.members:
            member.thaw()
        self._mend_edge()
        self._mend_letters()
        self._mend_brokers()

    def _mend_edge(self) -> None:
        self._world.edge.fault = None

    def _mend_letters(self) -> None:
        self._world.letters.is_away = False

    def _mend_brokers(self) -> None:
        self._world.away_since = None
