"""The options of TLS for clients and operators, and the context made from them."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Literal

from pydantic import Field, model_validator

from ..api import Duration, FileName, Options
from ..api.options import HeaderName
from ..api.tls import (
    TlsFileError,
    TlsKey,
    TlsKeyPassword,
    TlsVersion,
    harden,
    load_authorities,
    load_certificate,
)

_MODES = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}


class ServerTlsOptions(Options):
    """TLS towards clients."""

    certificate: FileName = Field(description="PEM file with the certificate and its chain")
    key: TlsKey = None
    key_password_file: TlsKeyPassword = None
    minimum_version: TlsVersion = "1.2"
    client_ca: FileName | None = Field(
        default=None,
        description="PEM file with the authorities that must have issued clients' certificates",
    )
    client_certificates: Literal["none", "optional", "required"] = Field(
        default="none", description="whether clients may or must show a certificate"
    )
    subject_header: HeaderName | None = Field(
        default=None,
        description="header that tells backends the subject of the client's certificate, as text of"
        " RFC 4514; wsgw drops this header if a client sends it",
    )
    reload_interval: Duration = Field(
        default=60.0,
        description="how often wsgw checks whether the files have changed; 0: never",
    )

    @model_validator(mode="after")
    def _check(self) -> ServerTlsOptions:
        asked = self.client_certificates != "none"
        if asked and self.client_ca is None:
            raise ValueError("'client-certificates' needs 'client-ca'")
        if not asked and (self.client_ca is not None or self.subject_header is not None):
            raise ValueError(
                "'client-ca' and 'subject-header' need 'client-certificates'"
                " to be optional or required"
            )
        return self

    @property
    def files(self) -> tuple[str | None, ...]:
        """The files that the options name."""
        return (self.certificate, self.key, self.key_password_file, self.client_ca)

    def file_problems(self) -> Iterable[tuple[str, str]]:
        """See Options."""
        try:
            server_context(self)
        except TlsFileError as error:
            yield error.key, error.reason


def server_context(options: ServerTlsOptions) -> ssl.SSLContext:
    """Reads the files and make a context for the server's side.

    Raises:
        TlsFileError: a file is not usable.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    harden(context, options.minimum_version)
    load_certificate(context, options.certificate, options.key, options.key_password_file)
    if options.client_ca is not None:
        load_authorities(context, "client-ca", options.client_ca)
    context.verify_mode = _MODES[options.client_certificates]
    return context
