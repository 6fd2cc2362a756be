"""Calls about sessions."""

from __future__ import annotations

import asyncio

from aiohttp import web

from ..api import BINARY, Message, ReplyOutcome
from ..one_line import shortened
from ..steering import NotSupported, Steering
from .answers import answer, failed, no_action_required, not_implemented, success

_NORMAL = 1000
_BINARY = "application/octet-stream"
_WHY_NOT = {
    ReplyOutcome.TOO_LARGE: "larger than limits.max-message-size, {limit} bytes",
    ReplyOutcome.UNKNOWN_SESSION: "the client is being closed",
    ReplyOutcome.SLOW_CLIENT: "the client does not keep up",
}
_AT_ONCE = 500  # sessions that are described in one turn of the loop


class SessionCalls:
    """What can be asked of sessions, and done to them.

    Args:
        steering: of the gateway.
    """

    def __init__(self, steering: Steering) -> None:
        self._steering = steering

    async def list(self, _request: web.Request) -> web.Response:
        """Answer with all sessions."""
        sessions = []
        for number, session in enumerate(self._steering.sessions, 1):
            sessions.append(
                {
                    "id": session.id,
                    # the query may hold a token
                    "uri": shortened(session.path.partition("?")[0]),
                    "backendId": session.backend_id or "",
                    "reconnects": session.reconnects,
                    "msgsReceived": session.messages_received,
                    "msgsSent": session.messages_sent,
                    "state": session.state.value,
                    "route": session.route,
                }
            )
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        return answer(sessions)

    async def abort(self, request: web.Request) -> web.Response:
        """Close a session's client."""
        session = self._steering.sessions.get(request.match_info["id"])
        if session is None:
            return no_action_required()
        session.close(_NORMAL, "closed by the operator")
        return success()

    async def send(self, request: web.Request) -> web.Response:
        """Send a session's client a message, which is the body."""
        body = await request.read()
        session = self._steering.sessions.get(request.match_info["id"])
        if session is None:
            return failed()
        media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        try:
            if media_type == _BINARY:
                message = Message(BINARY, body)
            else:
                message = Message.from_text(body.decode())
        except UnicodeDecodeError:
            return failed(f"body is not UTF-8; a binary message has Content-Type: {_BINARY}")
        outcome = session.send_to_client(message)
        if outcome is ReplyOutcome.TAKEN:
            return success()
        return failed(_WHY_NOT[outcome].format(limit=session.max_message_size))

    async def fail_over(self, request: web.Request) -> web.Response:
        """Move a session to another backend."""
        session = self._steering.sessions.get(request.match_info["id"])
        if session is None:
            return failed()
        try:
            moved = self._steering.fail_over_session(session)
        except NotSupported:
            return not_implemented()
        return success() if moved else no_action_required()
