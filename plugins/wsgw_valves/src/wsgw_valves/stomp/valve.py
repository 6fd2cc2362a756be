"""Makes what sees the messages of a session."""

from __future__ import annotations

from wsgw_core.api import HydratingValve, PluginContext, Session, Valve

from .session import StompSession
from .settings import StompSettings


class StompValve:
    """One for each entry in the configuration.

    Args:
        settings: the valve's options, checked.
        context: gives metrics.
    """

    def __init__(self, settings: StompSettings, context: PluginContext) -> None:
        self._settings = settings
        self._closed = context.metrics.counter("closed", "Sessions that were ended.", "why")

    def for_session(self, session: Session) -> HydratingValve:
        """Return what sees the frames of a session."""
        return StompSession(self._settings, session, self._closed.labels)


def _is_valve(valve: StompValve) -> Valve:
    return valve  # checked by the type checker
