"""Opens sessions: chooses the route, asks its gates, dials the first backend."""

from __future__ import annotations

import logging
import math
import secrets
from collections import Counter

from websockets.datastructures import Headers as RequestHeaders

from ...api import BackendDeclined, Handshake, Headers, Refusal
from ...api.rare_warning import RareWarning
from ...metrics.counters import GatewayCounters
from ...plugins.open_plugins import PluginSet
from ...pool.dialling.backend_search import NoBackend
from ...tracebacks import drop_tracebacks
from ..all_sessions.routes import Route, Routes
from .gatekeeper import Gatekeeper
from .session import ClosedWhileOpening, Session

# Headers without which a backend's declining answer has no meaning (RFC 9110 section 15)
_PASSED_ON = frozenset(
    {
        "allow",
        "content-encoding",
        "content-type",
        "location",
        "retry-after",
        "sec-websocket-version",
        "upgrade",
        "www-authenticate",
    }
)


class Refused(Exception):
    """The client gets another answer than 101."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__(f"refused with status {refusal.status}")


class SessionOpener:
    """Opens sessions for the frontend.

    Args:
        routes: choose the gates and settings for a client.
        counters, logger: the gateway's.

    Attributes:
        routes: see above.
        accepting: False once the gateway stops.
        paused: whether an operator wants no new clients for now.
    """

    def __init__(self, routes: Routes, counters: GatewayCounters, logger: logging.Logger) -> None:
        self.routes = routes
        self._counters = counters
        self._gatekeeper = Gatekeeper(logger)
        self._warn = RareWarning(logger)
        self._opening: Counter[PluginSet] = Counter()
        self.accepting = True
        self.paused = False

    def serve_by(self, routes: Routes) -> None:
        """Uses the routes of another configuration for the next sessions."""
        self.routes = routes
        for gone in self._counters.route_handshakes.keys() - {route.id for route in routes}:
            del self._counters.route_handshakes[gone]

    def is_opening(self, plugins: PluginSet) -> bool:
        """Returns whether a session is being opened that uses these objects of plugins.

        Once it is open, it is in the session table.
        """
        return self._opening[plugins] > 0

    async def open(self, handshake: Handshake, as_sent: RequestHeaders) -> tuple[Session, Headers]:
        """Returns a session that waits for `start`, and headers for the client's answer.

        Cancel it at any time; it leaves nothing behind.

        Args:
            handshake: the request for the gates and the backend; this sets its route.
            as_sent: the headers as the client sent them, to choose a route.

        Raises:
            Refused: no route matches, or a gate, the backend or the gateway refuses the client.
        """
        if self.paused or not self.accepting:
            raise Refused(Refusal(503, (("Retry-After", "1"),), b"not accepting clients now\n"))
        route = self.routes.choose(handshake.path, as_sent)
        if route is None:
            self._counters.handshakes_unrouted.value += 1
            raise Refused(Refusal(404, (), b"nothing is served here\n"))
        handshake.route = route.id
        if route.id:
            self._counters.route_handshakes[route.id] += 1
        plugins = self.routes.plugins
        self._opening[plugins] += 1
        try:
            return await self._open(route, handshake)
        finally:
            self._opening[plugins] -= 1
            if not self._opening[plugins]:
                del self._opening[plugins]

    async def _open(self, route: Route, handshake: Handshake) -> tuple[Session, Headers]:
        if (refusal := await self._gatekeeper.ask(route, handshake)) is not None:
            raise Refused(refusal)
        session = Session(secrets.token_urlsafe(18), handshake, route.context)
        try:
            return session, (*await session.open(), *handshake.answer_headers)
        except BackendDeclined as declined:
            wanted = _PASSED_ON | declined.pass_headers
            headers = tuple(field for field in declined.headers if field[0].lower() in wanted)
            drop_tracebacks(declined)
            raise Refused(Refusal(declined.status, headers, declined.body)) from declined
        except ClosedWhileOpening as closed:
            raise Refused(Refusal(403, (), b"not wanted\n")) from closed
        except NoBackend as error:
            drop_tracebacks(error)
            if error.local:  # the dialler has warned, but not for each client
                text = b"gateway is out of resources\n"
                raise Refused(Refusal(503, (("Retry-After", "5"),), text)) from error
            self._warn(
                "client %s: no backend: %s",
                handshake.peer,
                error,
                extra={"route": route.id, "reason": str(error)},
            )
            if error.timed_out:
                self._counters.searches_timed_out.value += 1
                text = b"no backend answered in time\n"
                raise Refused(Refusal(504, (), text)) from error
            rest = math.ceil(error.retry_after)
            headers = (("Retry-After", str(rest)),) if rest else ()
            raise Refused(Refusal(502, headers, b"no backend available\n")) from error
