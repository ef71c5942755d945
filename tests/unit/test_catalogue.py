"""The catalogue of faults names tests that exist, and leaves out none of the fault suite."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
TEXT: Final = (ROOT / "tests/faults/CATALOGUE.md").read_text(encoding="utf-8")
NAMED: Final = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", TEXT)

NOT_A_FAULT: Final = {
    "test_brake.py",
    "test_hold.py",
    "test_order.py",
    "test_proxy.py",
    "test_responses.py",
    "test_start.py",
}
"""What runs there because it needs the same processes."""


def test_every_test_that_the_catalogue_names_exists() -> None:
    """A renamed test would leave a promise without its proof."""
    assert len(NAMED) > 40
    for file, name in NAMED:
        source = (ROOT / file).read_text(encoding="utf-8")
        assert not name or f"def {name}(" in source, f"{file}::{name}"


def test_every_file_of_the_suite_is_in_the_catalogue() -> None:
    """Whoever adds a fault says what has to hold."""
    files = {path.name for path in (ROOT / "tests/faults").glob("test_*.py")} - NOT_A_FAULT
    assert files == {Path(file).name for file, _ in NAMED if file.startswith("tests/faults/")}
