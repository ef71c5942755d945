"""The command `edge`: the local Edge from the command line.

Promise: every setting of the local Edge is an option with the same default, and `--help` is enough to use it:
endpoints, credentials, faults, ledger. What the settings mean is decided in `edge_settings`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from connector.config.fields import Listen, ListenSetting
from connector.local.edge import EdgeCredentials, EdgeSettings, run_edge
from connector.local.edge.settings import DAY_S, MAX_BODY_BYTES

_DEFAULTS = EdgeCredentials()
_CANNOT_START = 2
_KNOWS = "What it knows"
_TOKENS = "Tokens (with --auth)"
_MANNERS = "How it behaves"

# \b keeps typer from joining the lines that follow.
HELP = f"""Run a local stand-in for Adobe's Edge Network, to develop against without an account.

\b
It answers as the published API does, finds the faults that have a
published code, plays faults on demand and keeps a ledger of every event
id. It speaks plain HTTP, forwards nothing, and stops on SIGTERM or SIGINT.

\b
Endpoints, with an optional location hint such as /ee/irl1/v2/collect:
  POST /ee/v2/collect?datastreamId=ID     202, or 204 with silent=true
  POST /ee/v2/interact?datastreamId=ID    200 with handles
  POST /ims/token/v3                      a token for client credentials
  GET  /_edge/health                      up, and in which mode

\b
With --auth, requests carry a token, x-api-key and x-gw-ims-org-id, and
events a primary identity. The credentials, none of them real:
  client id      {_DEFAULTS.client_id}
  client secret  {", ".join(_DEFAULTS.client_secrets)}
  scopes         {",".join(_DEFAULTS.scopes)}
  organisation   {_DEFAULTS.org_id}

\b
Faults, set while it runs: GET, PUT and DELETE /_edge/faults. Each has
  select  share, requests, seconds, path, datastream, when_event_contains
  effect  status, slow, hang, reset, half_body, foreign, multi_status
  delay   fixed, uniform, heavy_tail;  accept_first: accept, then fail
For ten seconds every other request meets a 503 with Retry-After:
  curl -X PUT http://127.0.0.1:8080/_edge/faults -d '
    {{"faults": [{{"select": {{"share": 0.5, "seconds": 10}},
                 "effect": {{"kind": "status", "status": 503,
                            "retry_after": 2}}}}]}}'
  curl -X DELETE http://127.0.0.1:8080/_edge/faults

\b
The ledger says what became of every event, by its _id:
  curl http://127.0.0.1:8080/_edge/ledger                  the sums
  curl 'http://127.0.0.1:8080/_edge/ledger?ids=accepted'   a JSON line for
                each id; also refused, unanswered, all
  curl http://127.0.0.1:8080/_edge/ledger/SOME-ID          one event
  curl -X DELETE http://127.0.0.1:8080/_edge/ledger        start anew
With --ledger FILE each decided request is also appended there as JSON.

\b
Tokens: GET /_edge/tokens counts them, DELETE revokes them all, and
PUT /_edge/client-secrets {{"client_secrets": [...]}} rotates secrets.
"""


_ListenOption = Annotated[
    str, typer.Option(metavar="HOST:PORT", help="Where to listen; port 0 takes a free one and prints it.")
]
_AuthOption = Annotated[bool, typer.Option("--auth", help="Ask for a token, and for a primary identity in each event.")]
_DatastreamOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ID",
        help="A datastream that exists; repeatable. Without one: every id of the right form.",
        rich_help_panel=_KNOWS,
    ),
]
_MaxBodyOption = Annotated[int, typer.Option(min=1, help="The largest body; beyond it 413.", rich_help_panel=_KNOWS)]
_AllowanceOption = Annotated[
    float | None,
    typer.Option(
        min=1, help="The allowance; beyond it 429 with Retry-After. Any rate unless given.", rich_help_panel=_KNOWS
    ),
]
_ClientIdOption = Annotated[str, typer.Option(help="The client id.", rich_help_panel=_TOKENS)]
_ClientSecretOption = Annotated[
    list[str] | None,
    typer.Option(
        help=f"A valid secret; repeatable. \\[default: {', '.join(_DEFAULTS.client_secrets)}]", rich_help_panel=_TOKENS
    ),
]
_ScopeOption = Annotated[
    list[str] | None,
    typer.Option(
        help=f"A scope that may be asked for; repeatable. \\[default: {' '.join(_DEFAULTS.scopes)}]",
        rich_help_panel=_TOKENS,
    ),
]
_OrgOption = Annotated[str, typer.Option(help="The organisation.", rich_help_panel=_TOKENS)]
_StaticTokenOption = Annotated[
    list[str] | None,
    typer.Option(help="A token that is good without having been issued; repeatable.", rich_help_panel=_TOKENS),
]
_LifetimeOption = Annotated[
    float, typer.Option(min=1, help="How long an issued token is good.", rich_help_panel=_TOKENS)
]
_LedgerOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Append each decided request to this file, as JSON lines.", rich_help_panel=_MANNERS
    ),
]
_ChecksumsOption = Annotated[
    bool,
    typer.Option("--checksums", help="Keep a CRC-32 of each accepted event in the ledger.", rich_help_panel=_MANNERS),
]
_LatencyOption = Annotated[float, typer.Option(min=0, help="Delay every answer.", rich_help_panel=_MANNERS)]
_SeedOption = Annotated[
    int | None, typer.Option(help="Make shares and latencies repeatable.", rich_help_panel=_MANNERS)
]


def read_listen(text: str) -> Listen:
    """Read `host:port`; raises typer.BadParameter where it is none."""
    try:
        listen: Listen = TypeAdapter(ListenSetting).validate_python(text)
    except ValidationError:
        raise typer.BadParameter("expected host:port, such as 127.0.0.1:8080 or [::1]:8080") from None
    return listen


def edge_command(  # noqa: PLR0913 - typer makes one option of each argument
    *,
    listen: _ListenOption = "127.0.0.1:8080",
    auth: _AuthOption = False,
    datastream: _DatastreamOption = None,
    max_body_bytes: _MaxBodyOption = MAX_BODY_BYTES,
    request_units_per_second: _AllowanceOption = None,
    client_id: _ClientIdOption = _DEFAULTS.client_id,
    client_secret: _ClientSecretOption = None,
    scope: _ScopeOption = None,
    org_id: _OrgOption = _DEFAULTS.org_id,
    static_token: _StaticTokenOption = None,
    token_lifetime_s: _LifetimeOption = DAY_S,
    ledger: _LedgerOption = None,
    checksums: _ChecksumsOption = False,
    latency_ms: _LatencyOption = 0.0,
    seed: _SeedOption = None,
) -> None:
    """See HELP, which is given to typer by its name because it holds the default credentials."""
    chosen = {"client_secrets": client_secret, "scopes": scope, "static_tokens": static_token}
    repeated = {name: tuple(values) for name, values in chosen.items() if values}
    credentials = replace(_DEFAULTS, client_id=client_id, org_id=org_id, **repeated)
    settings = EdgeSettings(
        auth=auth,
        datastreams=frozenset(datastream or ()),
        credentials=credentials,
        token_lifetime_s=token_lifetime_s,
        max_body_bytes=max_body_bytes,
        ledger_path=ledger,
        latency_ms=latency_ms,
        request_units_per_second=request_units_per_second,
        checksums=checksums,
        seed=seed,
    )
    _serve(settings, read_listen(listen))


def _serve(settings: EdgeSettings, address: Listen) -> None:
    try:
        run_edge(settings, address.host, address.port)
    except OSError as error:
        typer.echo(f"the local Edge cannot start: {error}", err=True)
        raise typer.Exit(_CANNOT_START) from None
