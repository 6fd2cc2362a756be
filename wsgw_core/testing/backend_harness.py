"""What the author of a backend kind provides for BackendContract."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import defaultdict
from dataclasses import dataclass

from wsgw_core.api import Backend, BackendContext, DialRequest, Message


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a kind and its harness can do. What they cannot is skipped, and the report says so.

    Attributes:
        text, binary: messages of this kind arrive as what they were.
        empty: a message without content arrives.
        replies: the application can send messages to a session.
        ends: the application can end a session, and its code and reason arrive.
        breaks: a session's backend can be lost.
        breaks_when_idle: that is noticed at once; otherwise, with the next message.
        unreachable: `connect` and `probe` notice that nobody is there.
        pauses: a paused connection passes on nothing, however much the application sends.
        freezes: the counterpart can be made to take nothing for a while, without being lost.
    """

    text: bool = True
    binary: bool = True
    empty: bool = True
    replies: bool = True
    ends: bool = True
    breaks: bool = True
    breaks_when_idle: bool = True
    unreachable: bool = True
    pauses: bool = True
    freezes: bool = True


class BackendHarness(ABC):
    """A live counterpart for one kind of backend, with an application behind it that obeys.

    The counterpart is what the backend talks to (a server, a broker); the application is who reads
    the messages there. `start` runs in the test's event loop before everything else and `stop`
    after everything else; after `stop` no task of the harness may be left. Sessions are told apart
    by their id, which is also in the request's `X-Wsgw-Session` header. A session is named only
    after its `connect` has returned, but perhaps before the counterpart has noticed: then wait.
    Methods without a body belong to a capability; leave them out where it is declared False.
    """

    async def start(self) -> None:  # noqa: B027 - optional to implement
        """Start the counterpart, on a free port that the system chooses."""

    async def stop(self) -> None:  # noqa: B027 - optional to implement
        """Stop it and wait until it is gone."""

    @abstractmethod
    def make_backend(self, context: BackendContext) -> Backend:
        """Return a new backend on this counterpart, not yet opened; several may be asked for."""

    @abstractmethod
    async def receive(self, session_id: str) -> Message:
        """Return the next message that the application got from this session; wait for it."""

    def make_request(self, session_id: str) -> DialRequest:
        """Return how the session is dialled; override where a path or subprotocol is needed."""
        return DialRequest(session_id, "/contract?a=1", (("X-Wsgw-Session", session_id),))

    def make_unreachable_backend(self, context: BackendContext) -> Backend:
        """Return a backend whose counterpart does not exist (`unreachable`)."""
        raise NotImplementedError

    async def reply(self, session_id: str, message: Message) -> None:
        """Have the application send a message to a session (`replies`).

        May wait while the session does not read.
        """
        raise NotImplementedError

    async def end(self, session_id: str, code: int, reason: str) -> None:
        """Have the application end a session in the orderly way (`ends`)."""
        raise NotImplementedError

    async def break_off(self, session_id: str) -> None:
        """Lose this session's counterpart: reset, power cut, killed process (`breaks`).

        When this returns, nothing that the session sends can arrive any more.
        """
        raise NotImplementedError

    async def freeze(self) -> None:
        """Have the counterpart take and acknowledge nothing until `thaw` (`freezes`)."""
        raise NotImplementedError

    async def thaw(self) -> None:
        """Undo `freeze`; what was sent meanwhile arrives (`freezes`)."""
        raise NotImplementedError


class Inbox:
    """Messages by session, for a harness whose application puts them in as they come."""

    def __init__(self) -> None:
        self._queues: defaultdict[str, asyncio.Queue[Message]] = defaultdict(asyncio.Queue)

    def put(self, session_id: str, message: Message) -> None:
        """Add a message that the application got."""
        self._queues[session_id].put_nowait(message)

    async def get(self, session_id: str) -> Message:
        """Return the session's next message; wait for it."""
        return await self._queues[session_id].get()
