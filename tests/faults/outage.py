"""An outage: one connector with four routes, and everything at once that can befall the Edge in front of it.

Promise: `run` lasts as long as it is told, follows its seed, and ends with every fault cleared. What happened meanwhile
is in `samples` and in the ledgers. It asserts nothing but that the connector lives; the test does.
"""

from __future__ import annotations

import http.client
import time
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

import orjson

from tests.faults.edge_process import HOST
from tests.faults.events import BAD_KINDS, POISON_FAULT, Kind
from tests.faults.rig import DATASTREAM, OTHER_DATASTREAM, PARTITIONS, QUICK
from tests.faults.steady import SteadyFeed, Stream
from tests.faults.weather import BATTERING, TOKENLESS, WAITING, Fault, Spell, forecast, spell_at

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.faults.child import Child
    from tests.faults.rig import Rig, Settings

HELD_DATASTREAM = "77777777-2222-3333-4444-555555555555"
WAITING_DATASTREAM = "88888888-2222-3333-4444-555555555555"
HELD_CAUSE = "EXEG-0003-400"
SECRETS = ("the-secret-before-the-rotation", "the-secret-after-the-rotation")
TOKEN_PREFIX = "local-edge-token-"  # noqa: S105 - what the local Edge's tokens begin with

TOKEN_LIFETIME_S = 6.0
TOKEN_DOWN_S = 5.0
PROBE_INTERVAL_S = 2.0

_STEP_S = 0.1
_SAMPLE_S = 0.5
_OTHER_PARTITIONS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What the connector said of its routes at one moment of the outage."""

    at_s: float
    routes: dict[str, dict[str, Any]]


class Outage:
    """One outage on a rig whose Edge asks for tokens."""

    def __init__(self, rig: Rig, directory: Path, *, seconds: float, seed: int) -> None:
        self.seconds = seconds
        self.samples: list[Sample] = []
        self.topics = {
            "healthy": rig.topic,
            **{name: rig.kafka.create_topic(name, partitions=_OTHER_PARTITIONS) for name in _OTHERS},
        }
        self.feed = SteadyFeed(rig.feed, [self._stream(name) for name in self.topics])
        self.began_ms = self.ended_ms = self.tokenless_ms = self.tokens_back_ms = 0
        self._rig = rig
        self._secret = directory / "client-secret"
        rng = Random(seed)
        self._battered = forecast(rng, BATTERING, OTHER_DATASTREAM, seconds)
        self._waiting = forecast(rng, WAITING, WAITING_DATASTREAM, seconds)
        self._tokenless: Fault = rng.choice(list(TOKENLESS.values()))
        self._down = False
        self._set: list[Fault] = []
        self._due: list[tuple[float, Callable[[], None]]] = [
            (seconds * 0.15, self._revoke),
            (seconds * 0.3, self._rotate),
            (seconds * 0.5, self._take_tokens_away),
            (seconds * 0.5 + TOKEN_DOWN_S, self._give_tokens_back),
        ]

    def start(self) -> Child:
        """Start the connector and the feed; returns when every route has delivered something."""
        self._secret.write_text(SECRETS[0])
        self._rig.edge.accept_secrets(SECRETS[0])
        self._rig.edge.set_faults(POISON_FAULT)
        connector = self._rig.start(QUICK, self._settings())
        self._rig.until_logged(connector, "partitions_assigned")
        self.feed.start()
        self._rig.until("a first event of every route", lambda: all(self._accepted(connector).values()))
        return connector

    def run(self, connector: Child) -> None:
        """Let the outage happen, from the first fault until all are cleared."""
        began_s = time.monotonic()
        self.began_ms = _now_ms()
        next_sample_s = 0.0
        while (elapsed_s := time.monotonic() - began_s) < self.seconds:
            assert connector.exit_code is None, connector.log_tail()
            while self._due and self._due[0][0] <= elapsed_s:
                self._due.pop(0)[1]()
            self._let_it_befall(spell_at(self._battered, elapsed_s), spell_at(self._waiting, elapsed_s))
            if elapsed_s >= next_sample_s:
                self.samples.append(Sample(at_s=elapsed_s, routes=self._status(connector)))
                next_sample_s = elapsed_s + _SAMPLE_S
            time.sleep(_STEP_S)
        assert not self._due, "the outage was too short for all that was to happen"
        self.ended_ms = _now_ms()
        self._rig.edge.set_faults(POISON_FAULT)

    def _let_it_befall(self, battered: Spell, waiting: Spell) -> None:
        held = {"select": {"datastream": HELD_DATASTREAM}, "effect": {"kind": "status", "code": HELD_CAUSE}}
        tokenless = {"select": {"path": "/ims/"}, **self._tokenless} if self._down else None
        # Before what accepts first, or the poison would be accepted too; but what is held asks nobody for its poison.
        faults = [fault for fault in (held, POISON_FAULT, battered.fault, waiting.fault, tokenless) if fault]
        if faults != self._set:
            self._rig.edge.set_faults(*faults)
            self._set = faults

    def _revoke(self) -> None:
        assert self._rig.edge.revoke_tokens()

    def _rotate(self) -> None:
        """As it is done: both secrets are good until the file is replaced."""
        self._rig.edge.accept_secrets(*SECRETS)
        fresh = self._secret.with_suffix(".new")
        fresh.write_text(SECRETS[1])
        fresh.replace(self._secret)
        self._rig.edge.accept_secrets(SECRETS[1])

    def _take_tokens_away(self) -> None:
        self._down = True
        self.tokenless_ms = _now_ms()

    def _give_tokens_back(self) -> None:
        self._down = False
        self.tokens_back_ms = _now_ms()

    def _accepted(self, connector: Child) -> dict[str, int]:
        return {name: route["accepted"] for name, route in self._status(connector).items()}

    def _status(self, connector: Child) -> dict[str, dict[str, Any]]:
        _, _, port = str(connector.lines("status_listening")[0]["address"]).rpartition(":")
        connection = http.client.HTTPConnection(HOST, int(port), timeout=30)
        try:
            connection.request("GET", "/status")
            document = orjson.loads(connection.getresponse().read())
        finally:
            connection.close()
        return {route["name"]: route for route in document["routes"]}

    def _stream(self, name: str) -> Stream:
        # What is rejected before any request becomes a dead letter also while its route is held.
        kinds = tuple(kind for kind in BAD_KINDS if name != "held" or kind is not Kind.NOT_JSON)
        partitions = PARTITIONS if name == "healthy" else _OTHER_PARTITIONS
        return Stream(
            topic=self.topics[name],
            partitions=partitions,
            events_per_s=_RATES[name],
            bad_kinds=kinds,
            bad_every=50,
        )

    def _settings(self) -> Settings:
        url = self._rig.edge.url
        auth = {
            "org_id": "0123456789ABCDEF@AdobeOrg",
            "client_id": "not-a-real-client-id",
            "client_secret": f"${{file:{self._secret}}}",
            "scopes": ["openid", "AdobeID", "acp.foundation"],
            "token_url": f"{url}/ims/token/v3",
        }
        routes = [self._rig.route(name="healthy", datastream_id=DATASTREAM)]
        for name, (datastream, endpoint) in _OTHERS.items():
            routes.append(
                {"name": name, "topics": [self.topics[name]], "datastream_id": datastream, "endpoint": endpoint}
            )
        return {
            "consume": {"max_open_bytes": 8_388_608},
            "edge": {
                "auth": auth,
                "timeout_ms": 1500,
                "connect_timeout_ms": 1500,
                "retry": {"max_ms": 2000},
                "probe_interval_ms": int(PROBE_INTERVAL_S * 1000),
                "lone_failure_ms": 0,
            },
            "routes": routes,
            "status": {"listen": f"{HOST}:0"},
            "logging": {"summary_interval_ms": 10_000},
        }


_OTHERS = {
    "battered": (OTHER_DATASTREAM, "collect"),
    "held": (HELD_DATASTREAM, "collect"),
    "waiting": (WAITING_DATASTREAM, "interact"),
}
_RATES = {"healthy": 200.0, "battered": 100.0, "held": 50.0, "waiting": 20.0}


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
