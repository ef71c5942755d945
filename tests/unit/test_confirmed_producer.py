"""Waiting for a confirmation leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import logging

from connector.adapters.confirmed_producer import ConfirmedProducer, Destination
from tests.virtual_time import virtually

LETTERS = Destination(topic="dead", name="the dead-letter topic", setting="dead_letter", prefix="xdm.error.")


@virtually
async def test_one_record_that_is_waited_for_without_end_keeps_no_others() -> None:
    """A partition without a leader may last for days, while the others of its topic take a thousand in a second."""
    producer = ConfirmedProducer({"delivery.timeout.ms": 0}, logger=logging.getLogger())
    stuck = asyncio.create_task(producer.confirmed(LETTERS, asyncio.get_running_loop().create_future()))
    await asyncio.sleep(0)
    before = _futures()
    for _ in range(1_000):
        report: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.01, report.set_result, 3)
        assert await producer.confirmed(LETTERS, report) == 3
    assert _futures() - before < 10
    stuck.cancel()


def _futures() -> int:
    gc.collect()
    return sum(isinstance(each, asyncio.Future) for each in gc.get_objects())
