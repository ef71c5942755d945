"""The commands end with a code that says what happened, and say on standard error what to mend."""

from __future__ import annotations

import json
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from typer.testing import CliRunner

from connector.app import ExitCode
from connector.cli import ReleaseCode, app
from tests.unit.config_sample import AUTH, SAMPLE, changed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typer.testing import Result

PROGRAM = str(Path(sys.executable).with_name("xdm-connector"))
GOOD = """\
kafka:
  bootstrap.servers: 127.0.0.1:1
  group.id: xdm-edge
edge:
  base_url: http://127.0.0.1:1
routes:
  - {name: web, topics: [xdm.web], datastream_id: d}
dead_letter:
  topic: xdm.dead-letter
"""


def check(tmp_path: Path, text: str) -> Result:
    """Check a config of this text."""
    file = tmp_path / "c.yaml"
    file.write_text(text, encoding="utf-8")
    return CliRunner().invoke(app, ["check", "--config", str(file)])


def run(tmp_path: Path, settings: object) -> subprocess.CompletedProcess[str]:
    """Run a connector that is expected to end by itself."""
    file = tmp_path / "c.yaml"
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    command = [PROGRAM, "run", "--config", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["run", "--help"], ["check", "--help"], ["release", "--help"], ["edge", "--help"]]
)
def test_help_explains_each_command(arguments: list[str]) -> None:
    """Help is asked for, so it is a success."""
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_help_names_the_commands() -> None:
    """A newcomer finds every command."""
    output = CliRunner().invoke(app, ["--help"]).output
    assert all(command in output for command in ("run", "check", "release", "edge"))


def test_a_good_config_is_fine(tmp_path: Path) -> None:
    """A config that can be used is said to be, with code 0 and nothing on standard error."""
    result = check(tmp_path, GOOD)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{tmp_path / 'c.yaml'}: fine\n"


def test_a_bad_config_names_every_fault(tmp_path: Path) -> None:
    """Each fault is one line with file, line and key; the code is that of the configuration."""
    result = check(tmp_path, GOOD.replace("topic: ", "topik: ").replace("base_url: http", "base_url: ftp"))
    assert result.exit_code == ExitCode.CONFIGURATION.value == 2
    assert result.stdout == ""
    first, second = result.stderr.splitlines()
    assert first.startswith(f"{tmp_path / 'c.yaml'}:5: edge.base_url: ")
    assert second == f'{tmp_path / "c.yaml"}:9: dead_letter.topik: unknown key; did you mean "topic"?'


def test_a_property_that_librdkafka_refuses_is_named_with_its_place(tmp_path: Path) -> None:
    """Faults that only librdkafka knows look like all others, each once and where it stands."""
    wrong = GOOD.replace("  group.id", "  fetch.mni.bytes: 1\n  linger.ms: long\n  group.id")
    result = check(tmp_path, wrong + "  kafka: {compression.type: zippy}\n")
    assert result.exit_code == 2
    unknown, shared, own = result.stderr.splitlines()
    assert f"{tmp_path / 'c.yaml'}:3: kafka.fetch.mni.bytes: No such configuration property" in unknown
    assert unknown.endswith('did you mean "fetch.min.bytes"?')
    assert f"{tmp_path / 'c.yaml'}:4: kafka.linger.ms: Invalid value" in shared
    assert f"{tmp_path / 'c.yaml'}:12: dead_letter.kafka.compression.type: Invalid value" in own


def test_what_only_the_responses_producer_is_given_is_looked_at_too(tmp_path: Path) -> None:
    """The dead letters' own properties hide nothing that the responses' producer would be refused with."""
    wrong = GOOD.replace("  group.id", "  linger.ms: long\n  group.id")
    wrong = wrong.replace("datastream_id: d}", "datastream_id: d, endpoint: interact, responses: {topic: answers}}")
    result = check(tmp_path, wrong + "  kafka: {linger.ms: 5}\n")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"{tmp_path / 'c.yaml'}:3: kafka.linger.ms: Invalid value")
    assert len(result.stderr.splitlines()) == 1


def test_a_missing_property_is_told_at_the_section(tmp_path: Path) -> None:
    """What is missing stands nowhere: the section is named in which it belongs."""
    wrong = GOOD.replace("  group.id", "  security.protocol: SASL_PLAINTEXT\n  sasl.mechanisms: PLAIN\n  group.id")
    result = check(tmp_path, wrong)
    assert result.exit_code == 2
    assert result.stderr == f"{tmp_path / 'c.yaml'}:1: kafka: sasl.username and sasl.password must be set\n"


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    """A path that leads nowhere is a fault of the configuration."""
    result = CliRunner().invoke(app, ["check", "--config", str(tmp_path / "nowhere.yaml")])
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "nowhere.yaml:1: the file cannot be read" in result.stderr


def test_a_check_shows_no_secret(tmp_path: Path) -> None:
    """However wrong the settings around it are, a secret is not printed."""
    secret = changed("edge/auth/client_secret", ["not-a-real-secret"], changed("edge/auth", AUTH))
    secret = changed("kafka/sasl.pasword", "not-a-real-secret", secret)
    result = check(tmp_path, yaml.safe_dump(secret))
    assert result.exit_code == 2
    assert "not-a-real-secret" not in result.output


def test_a_run_with_a_bad_config_ends_with_its_code(tmp_path: Path) -> None:
    """Nothing is started, and the faults are those that check shows."""
    ended = run(tmp_path, changed("edge/timeout_ms", "soon"))
    assert ended.returncode == 2
    assert "edge.timeout_ms: expected a whole number" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_status_port_that_is_taken_refuses_the_start(tmp_path: Path) -> None:
    """Another process on the port is a fault of the configuration, told in one line with the address."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = run(tmp_path, changed("status/listen", address))
    assert ended.returncode == 2, ended.stderr
    last = json.loads(ended.stderr.splitlines()[-1])
    assert last["event"] == "start_refused"
    assert last["reason"].startswith(f"status.listen: {address} cannot be used: ")
    assert "address already in use" in last["reason"].lower()


# The release of a brake


def release(tmp_path: Path, listen: str | None, route: str = "web") -> Result:
    """Ask for the release of a route's brake with a config that listens there."""
    file = tmp_path / "c.yaml"
    file.write_text(GOOD + (f"status: {{listen: '{listen}'}}\n" if listen else ""), encoding="utf-8")
    return CliRunner().invoke(app, ["release", "--config", str(file), "--route", route])


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """The address of somebody who gives this answer to whatever it is asked."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            self.wfile.write(answer)

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def http_answer(status: int, text: str) -> bytes:
    """An answer whose connection ends with it."""
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (200, ReleaseCode.RELEASED),
        (404, ReleaseCode.CONFIGURATION),
        (409, ReleaseCode.NOT_ON),
        (403, ReleaseCode.UNREACHABLE),
        (500, ReleaseCode.UNREACHABLE),
    ],
)
def test_a_release_ends_with_what_the_connector_said(tmp_path: Path, status: int, code: ReleaseCode) -> None:
    """Each answer has its code, and its text is shown; what no connector answers is not."""
    with answering(http_answer(status, "web: so it is\n")) as address:
        result = release(tmp_path, address)
    assert result.exit_code == code.value
    assert result.stdout == ("web: so it is\n" if status == 200 else "")
    assert result.stderr.count("\n") == (0 if status == 200 else 1)
    assert ("so it is" in result.output) is (code is not ReleaseCode.UNREACHABLE)


def test_a_release_needs_an_address(tmp_path: Path) -> None:
    """Without a status server, or with a port that only the log knows, there is nobody to call; the text says so."""
    for listen, hint in ((None, "restart the connector"), ("127.0.0.1:0", "status_listening")):
        result = release(tmp_path, listen)
        assert result.exit_code == ReleaseCode.CONFIGURATION.value == 2
        assert "status.listen" in result.stderr
        assert hint in result.stderr
        assert result.stderr.count("\n") == 1


def test_a_release_that_reaches_nobody_says_where_it_asked(tmp_path: Path) -> None:
    """A port on which nothing listens, or something that speaks no HTTP, is one line with the address and code 1."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        result = release(tmp_path, address)
    assert result.exit_code == ReleaseCode.UNREACHABLE.value == 1
    assert result.stderr.startswith(f"{address} (status.listen): Connection refused")
    with answering(b"SSH-2.0-x\r\n") as address:
        result = release(tmp_path, address)
    assert result.exit_code == 1
    assert "speaks no HTTP" in result.stderr


def test_a_release_with_a_bad_config_names_its_faults(tmp_path: Path) -> None:
    """As every command does."""
    result = release(tmp_path, "nowhere")
    assert result.exit_code == 2
    assert "status.listen: expected host:port" in result.stderr


def test_a_run_that_waits_for_its_brokers_can_be_stopped(tmp_path: Path) -> None:
    """While nothing can be reached the connector waits and says why; SIGTERM ends it with code 0."""
    file = tmp_path / "c.yaml"
    file.write_text(yaml.safe_dump({**SAMPLE, "kafka": {"bootstrap.servers": "127.0.0.1:1", "group.id": "g"}}))
    command = [PROGRAM, "run", "--config", str(file)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        first = json.loads(process.stderr.readline())
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=60)
    assert first["event"] == "connector_started"
    assert process.returncode == 0
    assert "stop_asked" in rest
    assert "Traceback" not in rest
