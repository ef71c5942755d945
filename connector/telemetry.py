"""The catalogue: one function for each thing that can happen, with its log event and its counters.

Promise: whatever the connector reports goes through here or through `telemetry_kafka.py`, so an event's name and its
counter cannot drift apart, and what is in neither file is neither logged nor counted. No secret, no event content and
no visitor's id is ever passed in: positions, bounded names and numbers only. Repeated faults are rolled up.

`config/telemetry.md` is generated from these files and from `metrics.py`.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from connector.counts import RouteCounts, noted
from connector.telemetry_kafka import KafkaTelemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from connector.core.brake import Trip
    from connector.core.verdict import Verdict
    from connector.model import Record, Rejection
    from connector.pipeline import StopReport
    from connector.request import Request


class Telemetry(KafkaTelemetry):
    """Reports what happens. Owned by the event loop."""

    def __init__(self, routes: Iterable[str], *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock=clock)
        self.routes = {route: RouteCounts() for route in routes}
        self._is_debug: bool = self._log.is_enabled_for(logging.DEBUG)  # asked once: it is told for each request

    # Life of the process

    def connector_started(self, version: str, group: str, topics: Sequence[str]) -> None:
        """The connector has read its configuration and begins."""
        self._log.info("connector_started", version=version, group=group, topics=list(topics))

    def stop_asked(self, signal: str) -> None:
        """A signal asked for a graceful stop; what is in flight is finished first."""
        self._log.info("stop_asked", signal=signal, hint="A second signal ends at once.")

    def connector_stopped(self, report: StopReport) -> None:
        """The connector has stopped. Open records were not settled: the next owner reads them again."""
        self._log.info(
            "connector_stopped",
            open_records=report.open_records,
            cut_off_records=report.cut_off_records,
            uncommitted_partitions=report.uncommitted_partitions,
            seconds=round(report.seconds, 3),
        )

    def client_left_behind(self) -> None:
        """Kafka's client did not end in time and is left behind: the group notices when the session times out."""
        self._log.warning("client_left_behind")

    def start_refused(self, reason: str) -> None:
        """The connector cannot start with this configuration, and waiting does not mend it."""
        self._log.error("start_refused", reason=reason)

    def connector_failed(self, cause: str, text: str, remedy: str, *, trace: bool = False) -> None:
        """The connector ends because no waiting mends what happened. Nothing that is not settled was committed."""
        self._log.error("connector_failed", cause=cause, text=text, remedy=remedy, exc_info=trace)

    def status_listening(self, address: str) -> None:
        """The status server takes requests."""
        self._log.info("status_listening", address=address)

    def file_limit_low(self, limit: int, *, needed: int) -> None:
        """So few files may be open that connections to the Edge may fail; what fails so is sent again."""
        remedy = "Raise the limit of open files (ulimit -n, LimitNOFILE) or lower edge.max_in_flight."
        self._log.warning("file_limit_low", limit=limit, needed=needed, remedy=remedy)

    def log_lines_dropped(self, count: int) -> None:
        """Lines could not be written: nobody read them, or a disk was full. Delivery went on; told once it is over."""
        self._log.warning("log_lines_dropped", count=count)

    def summary(self, **figures: object) -> None:
        """What happened since the summary before: rates, lag, in flight, faults."""
        self._log.info("summary", **figures)

    # Requests

    def share_changed(self, endpoint: str, share: float, *, units_per_s: float) -> None:
        """This member's part of an endpoint's allowance is another one: partitions moved, or topics grew."""
        self._log.info("share_changed", endpoint=endpoint, share=round(share, 4), units_per_s=round(units_per_s))

    def request_answered(self, route: str, verdict: Verdict, request: Request, *, size: int, seconds: float) -> None:
        """One request and what came of it: the canonical line, at debug."""
        counts = self.routes[route]
        counts.requests += 1
        counts.request_bytes += size
        counts.answers = noted(counts.answers, verdict.cause)
        if not verdict.is_published:
            self.code_unknown(route, verdict)
        if not self._is_debug:
            return
        self._log.debug(
            "request_answered", route=route, cause=verdict.cause, action=verdict.action.value,
            events=len(request.positions), bytes=size, ms=round(seconds * 1000, 1), attempt=request.attempts,
            request_id=request.request_id,
        )  # fmt: skip

    def events_accepted(self, route: str, count: int, *, late: int) -> None:
        """The Edge accepted events. Late ones belong to an assignment that is over, and settle nothing."""
        counts = self.routes[route]
        counts.accepted += count
        counts.late_answers += late

    def acceptance_reported(self, route: str, reports: Sequence[str]) -> None:
        """Events were accepted, but the Edge reports a warning or a failed upstream service (207, warnings)."""
        self.routes[route].reports += len(reports)
        for code in sorted(set(reports)):
            self._fault((route, code), "acceptance_reported", route=route, code=code)

    def request_failed(self, route: str, verdict: Verdict, *, wait_s: float) -> None:
        """A request met a passing fault; the same events are sent again after a wait."""
        counts = self.routes[route]
        counts.resends += 1
        if verdict.is_ambiguous:
            counts.possible_duplicates += 1
        self._fault(
            (route, verdict.cause), "request_failed", route=route, cause=verdict.cause, meaning=verdict.meaning,
            remedy=verdict.remedy, status=verdict.status, wait_s=round(wait_s, 2), ambiguous=verdict.is_ambiguous,
        )  # fmt: skip

    def code_unknown(self, route: str, verdict: Verdict) -> None:
        """An answer carried a code that is not published; it was treated by its status."""
        self._fault((route, verdict.cause), "code_unknown", route=route, cause=verdict.cause, status=verdict.status)

    def isolation_started(self, route: str, verdict: Verdict, *, events: int) -> None:
        """A request was refused for an event's sake; the events at fault are being found."""
        self.routes[route].isolations += 1
        self._log.debug("isolation_started", route=route, cause=verdict.cause, events=events)

    def body_limit_lowered(self, route: str, limit: int, refused: int, cause: str) -> None:
        """A body was too large for something on its way; the route sends smaller ones for ten minutes."""
        remedy = "Lower batch.max_bytes for this route, or raise the limit of the proxy in between."
        self._log.warning(
            "body_limit_lowered", route=route, cause=cause, max_bytes=limit, refused_bytes=refused, remedy=remedy
        )

    def route_held(self, route: str, cause: str, *, meaning: str, remedy: str, is_new: bool, held_s: float) -> None:
        """A route waits for a person: nothing is dead-lettered, Kafka keeps the backlog, and it is probed."""
        self.routes[route].is_held = True
        kind, now = ("route_held", route, cause), self._clock()
        if is_new:
            self._reminders.forget(kind)
        if self._reminders.note(kind, now) is not None:
            self._log.error(
                "route_held", route=route, cause=cause, meaning=meaning, remedy=remedy, held_s=round(held_s)
            )

    def route_released(self, route: str, *, seconds: float) -> None:
        """A held route goes on: a probe was answered. If its brake is on, it still waits for that."""
        self.routes[route].is_held = self.routes[route].brake_on
        self._log.info("route_released", route=route, held_s=round(seconds, 1))

    def events_abandoned(self, route: str, count: int) -> None:
        """Open events were given up at a stop or a revoke; whoever owns their partition next reads them again."""
        self.routes[route].abandoned += count

    # Dead letters

    def event_dead_lettered(self, route: str, record: Record, rejection: Rejection) -> None:
        """The dead-letter topic has confirmed a record that can never be accepted."""
        counts = self.routes[route]
        counts.dead_lettered += 1
        counts.rejections = noted(counts.rejections, rejection.reason)
        remedy = "The dead letter's headers xdm.error.* say why; mostly its producer is to be mended."
        self._fault(
            (route, rejection.reason), "event_dead_lettered", self._reminders, route=route,
            reason=rejection.reason, stage=rejection.stage, topic=record.topic(), partition=record.partition(),
            offset=record.offset(), remedy=remedy,
        )  # fmt: skip

    def dead_letter_failed(self, route: str, cause: str, remedy: str) -> None:
        """A dead letter could not be written; its record stays open and it is written again."""
        self._fault((route, cause), "dead_letter_failed", route=route, cause=cause, remedy=remedy)

    def brake_applied(self, route: str, trip: Trip, remedy: str, *, is_reminder: bool = False) -> None:
        """So many of a route's recent events would be dead letters that it is held until a person releases it."""
        self.routes[route].is_held = True
        self.routes[route].brake_on = True
        kind = ("brake_applied", route)
        if not is_reminder:
            self._reminders.forget(kind)
        if self._reminders.note(kind, self._clock()) is not None:
            self._log.error(
                "brake_applied", route=route, stage=trip.stage, share_percent=trip.share_percent,
                dead_letters=trip.dead_letters, events=trip.events, reason=trip.reason,
                remedy=remedy,
            )  # fmt: skip

    def brake_released(self, route: str, by: str, *, is_held: bool) -> None:
        """A person released a route's brake; it counts anew. `is_held` tells whether the route still waits."""
        self.routes[route].brake_on = False
        self.routes[route].is_held = is_held
        self._log.info("brake_released", route=route, by=by, is_held=is_held)

    def tombstones_skipped(self, route: str, count: int) -> None:
        """Records without a value were skipped; counted, not logged."""
        self.routes[route].tombstones += count

    # Responses

    def response_written(self, route: str) -> None:
        """The responses topic has confirmed what the Edge answered to an event."""
        self.routes[route].responses += 1

    def response_failed(self, route: str, cause: str, remedy: str) -> None:
        """A response could not be written; its event stays open and it is written again."""
        self._fault((route, cause), "response_failed", route=route, cause=cause, remedy=remedy)

    # Tokens

    def token_renewed(self, lifetime_s: float) -> None:
        """A new token is in use."""
        self._log.info("token_renewed", lifetime_s=round(lifetime_s))

    def token_failed(self, cause: str, remedy: str) -> None:
        """No new token could be had; the old one is used while it is valid."""
        self._fault(cause, "token_failed", cause=cause, remedy=remedy)
