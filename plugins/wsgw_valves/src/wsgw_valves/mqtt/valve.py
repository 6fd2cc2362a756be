"""The valve, which makes one for each session."""

from __future__ import annotations

from wsgw_core.api import HydratingValve, PluginContext, Session, Valve

from .session import LatestSessions, MqttSession
from .settings import MqttSettings


class MqttValve:
    """The valve of one entry in the configuration.

    Args:
        settings: the valve's checked options.
        context: provides metrics.
    """

    def __init__(self, settings: MqttSettings, context: PluginContext) -> None:
        self._settings = settings
        self._closed = context.metrics.counter("closed", "Sessions that the valve closed.", "why")
        self._latest = LatestSessions()
        self._unremembered = context.metrics.counter(
            "unremembered", "Messages of QoS 2 that did not fit into the session's memory."
        )

    def for_session(self, session: Session) -> HydratingValve:
        """Returns the valve of a session."""
        return MqttSession(
            self._settings, session, self._latest, self._closed.labels, self._unremembered
        )


def _is_valve(valve: MqttValve) -> Valve:
    return valve  # checked by the type checker
