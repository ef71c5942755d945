"""The commands: run, check, edge. `main` is what the installed script calls."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from connector.adapters.kafka_properties import refused_producer_properties, refused_properties
from connector.app import ExitCode, run
from connector.config import Config, ConfigError, load_config
from connector.local.edge_command import HELP as EDGE_HELP
from connector.local.edge_command import edge_command
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
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(ExitCode.CONFIGURATION) from None
    kafka = config.kafka_properties()
    problems = [("kafka", *found) for found in refused_properties(kafka)]
    problems += [
        ("dead_letter.kafka", *found)
        for found in refused_producer_properties(kafka, config.dead_letter.kafka_properties())
    ]
    for section, name, reason in problems:
        typer.echo(f"{path}: {section}.{name}: {reason}", err=True)
    if problems:
        raise typer.Exit(ExitCode.CONFIGURATION)
    return config


def main() -> None:
    """Run the command line."""
    app()
