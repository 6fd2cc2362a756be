"""Checks at a dial that a stream takes the session's messages."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from nats.errors import Error

from wsgw_core.api import UnusableAnswer

from .envelope import HEADER_ROOM

Ask = Callable[[str, bytes], Awaitable[Any]]


async def check_stream(ask: Ask, subject: str, size: int = 0) -> None:
    """Checks that a stream takes a subject and has room.

    Args:
        ask: sends a request to a subject and returns the answer.
        subject: without fields.
        size: bytes of the last refused message.

    Raises:
        UnusableAnswer: no stream takes it, or the stream is full. It never counts against the
            backend, because a client may have chosen the subject.
    """
    try:
        found = await ask("$JS.API.STREAM.NAMES", json.dumps({"subject": subject}).encode())
        if "error" not in found and not found.get("streams"):
            raise UnusableAnswer(f"no stream takes the subject {subject}")
        stream = found["streams"][0]
        info = await ask(f"$JS.API.STREAM.INFO.{stream}", b"")
        config, state = info["config"], info["state"]
    except (Error, TimeoutError, ValueError, LookupError) as error:
        raise UnusableAnswer("JetStream does not answer; is it enabled?") from error
    if config.get("no_ack"):
        raise UnusableAnswer(f"the stream {stream} acknowledges nothing; remove its no_ack")
    if config.get("discard") == "new" and not _has_room(config, state, size):
        raise UnusableAnswer(f"the stream {stream} is full")


def _has_room(config: dict[str, Any], state: dict[str, Any], size: int) -> bool:
    if 0 < config.get("max_msgs", 0) <= state["messages"]:
        return False
    return not 0 < config.get("max_bytes", 0) < state["bytes"] + size + HEADER_ROOM
