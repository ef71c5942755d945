"""One broken rule after another: what is changed, what that would cost a user, and which tests have to fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_OFFSETS: Final = "connector/core/offsets.py"
_SETTLED: Final = "connector/core/settled.py"
_MEMBERSHIP: Final = "connector/membership.py"
_PIPELINE: Final = "connector/pipeline.py"
_SOURCE: Final = "connector/adapters/kafka_source.py"
_ASSIGNMENTS: Final = "connector/adapters/kafka_assignments.py"
_PRODUCER: Final = "connector/adapters/confirmed_producer.py"
_WRITING: Final = "connector/writing.py"
_SENDING: Final = "connector/sending.py"
_VERDICT: Final = "connector/core/verdict.py"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One rule broken: `old` stands exactly once in `file`, and `new` in its place breaks the rule."""

    name: str
    file: str
    old: str
    new: str
    tests: str  # what has to fail, as arguments of pytest


MUTANTS: Final = (
    # Lost: a commit passes what has no verdict.
    Mutant(
        "commit one offset too far",
        _OFFSETS,
        "return None if self.watermark == self.committed and is_noted else self.watermark",
        "return None if self.watermark in (None, self.committed) and is_noted else (self.watermark or 0) + 1",
        "tests/unit/test_offsets.py tests/property/test_offsets.py",
    ),
    Mutant(
        "let the watermark pass what is open",
        _OFFSETS,
        "if self._starts[0] <= self.watermark:",
        "if self._starts:",
        "tests/unit/test_offsets.py tests/property/test_offsets.py",
    ),
    Mutant(
        "take a late answer for the assignment of now",
        _OFFSETS,
        "if self.is_closed:\n            return False",
        "if self.is_closed and not self.takes_notes:\n            return False",
        "tests/unit/test_offsets.py tests/property/test_offsets.py",
    ),
    Mutant(
        "leave an assignment open that is over",
        _MEMBERSHIP,
        "            owner.close()\n",
        "",
        "tests/unit/test_membership.py tests/property/test_group.py",
    ),
    Mutant(
        "commit for a partition that is not ours any more",
        _ASSIGNMENTS,
        "owned = [commit for commit in commits if self.is_current(commit.owner)]",
        "owned = list(commits)",
        "tests/unit/test_kafka_assignments.py",
    ),
    Mutant(
        "take the end of an earlier assignment's commit for that of the one of now",
        _ASSIGNMENTS,
        'return _key(target), target.offset, target.metadata or ""',
        'return _key(target), target.offset, ""',
        "tests/unit/test_kafka_assignments.py",
    ),
    Mutant(
        "drop the seek back after an exception out of consume",
        _SOURCE,
        "self._read_from.seek(self._assignments.positions())",
        "self._assignments.positions()",
        "tests/adapters/test_kafka_source_mishaps.py",
    ),
    Mutant(
        "take records of the assignment before for the first of the new one",
        _ASSIGNMENTS,
        "if key in self._just_taken:",
        "if key in self._just_taken and not self._positions:",
        "tests/unit/test_kafka_assignments.py tests/adapters/test_kafka_source_mishaps.py",
    ),
    Mutant(
        "settle a dead letter before the broker confirms it",
        "connector/burial.py",
        "        if await self._writing.until_confirmed(event, letter):\n",
        "        self._outcomes.settle([event])\n        if await self._writing.until_confirmed(event, letter):\n",
        "tests/unit/test_delivery.py tests/unit/test_delivery_brake.py tests/property/test_delivery.py",
    ),
    Mutant(
        "take a record that was given up for a confirmed one",
        _WRITING,
        "        self._outcomes.abandon([event])\n        return False\n",
        "        return True\n",
        "tests/unit/test_delivery.py tests/unit/test_responses.py tests/property/test_delivery.py",
    ),
    Mutant(
        "take an error in a delivery report for a confirmation",
        _PRODUCER,
        "        if error is None:\n            confirmed.set_result",
        "        if error is None or not error.fatal():\n            confirmed.set_result",
        "tests/unit/test_confirmed_producer.py tests/adapters/test_producer_faults.py",
    ),
    Mutant(
        "take silence for success",
        _VERDICT,
        '    if document is None:\n        return _foreign(answer, f"no_json_{answer.status}")\n',
        "    document = document or {}\n",
        "tests/unit/test_verdict.py tests/property/test_verdict.py",
    ),
    Mutant(
        "go on after a delivery failed",
        _PIPELINE,
        "        if not task.cancelled() and task.exception() is not None:\n",
        "        if not task.cancelled() and task.exception() is None:\n",
        "tests/unit/test_pipeline.py",
    ),
    # Doubled: what was delivered is delivered once more, on a path without a fault.
    Mutant(
        "hand a partition on without waiting for what is under way",
        _MEMBERSHIP,
        "        await self._until_drained(owners, started + self._revoke_timeout_s)\n",
        "",
        "tests/unit/test_membership.py tests/unit/test_pipeline.py tests/property/test_group.py",
    ),
    Mutant(
        "stop before the last commit is confirmed",
        _PIPELINE,
        "owner.is_drained and owner.committable is None for",
        "owner.is_drained for",
        "tests/unit/test_pipeline.py",
    ),
    Mutant(
        "forget what was settled above the watermark",
        _OFFSETS,
        "return encode(self.identity, self.watermark, self.settled_ranges)",
        "return encode(self.identity, self.watermark, ())",
        "tests/unit/test_commit_notes.py tests/property/test_offsets.py tests/property/test_group.py",
    ),
    Mutant(
        "take a commit that failed for one that was confirmed",
        "connector/commits.py",
        "            self._telemetry.commit_failed(owner, error)\n            return\n",
        "            self._telemetry.commit_failed(owner, error)\n",
        "tests/unit/test_commits.py",
    ),
    Mutant(
        "count a note that was not sent",
        "connector/commits.py",
        "commit.owner.settled_ranges if commit.note else None",
        "commit.owner.settled_ranges",
        "tests/unit/test_commits.py tests/unit/test_commit_notes.py",
    ),
    # Hidden: records are taken for delivered that nobody delivered.
    Mutant(
        "believe a note about a topic that was deleted",
        _SETTLED,
        "    if noted_identity != identity:\n",
        "    if not identity:\n",
        "tests/unit/test_settled.py tests/unit/test_commit_notes.py",
    ),
    Mutant(
        "believe a note about another offset",
        _SETTLED,
        "if watermark != committed:",
        "if watermark < 0:",
        "tests/unit/test_settled.py tests/unit/test_commit_notes.py",
    ),
    Mutant(
        "remember deliveries that a person wants again",
        "connector/core/delivered.py",
        "return () if was_moved_back else memory.ranges",
        "return memory.ranges",
        "tests/unit/test_delivered.py tests/property/test_group.py",
    ),
    # One bad event costs another; or an outage costs an event.
    Mutant(
        "blame the whole batch for one bad event",
        "connector/core/isolation.py",
        "                    return group\n",
        "                    self.at_fault.extend(group)\n                    return ()\n",
        "tests/unit/test_isolation.py tests/property/test_isolation.py",
    ),
    Mutant(
        "blame by the text that a producer wrote",
        _VERDICT,
        'text = f"{parts[0]} {parts[-1]}" if len(parts) > 2 else parts[0]',
        'text = " ".join(parts)',
        "tests/unit/test_verdict.py",
    ),
    Mutant(
        "give up after a passing fault",
        _SENDING,
        "_FINAL: Final = frozenset({Action.ACCEPT, Action.ISOLATE, Action.HALVE})",
        "_FINAL: Final = frozenset({Action.ACCEPT, Action.ISOLATE, Action.HALVE, Action.RETRY})",
        "tests/unit/test_delivery.py",
    ),
    Mutant(
        "never pull the brake",
        "connector/core/brake.py",
        "if dead_letters > limits.min_events and dead_letters * 100 > limits.max_share_percent * events:",
        "if dead_letters > limits.min_events and dead_letters > events:",
        "tests/unit/test_brake.py tests/property/test_brake.py",
    ),
    # Bounds and waits.
    Mutant(
        "count bytes in flight and never give them back",
        _PIPELINE,
        "            route.under_way -= 1\n            route.open_bytes -= size\n",
        "            route.under_way -= 1\n",
        "tests/unit/test_open_bytes.py tests/unit/test_pipeline.py",
    ),
    Mutant(
        "let a batch grow past its bytes",
        "connector/core/batcher.py",
        "if batch and (size + cost > max_bytes or len(batch) >= max_events):",
        "if batch and (size > max_bytes or len(batch) >= max_events):",
        "tests/unit/test_batcher.py tests/property/test_batcher.py",
    ),
    Mutant(
        "send on at the allowance's pace while the partition leaves",
        _SENDING,
        "count = len(request.positions)\n        self._outcomes.abandon(request.drop_ending(only_closed=False))\n",
        "count = len(request.positions)\n",
        "tests/simulation/test_simulation.py",
    ),
)
