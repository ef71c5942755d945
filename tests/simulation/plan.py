"""What a seed stands for: the shape of the scene, and every fault with the time at which it comes.

Each kind of fault is in only some of the seeds, and then mostly at work: a mixture of everything all the time would
hide what two faults alone can do to each other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random

SESSION_S: Final = 4.0
PASSING: Final = (
    "503", "429", "500", "502", "400", "207", "reset", "reset_accepted", "timeout", "timeout_accepted", "refused",
)  # fmt: skip
"""What may happen to a single request, or to all of them for a while."""
CONFIGURATION: Final = ("0400-403", "0003-400", "0502-401", "404", "413", "html")
"""What holds a route until it is mended."""
ORDERED: Final = "xdm.keyed"
"""The topic whose events are sent one by one, those of a key in their order."""
_TOPICS: Final = (("web",), ("web",), ("web", "app"), ("web", "keyed"), ("keyed",))
BAD_KINDS: Final = ("not_json", "no_object", "named", "unnamed", "poison")


@dataclass(frozen=True, slots=True)
class Act:
    """Something that is done to the scene at a moment."""

    at: float
    kind: str
    target: float = 0.0  # in [0, 1): which member or partition of those that are there then
    lasts_s: float = 0.0
    detail: str = ""


@dataclass(slots=True, kw_only=True)
class Plan:
    """One scene with its faults."""

    lasts_s: float
    members: int
    topics: dict[str, int]  # partitions of each
    is_eager: bool
    records: int
    idle_poll_s: float
    latency_s: float
    tail: float  # how often an answer takes much longer
    settings: dict[str, int]
    acts: list[Act]
    gaps: float = 0.0  # share of the records before which offsets are missing
    skips: float = 0.0
    bad: dict[str, float] = field(default_factory=dict)  # share of the records, by kind
    edge_faults: dict[str, float] = field(default_factory=dict)  # share of the requests, by kind
    commit_faults: dict[str, float] = field(default_factory=dict)  # share of the commits, by kind
    letter_faults: dict[str, float] = field(default_factory=dict)
    id_faults: dict[str, float] = field(default_factory=dict)
    most_note_bytes: int = 4096
    consume_faults: float = 0.0
    seen_again: float = 0.0

    @property
    def edge_troubles(self) -> set[str]:
        """Every fault of the Edge that may come."""
        return {act.detail for act in self.acts if act.kind == "edge"} | self.edge_faults.keys()


def draw_plan(rng: random.Random) -> Plan:
    """The plan of a seed."""
    lasts_s = rng.uniform(4, 20)
    plan = Plan(
        lasts_s=lasts_s,
        members=rng.choice((1, 1, 2, 2, 3, 4)),
        topics={f"xdm.{name}": rng.randint(1, 3) for name in rng.choice(_TOPICS)},
        is_eager=rng.random() < 0.25,
        records=rng.choice((20, 100, 200, 400)),
        idle_poll_s=rng.choice((0.03, 0.1, 0.25, 0.5)),
        latency_s=rng.choice((0.005, 0.05, 0.2)),
        tail=rng.choice((0.0, 0.02, 0.2)),
        settings={
            "max_in_flight": rng.choice((1, 3, 8, 32)),
            "max_events": rng.choice((1, 4, 10, 50)),
            "linger_ms": rng.choice((0, 20, 200)),
            "max_poll_records": rng.choice((5, 50, 500)),
            "commit_interval_ms": rng.choice((100, 500, 2000)),
            "revoke_timeout_ms": rng.choice((200, 1500, 3000)),
            "grace_ms": rng.choice((500, 5000)),
        },
        acts=[],
    )
    _draw_records(plan, rng)
    _draw_edge(plan, rng)
    _draw_kafka(plan, rng)
    _draw_topics(plan, rng)
    _draw_members(plan, rng)
    plan.acts.sort(key=lambda act: act.at)
    plan.settings["units_per_s"] = rng.choice((20, 100, 6000, 6000, 6000))
    return plan


def _moment(plan: Plan, rng: random.Random) -> float:
    return rng.uniform(0.5, plan.lasts_s)


def _draw_records(plan: Plan, rng: random.Random) -> None:
    plan.gaps = rng.choice((0.0, 0.05, 0.3))
    plan.skips = rng.choice((0.0, 0.05))
    plan.bad = {kind: rng.choice((0.01, 0.05)) for kind in BAD_KINDS[:-1] if rng.random() < 0.35}
    if rng.random() < 0.12:
        plan.bad["poison"] = 1 / plan.records


def _draw_edge(plan: Plan, rng: random.Random) -> None:
    if rng.random() < 0.6:
        plan.edge_faults = {kind: rng.choice((0.02, 0.1)) for kind in PASSING if rng.random() < 0.3}
    for _ in range(rng.choice((0, 0, 1, 2))):
        kind = rng.choice(PASSING + CONFIGURATION)
        plan.acts.append(Act(_moment(plan, rng), "edge", lasts_s=rng.uniform(0.5, 8), detail=kind))


def _draw_kafka(plan: Plan, rng: random.Random) -> None:
    if rng.random() < 0.5:
        kinds = ("error", "applied_error", "late", "hangs")
        plan.commit_faults = {kind: rng.choice((0.05, 0.3)) for kind in kinds if rng.random() < 0.5}
    if rng.random() < 0.3:
        plan.letter_faults = {kind: rng.choice((0.05, 0.3)) for kind in ("fails", "written_fails")}
    if rng.random() < 0.3:
        plan.acts.append(Act(_moment(plan, rng), "letters", lasts_s=rng.uniform(0.5, 6)))
    if rng.random() < 0.25:
        plan.consume_faults = 0.05
    if rng.random() < 0.25:
        plan.seen_again = 0.05
    if rng.random() < 0.3:
        plan.acts.append(Act(_moment(plan, rng), "brokers", lasts_s=rng.uniform(0.5, 2 * SESSION_S)))


def _draw_topics(plan: Plan, rng: random.Random) -> None:
    if rng.random() < 0.15:
        plan.acts.append(Act(_moment(plan, rng), "retention", target=rng.random()))
    if rng.random() < 0.1:
        plan.acts.append(Act(_moment(plan, rng), "reset", target=rng.random(), lasts_s=rng.uniform(0.1, 2)))
    if rng.random() < 0.15:
        plan.id_faults = {"unknown": rng.choice((0.2, 1.0))}
    if rng.random() < 0.1:
        plan.most_note_bytes = rng.choice((0, 40))
    elif not plan.id_faults and rng.random() < 0.15:
        # Only where the topics' ids are known and stand in the commits can anybody tell.
        plan.acts.append(Act(_moment(plan, rng), "recreate", target=rng.random()))


def _draw_members(plan: Plan, rng: random.Random) -> None:
    kinds = [kind for kind in ("kill", "stop", "freeze", "lose", "join", "rebalance") if rng.random() < 0.4]
    for kind in kinds:
        for _ in range(rng.choice((1, 1, 2, 4))):
            lasts_s = rng.uniform(0.2, 2.5 * SESSION_S) if kind == "freeze" else rng.uniform(0.0, 3.0)
            plan.acts.append(Act(_moment(plan, rng), kind, target=rng.random(), lasts_s=lasts_s))
