"""Admits or refuses a client by the first rule that matches."""

from __future__ import annotations

from wsgw_core.api import (
    Handshake,
    HandshakeField,
    HandshakeGate,
    Headers,
    PluginContext,
    Refusal,
    normal_path,
)

from ..dial_request import as_dial_request
from .address_set import AddressSet
from .settings import AccessRule, AccessSettings

_ANY_VALUE = "*"
_PEER = HandshakeField("peer")


class AccessGate:
    """The gate of one entry of `gates`.

    Args:
        settings: the entry's checked options.
        context: provides metrics and a logger.
    """

    def __init__(self, settings: AccessSettings, context: PluginContext) -> None:
        self._rules = [_Rule(rule, str(number)) for number, rule in enumerate(settings.rules)]
        self._otherwise_allowed = settings.otherwise == "allow"
        self._refusal = Refusal(settings.status, (), b"not allowed\n")
        self._logger = context.logger
        self._refused = context.metrics.counter(
            "refused", "Clients refused, by the number of the rule.", "rule"
        )

    def admit(self, handshake: Handshake) -> Refusal | None:
        """See HandshakeGate."""
        path = normal_path(handshake.path)
        address = _PEER.of(as_dial_request(handshake))
        for rule in self._rules:
            if rule.is_for(path, handshake.headers, address):
                return self._decided(handshake, rule.name, allowed=rule.allows)
        return self._decided(handshake, "otherwise", allowed=self._otherwise_allowed)

    def _decided(self, handshake: Handshake, rule: str, *, allowed: bool) -> Refusal | None:
        if allowed:
            return None
        self._refused.labels(rule).value += 1
        self._logger.debug("client %s: refused by rule %s", handshake.peer, rule)
        return self._refusal


class _Rule:
    def __init__(self, options: AccessRule, name: str) -> None:
        self.name = name
        self.allows = options.action == "allow"
        self._paths = options.paths
        self._headers = {name.lower(): value for name, value in options.headers.items()}
        self._addresses = AddressSet(options.addresses) if options.addresses else None

    def is_for(self, path: bytes, headers: Headers, address: str | None) -> bool:
        return (
            (not self._paths or any(pattern.matches(path) for pattern in self._paths))
            and (self._addresses is None or self._addresses.has(address))
            and all(
                any(
                    given.lower() == name and expected in (_ANY_VALUE, value)
                    for given, value in headers
                )
                for name, expected in self._headers.items()
            )
        )


def _is_gate(gate: AccessGate) -> HandshakeGate:
    return gate  # checked by the type checker
