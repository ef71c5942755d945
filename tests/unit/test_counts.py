"""What is counted by name stays bounded, whoever makes the names up."""

from __future__ import annotations

from connector.counts import noted


def test_names_without_end_are_counted_together() -> None:
    """Codes come from answers: the first few hundred keep their labels, and nothing goes uncounted."""
    tally: dict[str, int] = {}
    for number in range(100_000):
        tally = noted(tally, f"EXEG-{number:07d}")
    assert noted(tally, "EXEG-0000000")["EXEG-0000000"] == 2
    assert len(tally) == 257
    assert sum(tally.values()) == 100_001
