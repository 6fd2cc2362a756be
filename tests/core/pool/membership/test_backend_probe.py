"""`wsgw check --connect` says of each backend whether it can be reached."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from wsgw_core.api import (
    BackendConnection,
    BackendContext,
    BackendRegistry,
    BackendUnavailable,
    ConfigurationError,
    DialRequest,
    Options,
    Sink,
    hookimpl,
)
from wsgw_core.config.gateway_config import GatewayConfig
from wsgw_core.plugins.loader import Plugins
from wsgw_core.plugins.plugin_specs import resolve_specs
from wsgw_core.pool.membership.backend_probe import probe_backends


class PigeonOptions(Options):
    url: str
    at_open: str = ""
    at_probe: str = ""
    at_close: str = ""


class Pigeons:
    """A backend that fails at one of the three steps."""

    closed: ClassVar[list[str]] = []

    def __init__(self, options: PigeonOptions, context: BackendContext) -> None:
        self._options = options
        self._id = context.backend_id

    async def open(self) -> None:
        await self._do(self._options.at_open)

    async def connect(self, request: DialRequest, sink: Sink) -> BackendConnection:
        raise AssertionError("nobody connects")

    async def probe(self) -> None:
        await self._do(self._options.at_probe)

    async def close(self) -> None:
        self.closed.append(self._id)
        await self._do(self._options.at_close)

    async def _do(self, what: str) -> None:
        if what == "hang":
            await asyncio.Event().wait()
        elif what == "refuse":
            raise BackendUnavailable(f"no pigeon\nat {self._options.url}")
        elif what == "reject":
            raise ConfigurationError(["too fast", "too slow"])
        elif what:
            raise LookupError(what)


class PigeonPlugin:
    WSGW_API = "1.0"

    @hookimpl
    def wsgw_register_backends(self, registry: BackendRegistry) -> None:
        registry.add("pigeon", PigeonOptions, Pigeons)


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    closed: list[str] = []
    monkeypatch.setattr(Pigeons, "closed", closed)
    return closed


def probed(*backends: dict[str, str], timeout: str = "2s", **sections: Any) -> dict[str, str]:
    config = GatewayConfig.model_validate(
        {
            "upstream": {"backends": list(backends)},
            "failover": {"dial-timeout": timeout},
            **sections,
        }
    )
    plugins = Plugins()
    plugins.register(PigeonPlugin(), "pigeons")
    return probe_backends(config, resolve_specs(config, plugins))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, ""),
        ({"at-probe": "refuse"}, "no pigeon at pigeon://u:***@a:1"),
        ({"at-open": "refuse"}, "no pigeon at pigeon://u:***@a:1"),
        ({"at-open": "reject"}, "too fast; too slow"),
        ({"at-open": "out of\npigeons"}, "its plugin raised LookupError: out of pigeons"),
        ({"at-close": "no door"}, "its plugin raised LookupError: no door"),
        ({"at-open": "hang"}, "no answer within 0.1 s"),
        ({"at-probe": "hang"}, "no answer within 0.1 s"),
        ({"at-close": "hang"}, "no answer within 0.1 s"),
    ],
    ids=str,
)
def test_reason_says_why_a_backend_cannot_be_reached(
    closed: list[str], options: dict[str, str], reason: str
) -> None:
    timeout = "100ms" if "hang" in options.values() else "60s"
    backend = {"url": "pigeon://u:pw@a:1", "id": "a", **options}
    assert probed(backend, timeout=timeout) == {"a": reason}
    assert closed == ["a"]


def test_each_group_has_its_own_dial_timeout(closed: list[str]) -> None:
    slow = {"url": "pigeon://b:1", "id": "b", "at-probe": "hang"}
    route = {"id": "r", "paths": "/r", "backends": [slow], "failover": {"dial-timeout": "90ms"}}

    answers = probed({"url": "pigeon://a:1", "id": "a"}, routes=[route, {"id": "rest"}])

    assert answers == {"a": "", "b": "no answer within 0.09 s"}
    assert sorted(closed) == ["a", "b"]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Answers lookups; that of the name `slow` hangs until the test ends."""
    end = threading.Event()

    def look_up(host: str, *_: object, **__: object) -> list[Any]:
        if host == "slow":
            end.wait()
        if host != "loft":
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [(*kind, (address, 0)) for address in ("192.0.2.1", "192.0.2.2")]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    yield
    end.set()


@pytest.mark.usefixtures("names")
def test_each_address_of_a_name_is_probed(closed: list[str]) -> None:
    answers = probed(
        {"url": "dns+pigeon://loft:1", "id": "a", "at-probe": "refuse"},
        {"url": "dns+pigeon://nowhere:1", "id": "b"},
        {"url": "dns+pigeon://slow:1", "id": "c"},
        {"url": "pigeon://plain:1", "id": "d"},
    )

    assert answers == {
        "a-192-0-2-1": "no pigeon at pigeon://192.0.2.1:1",
        "a-192-0-2-2": "no pigeon at pigeon://192.0.2.2:1",
        "b": "nowhere: unknown",
        "c": "name lookup timed out",
        "d": "",
    }
    assert len(closed) == 3
