"""The life of the process: check, connect, run until a signal, stop.

Promise: a stop by signal ends within the grace period; a second signal ends at once, safely, because nothing is
committed that is not settled. What waiting mends is waited for; what it does not ends the process with a code that
says which.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from enum import IntEnum
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaException
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from connector.adapters.ims import ClientCredentials
from connector.adapters.kafka_properties import admin_properties
from connector.adapters.status_server import StatusServer
from connector.adapters.topic_check import TopicUnusable, check_topic
from connector.assembly import Assembly, assemble
from connector.limits import FILES_BESIDE_REQUESTS, raise_file_limit
from connector.logs import KAFKA_LOGGER, flush_logs
from connector.ports import SourceFatal, TokenFailed
from connector.route_assembly import responses_setting
from connector.sending import Defect
from connector.summary import Summary

if TYPE_CHECKING:
    from connector.config import Config, DeadLetter, Responses
    from connector.telemetry import Telemetry

_WAIT_MAX_S: Final = 10.0


class ExitCode(IntEnum):
    """How the process ends."""

    STOPPED = 0
    """A graceful stop: asked for by a signal, everything that was accepted is committed."""
    UNEXPECTED = 1
    """A fault inside the connector that it has no name for."""
    CONFIGURATION = 2
    """The configuration, or what it points to, is wrong; the message says what to mend."""
    KAFKA = 3
    """Kafka's client cannot go on: fenced, or no longer authorised."""
    DEFECT = 4
    """The Edge says that this connector broke a rule of the API: report it."""
    UNFINISHED = 5
    """The grace period ended before everything was settled and committed. Nothing is lost; some events come twice."""
    FORCED = 6
    """A second signal ended it at once. Nothing is lost; what was in flight comes twice."""


class StartRefused(Exception):  # noqa: N818 - it says what happened
    """The connector cannot start with this configuration; the text says what to mend."""


async def run(config: Config) -> ExitCode:
    """Run one connector until it is told to stop."""
    assembly = assemble(config)
    code = await _run(config, assembly)
    if not assembly.pipeline.has_left:
        # The client's thread would keep the interpreter from ending for as long as its own time-outs last.
        assembly.telemetry.client_left_behind()
        flush_logs()
        os._exit(code)
    return code


async def _run(config: Config, assembly: Assembly) -> ExitCode:
    telemetry = assembly.telemetry
    stop = asyncio.Event()
    _listen_to_signals(assembly, stop)
    telemetry.connector_started(
        version("xdm-connector"),
        config.kafka_properties()["group.id"],
        [topic for route in config.routes for topic in route.topics],
    )
    _check_files(config, telemetry)
    background: list[asyncio.Task[None]] = []
    status = StatusServer(assembly, config.status.listen) if config.status else None
    try:
        if status is not None:
            await _listen(status)
        if not await _unless_stopped(stop, _check_surroundings(config, assembly)):
            return ExitCode.STOPPED
        summary = Summary(assembly, interval_s=config.logging.summary_interval_ms / 1000)
        background.append(asyncio.create_task(summary.run()))
        if assembly.shares is not None:
            background.append(asyncio.create_task(assembly.shares.run()))
        return await _run_pipeline(assembly)
    except StartRefused as refusal:
        telemetry.start_refused(str(refusal))
        return ExitCode.CONFIGURATION
    finally:
        for task in background:
            task.cancel()
        if status is not None:
            await status.close()
        await assembly.dead_letters.close()
        await assembly.responses.close()
        await assembly.edge.close()
        if isinstance(assembly.credentials, ClientCredentials):
            await assembly.credentials.close()


def _check_files(config: Config, telemetry: Telemetry) -> None:
    """Raise the limit of open files, and warn where it may not be enough: requests that fail by it are sent again."""
    limit, needed = raise_file_limit(), config.edge.max_in_flight + FILES_BESIDE_REQUESTS
    if limit is not None and limit < needed:
        telemetry.file_limit_low(limit, needed=needed)


async def _listen(status: StatusServer) -> None:
    """Start the status server.

    Raises:
        StartRefused: its address is taken, or is none of this machine's.
    """
    try:
        await status.start()
    except OSError as error:
        raise StartRefused(f"status.listen: {status.address} cannot be used: {error.strerror or error}") from None


async def _run_pipeline(assembly: Assembly) -> ExitCode:
    telemetry = assembly.telemetry
    try:
        report = await assembly.pipeline.run()
    except SourceFatal as fault:
        telemetry.connector_failed("kafka", str(fault), "Look for another member with the same group.instance.id, "
                                   "and for rights that were taken away.")  # fmt: skip
        return ExitCode.KAFKA
    except Defect as defect:
        telemetry.connector_failed("defect", str(defect), "Report it with this line.")
        return ExitCode.DEFECT
    except Exception as error:  # noqa: BLE001 - the last line of the log says that it was not asked to stop
        telemetry.connector_failed("unexpected", type(error).__name__, "Report it with the traceback.", trace=True)
        return ExitCode.UNEXPECTED
    telemetry.connector_stopped(report)
    is_finished = not report.uncommitted_partitions and not report.cut_off_records
    return ExitCode.STOPPED if is_finished else ExitCode.UNFINISHED


async def _check_surroundings(config: Config, assembly: Assembly) -> None:
    """Make sure of the topics to write to and of the first token; what is away is waited for.

    Raises:
        StartRefused: what is there is wrong, and waiting does not mend it.
    """
    telemetry = assembly.telemetry
    tries = AsyncRetrying(
        retry=retry_if_exception_type((KafkaException, TokenFailed)),
        wait=wait_random_exponential(max=_WAIT_MAX_S),
    )
    async for attempt in tries:
        with attempt:
            try:
                await asyncio.to_thread(_check_topics, config)
                await assembly.credentials.headers()
            except TokenFailed as failure:
                if failure.is_refusal:
                    raise StartRefused(f"edge.auth: {failure}") from None
                telemetry.token_failed(failure.cause, failure.remedy)
                raise
            except KafkaException as failure:
                telemetry.source_fault(failure.args[0])
                raise


def _check_topics(config: Config) -> None:
    """Make sure of every topic to write to. Blocks.

    Raises:
        StartRefused: one cannot be used, and waiting does not mend it.
        KafkaException: the brokers did not answer; try again.
    """
    written: list[tuple[str, DeadLetter | Responses]] = [("dead_letter", config.dead_letter)]
    written += [(responses_setting(at), each.responses) for at, each in enumerate(config.routes) if each.responses]
    properties, logger = admin_properties(config.kafka_properties()), logging.getLogger(KAFKA_LOGGER)
    for setting, section in written:
        try:
            check_topic(
                properties,
                section.topic,
                section.create,
                setting=setting,
                logger=logger,
                may_compact=section is not config.dead_letter,  # the last response of a key is a table people want
            )
        except TopicUnusable as unusable:
            raise StartRefused(f"{setting}.topic: {unusable}") from None


async def _unless_stopped(stop: asyncio.Event, work: object) -> bool:
    """Do work unless a stop is asked for first; whether it was done."""
    doing = asyncio.ensure_future(work)  # type: ignore[call-overload] # a coroutine
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if doing.done():
        doing.result()
        return True
    doing.cancel()
    return False


def _listen_to_signals(assembly: Assembly, stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        if stop.is_set():
            flush_logs()
            os._exit(ExitCode.FORCED)  # at once: threads of Kafka's client may hang, and nothing is left to save
        stop.set()
        assembly.telemetry.stop_asked(number.name)
        assembly.pipeline.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
