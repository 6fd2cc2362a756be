"""Sets, adds and removes headers; refuses clients without a value for a template."""

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

from ..dial_request import as_dial_request
from .header_template import HeaderTemplate
from .settings import HeadersSettings


class HeadersGate:
    """The gate of one entry of `gates`.

    Args:
        settings: the entry's checked options.
        context: provides metrics.
    """

    def __init__(self, settings: HeadersSettings, context: PluginContext) -> None:
        self._settings = settings
        self._replaced = (*settings.remove, *settings.set)
        self._refused = context.metrics.counter(
            "refused", "Clients refused because they have no value for a template."
        )

    def admit(self, handshake: Handshake) -> Refusal | None:
        """See HandshakeGate."""
        asked, settings = as_dial_request(handshake), self._settings
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
    """Yields headers; their values are UTF-8, decoded as ISO-8859-1."""
    for name, template in templates.items():
        yield name, template.expand(asked).encode().decode("latin-1")


def _is_gate(gate: HeadersGate) -> HandshakeGate:
    return gate  # checked by the type checker
