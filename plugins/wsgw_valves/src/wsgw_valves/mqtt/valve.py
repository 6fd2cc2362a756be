"""Makes what sees the messages of a session."""

from __future__ import annotations

from wsgw_core.api import HydratingValve, PluginContext, Session, Valve

from .session import LatestSessions, MqttSession
from .settings import MqttSettings


class MqttValve:
    """One for each entry in the configuration.

    Args:
        settings: the valve's options, checked.
        context: gives metrics.
    """

    def __init__(self, settings: MqttSettings, context: PluginContext) -> None:
        self._settings = settings
        self._closed = context.metrics.counter("closed", "Sessions that were ended.", "why")
        self._latest = LatestSessions()
        self._unremembered = context.metrics.counter(
            "unremembered", "Messages of QoS 2 for which there was no room."
        )

    def for_session(self, session: Session) -> HydratingValve:
        """Return what sees the packets of a session."""
        return MqttSession(
            self._settings, session, self._latest, self._closed.labels, self._unremembered
        )


def _is_valve(valve: MqttValve) -> Valve:
    return valve  # checked by the type checker
