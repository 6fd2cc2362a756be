"""Calls to the gateway's admin API: metrics and operators' actions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

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
    """

    url: str
    token: str = ""

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
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            async with (
                ClientSession(timeout=_TIMEOUT, headers=headers) as session,
                session.post(f"{self.url}/backend/{order}/{quote(backend, safe='')}") as answer,
            ):
                told = await answer.json(content_type=None)
        except (ClientError, TimeoutError, ValueError) as error:
            why = str(error) or type(error).__name__
            raise NotDone(f"the admin API does not answer: {why}") from error
        if told != {"result": "success"}:
            raise NotDone(f"the gateway refused {order} of {backend}: {told}")
