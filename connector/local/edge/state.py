"""What the parts of one running local Edge share.

Promise: all state stands here, owned by one event loop. It decides over a whole request by asking the rules,
the tokens and the allowance in their order.
"""

from __future__ import annotations

import asyncio
import time
from random import Random
from typing import TYPE_CHECKING, BinaryIO

from aiohttp import web

from connector.local.edge.allowance import Allowance, count_units
from connector.local.edge.fault_switch import FaultSwitch
from connector.local.edge.ledger import Ledger
from connector.local.edge.problems import Problem, problem_of_status
from connector.local.edge.rules import Arrival, Decision, Endpoint, Refused, decide_body, find_head_problem, read_events
from connector.local.edge.tokens import TokenDesk

if TYPE_CHECKING:
    from collections.abc import Mapping

    from connector.local.edge.settings import EdgeSettings


class EdgeState:
    """Settings, ledger, faults, tokens and allowance of one running Edge; `closing` is set when it stops."""

    def __init__(self, settings: EdgeSettings, ledger_file: BinaryIO | None) -> None:
        self.settings = settings
        self.rng = Random(settings.seed)
        self.ledger = Ledger(checksums=settings.checksums, file=ledger_file)
        self.switch = FaultSwitch(self.rng)
        self.tokens = TokenDesk(settings.credentials, settings.token_lifetime_s)
        self.closing = asyncio.Event()
        self._allowances = _make_allowances(settings)

    def decide(self, arrival: Arrival, headers: Mapping[str, str]) -> Decision:
        """Decide over one request: head, token, allowance, then its events."""
        problem = self._find_problem(arrival, headers)
        if problem is not None:
            return Refused(problem, read_events(arrival.body))
        self.ledger.request_units += self._price(arrival)
        return decide_body(arrival.endpoint, arrival.body, primary_needed=self.settings.auth)

    def _find_problem(self, arrival: Arrival, headers: Mapping[str, str]) -> Problem | None:
        settings = self.settings
        problem = find_head_problem(arrival, settings.datastreams, settings.max_body_bytes)
        if problem is None and settings.auth:
            problem = self.tokens.check(headers, now_ms())
        return problem or self._take_units(arrival)

    def _price(self, arrival: Arrival) -> int:
        settings = self.settings
        upstreams = settings.datastream_upstreams.get(arrival.datastream or "", settings.upstreams)
        return count_units(len(arrival.body), upstreams)

    def _take_units(self, arrival: Arrival) -> Problem | None:
        allowance = self._allowances.get(arrival.endpoint)
        wait_s = allowance.take(self._price(arrival), now_ms()) if allowance else 0
        if not wait_s:
            return None
        detail = "The allowance of request units is used up."
        return problem_of_status(429, detail, headers=[("Retry-After", str(wait_s))])


def _make_allowances(settings: EdgeSettings) -> dict[Endpoint, Allowance]:
    """Make one bucket for each endpoint: each has an allowance of its own (published), for all its datastreams."""
    collect, interact = settings.request_units_per_second, settings.interact_units_per_second
    rates = {Endpoint.COLLECT: collect, Endpoint.INTERACT: collect if interact is None else interact}
    return {endpoint: Allowance(rate, now_ms()) for endpoint, rate in rates.items() if rate is not None}


def now_ms() -> int:
    """Read the monotonic clock in milliseconds."""
    return time.monotonic_ns() // 1_000_000


STATE: web.AppKey[EdgeState] = web.AppKey("edge_state", EdgeState)
