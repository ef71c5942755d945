"""Who may import whom, and how long things may get: the rules that keep the shape, read from the source itself."""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import connector
from connector.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT: Final = Path(connector.__file__).parent
_MOST_LINES_OF_A_FILE: Final = 300
_MOST_LINES_OF_A_FUNCTION: Final = 40

# What is longer than it should be. Nothing is added here without an argument in its line.
_LONG_FILES: Final[frozenset[str]] = frozenset()
_LONG_FUNCTIONS: Final[frozenset[str]] = frozenset()

# Where I/O, the clock, chance and concurrency come from: facts of the outside are arguments in core.
_NOT_IN_CORE: Final = frozenset(
    {
        "asyncio", "concurrent", "contextvars", "ctypes", "datetime", "fcntl", "glob", "http", "importlib", "io",
        "logging", "mmap", "multiprocessing", "os", "pathlib", "platform", "queue", "random", "sched", "secrets",
        "select", "selectors", "shutil", "signal", "socket", "socketserver", "ssl", "subprocess", "sys", "tempfile",
        "threading", "time", "urllib", "uuid", "warnings", "weakref",
    }
)  # fmt: skip
_CORE_THIRD_PARTY: Final = ("msgspec", "orjson", "tenacity.wait", "tenacity.stop")
_CORE_OWN: Final = ("connector.core", "connector.model", "connector.ports")
_INNER: Final = (
    "pipeline", "delivery", "burial", "brake", "outcomes", "route", "gate", "commits", "backpressure", "app", "cli"
)  # fmt: skip

_MAY_IMPORT_AIOHTTP: Final = (
    "adapters/edge_client.py",
    "adapters/http_connections.py",
    "adapters/ims_request.py",
    "adapters/status_server.py",
    "local/",
)
_WALL_CLOCKS: Final = {"time": {"time", "time_ns"}, "datetime": {"now", "utcnow", "today"}, "date": {"today"}}
_MAY_READ_THE_WALL_CLOCK: Final = (
    "assembly.py",  # hands it to deliveries: the times in dead letters, and Retry-After where the answer has no clock
    "adapters/ims_request.py",  # Retry-After of the token endpoint, likewise
    "local/",
)

_MAY_IMPORT_KAFKA: Final = (
    "adapters/",
    "local/",
    "app.py",  # names what the client raises where it is first reached, to wait or to exit with its own code
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One imported module, and where."""

    file: str
    line: int
    module: str
    is_for_types: bool  # stands under `if TYPE_CHECKING`

    def __str__(self) -> str:
        return f"connector/{self.file}:{self.line} imports {self.module}"

    def is_of(self, *packages: str) -> bool:
        """Whether the module is one of these, or in one of them."""
        return any(self.module == package or self.module.startswith(f"{package}.") for package in packages)


def _sources(folder: str = "") -> Iterator[tuple[str, ast.Module]]:
    for path in sorted((_ROOT / folder).rglob("*.py")):
        yield path.relative_to(_ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def _imports(folder: str = "") -> list[Import]:
    return [found for file, tree in _sources(folder) for found in _imports_of(file, tree)]


def _imports_of(file: str, tree: ast.Module) -> Iterator[Import]:
    for_types = {id(inner) for node in ast.walk(tree) if _asks_for_types(node) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        for module in _modules(node):
            yield Import(file=file, line=_line(node), module=module, is_for_types=id(node) in for_types)


def _asks_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _modules(node: ast.AST) -> list[str]:
    """The modules that a statement imports; `from connector import x` counts as connector.x."""
    if isinstance(node, ast.Import):
        return [name.name for name in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        module = node.module or ""
        return [f"{module}.{name.name}" for name in node.names] if module == "connector" else [module]
    return []


def _line(node: ast.AST) -> int:
    return getattr(node, "lineno", 0)


def _is_stdlib(found: Import) -> bool:
    return found.module.split(".")[0] in sys.stdlib_module_names


def test_core_imports_nothing_that_acts() -> None:
    """`core/` knows values, formats and tenacity's rules; no I/O, no clock, no logging, no chance, nothing outer."""
    wrong = [found for found in _imports("core") if not _may_stand_in_core(found)]
    assert not wrong, "\n".join(map(str, wrong))


def _may_stand_in_core(found: Import) -> bool:
    if _is_stdlib(found):
        return found.module.split(".")[0] not in _NOT_IN_CORE
    if found.is_for_types and found.is_of("tenacity"):
        return True
    return found.is_of(*_CORE_THIRD_PARTY, *_CORE_OWN)


def test_core_neither_waits_nor_prints() -> None:
    """`core/` is called and returns: no coroutine, no file, no output."""
    wrong = [
        f"connector/{file}:{_line(node)}"
        for file, tree in _sources("core")
        for node in ast.walk(tree)
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith)
        or (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in {"open", "print", "input"}
        )
    ]
    assert not wrong, wrong


def test_adapters_know_nothing_of_the_loop() -> None:
    """An adapter fulfils a port; it never reaches into what uses it."""
    inner = [f"connector.{name}" for name in _INNER]
    wrong = [found for found in _imports("adapters") if found.is_of(*inner)]
    assert not wrong, "\n".join(map(str, wrong))


def test_only_the_assembly_and_the_app_know_adapters() -> None:
    """The parts inside are joined to adapters in one place, so tests can join them to others."""
    may = ("adapters/", "local/", "assembly.py", "route_assembly.py", "app.py", "cli.py", "docs.py")
    wrong = [found for found in _imports() if found.is_of("connector.adapters") and not found.file.startswith(may)]
    assert not wrong, "\n".join(map(str, wrong))


def test_nothing_but_the_commands_imports_the_stand_ins() -> None:
    """What stands in for the outside is for development: the connector runs without it."""
    wrong = [
        found
        for found in _imports()
        if found.is_of("connector.local") and not found.file.startswith(("local/", "cli.py"))
    ]
    assert not wrong, "\n".join(map(str, wrong))


def test_few_files_know_the_http_library() -> None:
    """One adapter for each thing that is reached by HTTP, and the stand-ins."""
    wrong = [found for found in _imports() if found.is_of("aiohttp") and not found.file.startswith(_MAY_IMPORT_AIOHTTP)]
    assert not wrong, "\n".join(map(str, wrong))


def test_few_files_know_kafkas_client() -> None:
    """The client is the adapters' matter; the parts inside may name its types and no more."""
    wrong = [
        found
        for found in _imports()
        if found.is_of("confluent_kafka") and not found.is_for_types and not found.file.startswith(_MAY_IMPORT_KAFKA)
    ]
    assert not wrong, "\n".join(map(str, wrong))


def test_imports_stand_at_the_top() -> None:
    """No function imports anything: what a module needs is seen at its head."""
    wrong = [
        f"connector/{file}:{_line(inner)}"
        for file, tree in _sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    ]
    assert not wrong, wrong


def test_files_are_short() -> None:
    """What does not fit into a file of 300 lines is two things."""
    lengths = {file: len((_ROOT / file).read_text(encoding="utf-8").splitlines()) for file, _ in _sources()}
    long = {file: length for file, length in lengths.items() if length > _MOST_LINES_OF_A_FILE}
    assert set(long) == _LONG_FILES, long


def test_functions_are_short() -> None:
    """What does not fit into 40 lines is two things; the median stays far below."""
    lengths = {
        f"{file}:{node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for file, tree in _sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    long = {name: length for name, length in lengths.items() if length > _MOST_LINES_OF_A_FUNCTION}
    assert set(long) == _LONG_FUNCTIONS, long
    assert sorted(lengths.values())[len(lengths) // 2] < 10


def test_every_module_says_what_it_is() -> None:
    """A module begins with a docstring; a package may have an empty one."""
    wrong = [file for file, tree in _sources() if tree.body and not ast.get_docstring(tree)]
    assert not wrong, wrong


def test_every_telemetry_event_is_explained() -> None:
    """Each thing that can be told has its sentence, which the catalogue is made of."""
    silent = [name for name, member in vars(Telemetry).items() if _is_event(name, member) and not member.__doc__]
    assert not silent, silent


def _is_event(name: str, member: object) -> bool:
    return callable(member) and not name.startswith("_")


def test_no_timer_reads_the_wall_clock() -> None:
    """Clock step: what waits counts monotonic seconds, so an hour more or less moves only times that are shown."""
    found = [
        f"connector/{file}:{_line(node)} reads the wall clock"
        for file, tree in _sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.attr in _WALL_CLOCKS.get(node.value.id, ())
        and not file.startswith(_MAY_READ_THE_WALL_CLOCK)
    ]
    assert not found, "\n".join(found)
