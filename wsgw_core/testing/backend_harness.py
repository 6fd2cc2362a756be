"""What the author of a backend kind provides for BackendContract."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import defaultdict
from dataclasses import dataclass

from wsgw_core.api import Backend, BackendContext, DialRequest, Headers, Message

__all__ = ["BackendHarness", "Capabilities", "Inbox"]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a kind and its harness can do. What they cannot is skipped, and the report says so.

    Attributes:
        text: text messages arrive as text.
        binary: binary messages arrive as binary ones.
        empty: a message without content arrives.
        path: the application learns the path of a session's request, with its query.
        headers: the application learns the headers of a session's request.
        replies: the application can send messages to a session.
        invalid_utf8: the application can send a message that it calls text and that is not UTF-8.
        ends: the application can end a session, and its code and reason arrive.
        breaks: a session's backend can be lost.
        breaks_when_idle: such a loss is noticed at once; otherwise, with the next message.
        unreachable: `connect` and `probe` notice that nobody is there.
        moves: a session may be dialled anew while its earlier connection is still open; what the
            application sends goes to the newest.
        silent_while_paused: a paused connection passes on nothing, however much the application
            sends.
        keeps_while_paused: what the application sends to a paused connection is passed on later.
            With a shared link, as much as the reply buffers hold; the suite sends 64 KiB.
        freezes: the counterpart can be made to take nothing for a while, without being lost.
        refuses: the counterpart can be made to refuse for a while to store what it is sent. It
            says so and answers everything else, as a broker whose queue is full.
        shared_link: all sessions of a backend share one link to the counterpart, which is lost for
            all at once.
    """

    text: bool = True
    binary: bool = True
    empty: bool = True
    path: bool = True
    headers: bool = True
    replies: bool = True
    invalid_utf8: bool = True
    ends: bool = True
    breaks: bool = True
    breaks_when_idle: bool = True
    unreachable: bool = True
    moves: bool = True
    silent_while_paused: bool = True
    keeps_while_paused: bool = True
    freezes: bool = True
    refuses: bool = False
    shared_link: bool = False


class BackendHarness(ABC):
    """A live counterpart for one kind of backend, with an application behind it that obeys.

    The counterpart is what the backend talks to (a server, a broker); the application is who reads
    the messages there. `start` runs in the test's event loop before everything else and `stop`
    after everything else; after `stop` no task of the harness may be left. Sessions are told apart
    by their id, which is also in the request's `X-Wsgw-Session` header. A session is named only
    after its `connect` has returned, but perhaps before the counterpart has noticed: then wait.
    Methods without a body belong to a capability; leave them out where it is declared False.

    A broker that others use at the same time can be neither killed nor stopped. Have the backend
    connect through a BrokerProxy, which can be frozen and cut.
    """

    async def start(self) -> None:  # noqa: B027 - optional to implement
        """Starts the counterpart, on a free port that the system chooses."""

    async def stop(self) -> None:  # noqa: B027 - optional to implement
        """Stops it and waits until it is gone."""

    @abstractmethod
    def make_backend(self, context: BackendContext) -> Backend:
        """Returns a new backend on this counterpart, not yet opened; several may be asked for."""

    @abstractmethod
    async def receive(self, session_id: str) -> Message:
        """Returns the next message that the application got from this session; waits for it."""

    def make_request(self, session_id: str) -> DialRequest:
        """Returns how the session is dialled; override where a path or subprotocol is needed.

        The suite changes the path's query and adds headers.
        """
        return DialRequest(session_id, "/contract?a=1", (("X-Wsgw-Session", session_id),))

    def make_unreachable_backend(self, context: BackendContext) -> Backend:
        """Returns a backend whose counterpart does not exist (`unreachable`)."""
        raise NotImplementedError

    async def request(self, session_id: str) -> tuple[str, Headers]:
        """Returns the path and the headers of a session, as the application got them.

        For `path` and `headers`; what is not declared may be empty. The case of headers' names does
        not matter, and there may be others.
        """
        raise NotImplementedError

    async def reply(self, session_id: str, message: Message) -> None:
        """Has the application send a message to a session (`replies`).

        May wait while the session does not read. With a shared link it is also called for a session
        that is over. With `invalid_utf8`, a TEXT message may be any bytes.
        """
        raise NotImplementedError

    async def end(self, session_id: str, code: int, reason: str) -> None:
        """Has the application end a session in the orderly way (`ends`)."""
        raise NotImplementedError

    async def break_off(self, session_id: str) -> None:
        """Loses this session's counterpart: reset, power cut, killed process (`breaks`).

        With a shared link, that of all sessions. When this returns, nothing that was sent can
        arrive any more unless it has arrived already, and the counterpart can be dialled again.
        """
        raise NotImplementedError

    async def freeze(self) -> None:
        """Has the counterpart take and acknowledge nothing until `thaw` (`freezes`)."""
        raise NotImplementedError

    async def thaw(self) -> None:
        """Undoes `freeze`; what was sent meanwhile arrives, unless it was lost (`freezes`)."""
        raise NotImplementedError

    async def refuse(self) -> None:
        """Has the counterpart refuse to store messages until `accept` (`refuses`)."""
        raise NotImplementedError

    async def accept(self) -> None:
        """Undoes `refuse`; what was refused is not stored later (`refuses`)."""
        raise NotImplementedError


class Inbox:
    """Messages by session, for a harness whose application puts them in as they come."""

    def __init__(self) -> None:
        self._queues: defaultdict[str, asyncio.Queue[Message]] = defaultdict(asyncio.Queue)

    def put(self, session_id: str, message: Message) -> None:
        """Adds a message that the application got."""
        self._queues[session_id].put_nowait(message)

    async def get(self, session_id: str) -> Message:
        """Returns the session's next message; waits for it."""
        return await self._queues[session_id].get()
