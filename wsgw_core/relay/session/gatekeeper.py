"""Asks gates, and checks what they answer and change."""

from __future__ import annotations

import asyncio
import inspect
import logging
import re

from ...api import Handshake, HandshakeGate, Refusal
from ...api.headers import checked_headers
from ...api.options import HEADER_NAME
from ...api.rare_warning import RareWarning
from ...cancellation import is_cancelled
from ...plugins.bounded_call import result_within
from ..all_sessions.routes import Route

_PATH = re.compile(r"/[!-~]*")
_OFFER = re.compile(HEADER_NAME)


class Gatekeeper:
    """Asks the gates of clients' routes.

    Args:
        logger: gets the faults of gates.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._warn = RareWarning(logger)

    async def ask(self, route: Route, handshake: Handshake) -> Refusal | None:
        """Returns None if all gates let the client in, or the first refusal.

        A gate that does not decide in time, or is at fault, refuses the client.
        """
        timeout = route.context.limits.handshake_timeout
        for gate in route.gates:
            try:
                refusal = await _decision(gate, handshake, timeout)
            except TimeoutError:
                name = type(gate).__name__
                self._warn("client %s: gate %s did not decide in time", handshake.peer, name)
                return Refusal(503, (), b"access check timed out\n")
            except (Exception, asyncio.CancelledError):
                if is_cancelled():  # the client is gone
                    raise
                self._logger.exception("client %s: a gate raised an error", handshake.peer)
                return Refusal(500, (), b"internal error\n")
            if refusal is not None:
                return refusal
        return None


async def _decision(gate: HandshakeGate, handshake: Handshake, seconds: float) -> Refusal | None:
    """Returns what a gate decides; raises an Exception if it is at fault."""
    before = handshake.path, handshake.headers, handshake.subprotocols, handshake.answer_headers
    verdict = await _verdict(gate, handshake, seconds)
    if verdict is not None:
        if not isinstance(verdict, Refusal):
            raise TypeError(f"a gate returns a Refusal or None, not {type(verdict).__name__}")
        return verdict
    path, headers, subprotocols, answer_headers = before
    if handshake.path is not path and _PATH.fullmatch(handshake.path) is None:
        raise ValueError("a path begins with / and has only visible ASCII characters")
    if handshake.headers is not headers:
        handshake.headers = checked_headers(handshake.headers)
    if handshake.answer_headers is not answer_headers:
        handshake.answer_headers = checked_headers(handshake.answer_headers)
    if handshake.subprotocols is not subprotocols:
        assigned: object = handshake.subprotocols
        if isinstance(assigned, str):
            raise TypeError("the subprotocols are a string, not a sequence")
        handshake.subprotocols = tuple(handshake.subprotocols)
        if not all(map(_OFFER.fullmatch, handshake.subprotocols)):
            raise ValueError("a subprotocol is a token")
    return None


async def _verdict(gate: HandshakeGate, handshake: Handshake, seconds: float) -> object:
    try:
        verdict = gate.admit(handshake)
    except (GeneratorExit, SystemExit) as error:  # would end the task, or the event loop
        raise RuntimeError(f"raised {type(error).__name__}") from error
    if inspect.isawaitable(verdict):
        return await result_within(seconds, lambda: verdict)
    return verdict
