"""Opens sessions: asks the gates, dials the first backend."""

from __future__ import annotations

import asyncio
import inspect
import secrets
from collections.abc import Sequence

from ..api import BackendDeclined, Handshake, HandshakeGate, Headers, Refusal
from ..pool.dialler import NoBackend
from .environment import RelayEnvironment
from .session import ClosedWhileOpening, Session

_PASSED_ON = frozenset(
    {"www-authenticate", "location", "retry-after", "content-type", "content-encoding"}
)


class Refused(Exception):
    """The client gets an answer other than 101."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__(f"refused with status {refusal.status}")


class SessionOpener:
    """What a frontend asks for sessions.

    Args:
        gates: asked in this order.
        environment: for the sessions.

    Attributes:
        accepting: False when the gateway stops.
        paused: an operator wants no new clients for now.
    """

    def __init__(self, gates: Sequence[HandshakeGate], environment: RelayEnvironment) -> None:
        self._gates = tuple(gates)
        self.environment = environment
        self.accepting = True
        self.paused = False

    def serve_by(self, gates: Sequence[HandshakeGate], environment: RelayEnvironment) -> None:
        """Open the next sessions by other settings."""
        self._gates, self.environment = tuple(gates), environment

    async def open(self, handshake: Handshake) -> tuple[Session, Headers]:
        """Return a session that waits for `start`, and headers for the client's answer.

        When cancelled, nothing is left behind.

        Raises:
            Refused: a gate, the backend or the state of the gateway says no.
        """
        if self.paused or not self.accepting:
            raise Refused(Refusal(503, (("Retry-After", "1"),), b"not accepting clients now\n"))
        await self._ask_gates(handshake)
        session = Session(secrets.token_urlsafe(18), handshake, self.environment)
        try:
            return session, await session.open()
        except BackendDeclined as declined:
            headers = tuple(
                (name, value) for name, value in declined.headers if name.lower() in _PASSED_ON
            )
            raise Refused(Refusal(declined.status, headers, declined.body)) from declined
        except ClosedWhileOpening as closed:
            raise Refused(Refusal(403, (), b"not wanted\n")) from closed
        except NoBackend as error:
            if error.local:  # the dialler has warned, but not for each client
                text = b"too busy to reach a backend\n"
                raise Refused(Refusal(503, (("Retry-After", "5"),), text)) from error
            self.environment.logger.warning("client %s: no backend: %s", handshake.peer, error)
            raise Refused(Refusal(502, (), b"no backend available\n")) from error

    async def _ask_gates(self, handshake: Handshake) -> None:
        for gate in self._gates:
            try:
                async with asyncio.timeout(self.environment.limits.handshake_timeout):
                    verdict = gate.admit(handshake)
                    refusal = await verdict if inspect.isawaitable(verdict) else verdict
            except TimeoutError as error:
                raise Refused(Refusal(503, (), b"could not decide in time\n")) from error
            except Exception as error:
                self.environment.logger.exception("client %s: fault in a gate", handshake.peer)
                raise Refused(Refusal(500, (), b"internal error\n")) from error
            if refusal is not None:
                raise Refused(refusal)
