"""The clients' TLS: certificates that are read again, and the subject of a client's certificate."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable

from ..api import Clock, ConfigurationError, Metrics, Turns, tls_error_text
from ..api.tls import ReloadedContext, TlsFileError
from ..config.server_tls_options import ServerTlsOptions, server_context
from ..metrics.counters import GatewayCounters
from ..websocket import TlsTransport, make_scratch

# RFC 4514 section 3, by the names that OpenSSL has for them
_SHORT_NAMES = {
    "commonName": "CN",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "streetAddress": "STREET",
    "domainComponent": "DC",
    "userId": "UID",
}
_ESCAPED = frozenset('"+,;<>\\')


class ServerTls:
    """Adds TLS to the connections of clients.

    The constructor reads files: call `await run_in_thread(partial(ServerTls, ...))`.

    Args:
        options: the TLS options.
        metrics: gets the counters of reloads.
        counters: the gateway's counters.
        clock: schedules the looks at the files.
        logger: the gateway's logger.
        key: the key of the options in the configuration.

    Raises:
        ConfigurationError: a file cannot be used.
    """

    def __init__(
        self,
        options: ServerTlsOptions,
        metrics: Metrics,
        counters: GatewayCounters,
        clock: Clock,
        logger: logging.Logger,
        *,
        key: str = "server.frontend.tls",
    ) -> None:
        self._key = key
        self._interval = options.reload_interval
        self._counters = counters
        self._clock = clock
        self._logger = logger
        self._scratch = make_scratch()
        self._reads, self._handshakes = Turns(), Turns()
        self._timer: asyncio.TimerHandle | None = None
        try:
            self._contexts = ReloadedContext(
                lambda: server_context(options), options.files, self._report, metrics
            )
        except TlsFileError as error:
            raise ConfigurationError(f"{key}.{error}") from error

    @property
    def context(self) -> ssl.SSLContext:
        """The context for new connections."""
        return self._contexts.value

    def over(self, make_protocol: Callable[[], asyncio.Protocol]) -> Callable[[], TlsTransport]:
        """Returns a factory of TLS transports over the protocols of a plain factory."""
        return lambda: TlsTransport(
            make_protocol(),
            self.context,
            self._scratch,
            self._reads,
            handshakes=self._handshakes,
            on_failure=self._failed,
        )

    def start(self) -> None:
        """Looks at the files at the configured interval."""
        if self._interval:
            self._timer = self._clock.call_later(self._interval, self._look)

    def close(self) -> None:
        """Stops looking at the files."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self.start()
        self._contexts.begin_refresh()

    def _report(self, error: ValueError | None) -> None:
        if error is None:
            self._logger.info("%s: reloaded the changed certificate files", self._key)
        else:
            self._logger.warning(
                "cannot reload certificates, the old ones stay: %s.%s", self._key, error
            )

    def _failed(self, error: Exception) -> None:
        self._counters.tls_handshakes_failed.value += 1
        self._logger.debug("TLS handshake of a client failed: %s", tls_error_text(error))


def client_subject(transport: asyncio.BaseTransport) -> str | None:
    r"""Returns the subject of a client's verified certificate; None: it has shown none.

    The form is that of RFC 4514, most specific part first: `CN=meter-7,OU=Field,O=Example`. Other
    characters than printable ASCII are escaped by `\` and two hexadecimal digits for each byte of
    UTF-8, so that a certificate cannot end a header or begin another one.
    """
    tls = transport.get_extra_info("ssl_object")
    if tls is None:
        return None
    try:
        certificate = tls.getpeercert() or {}
    except ValueError:  # a name is not text
        return None
    return distinguished_name(certificate.get("subject", ())) or None


def distinguished_name(parts: tuple[tuple[tuple[str, str], ...], ...]) -> str:
    """Returns a name in the form of RFC 4514.

    Args:
        parts: the parts as `SSLSocket.getpeercert` returns them, the most general one first.
    """
    return ",".join(
        "+".join(_attribute(name, value) for name, value in part) for part in reversed(parts)
    )


def _attribute(name: str, value: str) -> str:
    if name[:1].isdigit():  # an object identifier without a name: BER in hexadecimal, section 2.4
        return f"{name}=#{_utf8_string(value.encode()).hex()}"
    last = len(value) - 1
    text = "".join(
        _escaped(char, at_edge=(index == 0 and char in " #") or (index == last and char == " "))
        for index, char in enumerate(value)
    )
    return f"{_SHORT_NAMES.get(name, name)}={text}"


def _escaped(char: str, *, at_edge: bool) -> str:
    if char in _ESCAPED or at_edge:
        return f"\\{char}"
    if " " <= char <= "~":
        return char
    return "".join(f"\\{byte:02X}" for byte in char.encode())


def _utf8_string(value: bytes) -> bytes:
    size = len(value)
    if size < 128:
        length = bytes([size])
    else:
        digits = size.to_bytes(-(-size.bit_length() // 8), "big")
        length = bytes([128 | len(digits)]) + digits
    return b"\x0c" + length + value
