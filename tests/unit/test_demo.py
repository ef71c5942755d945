"""The demo runs, adds up and ends; its parts end with it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
import typer
from typer.testing import CliRunner

from connector.cli import app
from connector.config import load_config
from connector.local.demo import __main__ as demo
from connector.local.demo import guard
from connector.local.demo.bad_minute import Phase, Script, make_script
from connector.local.demo.files import prepare, write_config
from connector.local.demo.parts import DemoFailed, Parts
from connector.local.edge.faults import parse_faults
from connector.local.edge.settings import EdgeCredentials, EdgeSettings

SLEEPER = "import time; print('ready: yes', flush=True); time.sleep(600)"


def test_a_small_demo_adds_up(tmp_path: Path) -> None:
    """The whole way on real parts, faults included: nothing lost, everything accounted for, exit code 0."""
    command = [sys.executable, "-m", "connector.local.demo", "--events", "2000", "--quick", "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(
        r"It adds up:\nproduced 2,000 = accepted 1,980 \+ dead-lettered 20, lost 0, duplicated \d+\n\Z", done.stdout
    ), done.stdout
    assert "The Edge answers 503 to everything, Retry-After: 1." in done.stdout


@pytest.mark.parametrize(("end", "code"), [(DemoFailed("why\nthe log"), 1), (KeyboardInterrupt(), 130)])
def test_a_demo_that_cannot_go_on_says_so_by_its_exit_code(
    end: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A failure and an interruption end with codes that are not 0."""

    def fail(*_: object) -> None:
        raise end

    def leave_signals_alone(*_: object) -> None:
        return None

    monkeypatch.setattr(demo, "_run", fail)
    monkeypatch.setattr(signal, "signal", leave_signals_alone)
    with pytest.raises(typer.Exit) as ended:
        demo.demo(folder=tmp_path)
    assert ended.value.exit_code == code


def test_every_part_ends_with_its_block(tmp_path: Path) -> None:
    """A part is waited for, runs, and is gone after the block."""
    with Parts(tmp_path) as parts:
        part = parts.start("sleeper", [sys.executable, "-c", SLEEPER])
        assert part.wait_for(r"ready: (\S+)", lambda: None) == "yes"
        parts.check([part])
    assert part.child.returncode == -signal.SIGTERM


def test_a_part_that_ends_by_itself_fails_the_demo(tmp_path: Path) -> None:
    """Whoever waits for a part that is gone learns its exit code and its last words."""
    with Parts(tmp_path) as parts:
        part = parts.start("liar", [sys.executable, "-c", "print('last words'); raise SystemExit(3)"])
        with pytest.raises(DemoFailed, match=r"the liar ended by itself with 3(.|\n)*last words"):
            part.wait_for(r"ready: (\S+)", lambda: None)


def test_the_guard_ends_what_a_killed_demo_leaves_behind() -> None:
    """At the end of its input the guard ends the processes that are still listed, and no others."""
    left, taken_back = (subprocess.Popen([sys.executable, "-c", SLEEPER], stdout=subprocess.PIPE) for _ in range(2))
    with left, taken_back:
        try:
            lines = f"+{left.pid}\n+{taken_back.pid}\n-{taken_back.pid}\n"
            watcher = [sys.executable, "-SP", str(Path(guard.__file__))]
            subprocess.run(watcher, input=lines, text=True, timeout=30, check=True)
            assert left.wait(10) in {-signal.SIGTERM, -signal.SIGKILL}
            assert taken_back.poll() is None
        finally:
            left.kill()
            taken_back.kill()


@pytest.mark.parametrize("quick", [True, False])
def test_the_script_comes_to_its_end_whatever_happens(quick: bool) -> None:
    """Faults that never meet a request hold a phase up for a few seconds only."""
    script = Script(make_script(quick=quick))
    now, texts = 0.0, []
    while now < 60.0 and not script.is_last:
        if script.is_due(now, faults_over=False):
            texts.append(script.move_on(now).text)
        assert 0.0 <= script.progress(now) <= 1.0
        now += 0.1
    assert script.is_last
    assert len(texts) == 5
    assert script.progress(now + 60.0) == 1.0


def test_a_phase_lasts_until_its_faults_have_met_their_requests() -> None:
    """The next phase begins when the time is up and the faults are over."""
    script = Script(make_script(quick=True))
    first = script.move_on(10.0)
    assert not script.is_due(10.0 + first.seconds / 2, faults_over=True)
    assert not script.is_due(10.0 + first.seconds, faults_over=False)
    assert script.is_due(10.0 + first.seconds, faults_over=True)


@pytest.mark.parametrize("phase", make_script(quick=False), ids=lambda phase: phase.text)
def test_the_edge_understands_every_fault_of_the_script(phase: Phase) -> None:
    """What a phase tells the Edge is a list of faults as the Edge reads them."""
    assert len(parse_faults(orjson.dumps({"faults": phase.faults}))) == len(phase.faults)


def test_the_demos_configuration_is_one_that_the_local_edge_lets_in(tmp_path: Path) -> None:
    """The file is valid, and its credentials are those that the local Edge knows by default."""
    prepare(tmp_path)
    path = write_config(tmp_path, bootstrap="127.0.0.1:1", edge_url="http://127.0.0.1:2")
    config = load_config(path, {})
    auth, known = config.edge.auth, EdgeCredentials()
    assert auth is not None
    assert (auth.client_id, auth.org_id, auth.scopes) == (known.client_id, known.org_id, known.scopes)
    assert (tmp_path / "edge_client_secret").read_text().strip() in known.client_secrets
    assert (tmp_path / "edge_client_secret").stat().st_mode & 0o077 == 0


def test_every_setting_of_the_local_edge_is_an_option() -> None:
    """`xdm-connector edge --help` names an option for each setting, the endpoints and the credentials."""
    shown = CliRunner().invoke(app, ["edge", "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"}).stdout
    renamed = {"datastreams": "datastream", "ledger_path": "ledger", "client_secrets": "client_secret"}
    renamed |= {"scopes": "scope", "static_tokens": "static_token", "latency": "latency_ms"}
    renamed |= {"datastream_upstreams": "datastream"}
    names = [*EdgeSettings.__slots__, *EdgeCredentials.__slots__]
    names.remove("credentials")
    for name in names:
        assert f"--{renamed.get(name, name).replace('_', '-')} " in shown
    for word in ("/ee/v2/collect", "/ims/token/v3", "/_edge/faults", "/_edge/ledger", "not-a-real-secret"):
        assert word in shown


def test_the_edge_command_refuses_an_address_that_is_none() -> None:
    """A wrong --listen is a usage error that shows a right one."""
    result = CliRunner().invoke(app, ["edge", "--listen", "somewhere"])
    assert result.exit_code == 2
    assert "127.0.0.1:8080" in result.output
