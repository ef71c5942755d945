"""What is counted for each route; `telemetry.py` counts, `metrics.py` and `summary.py` read."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class RouteCounts:
    """What one route did since the start, and how it stands. Plain integers: the metrics read them when asked for."""

    records: int = 0
    accepted: int = 0
    dead_lettered: int = 0
    responses: int = 0
    tombstones: int = 0
    abandoned: int = 0
    requests: int = 0
    request_bytes: int = 0
    resends: int = 0
    possible_duplicates: int = 0
    isolations: int = 0
    reports: int = 0
    late_answers: int = 0
    in_flight: int = 0
    lag: int = 0  # as of the last summary
    is_held: bool = False
    brake_on: bool = False
    answers: dict[str, int] = field(default_factory=dict)  # by cause
    rejections: dict[str, int] = field(default_factory=dict)  # by reason
