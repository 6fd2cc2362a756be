"""TLS towards backends, for every kind of them, and certificates that are re-read when they change.

`TlsClientOptions` is what a plugin puts into its options model, `ClientTls` the context that it
dials with. Revocation (OCSP, CRL) is not checked.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from .backend import BackendContext
from .bounded_file import read_bytes
from .daemon_thread import run_in_thread
from .errors import ConfigurationError
from .metrics import Counter, Metrics
from .options import FileName, Options, size_text

_LOOK_EVERY = 10.0  # seconds between two looks at the files of a busy backend
_ALPN = ("http/1.1",)
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
_KEY = b"PRIVATE KEY-----"
_PLAIN_TEXT = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST")
_MAX_FILE = 16 * 1024 * 1024  # a bundle of all public authorities has a quarter of a MiB

TlsKey = Annotated[
    FileName | None,
    Field(description="PEM file with the certificate's key; none: the certificate's file"),
]
TlsKeyPassword = Annotated[
    FileName | None, Field(description="file whose first line is the password of the key")
]
TlsVersion = Annotated[Literal["1.2", "1.3"], Field(description="the oldest TLS version allowed")]


class TlsFileError(ValueError):
    """A file of certificates or keys cannot be used.

    Args:
        key: of the options, as it is written.
        reason: names the file; one line.
    """

    def __init__(self, key: str, reason: str) -> None:
        self.key = key
        self.reason = reason
        super().__init__(f"{key}: {reason}")


def check_server_name(name: str) -> str:
    """Return a name that TLS can ask for and verify: a host name or an IP address.

    Raises:
        ValueError: it cannot.
    """
    with suppress(ValueError, TypeError):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=name)
        return name
    raise ValueError(f"not a host name or an address that a certificate can have: {name!r}")


class TlsClientOptions(Options):
    """How a backend is spoken to over TLS."""

    ca: FileName | None = Field(
        default=None,
        description="PEM file with the authorities that must have issued the backend's"
        " certificate; none: the system's",
    )
    certificate: FileName | None = Field(
        default=None,
        description="PEM file with the certificate for the backend, and its chain",
    )
    key: TlsKey = None
    key_password_file: TlsKeyPassword = None
    server_name: Annotated[str, AfterValidator(check_server_name)] | None = Field(
        default=None,
        description="name to send (SNI) and to verify; none: the host of the URL",
    )
    verify: bool = Field(default=True, description="verify the backend's certificate and name")
    minimum_version: TlsVersion = "1.2"

    @model_validator(mode="after")
    def _check(self) -> TlsClientOptions:
        if self.certificate is None and (self.key or self.key_password_file):
            raise ValueError("'key' and 'key-password-file' need a 'certificate'")
        if self.ca is not None and not self.verify:
            raise ValueError("'ca' has no effect without 'verify'")
        return self

    def file_problems(self) -> Iterable[tuple[str, str]]:
        """See Options."""
        try:
            client_context(self)
        except TlsFileError as error:
            yield error.key, error.reason


def client_context(options: TlsClientOptions) -> ssl.SSLContext:
    """Read the files and make a context for the client's side.

    Raises:
        TlsFileError: one of them cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    harden(context, options.minimum_version)
    if not options.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif options.ca is not None:
        load_authorities(context, "ca", options.ca)
    else:
        context.load_default_certs()
    if options.certificate is not None:
        load_certificate(context, options.certificate, options.key, options.key_password_file)
    return context


def harden(context: ssl.SSLContext, minimum_version: str) -> None:
    """Allow what a websocket needs, and no more: HTTP/1.1, no renegotiation, no compression."""
    context.minimum_version = _VERSIONS[minimum_version]
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(_ALPN)


def load_authorities(context: ssl.SSLContext, key: str, file: str) -> None:
    """Have a context trust the authorities in a file.

    Raises:
        TlsFileError: naming the option `key`.
    """
    _read(key, file, _CERTIFICATE, "certificate")
    try:
        context.load_verify_locations(file)
    except (OSError, ValueError) as error:
        raise TlsFileError(key, f"{file}: cannot be used: {tls_error_text(error)}") from error


def load_certificate(
    context: ssl.SSLContext, certificate: str, key: str | None, password_file: str | None
) -> None:
    """Have a context show a certificate.

    Raises:
        TlsFileError: naming the option `certificate`, `key` or `key-password-file`.
    """
    _read("certificate", certificate, _CERTIFICATE, "certificate")
    if key is not None:
        _read("key", key, _KEY, "private key")
    else:
        _read("certificate", certificate, _KEY, "private key")
    key_option, key_file = ("key", key) if key is not None else ("certificate", certificate)
    secret = b""
    if password_file is not None:
        secret = _read("key-password-file", password_file).partition(b"\n")[0].rstrip(b"\r")
    encrypted = False

    def password() -> bytes:  # without one OpenSSL would ask on the terminal, and wait
        nonlocal encrypted
        encrypted = True
        return secret

    try:
        context.load_cert_chain(certificate, key, password)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None)
        if reason == "KEY_VALUES_MISMATCH":
            raise TlsFileError(
                key_option, f"{key_file}: is not the key of the certificate in {certificate}"
            ) from error
        if encrypted and password_file is None:
            raise TlsFileError(
                key_option, f"{key_file}: the key is encrypted: give 'key-password-file'"
            ) from error
        if encrypted:
            raise TlsFileError(
                "key-password-file", f"{password_file}: not the password of {key_file}"
            ) from error
        files = " with ".join(file for file in (certificate, key) if file is not None)
        raise TlsFileError(
            "certificate", f"{files}: cannot be used: {tls_error_text(error)}"
        ) from error


def tls_error_text(error: Exception) -> str:
    """Say in one line what has gone wrong with TLS, without OpenSSL's file names and numbers."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not accepted: {error.verify_message.rstrip('.')}"
    if isinstance(error, ssl.SSLError) and error.reason in _PLAIN_TEXT:
        return "TLS: the other side does not seem to speak TLS"
    if isinstance(error, ssl.SSLError) and error.reason:
        return f"TLS: {error.reason.lower().replace('_', ' ')}"
    if isinstance(error, OSError) and error.strerror:
        if isinstance(error, (ssl.SSLError, socket.gaierror)) or not error.errno:
            return error.strerror
        return os.strerror(error.errno)  # event loops have words of their own
    return " ".join(str(error).split()) or type(error).__name__


def _read(key: str, file: str, marker: bytes = b"", what: str = "") -> bytes:
    try:
        content = read_bytes(file, _MAX_FILE)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise TlsFileError(key, f"{file}: cannot be read: {reason.lower()}") from error
    if len(content) > _MAX_FILE:
        raise TlsFileError(key, f"{file}: larger than {size_text(_MAX_FILE)}")
    if marker not in content:
        raise TlsFileError(key, f"{file}: there is no PEM {what} in it")
    return content


def reload_counters(metrics: Metrics) -> tuple[Counter, Counter]:
    """Return the counters of reloads, and of those that failed."""
    return (
        metrics.counter("tls_reloads", "Times that changed certificate files were read."),
        metrics.counter(
            "tls_reload_errors", "Times that changed certificate files could not be used."
        ),
    )


_Seen = list[tuple[int, int, int] | None]


class ReloadedContext:
    """A TLS context that is made anew when its files have changed.

    Connections keep the context that they were made with. While the files cannot be used, as when
    one of a pair has been written and the other has not, the old context stays, and each `refresh`
    tries again.

    Args:
        build: reads the files; raises TlsFileError.
        files: what to look at.
        report: told of what has become of a change: None when the files were read again, else why
            they were not, once for each reason.
        metrics: see `reload_counters`.

    Raises:
        TlsFileError: the files cannot be used.

    Attributes:
        current: the context for new connections.
    """

    def __init__(
        self,
        build: Callable[[], ssl.SSLContext],
        files: Iterable[str | None],
        report: Callable[[TlsFileError | None], None],
        metrics: Metrics,
    ) -> None:
        self._build = build
        self._files = tuple(file for file in files if file is not None)
        self._report = report
        self._reloads, self._errors = reload_counters(metrics)
        self._reported = ""
        self._seen = self._look()
        self._task: asyncio.Task[None] | None = None
        self.current = build()

    def begin_refresh(self) -> None:
        """Refresh in the background, unless that is under way."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self.refresh())

    async def refresh(self) -> None:
        """Look at the files, and read them if they have changed or could not be used before."""
        try:
            found, made = await run_in_thread(self._changed)
        except RuntimeError:  # no thread left; the next look comes soon
            return
        if made is None:
            return
        if isinstance(made, TlsFileError):
            self._errors.value += 1
            if str(made) != self._reported:
                self._reported = str(made)
                self._report(made)
            return
        self.current = made
        self._seen = found  # from before the reading: a change in between is seen the next time
        self._reloads.value += 1
        self._reported = ""
        self._report(None)

    def _changed(self) -> tuple[_Seen, ssl.SSLContext | TlsFileError | None]:
        """Return what the files look like, and what came of reading them if they have changed."""
        found = self._look()
        if found == self._seen:
            return found, None
        try:
            return found, self._build()
        except TlsFileError as error:
            return found, error

    def _look(self) -> _Seen:
        return [_identity(file) for file in self._files]


def _identity(file: str) -> tuple[int, int, int] | None:
    try:
        found = Path(file).stat()  # follows the links by which files are exchanged
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


class ClientTls:
    """The TLS of one backend: what its connections are made with.

    Made by `await run_in_thread(partial(ClientTls, ...))`, since it reads files.

    Args:
        options: the backend's.
        host: of its URL.
        context: of the backend.

    Raises:
        ConfigurationError: a file cannot be used, or the host cannot be verified.

    Attributes:
        server_name: what to ask for and verify.
    """

    def __init__(self, options: TlsClientOptions, host: str, context: BackendContext) -> None:
        try:
            self.server_name = check_server_name(options.server_name or host)
        except ValueError as error:
            raise ConfigurationError(f"backend {context.backend_id}: url: {error}") from error
        self._clock = context.clock
        self._look_at = context.clock.time() + _LOOK_EVERY
        self._logger = context.logger
        files = (options.ca, options.certificate, options.key, options.key_password_file)
        try:
            self._contexts = ReloadedContext(
                lambda: client_context(options), files, self._report, context.metrics
            )
        except TlsFileError as error:
            raise ConfigurationError(f"backend {context.backend_id}: tls.{error}") from error
        if not options.verify:
            context.logger.warning("the backend's certificate is not verified: tls.verify is false")

    def context(self) -> ssl.SSLContext:
        """Return the context for a new connection; begins a look at the files every ten seconds."""
        now = self._clock.time()
        if now >= self._look_at:
            self._look_at = now + _LOOK_EVERY
            self._contexts.begin_refresh()
        return self._contexts.current

    def _report(self, error: TlsFileError | None) -> None:
        if error is None:
            self._logger.info("certificate files have changed and were read")
        else:
            self._logger.warning("the old certificates stay: tls.%s", error)
