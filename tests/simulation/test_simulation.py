"""Simulated pipeline: the connector between a simulated Kafka, Edge and dead-letter topic, under every fault at once.

Each seed is a run of its own, and what fails prints the one command that replays it. The same seeds each time, so that
nobody's change fails for what was there before; `make simulate FROM=…` tries others.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import pytest

from tests.simulation.run import simulate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from subprocess import CompletedProcess

_SEEDS: Final = int(os.environ.get("SIMULATION_SEEDS", "1000"))
_FROM: Final = int(os.environ.get("SIMULATION_FROM", "1"))
_CHUNK: Final = 125
_CHUNKS: Final = [range(first, min(first + _CHUNK, _FROM + _SEEDS)) for first in range(_FROM, _FROM + _SEEDS, _CHUNK)]


@pytest.fixture(scope="module")
def outcomes() -> Iterator[dict[range, Future[CompletedProcess[str]]]]:
    """Every chunk, each in a process of its own, as many at once as there are processors."""
    pool = ThreadPoolExecutor(os.cpu_count())
    yield {seeds: pool.submit(_simulate, seeds) for seeds in _CHUNKS}
    pool.shutdown(cancel_futures=True)


def _simulate(seeds: range) -> CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.simulation", str(seeds[0]), "--count", str(len(seeds))]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("seeds", _CHUNKS, ids=lambda seeds: f"{seeds[0]}-{seeds[-1]}")
def test_simulated_pipeline(outcomes: Mapping[range, Future[CompletedProcess[str]]], seeds: range) -> None:
    """Simulated pipeline: nothing lost, corrupt, phantom or wrongly dead-lettered; no commit ahead of a verdict; each
    duplicate explained; everything settled soon after the faults end. In the process in which a seed is replayed."""
    done = outcomes[seeds].result()
    assert done.returncode == 0, f"\n{done.stdout}{done.stderr}"


def test_the_same_seed_gives_the_same_run() -> None:
    """What a seed shows is shown again by its replay, also by another process, whose hashes are others."""
    program = (
        "import sys; from tests.simulation.run import simulate; print(*(simulate(s).digest for s in range(7, 12)))"
    )
    digests = [simulate(seed).digest for seed in range(7, 12)]
    environment = {**os.environ, "PYTHONHASHSEED": "4711"}
    again = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert again.stdout.split() == digests
    assert len(set(digests)) == len(digests)
