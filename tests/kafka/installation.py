"""What Apache Kafka's broker needs on this machine: a JDK, and its jars.

Promise: `why_no_kafka()` names what to install in one line; `resolve_jars()` lets Maven fetch the jars that
`pom.xml` names once, into `.cache/kafka-VERSION/`, and gives them from there ever after. Nothing is
installed. Not here: starting a broker (`broker.py`).
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

CACHE = Path(__file__).parents[2] / ".cache"
MINIMUM_JAVA = 17
RESOLVE_TIMEOUT_S = 600.0

_POM = Path(__file__).with_name("pom.xml")


def why_no_kafka() -> str | None:
    """What to install before a broker can start here, as one line, or None if nothing is missing."""
    if _java_version() < MINIMUM_JAVA:
        return f"Apache Kafka needs a JDK {MINIMUM_JAVA} or newer (JAVA_HOME or java on the PATH)"
    if shutil.which("mvn") is None and not _jars_directory().is_dir():
        return "Apache Kafka's jars are resolved by Maven: install it (mvn on the PATH)"
    return None


def resolve_jars() -> Path:
    """The directory with the broker's jars; Maven fills it when it is asked for the first time.

    Raises:
        RuntimeError: Maven failed, with its words.
    """
    jars = _jars_directory()
    if jars.is_dir():
        return jars
    jars.parent.mkdir(parents=True, exist_ok=True)
    # Filled beside its place and renamed: a run that is cut off, or two at once, leave no half a directory.
    with tempfile.TemporaryDirectory(dir=jars.parent, ignore_cleanup_errors=True) as unfinished:
        _copy_dependencies(Path(unfinished) / "lib")
        with contextlib.suppress(OSError):
            (Path(unfinished) / "lib").rename(jars)
    return jars


def _copy_dependencies(directory: Path) -> None:
    goal = ("dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={directory}")
    command = ["mvn", "-q", "-B", "-f", str(_POM), *goal]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=RESOLVE_TIMEOUT_S)
    if done.returncode != 0:
        raise RuntimeError(f"Maven could not resolve Apache Kafka's jars:\n{done.stdout}{done.stderr}")


def _jars_directory() -> Path:
    version = re.search(r"<kafka.version>(.+)</kafka.version>", _POM.read_text(encoding="utf-8"))
    if version is None:
        raise RuntimeError(f"{_POM.name} names no kafka.version")
    return CACHE / f"kafka-{version[1]}" / "lib"


def java_program() -> str:
    """The java command: of JAVA_HOME where that is set, as Maven does it."""
    home = os.environ.get("JAVA_HOME")
    return str(Path(home) / "bin" / "java") if home else "java"


def _java_version() -> int:
    try:
        said = subprocess.run([java_program(), "-version"], capture_output=True, text=True, check=False)
    except OSError:
        return 0
    version = re.search(r'version "(\d+)', said.stderr)
    return int(version[1]) if version else 0
