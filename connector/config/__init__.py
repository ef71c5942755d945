"""The configuration: one YAML file, read once, checked whole.

Promise: `load_config` returns a `Config` in which every setting is known, of the right type, within bounds and
free of contradictions, or raises one `ConfigError` that names every problem with its file, line and remedy.
Secrets cannot be printed, and no value that may be one stands in an error's text.

Not promised: that the names of librdkafka's properties exist, or that brokers, topics or credentials are valid;
that shows at start.

| file | role |
|---|---|
| `model.py` and what it is made of: `edge.py`, `route.py`, `topics.py`, `kafka.py` | the settings |
| `fields.py`, `shape.py` | the kinds of values that settings hold; walking the model |
| `document.py` | YAML text to a tree with lines, by YAML 1.2's rules |
| `substitution.py`, `fill.py` | `${NAME}`, `${NAME:-default}`, `${file:path}` |
| `rules.py` | contradictions between settings |
| `explain.py` | a wrong value to a sentence with a remedy |
| `mend.py` | a copy without what was wrong, so that the rules can look at the rest |
| `load.py` | the order of all of that |
| `secret.py`, `errors.py` | values that cannot be printed; the error |
| `schema.py`, `reference.py` | write `config/schema.json` and `config/reference.md` from the model |
"""

from __future__ import annotations

from connector.config.edge import Auth, DatastreamParameter, Edge, RequestUnitsPerSecond, Retry
from connector.config.errors import ConfigError, Problem
from connector.config.fields import Listen
from connector.config.load import load_config
from connector.config.model import (
    Brake,
    Config,
    Consume,
    DeadLetter,
    LogFormat,
    Logging,
    LogLevel,
    Shutdown,
    StartAt,
    Status,
)
from connector.config.route import Batch, Endpoint, EventRules, MissingId, Order, Responses, Route, Shape, Tombstone
from connector.config.secret import Secret, SecretSource, SecretUnavailableError
from connector.config.topics import CreateTopic

__all__ = [
    "Auth",
    "Batch",
    "Brake",
    "Config",
    "ConfigError",
    "Consume",
    "CreateTopic",
    "DatastreamParameter",
    "DeadLetter",
    "Edge",
    "Endpoint",
    "EventRules",
    "Listen",
    "LogFormat",
    "LogLevel",
    "Logging",
    "MissingId",
    "Order",
    "Problem",
    "RequestUnitsPerSecond",
    "Responses",
    "Retry",
    "Route",
    "Secret",
    "SecretSource",
    "SecretUnavailableError",
    "Shape",
    "Shutdown",
    "StartAt",
    "Status",
    "Tombstone",
    "load_config",
]
