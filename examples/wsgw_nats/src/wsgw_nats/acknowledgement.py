"""Parses JetStream's answer to a published message."""

from __future__ import annotations

import json
from dataclasses import dataclass

from nats.aio.msg import Msg
from nats.js.api import Header, StatusCode

_NO_RESPONDERS = StatusCode.SERVICE_UNAVAILABLE.value
# Error codes that concern only one message, for any stream.
_TOO_LARGE = frozenset({10054, 10097})


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a message is not stored.

    Attributes:
        reason: one line for the log.
        is_of_message: whether only this message is refused.
        size: bytes of the message.
    """

    reason: str
    is_of_message: bool = False
    size: int = 0


def read_acknowledgement(msg: Msg, size: int) -> Rejection | bool:
    """Returns why a message is not stored; if it is stored, whether it is a duplicate.

    Args:
        msg: the answer.
        size: bytes of the message.

    Raises:
        ValueError: the answer is not JetStream's but another subscriber's.
    """
    if not msg.data and msg.headers and msg.headers.get(Header.STATUS) == _NO_RESPONDERS:
        return Rejection("no stream takes the subject", size=size)
    answer = json.loads(msg.data)
    if not isinstance(answer, dict) or not {"stream", "error"} & answer.keys():
        raise ValueError("not an acknowledgement")
    error = answer.get("error")
    if error is None:
        return bool(answer.get("duplicate"))
    reason = f"JetStream refuses: {str(error.get('description'))[:100]}"
    return Rejection(reason, error.get("err_code") in _TOO_LARGE, size)
