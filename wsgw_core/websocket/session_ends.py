"""The close codes that each side of a session sees, for every event that closes a connection.

Only this module chooses these codes; docs/reference/statuses-and-close-codes.md is drawn from it.
A backend's plugin chooses the codes that it reports.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..api import CloseCode

_MOVES: Final = "nothing: wsgw finds another backend"
_ITS_OWN: Final = "its own code"


@dataclass(frozen=True, slots=True)
class End:
    """One event that closes a connection.

    Attributes:
        event: the event, for the documentation.
        client: the code that wsgw sends to the client by default; 0: no code, or various codes.
        backend: the code that wsgw sends to the backend; 0: no code, or various codes.
        client_sees, backend_sees: for the documentation, if the code is not enough; `{}` stands for
            the code.
    """

    event: str
    client: int = 0
    backend: int = 0
    client_sees: str = "{}"
    backend_sees: str = "{}"

    def row(self) -> tuple[str, str, str]:
        """Returns a row of the documentation: the event, and what each side sees."""
        client, backend = self.client or "", self.backend or ""
        return self.event, self.client_sees.format(client), self.backend_sees.format(backend)


CLIENT_CLOSED = End(
    "the client closes",
    client_sees=_ITS_OWN,
    backend_sees="the client's code and reason, after all its messages; none if it gave none",
)
CLIENT_LOST = End("the client's connection is lost", backend=CloseCode.GOING_AWAY)
CLIENT_SILENT = End(
    "the client does not answer a ping within `server.frontend.ping-timeout`",
    client_sees="nothing: wsgw drops its connection",
    backend=CLIENT_LOST.backend,
)
CLIENT_SLOW = End(
    "the client reads almost nothing for `limits.slow-client-timeout`",
    client=CloseCode.POLICY_VIOLATION,
    client_sees="{}, if it reads that",
    backend=CloseCode.GOING_AWAY,
)
CLIENT_BROKE_PROTOCOL = End(
    "the client breaks the protocol",
    client=CloseCode.PROTOCOL_ERROR,
    backend=CloseCode.GOING_AWAY,
)
CLIENT_SENT_INVALID_TEXT = End(
    "the client sends text that is not UTF-8",
    client=CloseCode.INVALID_PAYLOAD,
    backend=CLIENT_BROKE_PROTOCOL.backend,
)
CLIENT_MESSAGE_TOO_BIG = End(
    "the client sends a message larger than `limits.max-message-size`",
    client=CloseCode.TOO_BIG,
    backend=CLIENT_BROKE_PROTOCOL.backend,
)
CLIENT_MESSAGE_IN_TOO_MANY_FRAGMENTS = End(
    "the client sends a message of more fragments than `limits.max-fragments`",
    client=CloseCode.POLICY_VIOLATION,
    backend=CLIENT_BROKE_PROTOCOL.backend,
)
CLIENT_IDLE = End(
    "the client sends nothing for `limits.client-idle-timeout`",
    client=CloseCode.GOING_AWAY,
    backend=CloseCode.GOING_AWAY,
)
SESSION_OLD = End(
    "the session has lasted for `limits.max-session-life`",
    client=CloseCode.GOING_AWAY,
    backend=CloseCode.GOING_AWAY,
)
BACKEND_CLOSED = End(
    "the backend closes normally",
    client_sees="the backend's code and reason",
    backend_sees=_ITS_OWN,
)
BACKEND_LOST = End("the backend closes abnormally or is lost", client_sees=_MOVES)
BACKEND_PLUGIN_FAILED = End(
    "the plugin's code for the connection to the backend raises an error",
    client_sees=_MOVES,
    backend=CloseCode.GOING_AWAY,
)
BACKEND_BROKE_PROTOCOL = End(
    "the backend breaks the protocol",
    client_sees=_MOVES,
    backend=CloseCode.PROTOCOL_ERROR,
)
BACKEND_SENT_INVALID_TEXT = End(
    "the backend sends text that is not UTF-8",
    client_sees=_MOVES,
    backend=CloseCode.INVALID_PAYLOAD,
)
SECOND_BACKEND_BROKE_PROTOCOL = End(
    "a second backend breaks the protocol in the same way for the same session",
    client=CloseCode.INTERNAL_ERROR,
    client_sees="{} with the violation in the reason",
    backend_sees=f"{CloseCode.PROTOCOL_ERROR}, {CloseCode.INVALID_PAYLOAD}",
)
BACKEND_LOST_WITHOUT_FAILOVER = End(
    "with `failover.enabled: false`, the backend closes abnormally, is lost or breaks the protocol",
    client=CloseCode.SERVICE_RESTART,
    client_sees="the backend's code;"
    " [`failover.loss-code`](../explanation/protocols.md#the-close-code), {} by default, if the"
    " backend was lost;"
    f" {SECOND_BACKEND_BROKE_PROTOCOL.client} if it broke the protocol",
    backend_sees=f"{_ITS_OWN}, {CloseCode.PROTOCOL_ERROR}, {CloseCode.INVALID_PAYLOAD}",
)
BACKEND_MESSAGE_BEYOND_LIMIT = End(
    "the backend sends a message beyond `limits.max-message-size` or `max-fragments`",
    client=CloseCode.INTERNAL_ERROR,
    client_sees="{} with the limit in the reason",
    backend_sees=f"{CloseCode.TOO_BIG}, {CloseCode.POLICY_VIOLATION}",
)
OTHER_SUBPROTOCOL = End(
    "during a failover, a backend chooses another subprotocol than the session's",
    client_sees=_MOVES,
    backend=CloseCode.PROTOCOL_ERROR,
)
HYDRATION_FAILED = End(
    "during a failover, a backend refuses what a valve asks it first, or does not answer within"
    " `failover.hydration-timeout`",
    client_sees=_MOVES,
    backend=CloseCode.GOING_AWAY,
)
HYDRATION_CLOSED = End(
    "during a failover, a backend closes normally before it has answered what a valve asks it"
    " first",
    client_sees=f"{_MOVES}; the backend's code and reason where the valve wants that",
    backend_sees=_ITS_OWN,
)
NO_BACKEND = End("no backend is found within `failover.hold`", client=CloseCode.TRY_AGAIN_LATER)
BACKEND_DECLINED = End(
    "a backend declines a failover",
    client=CloseCode.POLICY_VIOLATION,
    client_sees="{} with the status in the reason",
)
VALVE_CLOSED = End(
    "a valve raises `CloseSession`",
    client_sees="the valve's code and reason",
    backend_sees="the same",
)
VALVE_FAILED = End(
    "a valve fails, with `on-error: close`",
    client=CloseCode.INTERNAL_ERROR,
    backend=CloseCode.INTERNAL_ERROR,
)
PLUGIN_CLOSED = End(
    "a plugin calls `session.close`",
    client_sees="the plugin's code and reason",
    backend=CloseCode.GOING_AWAY,
)
SESSION_MOVED = End(
    "a plugin calls `session.fail_over`, an operator moves the session or removes its backend, or"
    " the backend is drained",
    client_sees=_MOVES,
    backend=CloseCode.GOING_AWAY,
)
POISONED = End(
    "several backends died with the same message in flight", client=CloseCode.INTERNAL_ERROR
)
OPERATOR_CLOSED = End(
    "an operator closes the session",
    client=CloseCode.NORMAL,
    backend=PLUGIN_CLOSED.backend,
)
BACKEND_REMOVED = End(
    "with `failover.enabled: false`, an operator removes the backend",
    client=CloseCode.GOING_AWAY,
    backend=PLUGIN_CLOSED.backend,
)
NOT_NEEDED = End(
    "a dial succeeds when its session has another backend already, or has ended",
    backend=CloseCode.GOING_AWAY,
)
GATEWAY_STOPPED = End(
    "the gateway stops",
    client=CloseCode.SERVICE_RESTART,
    backend=CloseCode.GOING_AWAY,
    backend_sees="{}, after all the client's messages",
)
INTERNAL_ERROR = End(
    "wsgw has an internal error",
    client=CloseCode.INTERNAL_ERROR,
    backend=CloseCode.GOING_AWAY,
)

TABLE: Final = tuple(each for each in tuple(globals().values()) if isinstance(each, End))
