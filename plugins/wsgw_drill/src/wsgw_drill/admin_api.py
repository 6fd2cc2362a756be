"""Calls to the gateway's admin API: metrics and operators' actions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from aiohttp import ClientError, ClientSession, ClientTimeout

_UNDELIVERED = re.compile(r"^wsgw_undelivered_messages_total (\S+)$", re.MULTILINE)
_TIMEOUT = ClientTimeout(total=60)

Order = Literal["drain", "enable", "failover"]


class NotDone(Exception):
    """The gateway has not carried out a call; the text says why."""


@dataclass(frozen=True)
class AdminApi:
    """The admin API of the drilled gateway.

    Attributes:
        url: scheme, host and port, without a path.
        token: an operator's; empty: the API needs none.
        ids: the gateway's ids of backends to which the drill gives other names.
    """

    url: str
    token: str = ""
    ids: Mapping[str, str] = field(default_factory=dict)

    async def with_ids(self, ports: Mapping[str, int]) -> AdminApi:
        """Returns this API with the ids of the gateway's backends.

        Args:
            ports: the port of each backend, by the drill's name for it.

        Raises:
            NotDone: the gateway does not list its backends, or not one at each port.
        """
        listed = await self._call("GET", "backend/list")
        if not isinstance(listed, list):
            raise NotDone(f"the gateway refused to list its backends: {listed}")
        ids: dict[str, str] = {}
        for name, port in ports.items():
            found = [each["id"] for each in listed if _port_of(each["url"]) == port]
            if len(found) != 1:
                raise NotDone(f"the gateway has {len(found)} backends with port {port}, not one")
            ids[name] = found[0]
        return replace(self, ids=ids)

    async def undelivered(self) -> int | None:
        """Returns the number of undelivered messages; None: the gateway does not report it."""
        try:
            async with (
                ClientSession(timeout=_TIMEOUT) as session,
                session.get(f"{self.url}/metrics") as answer,
            ):
                found = _UNDELIVERED.search(await answer.text())
        except (ClientError, TimeoutError):
            return None
        return int(float(found[1])) if found is not None else None

    async def give(self, order: Order, backend: str) -> None:
        """Drains, enables or fails over a backend; raises NotDone."""
        backend = self.ids.get(backend, backend)
        told = await self._call("POST", f"backend/{order}/{quote(backend, safe='')}")
        if told != {"result": "success"}:
            raise NotDone(f"the gateway refused {order} of {backend}: {told}")

    async def _call(self, method: str, path: str) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            async with (
                ClientSession(timeout=_TIMEOUT, headers=headers) as session,
                session.request(method, f"{self.url}/{path}") as answer,
            ):
                return await answer.json(content_type=None)
        except (ClientError, TimeoutError, ValueError) as error:
            why = str(error) or type(error).__name__
            raise NotDone(f"the admin API does not answer: {why}") from error


def _port_of(url: str) -> int | None:
    try:
        parts = urlsplit(url)
        return parts.port or {"ws": 80, "wss": 443}.get(parts.scheme)
    except ValueError:  # of another kind, with several hosts or a template
        return None
