"""The demo's folder and the files in it: the connector's real configuration and the secret that it names.

Promise: the configuration is complete, commented, and of the same shape as one for a real deployment, so that it
can be copied; a rerun leaves nothing of the run before in the folder's known files.
"""

from __future__ import annotations

from string import Template
from typing import TYPE_CHECKING, Final

from connector.local.edge.settings import EdgeCredentials
from connector.local.event_source import Stream

if TYPE_CHECKING:
    from pathlib import Path

GROUP: Final = "xdm-demo"
DEAD_LETTER_TOPIC: Final = "xdm.dead-letter"
TOPICS: Final = {stream: f"xdm.{stream.value}" for stream in Stream}
TIMEOUT_MS: Final = 1500

_CONFIG: Final = Template("""\
# The demo's configuration, written anew by each run. Every setting: config/reference.md.
# Try it: xdm-connector check --config $config_path

kafka:  # every key goes to librdkafka as it is
  bootstrap.servers: $bootstrap
  group.id: $group

edge:
  base_url: $edge_url  # in earnest: https://server.adobedc.net
  auth:
    org_id: $org_id
    client_id: $client_id
    client_secret: $${file:edge_client_secret}  # beside this file; read again before each token
    scopes: [$scopes]
    token_url: $edge_url/ims/token/v3
  # The bad minute is scaled down to some seconds, and so is patience. Leave these three out elsewhere.
  timeout_ms: $timeout_ms
  connect_timeout_ms: 1000
  retry: {initial_ms: 100, max_ms: 1000}

routes:
  - name: web
    topics: [$web_topic]
    datastream_id: 11111111-2222-3333-4444-555555555555
    endpoint: collect
  - name: app
    topics: [$app_topic]
    datastream_id: 66666666-7777-8888-9999-000000000000
    endpoint: collect

dead_letter:
  topic: $dead_letter_topic  # exists already: the demo made it

status:
  listen: 127.0.0.1:0  # a free port; the log says which

logging: {level: info, format: json, summary_interval_ms: 2000}
""")

_LEFT_BY_A_RUN: Final = ("connector.yaml", "edge_client_secret", "ledger.jsonl")


def prepare(folder: Path) -> None:
    """Make the folder, and take away what a run before has left in it. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in _LEFT_BY_A_RUN:
        (folder / name).unlink(missing_ok=True)


def write_config(folder: Path, *, bootstrap: str, edge_url: str) -> Path:
    """Write the connector's configuration and its secret; returns the configuration's path. Raises OSError."""
    credentials = EdgeCredentials()
    path, secret = folder / "connector.yaml", folder / "edge_client_secret"
    secret.touch(mode=0o600)
    secret.write_text(credentials.client_secrets[0] + "\n")
    text = _CONFIG.substitute(
        config_path=path,
        bootstrap=bootstrap,
        group=GROUP,
        edge_url=edge_url,
        org_id=credentials.org_id,
        client_id=credentials.client_id,
        scopes=", ".join(credentials.scopes),
        timeout_ms=TIMEOUT_MS,
        web_topic=TOPICS[Stream.WEB],
        app_topic=TOPICS[Stream.APP],
        dead_letter_topic=DEAD_LETTER_TOPIC,
    )
    path.write_text(text)
    return path
