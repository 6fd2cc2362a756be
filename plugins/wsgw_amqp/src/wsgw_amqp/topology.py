"""Declares or checks the exchanges and queues for messages and replies."""

from __future__ import annotations

import re
from typing import Any

from aiormq.abc import AbstractChannel
from aiormq.exceptions import (
    ChannelLockedResource,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
)

from wsgw_core.api import BackendUnavailable

from .settings import AmqpSettings

# PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'x' in vhost '/': received 'topic' but
# current is 'direct'
_INEQUIVALENT = re.compile(
    r"inequivalent arg '(?P<what>[^']+)' for (?P<of>\w+ '.*?') in vhost .*?: "
    r"received (?P<wanted>.*?) but current is (?P<found>.*)",
    re.DOTALL,
)
_MILLISECONDS = 1000


class TopologyError(BackendUnavailable):
    """An exchange or queue is missing or not as configured; an operator must act."""


class Topology:
    """The exchange, the queue for the workers, the dead letters, and the queue for replies.

    Args:
        settings: the backend's.
    """

    def __init__(self, settings: AmqpSettings) -> None:
        self._settings = settings

    async def prepare(self, channel: AbstractChannel) -> None:
        """Declares or checks all that workers and other gateways share.

        Raises:
            TopologyError: an exchange or queue is not as configured.
        """
        settings = self._settings
        if settings.declare is False:
            return
        if settings.exchange:
            await self._exchange(channel, settings.exchange, settings.exchange_type)
        if settings.queue is not None:
            arguments = {"x-queue-type": settings.queue_type, **settings.queue_arguments}
            await self._queue(channel, settings.queue, arguments)
            if settings.exchange:
                await self._bind(channel, settings.queue, settings.exchange, settings.binding_keys)
        if dead := settings.dead_letter_exchange:
            await self._exchange(channel, dead, "fanout")
            await self._queue(channel, dead, {})
            await self._bind(channel, dead, dead, ("",))

    async def declare_replies(self, channel: AbstractChannel, name: str) -> bool:
        """Declares the queue for the replies to this gateway.

        Returns:
            False: the broker still keeps the queue for a lost connection; use another name.
        """
        settings = self._settings
        arguments: dict[str, Any] = {}
        if settings.dead_letter_exchange:
            arguments["x-dead-letter-exchange"] = settings.dead_letter_exchange
        if settings.replies_durable:
            arguments["x-expires"] = round(settings.replies_expiry * _MILLISECONDS)
        try:
            await channel.queue_declare(
                name,
                durable=settings.replies_durable,
                exclusive=not settings.replies_durable,
                arguments=arguments,
            )
        except ChannelLockedResource:
            return False
        except ChannelPreconditionFailed as error:
            raise TopologyError(_mismatch(f"queue '{name}'", error)) from error
        return True

    @property
    def _is_passive(self) -> bool:
        return self._settings.declare == "passive"

    async def _exchange(self, channel: AbstractChannel, name: str, kind: str) -> None:
        try:
            await channel.exchange_declare(
                name, exchange_type=kind, durable=True, passive=self._is_passive
            )
        except ChannelNotFoundEntity as error:
            raise TopologyError(
                f"exchange '{name}' does not exist; declare it with type '{kind}', or set"
                " 'declare: true'"
            ) from error
        except ChannelPreconditionFailed as error:
            raise TopologyError(_mismatch(f"exchange '{name}'", error)) from error

    async def _queue(self, channel: AbstractChannel, name: str, arguments: dict[str, Any]) -> None:
        try:
            await channel.queue_declare(
                name, durable=True, passive=self._is_passive, arguments=arguments
            )
        except ChannelNotFoundEntity as error:
            raise TopologyError(
                f"queue '{name}' does not exist; declare it, or set 'declare: true'"
            ) from error
        except (ChannelPreconditionFailed, ChannelLockedResource) as error:
            raise TopologyError(_mismatch(f"queue '{name}'", error)) from error

    async def _bind(
        self, channel: AbstractChannel, queue: str, exchange: str, keys: tuple[str, ...]
    ) -> None:
        if not self._is_passive:
            for key in keys:
                await channel.queue_bind(queue, exchange, key)


def _mismatch(what: str, error: Exception) -> str:
    """Returns an error with what was found and what was wanted."""
    said = " ".join(str(each) for each in error.args)
    match = _INEQUIVALENT.search(said)
    if match is None:
        return f"{what} is not as configured: {said}"
    return f"{match['of']}: {match['what']} found: {match['found']}, wanted: {match['wanted']}"
