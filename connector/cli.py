"""The commands: run, check, edge. `main` is what the installed script calls."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from connector.adapters.kafka_properties import (
    refused_producer_properties,
    refused_properties,
    refused_response_properties,
)
from connector.app import ExitCode, run
from connector.config import Config, ConfigError, load_config
from connector.config.document import read_document
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

ConfigFile = Annotated[Path, typer.Option("--config", "-c", help="The YAML file; see config/reference.md.")]


@app.command("run")
def run_command(config: ConfigFile) -> None:
    """Read events from Kafka and deliver them until SIGTERM or SIGINT."""
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


app.command("edge", help=EDGE_HELP)(edge_command)


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
