"""Sets, adds and removes headers; lets everybody in whose handshake fills the templates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from wsgw_core.api import (
    BackendDeclined,
    DialRequest,
    Handshake,
    HandshakeGate,
    PluginContext,
    Refusal,
    without_headers,
)

from ..asked import asked_of
from .header_template import HeaderTemplate
from .settings import HeadersSettings


class HeadersGate:
    """One for each entry of `gates`.

    Args:
        settings: the entry's options, checked.
        context: gives metrics.
    """

    def __init__(self, settings: HeadersSettings, context: PluginContext) -> None:
        self._settings = settings
        self._replaced = (*settings.remove, *settings.set)
        self._refused = context.metrics.counter(
            "refused", "Clients refused, since a template has no value for them."
        )

    def admit(self, handshake: Handshake) -> Refusal | None:
        """See HandshakeGate."""
        asked, settings = asked_of(handshake), self._settings
        try:
            made = (*_made(settings.set, asked), *_made(settings.add, asked))
            answer = tuple(_made(settings.answer, asked))
        except BackendDeclined as declined:
            self._refused.value += 1
            return Refusal(declined.status, declined.headers, declined.body)
        handshake.headers = (*without_headers(handshake.headers, self._replaced), *made)
        handshake.answer_headers += answer
        return None


def _made(templates: Mapping[str, HeaderTemplate], asked: DialRequest) -> Iterator[tuple[str, str]]:
    """Yield headers, whose values are UTF-8 with each byte a character."""
    for name, template in templates.items():
        yield name, template.expand(asked).encode().decode("latin-1")


def _is_gate(gate: HeadersGate) -> HandshakeGate:
    return gate  # checked by the type checker
