"""Valves that hydrate new backends."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wsgw_core.api import Hydration, Message, MessageValve, Session
from wsgw_core.relay.all_sessions.session_context import ConfiguredValve
from wsgw_core.testing.fakes import as_message

from ..relay_bench import PassingValve, valve


class Hydrating(PassingValve):
    """Returns the test's hydrations; records the backend's messages if it has a list."""

    def __init__(
        self,
        view: Session,
        hydrations: Callable[[], Sequence[Hydration]],
        seen: list[str] | None = None,
    ) -> None:
        super().__init__(view)
        self._hydrations = hydrations
        self._seen = seen

    def after_receive(self, message: Message) -> Message | None:
        if self._seen is not None:
            self._seen.append(message.text)
        return message

    def hydrate(self) -> Sequence[Hydration]:
        return self._hydrations()


def hydrating(*hydrations: Hydration) -> ConfiguredValve:
    """Configure a valve that always returns the same hydrations."""

    def make(view: Session) -> MessageValve:
        return Hydrating(view, lambda: hydrations)

    return valve(make)


def answered_by(text: str) -> Callable[[Message], bool]:
    """Return a function that recognises a text."""
    return lambda message: message.text == text


LOGIN = Hydration(as_message("login"), answered_by("welcome"))
CHOOSE = Hydration(as_message("choose"), answered_by("chosen"))
NOTE = Hydration(as_message("note"))
