"""Writes `config/verdicts.md` and `config/telemetry.md` from the code: `python -m connector.docs`.

Promise: every row of the verdict table, every event that can be logged and every metric stands there, because all of
it is read from where the connector reads it. A test fails while the files differ from the code.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from connector import summary, telemetry_kafka
from connector.core import codes
from connector.core.codes import CODES, NAMING_CODES, NO_ANSWERS, NOT_SENT, STATUS_CLASSES, STATUSES, Action, Row
from connector.core.verdict import Answer, Asked, judge
from connector.metrics import ConnectorMetrics
from connector.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from connector.assembly import Assembly
    from connector.core.verdict import EndpointKind

SHOWN: Final = {
    Action.ACCEPT: ("acceptance_reported",),
    Action.RETRY: ("request_failed",),
    Action.RETRY_FEW: ("request_failed", "event_dead_lettered"),
    Action.ISOLATE: ("event_dead_lettered",),
    Action.HALVE: ("body_limit_lowered", "event_dead_lettered"),
    Action.RENEW_TOKEN: ("token_renewed", "token_failed", "route_held"),
    Action.HOLD: ("route_held",),
    Action.FOREIGN: ("request_failed", "route_held"),
    Action.DEFECT: ("connector_failed",),
}
"""The events in the log that show an action, beside `request_answered` at debug."""

_VERDICTS_HEAD: Final = """\
# Verdicts

Made by `python -m connector.docs` from the tables that the connector uses. Each answer of the endpoint, and each way in
which an answer can be missing, gets exactly one verdict: what it means and what the connector does about it.

In the log the cause of a verdict is the field `cause`; of a dead letter, the field `reason` and the header
`xdm.error.code`. Each request and its verdict is one line `request_answered` at debug. What an answer's `detail` says
stands in the dead letter only, as it may quote the event.
"""

_NUMBERED: Final = re.compile(r"^(no_json|unexpected|http)_[0-9]+$")

_TELEMETRY_HEAD: Final = """\
# Log events and metrics

Made by `python -m connector.docs` from the code. Whatever the connector reports stands here. No secret, no content of
an event and no visitor's id is ever logged or counted: positions, bounded names and numbers only.

What is rolled up is written at once, and while the same fault goes on once per {roll_up_s:.0f} seconds, with the field
`occurrences`. What lasts until a person acts is told again every {reminder_s:.0f} seconds: a route that stays held, a
brake that stays on, and dead letters for one reason. Events without a level are counted and not logged.
"""


class _Sample(NamedTuple):
    """An answer that the Edge does not give, in words and as it comes."""

    text: str
    answer: Answer
    kind: EndpointKind = "collect"


_JSON: Final = b'{"title":"No"}'
_MANY: Final = b'{"handle":[0%b]}' % (b",0" * 10_000)
_FOREIGN: Final = (
    _Sample("202 or 207 without a JSON object in the body", Answer(status=202)),
    _Sample("204 to a request that was not `silent`", Answer(status=204)),
    _Sample("another 2xx than the endpoint's own", Answer(status=200, body=b"{}")),
    _Sample("200 from interact with more than 10,000 handles", Answer(status=200, body=_MANY), "interact"),
    _Sample("200 from interact with neither `requestId` nor `handle`", Answer(status=200, body=b"{}"), "interact"),
    _Sample("a redirect; none is followed", Answer(status=302)),
    _Sample("1xx as the final answer", Answer(status=100)),
    _Sample("a 4xx that is not listed by its status above, without a document", Answer(status=400)),
    _Sample("the same but for 400, 409 and 422, with a document that names no code", Answer(status=418, body=_JSON)),
    _Sample("413 without a code to a request of one event", Answer(status=413, body=_JSON)),
)


class Told(NamedTuple):
    """One thing that telemetry tells, as read from its source."""

    name: str
    section: str
    level: str  # empty if it is counted only
    fields: tuple[str, ...]
    counters: tuple[str, ...]
    meaning: str


def verdicts_markdown() -> str:
    """The verdict tables as Markdown."""
    parts = [
        _VERDICTS_HEAD,
        "## What the connector does\n",
        _table(("action", "what happens", "in the log"), _actions()),
        "## What may be one event's doing, and what else becomes a dead letter or a hold\n",
        codes.BEYOND_THE_TABLES,
        "## By published code\n",
        f"A code counts whatever the status. {_named()} name the events at fault as `#index`.\n",
        _rows("code", ((f"EXEG-{code}", row) for code, row in CODES.items())),
        "## By HTTP status\n",
        "Where the code is missing or not published.\n",
        _rows("cause", ((f"http_{status}", row) for status, row in STATUSES.items())),
        _rows("any other", ((f"{digit}xx", row) for digit, row in STATUS_CLASSES.items())),
        "`4xx` needs a code, or a problem document with 400, 409 or 422; what has neither is not the Edge's answer.\n",
        "## Without an answer\n",
        "If a body may have left, the event may be delivered twice, as after 502 and 504, behind which the request\n"
        "may have gone on. The metric `possible_duplicates` counts those.\n",
        _rows("cause", ((missing.value, row) for missing, row in NO_ANSWERS.items())),
        f"Nothing was sent: {', '.join(f'`{missing}`' for missing in sorted(NOT_SENT))}.\n",
        "## Answers that the Edge does not give\n",
        f"None of them is an acceptance: {_does(Action.FOREIGN)} {codes.FOREIGN_REMEDY}\n",
        _table(("cause", "answer"), ((_code(_cause(sample)), sample.text) for sample in _FOREIGN)),
    ]
    return "\n".join(parts)


def telemetry_markdown() -> str:
    """The catalogue of log events and metrics as Markdown."""
    parts = [
        _TELEMETRY_HEAD.format(roll_up_s=telemetry_kafka.ROLL_UP_S, reminder_s=telemetry_kafka.REMINDER_S),
        "## Log events\n",
    ]
    events = list(told())
    for section in dict.fromkeys(event.section for event in events):
        parts.append(f"### {section}\n")
        rows = (_event_row(event) for event in events if event.section == section)
        parts.append(_table(("event", "level", "meaning", "fields", "counts"), rows))
    parts += ["## Metrics\n", _table(("metric", "type", "labels", "meaning"), _metrics())]
    return "\n".join(parts)


def write_docs(folder: Path) -> tuple[Path, Path]:
    """Write both files into a folder and return their paths."""
    verdicts, catalogue = folder / "verdicts.md", folder / "telemetry.md"
    verdicts.write_text(verdicts_markdown(), encoding="utf-8")
    catalogue.write_text(telemetry_markdown(), encoding="utf-8")
    return verdicts, catalogue


# Verdicts


def _actions() -> Iterator[tuple[str, ...]]:
    for action in Action:
        yield _code(action.value), _does(action), _shown(action)


def _does(action: Action) -> str:
    """What an action does: the text under its name in the source, which Python itself does not keep."""
    tree = ast.parse(inspect.getsource(Action)).body[0]
    body = cast("ast.ClassDef", tree).body
    for member, text in pairwise(body):
        is_it = isinstance(member, ast.Assign) and ast.literal_eval(member.value) == action.value
        if is_it and isinstance(text, ast.Expr):
            return _one_line(ast.literal_eval(text.value))
    raise LookupError(f"{action} has no text under its name")


def _shown(action: Action) -> str:
    return ", ".join(map(_code, SHOWN[action]))


def _named() -> str:
    return ", ".join(_code(f"EXEG-{code}") for code in sorted(NAMING_CODES))


def _rows(key: str, rows: Iterable[tuple[str, Row]]) -> str:
    head = (key, "meaning", "action", "in the log", "what to mend")
    return _table(
        head, ((_code(name), row.meaning, row.action.value, _shown(row.action), row.remedy) for name, row in rows)
    )


def _cause(sample: _Sample) -> str:
    """The cause as it will be logged, with N where any status may stand."""
    cause = judge(sample.answer, Asked(kind=sample.kind, is_silent=False, count=1)).cause
    return _NUMBERED.sub(r"\1_N", cause)


# Telemetry


def told() -> Iterator[Told]:
    """Everything that telemetry tells, in the order of its source."""
    for part in (Telemetry, *Telemetry.__bases__):
        source = inspect.getsource(part)
        lines = enumerate(source.splitlines(), 1)
        sections = [(number, line[6:]) for number, line in lines if line.startswith("    # ")]
        for method in cast("ast.ClassDef", ast.parse(source).body[0]).body:
            if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
                section = [title for number, title in sections if number < method.lineno][-1]
                yield _told(method, section)


def _told(method: ast.FunctionDef, section: str) -> Told:
    level, is_rolled_up, fields = "", False, _summary_fields() if method.name == "summary" else ()
    for call in _calls(method):
        on = call.func.value.attr if isinstance(call.func.value, ast.Attribute) else ""
        is_rolled_up |= call.func.attr == "_fault" or on in ("_roll_up", "_reminders")
        if call.func.attr == "_fault" or on == "_log":
            level = "warning" if call.func.attr == "_fault" else call.func.attr
            fields = fields or _keywords(call)
    return Told(
        name=method.name,
        section=section,
        level=f"{level}, rolled up" if is_rolled_up else level,
        fields=fields,
        counters=tuple(_counters(method)),
        meaning=_one_line(ast.get_docstring(method) or ""),
    )


class _MethodCall(NamedTuple):
    func: ast.Attribute
    keywords: list[ast.keyword]


def _calls(tree: ast.AST) -> Iterator[_MethodCall]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield _MethodCall(node.func, node.keywords)


def _keywords(call: _MethodCall) -> tuple[str, ...]:
    return tuple(keyword.arg for keyword in call.keywords if keyword.arg)


def _summary_fields() -> tuple[str, ...]:
    """The figures of the summary line, which its caller names."""
    calls = _calls(ast.parse(inspect.getsource(summary)))
    return next(_keywords(call) for call in calls if call.func.attr == "summary")


def _counters(method: ast.FunctionDef) -> Iterator[str]:
    """The names of the counts that a method changes."""
    for node in ast.walk(method):
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Attribute):
            yield node.target.attr
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute | ast.Subscript):
            target = node.targets[0]
            inner = target.value if isinstance(target, ast.Subscript) else target
            if isinstance(inner, ast.Attribute):
                yield inner.attr


def _event_row(event: Told) -> tuple[str, ...]:
    fields, counters = (", ".join(map(_code, names)) for names in (event.fields, event.counters))
    return _code(event.name), event.level, event.meaning, fields, counters


def _metrics() -> Iterator[tuple[str, ...]]:
    for family in ConnectorMetrics(_idle_assembly()).collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = ", ".join(map(_code, family.samples[0].labels))
        yield _code(name), family.type, labels, family.documentation


def _idle_assembly() -> Assembly:
    """As much of a connector as its metrics read, with one of each kind counted."""
    idle = Telemetry(["a-route"])
    for counts in idle.routes.values():
        counts.answers["accepted"] = counts.rejections["not_json"] = 0
    paces = {"an-endpoint": SimpleNamespace(units_per_s=0.0)}
    return cast("Assembly", SimpleNamespace(telemetry=idle, paces=paces, pipeline=SimpleNamespace(owners=())))


# Markdown


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines) + "\n"


def _code(text: str) -> str:
    return f"`{text}`"


def _one_line(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    for written in write_docs(Path(sys.argv[1] if len(sys.argv) > 1 else "config")):
        sys.stdout.write(f"{written}\n")
