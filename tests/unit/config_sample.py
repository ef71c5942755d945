"""A valid config as data, and short ways to change it, write it and read what the loader says."""

from __future__ import annotations

import tempfile
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from connector.config import Config, ConfigError, Problem, load_config

SAMPLE: dict[str, Any] = {
    "kafka": {"bootstrap.servers": "localhost:9092", "group.id": "xdm-edge"},
    "edge": {"base_url": "https://edge.example"},
    "routes": [{"name": "web", "topics": ["xdm.web"], "datastream_id": "11111111-2222-3333-4444-555555555555"}],
    "dead_letter": {"topic": "xdm.dead-letter"},
}
AUTH: dict[str, Any] = {
    "org_id": "0123456789ABCDEF@AdobeOrg",
    "client_id": "not-a-real-client",
    "client_secret": "not-a-real-secret",
    "scopes": ["openid", "acp.foundation"],
    "token_url": "http://127.0.0.1:1/token",
}


def changed(path: str, value: object, base: dict[str, Any] = SAMPLE) -> dict[str, Any]:
    """The sample with one setting set; a path's steps are separated by "/", numbers are indexes."""
    data = deepcopy(base)
    inner: Any = data
    *above, last = path.split("/")
    for step in above:
        inner = inner[int(step)] if step.isdigit() else inner.setdefault(step, {})
    inner[int(last) if last.isdigit() else last] = value
    return data


def load(content: object, environ: dict[str, str] | None = None) -> Config:
    """Load a config of data or of YAML text."""
    text = content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "connector.yaml"
        path.write_text(text, encoding="utf-8")
        return load_config(path, environ or {})


def problems(content: object, environ: dict[str, str] | None = None) -> tuple[Problem, ...]:
    """What the loader says of a config; nothing if it is valid."""
    try:
        load(content, environ)
    except ConfigError as error:
        return error.problems
    return ()


def said(content: object, environ: dict[str, str] | None = None) -> list[str]:
    """The same as `key_path: message`."""
    return [f"{problem.key_path}: {problem.message}" for problem in problems(content, environ)]
