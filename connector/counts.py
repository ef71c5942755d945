"""What is counted for each route; `telemetry.py` counts, `metrics.py` and `summary.py` read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

_MOST_NAMES: Final = 256  # of causes and reasons; the tables hold about a hundred
OTHER: Final = "other"


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


def noted(tally: dict[str, int], name: str) -> dict[str, int]:
    """The same tally with one more of a name; of a new one as `other`, once there are too many.

    Codes come from answers, and whoever answers may make up a new one each time: as labels they would fill memory.
    """
    counted = name if name in tally or len(tally) < _MOST_NAMES else OTHER
    tally[counted] = tally.get(counted, 0) + 1
    return tally
