"""Sends messages to clients through the reply stream of their gateway."""

from __future__ import annotations

from redis.asyncio import Redis

Fields = dict[str | bytes, str | bytes | int]


async def send(
    redis: Redis,
    reply_stream: str,
    session: str,
    data: str | bytes | None = None,
    *,
    close: tuple[int, str] | None = None,
) -> bool:
    """Sends a message that answers no event. Any process may call it at any time.

    Args:
        redis: the Redis client.
        reply_stream: `Event.reply_stream` of any event of the session.
        session: its id.
        data: text as str, binary as bytes; None: only close.
        close: code (1000, or 3000 to 4999) and reason; ends the session after `data`.

    Returns:
        Whether the gateway exists; if not, its sessions have ended.
    """
    fields = reply_fields(session, data, close)
    added = await redis.xadd(reply_stream, fields, nomkstream=True)  # type: ignore[arg-type]  # dict is invariant
    return added is not None


def reply_fields(
    session: str,
    data: str | bytes | None,
    close: tuple[int, str] | None,
    number: int = 0,
) -> Fields:
    """Returns the fields of a reply entry; `number` is that of the answered message."""
    fields: Fields = {"session": session}
    if data is not None:
        fields |= {"kind": "text" if isinstance(data, str) else "binary", "data": data}
    if number:
        fields["re"] = number
    if close is not None:
        fields |= {"close": close[0], "reason": close[1]}
    if data is None and close is None:
        raise ValueError("a reply needs data or close")
    return fields
