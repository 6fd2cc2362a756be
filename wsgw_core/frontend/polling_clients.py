"""Logs clients that ask for long polling, because they do not show why it fails."""

from __future__ import annotations

import logging
import re

from ..api.rare_warning import RareWarning
from ..one_line import one_line, shortened

# Engine.IO, the transport of Socket.IO, says so in its query.
_POLLING = re.compile(rb"\S+ ([^\s?]*)\?(?:\S*&)?transport=polling(?:&\S*)? ")


def note_polling(head: bytes, peer: str, log: RareWarning) -> None:
    """Logs a request of a Socket.IO client that begins with long polling, at INFO.

    Args:
        head: the head of a request that is no opening handshake.
        peer: the client's address.
        log: the gateway's, for this alone.
    """
    match = _POLLING.match(head.removeprefix(b"\r\n"))
    if match is not None:
        log(
            "client %s: a Socket.IO client asks for long polling at %s and is answered 426;"
            " it needs the option transports: ['websocket']",
            peer,
            shortened(one_line(match[1].decode("latin-1"))),
            level=logging.INFO,
        )
