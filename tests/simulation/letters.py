"""A simulated dead-letter topic, which may fail with the letter written and without."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from connector.ports import WriteFailed

if TYPE_CHECKING:
    from connector.model import Record, Rejection
    from tests.simulation.member import Member
    from tests.simulation.oracle import Entry
    from tests.simulation.world import World


@dataclass(slots=True)
class SimulatedLetters:
    """The topic that all members write to."""

    world: World
    is_away: bool = False

    async def write(self, member: Member, record: Record, rejection: Rejection) -> None:
        """Write for a member that may be killed meanwhile."""
        sender = str(member.source.id)
        await member.awake()
        confirmed: asyncio.Future[Entry | None] = asyncio.get_running_loop().create_future()
        delay_s = self.world.rng.uniform(0.001, 0.02)
        asyncio.get_running_loop().call_later(delay_s, self._arrive, member, sender, record, rejection, confirmed)
        entry = await confirmed
        await member.awake()
        member.hear([self.world.oracle.entry_of(record)])
        if entry is None:
            raise WriteFailed("not_written", "Wait.")
        self.world.oracle.answered([entry])

    def _arrive(
        self,
        member: Member,
        sender: str,
        record: Record,
        rejection: Rejection,
        confirmed: asyncio.Future[Entry | None],
    ) -> None:
        world = self.world
        fault = "fails" if self.is_away else world.draw(world.plan.letter_faults)
        entry: Entry | None = None
        if fault != "fails":
            entry = world.oracle.buried(record, rejection, stale=partial(world.group.stale_owner, sender))
            world.trace.note("letters", f"{entry.name} of {member.name}: {rejection.reason} ({fault})")
            if fault == "written_fails" or confirmed.cancelled():
                world.oracle.excuse([entry])
                entry = None
        if not confirmed.done():
            confirmed.set_result(entry)
