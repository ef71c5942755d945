"""No secret and no token is within reach of whoever reports an error, however thoroughly."""

from __future__ import annotations

import asyncio
import traceback
from types import ModuleType
from typing import TYPE_CHECKING

import aiohttp
import pytest

from connector.adapters.ims import ClientCredentials, StaticToken
from connector.adapters.status_server import StatusServer
from connector.assembly import assemble
from connector.config import Listen, Secret, SecretSource
from connector.ports import TokenFailed
from tests.adapters.raw_server import raw_server
from tests.adapters.token_endpoint import AT_ONCE, FIXED, SECRET, TokenScript, client_credentials, scripted
from tests.unit.config_sample import AUTH, SAMPLE, changed, load

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.adapters.raw_server import Peer

TOKEN = "not-a-real-token"  # noqa: S105 - its text says it


def frames_of(error: BaseException | None) -> Iterator[dict[str, object]]:
    """The locals of every frame of an error and of all that led to it."""
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if frame.f_globals["__name__"] != __name__:  # a test knows the secret; what it tests must not
                yield frame.f_locals
        if error.__cause__ is not None:
            yield from frames_of(error.__cause__)
        error = error.__context__


def reprs(value: object, seen: set[int], depth: int = 6) -> Iterator[str]:
    """The repr of an object and of all that hangs on it, as far as a debugger's display would unfold it."""
    if id(value) in seen or depth == 0 or isinstance(value, ModuleType | type):
        return
    seen.add(id(value))
    yield repr(value)
    names = [*getattr(value, "__dict__", ()), *_slots(value)]
    for name in names:
        yield from reprs(getattr(value, name, None), seen, depth - 1)
    if isinstance(value, BaseException):
        for variables in frames_of(value):
            yield from reprs(variables, seen, depth - 1)
    if isinstance(value, dict | list | tuple | set):
        for part in [*value.values()] if isinstance(value, dict) and type(value) is dict else value:
            yield from reprs(part, seen, depth - 1)


def _slots(value: object) -> list[str]:
    return [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ()) if name != "__weakref__"]


def everything_in(*errors: BaseException) -> str:
    """All that a report of these errors could print."""
    seen: set[int] = set()
    texts = ["".join(traceback.TracebackException.from_exception(error).format()) for error in errors]
    for error in errors:
        texts += reprs(error, seen)
    return "\n".join(texts)


def assert_clean(shown: str) -> None:
    assert SECRET not in shown
    assert TOKEN not in shown


async def echo_the_secret(peer: Peer) -> None:
    """Refuse, and quote what was sent."""
    received = await peer.receive()
    await peer.answer("400 Bad Request", b'{"error":"invalid_request","error_description":"%b"}' % received.body)


async def give_an_unusable_token(peer: Peer) -> None:
    await peer.receive()
    await peer.answer("200 OK", b'{"access_token":"not-a-real-token with a space"}')


async def cut_the_token(peer: Peer) -> None:
    await peer.receive()
    await peer.send(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"access_token":"not-a-real-token-1"')
    await peer.close()


async def break_off(peer: Peer) -> None:
    await peer.receive()
    peer.reset()


@pytest.mark.parametrize("script", [echo_the_secret, give_an_unusable_token, cut_the_token, break_off])
async def test_a_failure_reaches_no_secret(
    script: object, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever fails, and whatever the endpoint quotes: neither frames nor objects nor logs hold it."""
    caplog.set_level(0)
    async with raw_server(script) as server, client_credentials(server.url) as credentials:  # type: ignore[arg-type] # one of the four above
        with pytest.raises(TokenFailed) as caught:
            await credentials.headers()
        shown = everything_in(caught.value) + "\n".join(reprs(credentials, set()))
    logged = "".join(capfd.readouterr())
    assert "token_failed" in logged
    assert "Failure(" in shown
    assert_clean(shown + logged + caplog.text)


async def test_a_failed_renewal_reaches_no_token() -> None:
    """The old token is still in use while the failure is reported."""
    script = TokenScript()
    async with scripted(script, jitter=AT_ONCE) as (_, credentials):
        headers = await credentials.headers()
        assert TOKEN in headers["Authorization"]
        script.answers = [("500 Internal Server Error", b"")]
        with pytest.raises(TokenFailed) as caught:
            await credentials.renew(headers)
        assert_clean(everything_in(caught.value) + "\n".join(reprs(credentials, set())))


async def test_a_library_that_breaks_reaches_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that no one foresaw comes out of a frame that holds the form: it ends there."""

    def explode(self: object, url: str, *, data: object, **_: object) -> None:
        raise RuntimeError(f"cannot send {data}")

    monkeypatch.setattr(aiohttp.ClientSession, "post", explode)
    async with client_credentials("http://127.0.0.1:1/") as credentials:
        with pytest.raises(TokenFailed, match="unreachable_RuntimeError") as caught:
            await credentials.headers()
        assert_clean(everything_in(caught.value) + "\n".join(reprs(credentials, set())))


async def test_a_cancelled_fetch_reaches_no_secret() -> None:
    """A stop cancels a fetch in the middle of the HTTP library's frames."""
    script = TokenScript()
    script.go_on.clear()
    async with scripted(script) as (server, credentials):
        waiting = asyncio.create_task(credentials.headers())
        async with asyncio.timeout(10):
            while not server.received:  # noqa: ASYNC110 - the server is plain state, nothing to await
                await asyncio.sleep(0)
        await credentials.close()
        with pytest.raises(asyncio.CancelledError) as caught:
            await waiting
        assert_clean(everything_in(caught.value))


async def raise_with(headers: Mapping[str, str]) -> None:
    """Fail as code would that has the headers at hand."""
    raise LookupError


async def test_headers_in_a_frame_show_no_token(tmp_path: Path) -> None:
    """Whoever sends a request has the headers in its locals; they print without the token, and compare as they are."""
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}-1")
    static = StaticToken(SecretSource(Secret("x"), file=file), FIXED)
    async with scripted(TokenScript()) as (_, credentials):
        for headers in (await credentials.headers(), await static.headers()):
            assert headers == {**FIXED, "Authorization": f"Bearer {TOKEN}-1"}
            with pytest.raises(LookupError) as caught:
                await raise_with(headers)
            (innermost,) = [
                frame.f_locals
                for frame, _ in traceback.walk_tb(caught.value.__traceback__)
                if frame.f_code is raise_with.__code__
            ]
            assert FIXED["x-api-key"] in repr(innermost)
            assert_clean(f"{innermost} {headers!r} {headers!s} {headers}")


async def test_the_status_port_shows_neither(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With a token in use and a renewal refused, metrics and status show nothing of it."""
    monkeypatch.setattr("connector.assembly.KafkaSource", lambda *_, **__: None)
    file = tmp_path / "secret"
    file.write_text(SECRET)
    script = TokenScript()
    async with raw_server(script) as endpoint:
        auth = {**AUTH, "client_secret": f"${{file:{file}}}", "token_url": f"http://127.0.0.1:{endpoint.port}/ims"}
        assembly = assemble(load(changed("edge/auth", auth, SAMPLE)))
        assert isinstance(assembly.credentials, ClientCredentials)
        headers = await assembly.credentials.headers()
        assert TOKEN in headers["Authorization"]
        script.answers = [("401 Unauthorized", b'{"error":"invalid_client"}')]
        with pytest.raises(TokenFailed):
            await assembly.credentials.renew(headers)
        assembly.routes[0].gate.close("token_invalid_client", "prober")
        server = StatusServer(assembly, Listen(host="127.0.0.1", port=0))
        await server.start()
        url = f"http://{server.bound}"
        async with aiohttp.ClientSession() as session:
            shown = ""
            for path in ("/metrics", "/status", "/readyz", "/healthz"):
                async with session.get(url + path) as answer:
                    shown += f"{answer.headers} {await answer.text()}"
        await server.close()
        await assembly.credentials.close()
        await assembly.edge.close()
    assert "token_invalid_client" in shown
    assert_clean(shown)
