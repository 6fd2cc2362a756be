"""Logs clients that ask for long polling, because they do not show why it fails."""

from __future__ import annotations

import logging
import re

from ..api.rare_warning import RareWarning
from ..one_line import one_line, shortened

# Engine.IO, the transport of Socket.IO, says so in its query.
_POLLING = re.compile(rb"\S+ ([^\s?]*)\?(?:\S*&)?transport=polling(?:&\S*)? ")


class PollingClients:
    """Logs requests of Socket.IO clients that begin with long polling, at INFO, once a minute.

    Args:
        logger: of the gateway.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._log = RareWarning(logger)

    def note(self, head: bytes, peer: str) -> None:
        """Logs a request if it begins long polling.

        Args:
            head: the head of a request that is no opening handshake.
            peer: the client's address.
        """
        match = _POLLING.match(head.removeprefix(b"\r\n"))
        if match is not None:
            self._log(
                "client %s: a Socket.IO client asks for long polling at %s and is answered 426;"
                " it needs the option transports: ['websocket']",
                peer,
                shortened(one_line(match[1].decode("latin-1"))),
                level=logging.INFO,
            )
