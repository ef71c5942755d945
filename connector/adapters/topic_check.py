"""Before the start: are the topics there that the connector writes to, and may they be written?

Promise: a topic that is missing or closed, or would not keep what it has confirmed, is found before the first record is
read, with what to mend; a broker that does not answer is not taken for a missing topic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewTopic

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

    from connector.config import CreateTopic

_LIST_TIMEOUT_S: Final = 5.0  # a stop during the start waits for it
_CREATE_TIMEOUT_S: Final = 10.0
_RIGHTS_TIMEOUT_S: Final = 2.0  # a courtesy: without an answer the first record finds out


class TopicUnusable(Exception):  # noqa: N818 - it says what is wrong
    """A topic cannot be used, and waiting does not mend it; the text says what does."""


def check_topic(
    properties: Mapping[str, Any],
    topic: str,
    create: CreateTopic | None,
    *,
    setting: str,
    logger: logging.Logger,
    may_compact: bool = True,
) -> None:
    """Check that a topic exists and may be written; create it where that was asked for. Blocks.

    `setting` is the section of the config that holds the topic.

    Raises:
        TopicUnusable: it is missing, this principal may not write to it, or it compacts and must not.
        KafkaException: the brokers did not answer; try again.
    """
    admin = AdminClient(dict(properties), logger=logger)
    # All topics are asked for: a question about one that is missing would create it on many clusters.
    found = admin.list_topics(timeout=_LIST_TIMEOUT_S).topics.get(topic)
    error = found.error if found is not None else None
    if error is not None and error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
        raise TopicUnusable(f"this principal may not see the topic {topic}: allow it to describe and write it")
    if found is None or (error is not None and error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART):
        _create(admin, topic, create, setting)
        return
    if error is not None:
        raise KafkaException(error)
    if not _may_write(admin, topic):
        raise TopicUnusable(f"this principal may not write to the topic {topic}: allow it")
    if not may_compact and _compacts(admin, topic):
        raise TopicUnusable(
            f"the topic {topic} is compacted and would lose records whose key comes again: set its "
            f"cleanup.policy to delete"
        )


def _create(admin: AdminClient, topic: str, create: CreateTopic | None, setting: str) -> None:
    if create is None:
        raise TopicUnusable(
            f"the topic {topic} does not exist: create it, or let the connector do it with {setting}.create"
        )
    new = NewTopic(topic, num_partitions=create.partitions, replication_factor=create.replication_factor)
    try:
        admin.create_topics([new], operation_timeout=_CREATE_TIMEOUT_S)[topic].result()
    except KafkaException as failure:
        error = failure.args[0]
        if error.code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return  # another copy of the connector was quicker
        if error.retriable() or error.code() == KafkaError._TIMED_OUT:  # noqa: SLF001 - librdkafka's own name
            raise
        raise TopicUnusable(f"the topic {topic} cannot be created: {error.str()}") from failure


def _may_write(admin: AdminClient, topic: str) -> bool:
    """Whether the broker says that this principal may write; a broker that does not say is taken at its silence."""
    request = admin.describe_topics(
        TopicCollection([topic]), include_authorized_operations=True, request_timeout=_RIGHTS_TIMEOUT_S
    )
    try:
        operations = request[topic].result().authorized_operations
    except KafkaException:
        return True
    return not operations or AclOperation.WRITE in operations


def _compacts(admin: AdminClient, topic: str) -> bool:
    """Whether the broker says that only the last record of a key stays; without an answer it is not assumed."""
    resource = ConfigResource(ResourceType.TOPIC, topic)
    try:
        settings = admin.describe_configs([resource], request_timeout=_RIGHTS_TIMEOUT_S)[resource].result()
    except KafkaException:
        return False
    policy = settings.get("cleanup.policy")
    return policy is not None and "compact" in str(policy.value)
