"""Route entries of a configuration, and clients for them."""

from __future__ import annotations

from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from wsgw_core.testing.running_gateway import RunningGateway

from .scripted_backend import ScriptedBackend

QUICK = {"quiet": "50ms"}
WITHOUT_FAILOVER = {"enabled": False}


def own(name: str, *backends: ScriptedBackend | dict[str, Any], **keys: Any) -> dict[str, Any]:
    """Return a route for `/NAME/**` with backends of its own, `NAME` and `NAME-1` by id."""
    entries = [
        {"url": each.url, "id": f"{name}-{number}" if number else name}
        if isinstance(each, ScriptedBackend)
        else each
        for number, each in enumerate(backends)
    ]
    return {"id": name, "paths": [f"/{name}/**"], "backends": entries, **keys}


def shared(name: str, **keys: Any) -> dict[str, Any]:
    return {"id": name, "paths": [f"/{name}/**"], **keys}


async def status(gateway: RunningGateway, target: str, **options: Any) -> int:
    """Return the status of a refused client."""
    with pytest.raises(InvalidStatus) as refused:
        await connect(gateway.url + target, **options)
    return refused.value.response.status_code


async def echo_once(client: ClientConnection, backend: Any, text: str = "hello") -> None:
    await client.send(text)
    assert await backend.recv() == text
