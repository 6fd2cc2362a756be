"""Admits clients with a valid token."""

from __future__ import annotations

from wsgw_core.api import (
    ConfigurationError,
    Handshake,
    HandshakeGate,
    PluginContext,
    Refusal,
    WatchedFile,
    run_in_thread,
)

from .claims import ClaimHeaders, UnusableClaim
from .keys import MOST_BYTES, VerificationKeys
from .settings import JwtSettings
from .verifier import InvalidToken, Verifier


class JwtGate:
    """The gate of one entry of `gates`.

    Args:
        settings: the entry's checked options.
        context: provides metrics, a logger and a clock.
    """

    def __init__(self, settings: JwtSettings, context: PluginContext) -> None:
        self._settings = settings
        self._context = context
        self._verifier = Verifier(settings)
        self._headers = ClaimHeaders(settings.claims)
        self._file: WatchedFile[VerificationKeys] | None = None
        self._refused = context.metrics.counter("refused", "Clients refused.", "reason")
        context.metrics.gauge(
            "keys_stale",
            "Gates whose file with keys has become unreadable.",
            lambda: int(self._file is not None and not self._file.is_usable),
        )

    async def open(self) -> None:
        """Reads the keys; raises ConfigurationError."""
        settings = self._settings
        try:
            self._file = await run_in_thread(
                lambda: WatchedFile(
                    settings.keys_file, settings.keys_in, self._context, most=MOST_BYTES
                )
            )
        except (ValueError, RuntimeError) as error:
            raise ConfigurationError(f"gate 'jwt': keys-file: {error}") from error

    async def admit(self, handshake: Handshake) -> Refusal | None:
        """See HandshakeGate."""
        assert self._file is not None  # noqa: S101 - the gate is open
        settings = self._settings
        given = (source.read(handshake) for source in settings.token_from)
        token = next((each for each in given if each is not None), None)
        if token is None:
            return self._refuse(handshake, 401, "missing", "a token is required")
        try:
            claims = self._verifier.verify(token, await self._file.current())
        except InvalidToken as error:
            return self._refuse(handshake, 401, error.reason, error.description, "invalid_token")
        if self._verifier.lacks_scope(claims):
            text = "the token lacks a scope"
            return self._refuse(handshake, 403, "scope", text, "insufficient_scope")
        if not settings.forward_token:
            for source in settings.token_from:
                source.remove(handshake)
        try:
            handshake.headers = self._headers.put(handshake.headers, claims)
        except UnusableClaim:
            text = "the token has a claim that does not fit into a header"
            return self._refuse(handshake, 401, "claims", text, "invalid_token")
        return None

    def _refuse(
        self, handshake: Handshake, status: int, reason: str, text: str, error: str = ""
    ) -> Refusal:
        """Returns the refusal by RFC 6750 section 3; clients without a token get no error code."""
        self._refused.labels(reason).value += 1
        self._context.logger.debug("client %s: refused: %s", handshake.peer, text)
        challenge = f'Bearer realm="{self._settings.realm}"'
        if error:
            challenge += f', error="{error}", error_description="{text}"'
        if status == 403:
            challenge += f', scope="{" ".join(self._settings.scopes)}"'
        return Refusal(status, (("WWW-Authenticate", challenge),), f"{text}\n".encode())


def _is_gate(gate: JwtGate) -> HandshakeGate:
    return gate  # checked by the type checker
