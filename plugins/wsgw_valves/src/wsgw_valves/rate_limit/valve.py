"""Passes, delays or discards messages, or ends the session."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from wsgw_core.api import (
    CloseCode,
    CloseSession,
    Counter,
    DialRequest,
    HandshakeField,
    Message,
    MessageValve,
    PluginContext,
    Session,
    Valve,
)

from .meter import Bucket, Meter
from .settings import RateLimitSettings
from .shared_meters import SharedMeters

_Result = Message | None | Awaitable[Message | None]


class RateLimitValve:
    """The valve of one entry in the configuration.

    Args:
        settings: the valve's checked options.
        context: provides metrics and a clock.
    """

    def __init__(self, settings: RateLimitSettings, context: PluginContext) -> None:
        self._settings = settings
        self._now = context.clock.time
        exceeded = context.metrics.counter("exceeded", "Messages beyond a rate.", "action")
        self._over = _Over(settings, exceeded.labels)
        self._outward = SharedMeters(self._make_meter)
        self._inward = SharedMeters(self._make_meter)

    def for_session(self, session: Session) -> MessageValve:
        """Returns the valve of a session."""
        field, directions = self._settings.per, self._settings.directions
        key = None if field is None else _key(field, session)
        out = self._meter(self._outward, key) if directions != "to-client" else None
        back = self._meter(self._inward, key) if directions != "to-backend" else None
        return MeasuredSession(out, back, self._over)

    def _meter(self, shared: SharedMeters, key: str | None) -> Meter:
        return self._make_meter() if key is None else shared.get(key)

    def _make_meter(self) -> Meter:
        settings, messages, bytes_ = self._settings, None, None
        if settings.messages is not None:
            burst = settings.messages_burst or max(1.0, settings.messages)
            messages = Bucket(settings.messages, burst, self._now)
        if settings.bytes is not None:
            bytes_ = Bucket(settings.bytes, settings.bytes_burst or settings.bytes, self._now)
        return Meter(messages, bytes_)


class MeasuredSession:
    """The valve of one session.

    Args:
        outward, inward: meters of the directions; None: no limit.
        over: handles messages beyond a rate.
    """

    __slots__ = ("_inward", "_outward", "_over")

    def __init__(self, outward: Meter | None, inward: Meter | None, over: _Over) -> None:
        self._outward = outward
        self._inward = inward
        self._over = over

    def before_transmit(self, message: Message) -> _Result:
        """See MessageValve."""
        return message if self._outward is None else self._measured(self._outward, message)

    def after_receive(self, message: Message) -> _Result:
        """See MessageValve."""
        return message if self._inward is None else self._measured(self._inward, message)

    def _measured(self, meter: Meter, message: Message) -> _Result:
        wait = meter.take(message.size, self._over.max_wait)
        return message if wait <= 0.0 else self._over.deal_with(message, wait)


class _Over:
    """Handles messages beyond a rate."""

    def __init__(self, settings: RateLimitSettings, count: Callable[[str], Counter]) -> None:
        self.max_wait = settings.max_pause if settings.action == "pause" else 0.0
        self._discards = settings.action == "discard"
        self._paused = count("pause")
        self._discarded = count("discard")
        self._closed = count("close")

    def deal_with(self, message: Message, wait: float) -> _Result:
        if wait <= self.max_wait:
            self._paused.value += 1
            return _after(wait, message)
        if self._discards:
            self._discarded.value += 1
            return None
        self._closed.value += 1
        raise CloseSession(CloseCode.POLICY_VIOLATION, "too many messages")


async def _after(wait: float, message: Message) -> Message:
    await asyncio.sleep(wait)
    return message


def _key(field: HandshakeField, session: Session) -> str:
    request = DialRequest(
        session.id, session.path, session.headers, peer=session.peer, route=session.route
    )
    return field.of(request) or ""


def _is_valve(valve: RateLimitValve) -> Valve:
    return valve  # checked by the type checker
