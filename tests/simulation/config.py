"""The configuration of every simulated member: the plan's numbers, and waits that are short beside its faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connector.config import Config
from tests.simulation.plan import ORDERED

if TYPE_CHECKING:
    from tests.simulation.plan import Plan


def build_config(plan: Plan) -> Config:
    """The configuration of every member."""
    settings = plan.settings
    batch = {"max_events": settings["max_events"], "linger_ms": settings["linger_ms"]}
    edge = {
        "base_url": "https://edge.example",
        "max_in_flight": settings["max_in_flight"],
        "request_units_per_second": dict.fromkeys(("collect", "interact"), settings["units_per_s"]),
        "probe_interval_ms": 1000,
        "lone_failure_ms": 3000,
        "retry": {"initial_ms": 100, "max_ms": 2000, "retry_after_max_ms": 10_000},
    }
    consume = {name: settings[name] for name in ("max_poll_records", "commit_interval_ms", "revoke_timeout_ms")}
    return Config.model_validate(
        {
            "kafka": {"bootstrap.servers": "127.0.0.1:1", "group.id": "simulation"},
            "edge": edge,
            "consume": consume,
            "routes": [
                {"name": name.removeprefix("xdm."), "topics": [name], "datastream_id": "d"}
                | ({"endpoint": "interact", "order": "key"} if name == ORDERED else {"batch": batch})
                for name in plan.topics
            ],
            "dead_letter": {"topic": "xdm.dead-letter", "brake": {"max_share_percent": 100}},
            "shutdown": {"grace_ms": settings["grace_ms"]},
        }
    )
