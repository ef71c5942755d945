"""`python -m tests.simulation 123` replays one seed and shows what happened; `--count 1000` runs that many from it."""

from __future__ import annotations

import argparse
import sys
import time

from tests.simulation.run import simulate


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", type=int, help="the seed, or the first of many")
    parser.add_argument("--count", type=int, default=0, help="how many seeds to run, without their traces")
    arguments = parser.parse_args()
    return _run_many(arguments.seed, arguments.count) if arguments.count else _replay(arguments.seed)


def _replay(seed: int) -> int:
    outcome = simulate(seed, is_loud=True)
    print("\n".join(outcome.lines))
    for failure in outcome.failures:
        print(f"FAILED: {failure}")
    print(f"seed {seed}: {outcome.seconds:.0f} virtual s, {outcome.duplicates} duplicates, trace {outcome.digest}")
    return 1 if outcome.failures else 0


def _run_many(first: int, count: int) -> int:
    started, failed, seconds, duplicates = time.process_time(), 0, 0.0, 0
    for seed in range(first, first + count):
        outcome = simulate(seed)
        seconds, duplicates = seconds + outcome.seconds, duplicates + outcome.duplicates
        if outcome.failures:
            failed += 1
            print(f"seed {seed}: {outcome.failures[0]}\n  make simulate SEED={seed}", flush=True)
    cost_ms = (time.process_time() - started) * 1000 / count
    print(f"{count} seeds from {first}: {failed} failed; {seconds:.0f} virtual s, {duplicates} duplicates, "
          f"{cost_ms:.0f} ms of CPU each")  # fmt: skip
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
