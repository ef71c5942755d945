"""The files that install, build and deploy the connector agree with each other and with the code."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import typer.main
import yaml

from connector.cli import app
from connector.config import Config, load_config
from connector.local.edge.settings import EdgeCredentials

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "config/docker/requirements.lock")

# Paths of somebody's machine, and hosts that only one network has; written so that this line is not one.
HOST_SPECIFIC = re.compile(
    r"(?<![\w.$)}/-])/(?:home|Users|root|work)/[\w.]|pypi\.org|pythonhosted\.org|maven\.org/maven2"
)


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==([^\s;]+)", read(lock), re.MULTILINE))


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads(read("pyproject.toml"))


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    compose = yaml.safe_load(read("docker-compose.yml"))
    return dict(compose["services"])


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """The composed connector's configuration, with its secret where this machine has it."""
    secret = ROOT / "config" / "compose" / "edge_client_secret"
    path = tmp_path_factory.mktemp("compose") / "connector.yaml"
    path.write_text(read("config/compose/connector.yaml").replace("/run/secrets/edge_client_secret", str(secret)))
    return load_config(path, {})


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_by_hash_and_names_no_index(lock: str) -> None:
    """Each package has one version and hashes; where it comes from is left to who installs it."""
    text = read(lock)
    packages = [block for block in re.split(r"\n(?=\S)", text) if not block.startswith("#")]

    assert packages
    assert all(re.match(r"[a-z0-9-]+==\S+", block) for block in packages)
    assert all("--hash=sha256:" in block for block in packages)
    assert not re.search(r"://|--index|--find-links|@ file", text)


def test_the_image_has_the_versions_that_were_tested() -> None:
    """The image's lock is the part of the development lock that runs, version by version."""
    runtime, everything = pins("config/docker/requirements.lock"), pins("requirements.lock")

    assert runtime.items() <= everything.items()
    assert not {"pytest", "mypy", "ruff", "hatchling"} & runtime.keys()


def test_the_locks_hold_what_the_project_asks_for(project: dict[str, Any]) -> None:
    """Every dependency is pinned where it is needed, and the build backend with the tools."""
    groups = project["dependency-groups"]

    assert named(project["project"]["dependencies"]) <= pins("config/docker/requirements.lock").keys()
    assert (
        named([*groups["dev"], *groups["build"], *project["build-system"]["requires"]])
        <= pins("requirements.lock").keys()
    )


def test_the_dockerfile_copies_what_exists_and_is_let_through() -> None:
    """Every file that the image is made of exists and is an exception of .dockerignore."""
    admitted = {line[1:] for line in read(".dockerignore").splitlines() if line.startswith("!")}
    copied = {
        source
        for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", read("Dockerfile"), re.MULTILINE)
        for source in sources.split()
    }

    assert copied == admitted
    assert all((ROOT / source).exists() for source in copied)


def test_the_image_runs_the_entry_point_without_root_or_shell(project: dict[str, Any]) -> None:
    """The last user is a number other than 0, and signals reach the declared command itself."""
    dockerfile = read("Dockerfile").rpartition("FROM ")[2]
    user = re.findall(r"^USER (\d+):(\d+)$", dockerfile, re.MULTILINE)
    entry = re.findall(r"^ENTRYPOINT (.+)$", dockerfile, re.MULTILINE)

    assert len(user) == 1
    assert all(int(number) > 0 for number in user[0])
    assert json.loads(entry[0]) == ["xdm-connector"]
    assert "xdm-connector" in project["project"]["scripts"]


def test_the_health_check_asks_the_status_server(config: Config) -> None:
    """The image's own health check asks the port that it exposes and that the composed connector listens on."""
    dockerfile = read("Dockerfile")

    assert config.status is not None
    assert f"EXPOSE {config.status.listen.port}\n" in dockerfile
    assert f"HTTPConnection('127.0.0.1', {config.status.listen.port}," in dockerfile


def test_composed_services_have_no_more_rights_than_they_need(services: dict[str, dict[str, Any]]) -> None:
    """No service keeps a capability or gains one, and ours write nowhere but in memory."""
    for service in services.values():
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    for name in ("edge", "connector", "topics"):
        assert services[name]["read_only"] is True
        assert services[name]["tmpfs"] == ["/tmp"]  # noqa: S108 - a path in the container


def test_composed_ports_are_open_to_this_machine_only(services: dict[str, dict[str, Any]]) -> None:
    """Nothing that is published can be reached from another machine."""
    published = [port for service in services.values() for port in service.get("ports", [])]

    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_composed_services_wait_for_what_they_need(services: dict[str, dict[str, Any]]) -> None:
    """The connector starts when Kafka and the Edge are healthy and the topics are there."""
    conditions = {name: each["condition"] for name, each in services["connector"]["depends_on"].items()}

    assert conditions == {
        "kafka": "service_healthy",
        "topics": "service_completed_successfully",
        "edge": "service_healthy",
    }
    assert "healthcheck" in services["kafka"]
    assert "healthcheck" in services["edge"]


def test_composed_files_exist() -> None:
    """Every file of this repository that the compose file mounts or hands over is there."""
    files = re.findall(r"\./([\w./-]+)", read("docker-compose.yml"))

    assert set(files) == {"config/compose/connector.yaml", "config/compose/edge_client_secret"}
    assert all((ROOT / name).is_file() for name in files)


def test_the_composed_kafka_is_the_tested_one(services: dict[str, dict[str, Any]]) -> None:
    """The compose file runs the version of Apache Kafka that the tests run on."""
    tested = re.findall(r"<kafka.version>(.+)</kafka.version>", read("tests/kafka/pom.xml"))

    assert services["kafka"]["image"] == services["topics"]["image"] == f"apache/kafka:{tested[0]}"


def test_the_composed_connector_finds_kafka_and_its_topics(config: Config, services: dict[str, dict[str, Any]]) -> None:
    """It asks the listener that is advertised to containers, and every topic it names is created."""
    created = re.findall(r"^create (\S+) \d+$", services["topics"]["command"][0], re.MULTILINE)
    patterns = [topic for route in config.routes for topic in route.topics]

    advertised = services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert f"INTERNAL://{config.kafka_properties()['bootstrap.servers']}," in advertised
    assert config.dead_letter.topic in created
    assert all(any(re.match(pattern, topic) for topic in created) for pattern in patterns)


def test_the_composed_connector_is_let_in_by_the_composed_edge(
    config: Config, services: dict[str, dict[str, Any]]
) -> None:
    """Address, port and credentials are those that the local Edge listens on and accepts."""
    auth, accepted = config.edge.auth, EdgeCredentials()
    command = services["edge"]["command"]
    port = int(command[command.index("--listen") + 1].rpartition(":")[2])

    assert auth is not None
    assert auth.client_secret is not None
    assert auth.token_url is not None
    assert auth.scopes is not None
    assert "--auth" in command
    for url in (config.edge.base_url, auth.token_url):
        assert (urlsplit(url).hostname, urlsplit(url).port) == ("edge", port)
    assert (auth.org_id, auth.client_id) == (accepted.org_id, accepted.client_id)
    assert set(auth.scopes) <= set(accepted.scopes)
    assert read("config/compose/edge_client_secret").strip() in accepted.client_secrets


@pytest.mark.parametrize("service", ["edge", "connector"])
def test_composed_commands_are_the_command_lines_own(service: str, services: dict[str, dict[str, Any]]) -> None:
    """What the compose file starts is a command, with options, of the image's entry point."""
    name, *arguments = services[service]["command"]
    commands = vars(typer.main.get_command(app))["commands"]
    known = {option for parameter in commands[name].params for option in parameter.opts}

    assert {argument for argument in arguments if argument.startswith("--")} <= known


def test_a_composed_stop_leaves_time_to_finish(config: Config, services: dict[str, dict[str, Any]]) -> None:
    """Docker kills the connector only after its own grace time has passed."""
    grace_s = int(services["connector"]["stop_grace_period"].removesuffix("s"))

    assert grace_s * 1000 > config.shutdown.grace_ms


def test_make_help_lists_every_target() -> None:
    """`make` without a target names all of them, each with what it does."""
    targets = re.findall(r"^\.PHONY: (.+)$", read("Makefile"), re.MULTILINE)[0].split()
    command = ["make", "--no-print-directory", "help"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert [line.split()[:2] for line in said.splitlines()] == [["make", target] for target in targets]


@pytest.mark.skipif(shutil.which("git") is None, reason="the list of files is git's")
def test_no_file_names_somebodys_machine() -> None:
    """No file of the repository holds a path of one machine or the address of a package registry."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = [
        f"{name}: {match[0]}"
        for name in listed.splitlines()
        if (ROOT / name).is_file()
        for match in HOST_SPECIFIC.finditer((ROOT / name).read_text(encoding="utf-8", errors="replace"))
    ]

    assert found == []


def named(requirements: list[str]) -> set[str]:
    return {re.split(r"[^\w-]", requirement, maxsplit=1)[0].lower() for requirement in requirements}
