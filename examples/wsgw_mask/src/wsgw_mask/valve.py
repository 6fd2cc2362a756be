"""Masks card numbers, and counts them."""

from __future__ import annotations

import re

from wsgw_core.api import TEXT, Message, PluginContext, Session, Valve

from .card_number import CANDIDATE, is_card_number, network_of
from .settings import MaskSettings

_SHORTEST = 13  # bytes; a shorter message cannot have a number


class MaskValve:
    """The valve of one entry in the configuration, shared by all sessions.

    Args:
        settings: the valve's checked options.
        context: provides metrics, a logger and a clock.
    """

    def __init__(self, settings: MaskSettings, context: PluginContext) -> None:
        self._settings = settings
        self._masked = context.metrics.counter("masked", "Card numbers masked.", "network")
        self._outward = settings.directions != "to-client"
        self._inward = settings.directions != "to-backend"

    def for_session(self, _session: Session) -> MaskValve:
        """Returns the valve itself: a session needs no state."""
        return self

    def before_transmit(self, message: Message) -> Message:
        """Masks a client's message."""
        return self._without_numbers(message) if self._outward else message

    def after_receive(self, message: Message) -> Message:
        """Masks a backend's message."""
        return self._without_numbers(message) if self._inward else message

    def _without_numbers(self, message: Message) -> Message:
        if message.kind is not TEXT or message.size < _SHORTEST:
            return message
        text = message.text
        masked = CANDIDATE.sub(self._mask, text)
        return message if masked == text else Message.from_text(masked)

    def _mask(self, found: re.Match[str]) -> str:
        digits = re.sub("[ -]", "", found[0])
        if not is_card_number(digits):
            return found[0]
        self._masked.labels(network_of(digits)).value += 1
        left, marks = len(digits) - self._settings.keep, self._settings.mark
        return marks * left + digits[left:]


def _is_valve(valve: MaskValve) -> Valve:
    return valve  # checked by the type checker
