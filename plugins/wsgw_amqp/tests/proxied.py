"""A broker behind a proxy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from wsgw_core.testing.broker_proxy import BrokerProxy


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[tuple[BrokerProxy, str]]:
    """Runs a proxy in front of a broker."""
    parts = urlsplit(url)
    proxy = BrokerProxy(parts.hostname or "", parts.port or 0)
    await proxy.start()
    yield proxy, f"amqp://guest:guest@127.0.0.1:{proxy.port}"
    await proxy.stop()
