"""The commands: run, check, release, edge. `main` is what the installed script calls."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from connector.adapters.kafka_properties import (
    refused_producer_properties,
    refused_properties,
    refused_response_properties,
)
from connector.adapters.release_request import ask_release
from connector.app import ExitCode, run
from connector.config import Config, ConfigError, Listen, load_config
from connector.config.document import read_document
from connector.limits import THREADS, startable_threads
from connector.local.edge.command import HELP as EDGE_HELP
from connector.local.edge.command import edge_command
from connector.logs import set_up_logs

if sys.platform != "win32":
    import uvloop

app = typer.Typer(
    name="xdm-connector",
    help="Delivers XDM events from Kafka topics to Adobe's Edge Network and loses none.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # locals may hold secrets
)


class ReleaseCode(IntEnum):
    """How the command `release` ends."""

    RELEASED = 0
    UNREACHABLE = 1
    """Nothing listens at `status.listen`, or not a connector."""
    CONFIGURATION = ExitCode.CONFIGURATION.value
    """The configuration is wrong, has no `status.listen` to call, or no such route."""
    NOT_ON = 3
    """There was nothing to release."""


ConfigFile = Annotated[Path, typer.Option("--config", "-c", help="The YAML file; see config/reference.md.")]


@app.command("run")
def run_command(config: ConfigFile) -> None:
    """Read events from Kafka and deliver them until SIGTERM or SIGINT.

    Exit codes: 0 stopped by a signal, all that was accepted is committed;
    1 an unexpected fault; 2 wrong configuration; 3 Kafka's client cannot go on
    (fenced, no longer authorised); 4 the Edge says that the connector broke a
    rule; 5 stopped before all was committed; 6 ended by a second signal.
    """
    _check_threads()
    settings = _load(config)
    set_up_logs(settings.logging.level.value, settings.logging.format.value)
    # Records come by the thousand and go soon, without cycles. The default thresholds would look through all that are
    # open every few polls.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    runner = asyncio.run if sys.platform == "win32" else uvloop.run
    raise typer.Exit(runner(run(settings)))


@app.command()
def check(config: ConfigFile) -> None:
    """Check a configuration file, report everything that is wrong with it, and exit."""
    _load(config)
    typer.echo(f"{config}: fine")


@app.command()
def release(
    config: ConfigFile,
    route: Annotated[str, typer.Option("--route", "-r", help="The route's name.")],
) -> None:
    """Release a route whose brake is on, in the connector that runs with this configuration on this machine.

    The brake holds a route of which too many events would be dead letters.

    Exit codes: 0 released, 1 nothing can be reached, 2 the configuration has
    no status.listen or no such route, 3 the brake is not on.
    """
    listen = _status_address(config)
    try:
        reply = ask_release(listen, route)
    except OSError as failure:
        typer.echo(f"{listen} (status.listen): {failure.strerror or failure}; does the connector run here?", err=True)
        raise typer.Exit(ReleaseCode.UNREACHABLE) from None
    code = _RELEASE_CODES.get(reply.status, ReleaseCode.UNREACHABLE)
    if code is ReleaseCode.UNREACHABLE:
        typer.echo(f"{listen} (status.listen): answers {reply.status}: is that a connector?", err=True)
    else:
        typer.echo(reply.text, err=code is not ReleaseCode.RELEASED)
    raise typer.Exit(code)


_RELEASE_CODES: Final = {
    200: ReleaseCode.RELEASED,
    404: ReleaseCode.CONFIGURATION,
    409: ReleaseCode.NOT_ON,
}


def _status_address(path: Path) -> Listen:
    """Where the connector of a configuration listens, or the end of the process."""
    status = _load(path).status
    if status is None:
        problem = "status.listen is not set, so nothing can be called; restart the connector to release its brakes"
    elif status.listen.port == 0:
        problem = "status.listen has port 0, so its port is known from the log alone (status_listening); set one"
    else:
        return status.listen
    typer.echo(f"{path}: {problem}", err=True)
    raise typer.Exit(ReleaseCode.CONFIGURATION)


app.command("edge", help=EDGE_HELP)(edge_command)


def _check_threads() -> None:
    """Make sure of enough threads, or end the process and say what to mend."""
    count = startable_threads()
    if count < THREADS:
        typer.echo(
            f"This process can start {count} threads and needs {THREADS}: raise the limit of processes and threads "
            "(ulimit -u; pids of the container), or of memory for their stacks.",
            err=True,
        )
        raise typer.Exit(ExitCode.CONFIGURATION)


def _load(path: Path) -> Config:
    """Load and check the configuration, or end the process with every problem on standard error."""
    try:
        config = load_config(path, os.environ)
        _check_kafka_properties(path, config)
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(ExitCode.CONFIGURATION) from None
    return config


def _check_kafka_properties(path: Path, config: Config) -> None:
    """Let librdkafka look at its properties; no broker is contacted.

    Raises:
        ConfigError: it refuses some.
    """
    shared, own = config.kafka_properties(), config.dead_letter.kafka_properties()
    found: list[tuple[tuple[str, ...], str]]
    found = [(("kafka", name), reason) for name, reason in refused_properties(shared)]
    for name, reason in refused_producer_properties(shared, own):
        found.append((("dead_letter", "kafka", name) if name in own else ("kafka", name), reason))
    if any(route.responses for route in config.routes):
        found += [(("kafka", name), reason) for name, reason in refused_response_properties(shared)]
    if found:
        document = read_document(path)
        raise ConfigError(document.problem(tuple(filter(None, place)), reason) for place, reason in found)


def main() -> None:
    """Run the command line."""
    app()
