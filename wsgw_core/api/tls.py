"""TLS to backends of every kind, with certificates that are read again when they change.

A plugin puts `TlsClientOptions` into its options model and dials with `ClientTls`. wsgw does not
check revocation (OCSP, CRL).
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from .backend import BackendContext, Clock
from .bounded_file import read_bytes
from .errors import ConfigurationError
from .metrics import Counter, Metrics
from .options import FileName, Options, size_text
from .watched_file import WatchedFiles

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
        key: the key of the option that names the file.
        reason: what is wrong; one line that names the file.
    """

    def __init__(self, key: str, reason: str) -> None:
        self.key = key
        self.reason = reason
        super().__init__(f"{key}: {reason}")


def check_server_name(name: str) -> str:
    """Returns `name` if TLS can send and verify it: a host name or an IP address.

    Raises:
        ValueError: TLS cannot.
    """
    with suppress(ValueError, TypeError):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=name)
        if name.isprintable():
            return name
    raise ValueError(f"not a host name or an address that a certificate can have: {name!r}")


class TlsClientOptions(Options):
    """Options for TLS to a backend."""

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
    """Returns a context for the client's side, made of the files that the options name.

    Raises:
        TlsFileError: a file cannot be used.
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
    """Allows what a websocket needs, and no more: HTTP/1.1, no renegotiation, no compression."""
    context.minimum_version = _VERSIONS[minimum_version]
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(_ALPN)


def load_authorities(context: ssl.SSLContext, key: str, file: str) -> None:
    """Makes a context trust the authorities in a file.

    Raises:
        TlsFileError: the file cannot be used; names the option `key`.
    """
    _read(key, file, _CERTIFICATE, "certificate")
    try:
        context.load_verify_locations(file)
    except (OSError, ValueError) as error:
        raise TlsFileError(key, f"{file}: cannot be used: {tls_error_text(error)}") from error


def load_certificate(
    context: ssl.SSLContext, certificate: str, key: str | None, password_file: str | None
) -> None:
    """Makes a context show a certificate.

    Args:
        context: the context.
        certificate: the name of the file with the certificate and its chain.
        key: the name of the file with the key; None: the key is in the certificate's file.
        password_file: the name of the file whose first line is the password of the key, if any.

    Raises:
        TlsFileError: a file cannot be used; names the option `certificate`, `key` or
            `key-password-file`.
    """
    key_option, key_file = ("key", key) if key is not None else ("certificate", certificate)
    _read("certificate", certificate, _CERTIFICATE, "certificate")
    _read(key_option, key_file, _KEY, "private key")
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
        files = " with ".join(file for file in (certificate, key) if file is not None)
        option, reason = "certificate", f"{files}: cannot be used: {tls_error_text(error)}"
        if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
            option = key_option
            reason = f"{key_file}: is not the key of the certificate in {certificate}"
        elif encrypted and password_file is None:
            option = key_option
            reason = f"{key_file}: the key is encrypted: give 'key-password-file'"
        elif encrypted:
            option, reason = "key-password-file", f"{password_file}: not the password of {key_file}"
        raise TlsFileError(option, reason) from error


def tls_error_text(error: Exception) -> str:
    """Returns one line for the log about an error of TLS or of a socket.

    The line has none of OpenSSL's file names and numbers.
    """
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
    """Returns the counter of reloads and the counter of failed reloads."""
    return (
        metrics.counter("tls_reloads", "Times that changed certificate files were read."),
        metrics.counter(
            "tls_reload_errors", "Times that changed certificate files could not be used."
        ),
    )


class ReloadedContext(WatchedFiles[ssl.SSLContext]):
    """A TLS context that is made again when its files have changed; see WatchedFiles.

    Connections keep the context that they were made with.

    Args:
        make: reads the files and returns the context; raises TlsFileError.
        files: the names of the files; None: not configured.
        report: called with None when the files were read again; with the error when they cannot be
            used, once for each reason.
        metrics: gets the counters of reloads.
        clock: see WatchedFiles.

    Raises:
        TlsFileError: the files cannot be used.
    """

    def __init__(
        self,
        make: Callable[[], ssl.SSLContext],
        files: Iterable[str | None],
        report: Callable[[ValueError | None], object],
        metrics: Metrics,
        clock: Clock | None = None,
    ) -> None:
        self._reloads, self._errors = reload_counters(metrics)
        self._report_once = report
        self._reported = ""
        super().__init__(make, (file for file in files if file is not None), self._count, clock)

    def _count(self, error: ValueError | None) -> None:
        counter = self._reloads if error is None else self._errors
        counter.value += 1
        reason = "" if error is None else str(error)
        if error is None or reason != self._reported:
            self._reported = reason
            self._report_once(error)


class ClientTls:
    """The TLS of one backend's connections.

    The constructor reads files: call `await run_in_thread(partial(ClientTls, ...))`.

    Args:
        options: the backend's TLS options.
        host: the host of the backend's URL.
        context: the backend's context.

    Raises:
        ConfigurationError: a file cannot be used, or the host cannot be verified.

    Attributes:
        server_name: the name to send (SNI) and to verify.
    """

    def __init__(self, options: TlsClientOptions, host: str, context: BackendContext) -> None:
        try:
            self.server_name = check_server_name(options.server_name or host)
        except ValueError as error:
            raise ConfigurationError(f"backend {context.backend_id}: url: {error}") from error
        self._logger = context.logger
        files = (options.ca, options.certificate, options.key, options.key_password_file)
        try:
            self._contexts = ReloadedContext(
                lambda: client_context(options),
                files,
                self._report,
                context.metrics,
                context.clock,
            )
        except TlsFileError as error:
            raise ConfigurationError(f"backend {context.backend_id}: tls.{error}") from error
        if not options.verify:
            context.logger.warning("the backend's certificate is not verified: tls.verify is false")

    def context(self) -> ssl.SSLContext:
        """Returns the context for a new connection. Looks at the files every ten seconds."""
        return self._contexts.value

    def _report(self, error: ValueError | None) -> None:
        if error is None:
            self._logger.info("reloaded the changed certificate files")
        else:
            self._logger.warning("cannot reload certificates, the old ones stay: tls.%s", error)
