"""Edge clients for tests, with short bounds."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from connector.adapters.edge_client import EdgeClient, HttpSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BODY = b'{"events":[{"xdm":{"_id":"1"}}]}'


@asynccontextmanager
async def edge_client(
    *,
    connect_timeout_s: float = 5.0,
    timeout_s: float = 10.0,
    max_connection_age_s: float = 60.0,
) -> AsyncIterator[EdgeClient]:
    """A client that is closed at the end of the block."""
    client = EdgeClient(
        HttpSettings(
            max_in_flight=4,
            connect_timeout_s=connect_timeout_s,
            timeout_s=timeout_s,
            keep_alive_s=30.0,
            max_connection_age_s=max_connection_age_s,
        )
    )
    try:
        yield client
    finally:
        await client.close()
