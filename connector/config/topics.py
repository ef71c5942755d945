"""The topics that the connector writes to."""

from __future__ import annotations

from pydantic import Field

from connector.config.fields import Int, Section


class CreateTopic(Section):
    """How to create a topic."""

    partitions: Int = Field(ge=1, le=10_000, examples=[3])
    """How many partitions."""

    replication_factor: Int = Field(ge=1, le=32_767, examples=[3])
    """How many copies of each partition; at most the number of brokers."""
