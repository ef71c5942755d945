"""Breaks one rule at a time in a copy of the project, and runs the tests that have to fail.

Ends with 0 when they fail for every mutant, 1 when one survives, 2 when they fail on the project as it is.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.kafka.installation import CACHE
from tests.mutants.catalogue import MUTANTS

if TYPE_CHECKING:
    from tests.mutants.catalogue import Mutant

_ROOT: Final = Path(__file__).parents[2]
_LIMIT_S: Final = 600  # for one run of tests
_PASSED, _FAILED = 0, 1  # what pytest ends with; anything else says that the tests could not run


def main() -> int:
    """Run the mutants whose names hold one of the words given; all without words."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("words", nargs="*", help="only mutants whose names hold one of these")
    words = parser.parse_args().words
    chosen = [mutant for mutant in MUTANTS if not words or any(word in mutant.name for word in words)]
    if not chosen:
        parser.error("no mutant's name holds one of these; `tests/mutants/catalogue.py` lists them")
    with tempfile.TemporaryDirectory() as directory, ThreadPoolExecutor(os.cpu_count()) as at_once:
        tests = sorted({test for mutant in chosen for test in mutant.tests.split()})
        code, said = _run(_copy(Path(directory)), tests)
        if code != _PASSED:
            print(f"{said}\nThese tests do not pass on the project as it is.")
            return 2
        survivors = sum(at_once.map(partial(_survives, Path(directory)), chosen))
    print(f"\n{len(chosen)} mutants, {survivors} survived")
    return 1 if survivors else 0


def _survives(directory: Path, mutant: Mutant) -> bool:
    """Whether no test fails with a rule broken."""
    root = _copy(directory)
    file = root / mutant.file
    file.write_text(file.read_text().replace(mutant.old, mutant.new))
    started = time.monotonic()
    code, said = _run(root, mutant.tests.split())
    shutil.rmtree(root)
    failed = [line.split(" ")[1] for line in said.splitlines() if line.startswith("FAILED ")]
    how = f"found by {failed[0]}" if code == _FAILED and failed else f"SURVIVED (pytest ended with {code})"
    print(f"{time.monotonic() - started:5.0f} s  {mutant.name}: {how}", flush=True)
    return code != _FAILED or not failed


def _copy(directory: Path) -> Path:
    """A copy of the project, without what the tools have made but for Kafka itself, which all share."""
    root = Path(tempfile.mkdtemp(dir=directory))
    shutil.copytree(_ROOT, root, ignore=shutil.ignore_patterns(".*", "__pycache__"), dirs_exist_ok=True)
    CACHE.mkdir(exist_ok=True)
    (root / CACHE.name).symlink_to(CACHE)
    return root


def _run(root: Path, tests: list[str]) -> tuple[int | None, str]:
    """How pytest ends, None where it does not end in time, and what it says."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    # With CI=true a test that cannot run fails: one that is skipped finds nothing.
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1", "CI": "true"}
    try:
        done = subprocess.run(
            command, cwd=root, env=environment, capture_output=True, text=True, timeout=_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return None, ""
    return done.returncode, done.stdout


if __name__ == "__main__":
    sys.exit(main())
