"""What the drill asks of the gateway's admin API: counters, and what operators do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from aiohttp import ClientError, ClientSession, ClientTimeout

_UNDELIVERED = re.compile(r"^wsgw_undelivered_messages_total (\S+)$", re.MULTILINE)
_PATIENCE = ClientTimeout(total=60)

Order = Literal["drain", "enable", "failover"]


class NotDone(Exception):
    """The gateway has not done what it was asked to; the text says why."""


@dataclass(frozen=True)
class AdminApi:
    """Where it listens.

    Attributes:
        url: without a path.
        token: of an operator; empty: none is needed.
    """

    url: str
    token: str = ""

    async def undelivered(self) -> int | None:
        """Returns how many messages of ended sessions it has given up; None: it does not tell."""
        try:
            async with (
                ClientSession(timeout=_PATIENCE) as session,
                session.get(f"{self.url}/metrics") as answer,
            ):
                found = _UNDELIVERED.search(await answer.text())
        except (ClientError, TimeoutError):
            return None
        return int(float(found[1])) if found is not None else None

    async def give(self, order: Order, backend: str) -> None:
        """Has a backend drained, enabled again, or left at once; raises NotDone."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            async with (
                ClientSession(timeout=_PATIENCE, headers=headers) as session,
                session.post(f"{self.url}/backend/{order}/{quote(backend, safe='')}") as answer,
            ):
                told = await answer.json(content_type=None)
        except (ClientError, TimeoutError, ValueError) as error:
            why = str(error) or type(error).__name__
            raise NotDone(f"the admin API does not answer: {why}") from error
        if told != {"result": "success"}:
            raise NotDone(f"the gateway has not done {order} of {backend}: {told}")
