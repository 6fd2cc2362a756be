"""The valve, which makes one for each session."""

from __future__ import annotations

from wsgw_core.api import HydratingValve, PluginContext, Session, Valve

from .session import StompSession
from .settings import StompSettings


class StompValve:
    """The valve of one entry in the configuration.

    Args:
        settings: the valve's checked options.
        context: provides metrics.
    """

    def __init__(self, settings: StompSettings, context: PluginContext) -> None:
        self._settings = settings
        self._closed = context.metrics.counter("closed", "Sessions that the valve closed.", "why")

    def for_session(self, session: Session) -> HydratingValve:
        """Returns the valve of a session."""
        return StompSession(self._settings, session, self._closed.labels)


def _is_valve(valve: StompValve) -> Valve:
    return valve  # checked by the type checker
