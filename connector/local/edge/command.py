"""The command `edge`: the local Edge from the command line.

Promise: every setting of the local Edge is an option with the same default, and `--help` is enough to use it:
endpoints, credentials, faults, ledger. What the settings mean is decided in `edge_settings`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from connector.config.fields import Listen, ListenSetting
from connector.local.edge import EdgeCredentials, EdgeSettings, run_edge
from connector.local.edge.delays import read_latency
from connector.local.edge.settings import DAY_S, MAX_BODY_BYTES

if TYPE_CHECKING:
    from connector.local.edge.delays import Delay

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
Faults make it misbehave. They are set while it runs; a PUT replaces them
all, GET shows how many requests each has met, DELETE ends them:
  curl -X PUT http://127.0.0.1:8080/_edge/faults -d '
    {{"faults": [{{"code": "0306", "select": {{"requests": 1}}}}]}}'
  curl http://127.0.0.1:8080/_edge/faults
  curl -X DELETE http://127.0.0.1:8080/_edge/faults
A request meets the first fault whose "select" fits.

\b
What a fault does is a "code" or an "effect":
  "code": "0306"           the answer of a published code, with its status,
                           title, detail and report; GET /_edge/codes lists
                           them. 0301 is a warning in a 207
  {{"kind": "status",       any status from 400, with or without a code
   "status": 429,          ("unpublished": true for a code of your own)
   "retry_after": 2}}       seconds, a text, or {{"date_in_seconds": 60}}
  {{"kind": "multi_status", "errors": ["0203"], "warnings": ["0301"]}}
                           accepts, and reports codes in a 207
  {{"kind": "slow"}}         nothing but the delay
  {{"kind": "hang"}}         never answers
  {{"kind": "reset"}}        resets the connection; "when": "before_body"
  {{"kind": "half_body"}}    closes in the middle of the answer
  {{"kind": "wrong_length"}} a wrong Content-Length; "announce": "more", "less"
  {{"kind": "endless_body"}} an answer that never ends
  {{"kind": "foreign", "body": B}}  an answer of something in between; B is
                           html_200, captive_portal, redirect_302,
                           empty_202 or text_202 (a 202 that is not JSON)
  {{"kind": "oauth_error", "error": E}}  the token endpoint refuses; E is
                           invalid_client, invalid_scope, ...

\b
Whom it meets is "select"; all that is given must fit:
  "share": 0.5             every other request, by chance
  "requests": 3            the next three
  "seconds": 10            for ten seconds
  "path": "interact"       part of the path; "/ims/" is the token endpoint.
                           Without a path only oauth_error meets tokens, and
                           everything else collect and interact
  "datastream": ID         one datastream
  "when_event_contains": T requests in which this text stands
More of a fault, beside "select":
  "delay": D               first waits; D is {{"kind": "fixed", "ms": 20}},
                           {{"kind": "uniform", "min_ms": 5, "max_ms": 50}} or
                           {{"kind": "heavy_tail", "median_ms": 20,
                           "max_ms": 2000}}
  "accept_first": true     takes the events in, then fails: the sender
                           cannot know
and of the effects "status" and "multi_status":
  "name_events": N         whom the answer names as #index: first, all,
                           none, or matching (those with the text)

\b
For ten seconds every other request meets a 503 with Retry-After:
  {{"faults": [{{"select": {{"share": 0.5, "seconds": 10}},
               "effect": {{"kind": "status", "status": 503,
                          "retry_after": 2}}}}]}}
The token endpoint throttles, or refuses the client:
  {{"faults": [{{"select": {{"path": "/ims/"}},
               "effect": {{"kind": "status", "status": 429,
                          "retry_after": 30}}}}]}}
  {{"faults": [{{"effect": {{"kind": "oauth_error",
                          "error": "invalid_client"}}}}]}}

\b
Request units: 8 KB of a request, times the upstream services of its
datastream. Collect and interact have an allowance each; who asks for more
is answered 429 with Retry-After. Adobe's default allowances:
  xdm-connector edge --request-units-per-second 6000
                     --interact-units-per-second 4000

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
PUT /_edge/client-secrets {{"client_secrets": [...]}} rotates secrets;
--token-lifetime-s 60 lets them expire soon.
"""


_ListenOption = Annotated[
    str, typer.Option(metavar="HOST:PORT", help="Where to listen; port 0 takes a free one and prints it.")
]
_AuthOption = Annotated[bool, typer.Option("--auth", help="Ask for a token, and for a primary identity in each event.")]
_DatastreamOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ID[=UPSTREAMS]",
        help="A datastream that exists, and how many upstream services it has; repeatable. "
        "Without one: every id of the right form.",
        rich_help_panel=_KNOWS,
    ),
]
_MaxBodyOption = Annotated[int, typer.Option(min=1, help="The largest body; beyond it 413.", rich_help_panel=_KNOWS)]
_AllowanceOption = Annotated[
    float | None,
    typer.Option(
        min=1,
        help="The allowance of collect, and of interact; beyond it 429 with Retry-After. Any rate unless given.",
        rich_help_panel=_KNOWS,
    ),
]
_InteractAllowanceOption = Annotated[
    float | None, typer.Option(min=1, help="Another allowance for interact.", rich_help_panel=_KNOWS)
]
_UpstreamsOption = Annotated[
    int,
    typer.Option(
        min=1, help="Upstream services of a datastream: what a request unit is multiplied by.", rich_help_panel=_KNOWS
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
_LatencyOption = Annotated[
    str | None,
    typer.Option(
        metavar="MS",
        help="Delay every answer of collect and interact: 20, or 5-50 (evenly), or 20~2000 (median and maximum of a "
        "heavy tail).",
        rich_help_panel=_MANNERS,
    ),
]
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


def read_datastreams(texts: list[str] | None) -> dict[str, int | None]:
    """Read `ID` or `ID=UPSTREAMS`, each; raises typer.BadParameter where the number is none."""
    found: dict[str, int | None] = {}
    for text in texts or ():
        name, separator, upstreams = text.partition("=")
        if separator and not (upstreams.isascii() and upstreams.isdigit() and int(upstreams)):
            raise typer.BadParameter(f"--datastream {text}: expected ID=UPSTREAMS, such as {name}=2")
        found[name] = int(upstreams) if separator else None
    return found


def _read_latency(text: str | None) -> Delay | None:
    try:
        return None if text is None else read_latency(text)
    except ValidationError as error:
        raise typer.BadParameter(f"--latency-ms {text}: {error.errors()[0]['msg']}") from None
    except ValueError as error:
        raise typer.BadParameter(f"--latency-ms {text}: {error}") from None


def edge_command(  # noqa: PLR0913 - typer makes one option of each argument
    *,
    listen: _ListenOption = "127.0.0.1:8080",
    auth: _AuthOption = False,
    datastream: _DatastreamOption = None,
    max_body_bytes: _MaxBodyOption = MAX_BODY_BYTES,
    request_units_per_second: _AllowanceOption = None,
    interact_units_per_second: _InteractAllowanceOption = None,
    upstreams: _UpstreamsOption = 1,
    client_id: _ClientIdOption = _DEFAULTS.client_id,
    client_secret: _ClientSecretOption = None,
    scope: _ScopeOption = None,
    org_id: _OrgOption = _DEFAULTS.org_id,
    static_token: _StaticTokenOption = None,
    token_lifetime_s: _LifetimeOption = DAY_S,
    ledger: _LedgerOption = None,
    checksums: _ChecksumsOption = False,
    latency_ms: _LatencyOption = None,
    seed: _SeedOption = None,
) -> None:
    """See HELP, which is given to typer by its name because it holds the default credentials."""
    repeated = {"client_secrets": client_secret, "scopes": scope, "static_tokens": static_token}
    chosen = {name: tuple(values) for name, values in repeated.items() if values}
    datastreams = read_datastreams(datastream)
    settings = EdgeSettings(
        auth=auth,
        datastreams=frozenset(datastreams),
        credentials=replace(_DEFAULTS, client_id=client_id, org_id=org_id, **chosen),
        token_lifetime_s=token_lifetime_s,
        max_body_bytes=max_body_bytes,
        ledger_path=ledger,
        latency=_read_latency(latency_ms),
        request_units_per_second=request_units_per_second,
        interact_units_per_second=interact_units_per_second,
        upstreams=upstreams,
        datastream_upstreams={name: count for name, count in datastreams.items() if count},
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
