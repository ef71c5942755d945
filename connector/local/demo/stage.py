"""One run of the demo: start the parts, play the script while events flow, stop, add up.

Promise: it ends by itself, within the limit that it was given, with every part stopped. All figures that it judges
by come from Kafka and from the Edge.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from connector.local.demo.bad_minute import Mood, Script, make_script
from connector.local.demo.evidence import Witness, read_ledger
from connector.local.demo.feed import Feed
from connector.local.demo.files import prepare, write_config
from connector.local.demo.loopback import NoAnswer, ask
from connector.local.demo.parts import DemoFailed, Parts
from connector.local.demo.reconcile import Reconciliation, reconcile
from connector.local.demo.screen import Scene
from connector.local.demo.watch import Reading, Watch

if TYPE_CHECKING:
    from connector.local.demo.screen import Screen

_TICK_S: Final = 0.05
_LOOK_EVERY_S: Final = 0.25
_STOP_WITHIN_S: Final = 30.0
_HEAD_START_S: Final = 4.0  # the connector's way into its group
_HEAD_START, _TAIL = 0.15, 0.05  # shares of the events: before the script begins, and after it


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a run is told. `limit_s` bounds all of it."""

    events: int
    folder: Path
    quick: bool
    seed: int
    limit_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended."""

    reconciliation: Reconciliation
    uncommitted: list[str]  # partitions whose committed offset is not their end
    exit_code: int  # the connector's
    resends: int
    seconds: float

    @property
    def is_good(self) -> bool:
        """Whether all is as promised."""
        return self.reconciliation.adds_up and not self.uncommitted and self.exit_code == 0


class Stage:
    """One run of the demo, from its first process to its sums."""

    def __init__(self, options: Options, parts: Parts, screen: Screen) -> None:
        self._options = options
        self._parts = parts
        self._screen = screen
        self._began = time.monotonic()
        self._ledger = options.folder / "ledger.jsonl"
        self._script = Script(make_script(quick=options.quick))
        self._reading = Reading()
        self._step = "starts an embedded Kafka and the local Edge"

    def play(self) -> Outcome:
        """Run the whole demo; raises DemoFailed, OSError."""
        prepare(self._options.folder)
        self._start_surroundings()
        self._start_connector()
        self._run_script()
        self._drain()
        return self._add_up()

    # Starting

    def _start_surroundings(self) -> None:
        kafka = self._parts.start("kafka", [sys.executable, "-m", "connector.local.embedded_kafka"])
        edge = self._parts.start(
            "edge",
            [_command(), "edge", "--listen", "127.0.0.1:0", "--auth", "--checksums", "--ledger", str(self._ledger)],
        )
        self._kafka, self._edge = kafka, edge
        self._bootstrap = kafka.wait_for(r"ready: (\S+)", self._show)
        self._feed = Feed(self._bootstrap, events=self._options.events, seed=self._options.seed)
        self._feed.make_topics()
        self._edge_address = edge.wait_for(r"ready on http://(\S+)", self._show)

    def _start_connector(self) -> None:
        config = write_config(self._options.folder, bootstrap=self._bootstrap, edge_url=f"http://{self._edge_address}")
        self._step = "starts the connector"
        self._connector = self._parts.start("connector", [_command(), "run", "--config", str(config)])
        self._running = (self._kafka, self._edge, self._connector)
        address = self._connector.wait_for(r'"status_listening".*?"address":"([^"]+)"', self._show)
        self._watch = Watch(address, self._feed, self._reading)
        self._step = "lets the connector join its consumer group"

    # Running

    def _run_script(self) -> None:
        """Produce along the script; it begins with the first acceptance and ends with its last phase."""
        began = self._now()
        while not self._script.is_last or self._script.progress(self._now()) < 1.0:
            if self._script.phase is not None or self._reading.total.accepted > 0:
                self._step = "produces events"
                self._follow_script()
            head_start = _HEAD_START * min(1.0, (self._now() - began) / _HEAD_START_S)
            progress = self._script.progress(self._now())
            share = head_start + (1 - _HEAD_START - _TAIL) * progress
            self._feed.produce_up_to(int(share * self._options.events))
            self._turn()

    def _follow_script(self) -> None:
        """Begin the next phase where it is due."""
        script = self._script
        if script.is_due(self._now(), faults_over=script.phase is None or self._are_faults_over()):
            phase = script.move_on(self._now())
            self._tell_edge(phase.faults)

    def _are_faults_over(self) -> bool:
        try:
            faults = orjson.loads(ask(self._edge_address, "GET", "/_edge/faults"))["faults"]
        except NoAnswer:
            return False
        return all(fault["over"] for fault in faults)

    def _tell_edge(self, faults: object) -> None:
        try:
            ask(self._edge_address, "PUT", "/_edge/faults", orjson.dumps({"faults": faults}))
        except NoAnswer as error:
            raise DemoFailed(f"the local Edge does not take its faults: {error}") from error

    def _drain(self) -> None:
        """Produce the rest and wait until everything has its verdict and is committed."""
        self._feed.produce_up_to(self._options.events)
        while not self._feed.is_done:
            self._feed.produce_up_to(self._options.events)
            self._turn()
        self._feed.finish()
        self._step = "waits for the last verdicts and their commits"
        while not self._reading.is_settled:
            self._turn()

    def _turn(self) -> None:
        """One tick: see that everybody lives, look, show, wait."""
        self._parts.check(self._running)
        now = self._now()
        if now > self._options.limit_s:
            raise DemoFailed(f"not done within {self._options.limit_s:.0f} s; see {self._connector.log}")
        phase = self._script.phase
        if now >= self._watch.looked_at + _LOOK_EVERY_S:
            self._watch.look(now, phase.mood if phase else Mood.WELL)
        self._show()
        time.sleep(_TICK_S)

    def _show(self) -> None:
        phase = self._script.phase
        scene = Scene(
            seconds=self._now(),
            step=self._step,
            edge=phase.text if phase else "has no request yet",
            mood=phase.mood if phase else Mood.WELL,
            reading=self._reading,
            events=self._options.events,
        )
        self._screen.show(scene)

    def _now(self) -> float:
        return time.monotonic() - self._began

    # Adding up

    def _add_up(self) -> Outcome:
        """Stop the connector gracefully, then ask the witnesses."""
        self._step = "stops the connector (SIGTERM) and adds up"
        self._show()
        exit_code = self._parts.stop(self._connector, within_s=_STOP_WITHIN_S)
        self._parts.check((self._kafka, self._edge))
        witness = Witness(self._bootstrap)
        try:
            dead_letters = witness.dead_letters()
            uncommitted = witness.uncommitted(self._feed.ends)
        finally:
            witness.close()
        accepted = read_ledger(self._edge_address, self._ledger)
        return Outcome(
            reconciliation=reconcile(self._feed.book, accepted, dead_letters),
            uncommitted=uncommitted,
            exit_code=exit_code,
            resends=self._reading.total.resends,
            seconds=self._now(),
        )


def _command() -> str:
    """The installed command, beside the interpreter that runs this."""
    script = Path(sys.executable).with_name("xdm-connector")
    if not script.exists():
        raise DemoFailed(f"{script} is not there: install the connector first (make install)")
    return str(script)
