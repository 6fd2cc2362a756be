"""The part of BackendContract that the author of a backend kind implements."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import defaultdict
from dataclasses import dataclass

from wsgw_core.api import Backend, BackendContext, DialRequest, Headers, Message

__all__ = ["BackendHarness", "Capabilities", "Inbox"]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a kind and its harness can do. The suite skips the tests of the rest and reports that.

    Attributes:
        text: text messages arrive as text.
        binary: binary messages arrive as binary.
        empty: an empty message arrives.
        path: the application learns the path of a session's request, with its query.
        headers: the application learns the headers of a session's request.
        replies: the application can send messages to a session.
        invalid_utf8: the application can send a text message that is not valid UTF-8.
        ends: the application can end a session, and its code and reason arrive.
        breaks: a session's backend can be lost.
        breaks_when_idle: such a loss is noticed at once, and not only with the next message.
        unreachable: `connect` and `probe` notice that the counterpart does not exist.
        moves: a session can be dialled again while its earlier connection is still open; the
            application's messages go to the newest connection.
        silent_while_paused: a paused connection passes nothing on, however much the application
            sends.
        keeps_while_paused: a paused connection passes the application's messages on later. With a
            shared link, as many as the reply buffers hold; the suite sends 64 KiB.
        freezes: the counterpart can stop taking messages for a while without being lost.
        refuses: the counterpart can refuse to store messages for a while. It reports the refusal
            and answers everything else, like a broker with a full queue.
        shared_link: all sessions of a backend share one link to the counterpart; its loss ends them
            all.
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
    """A live counterpart for one kind of backend, with an application that the test controls.

    The counterpart is the server or broker to which the backend connects; the application reads the
    messages there. The suite calls `start` in the test's event loop before everything else and
    `stop` after everything else; after `stop` no task of the harness may be left. It identifies
    sessions by their id, which is also in the request's `X-Wsgw-Session` header. It names a session
    only after its `connect` has returned, but maybe before the counterpart knows it; wait in this
    case. Methods that raise NotImplementedError belong to a capability; leave them out if you
    declare it False.

    A test must neither kill nor stop a broker that others use at the same time. Connect the backend
    through a BrokerProxy, which you can freeze and cut.
    """

    async def start(self) -> None:  # noqa: B027 - optional to implement
        """Starts the counterpart, on a free port that the system chooses."""

    async def stop(self) -> None:  # noqa: B027 - optional to implement
        """Stops the counterpart and waits until it is gone."""

    @abstractmethod
    def make_backend(self, context: BackendContext) -> Backend:
        """Returns a new backend on this counterpart, not yet opened; may be called repeatedly."""

    @abstractmethod
    async def receive(self, session_id: str) -> Message:
        """Waits for the application's next message from this session and returns it."""

    def make_request(self, session_id: str) -> DialRequest:
        """Returns the request for a dial; override it if the kind needs a path or a subprotocol.

        The suite changes the path's query and adds headers.
        """
        return DialRequest(session_id, "/contract?a=1", (("X-Wsgw-Session", session_id),))

    def make_unreachable_backend(self, context: BackendContext) -> Backend:
        """Returns a backend whose counterpart does not exist (`unreachable`)."""
        raise NotImplementedError

    async def request(self, session_id: str) -> tuple[str, Headers]:
        """Returns the path and the headers of a session that the application got.

        For the capabilities `path` and `headers`; the other value may be empty. The case of
        headers' names does not matter, and there may be further headers.
        """
        raise NotImplementedError

    async def reply(self, session_id: str, message: Message) -> None:
        """Makes the application send a message to a session (`replies`).

        It may wait while the session does not read. With a shared link the suite also calls it for
        a session that is over. With `invalid_utf8`, a TEXT message may have any bytes.
        """
        raise NotImplementedError

    async def end(self, session_id: str, code: int, reason: str) -> None:
        """Makes the application end a session normally (`ends`)."""
        raise NotImplementedError

    async def break_off(self, session_id: str) -> None:
        """Breaks the session's connection to the counterpart, like a killed process (`breaks`).

        With a shared link, it breaks that of all sessions. When this returns, no more of the
        messages sent can arrive, and the counterpart can be dialled again.
        """
        raise NotImplementedError

    async def freeze(self) -> None:
        """Stops the counterpart from taking or acknowledging anything until `thaw` (`freezes`)."""
        raise NotImplementedError

    async def thaw(self) -> None:
        """Undoes `freeze`; messages sent meanwhile arrive, unless they were lost (`freezes`)."""
        raise NotImplementedError

    async def refuse(self) -> None:
        """Makes the counterpart refuse to store messages until `accept` (`refuses`)."""
        raise NotImplementedError

    async def accept(self) -> None:
        """Undoes `refuse`; refused messages are not stored later (`refuses`)."""
        raise NotImplementedError


class Inbox:
    """Received messages by session, for the application of a harness."""

    def __init__(self) -> None:
        self._queues: defaultdict[str, asyncio.Queue[Message]] = defaultdict(asyncio.Queue)

    def put(self, session_id: str, message: Message) -> None:
        """Adds a message that the application got."""
        self._queues[session_id].put_nowait(message)

    async def get(self, session_id: str) -> Message:
        """Waits for the session's next message and returns it."""
        return await self._queues[session_id].get()
