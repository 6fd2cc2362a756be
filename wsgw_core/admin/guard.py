"""Decides who may call what, and from where."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from ipaddress import ip_address

from aiohttp import web

from ..config.admin_token import AdminToken, Role
from ..config.patterns import OriginPattern, normal_host
from ..config.server_options import AdminOptions
from ..frontend.allowed_origins import is_origin_allowed
from ..frontend.server_tls import client_subject
from .answers import failed


class Denied(Exception):
    """A call was denied; `response` says why."""

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        self.response = failed(reason, status, headers)
        super().__init__(reason)


class Guard:
    """Checks token, role, origin and Host header of each call.

    Args:
        options: the allowed tokens, hosts, origins and certificates.
    """

    def __init__(self, options: AdminOptions) -> None:
        self._tokens = options.tokens
        self._origins = options.allowed_origins
        self._scheme = "https" if options.tls else "http"
        self._own_hosts = {"localhost", options.address.host.lower()}
        self._allowed_hosts = options.allowed_hosts
        self._is_open = options.is_open

    def admit(self, request: web.Request, role: Role | None) -> str:
        """Returns the name of the caller, for the audit log.

        Args:
            request: the call.
            role: the role that the call needs; None: everyone may call.

        Raises:
            Denied: the call is not allowed.
        """
        self._check_site(request)
        if role is None:
            return "anybody"
        if self._tokens:
            token = self._token(request)
            if role not in token.roles and not (role == "read" and "operate" in token.roles):
                raise Denied(403, f"this token lacks the role {role!r}")
            return token.name
        if not self._is_open:
            raise Denied(
                403,
                "other machines can reach this address and no tokens are configured: set"
                " server.admin.tokens, require client certificates in server.admin.tls, listen on"
                " 127.0.0.1, or set server.admin.allow-unauthenticated: true",
            )
        self._check_host(request)
        transport = request.transport
        return (client_subject(transport) if transport is not None else None) or "anybody"

    def _token(self, request: web.Request) -> AdminToken:
        scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
        found = None
        for token in self._tokens:  # compares all, so that the time reveals nothing
            expected = token.token.get_secret_value().encode()
            if hmac.compare_digest(shown.strip().encode("utf-8", "surrogateescape"), expected):
                found = token
        if found is None or scheme.lower() != "bearer":
            why = "token missing: send Authorization: Bearer TOKEN"
            if scheme.lower() == "bearer" and shown:
                why = "unknown token"
            raise Denied(401, why, {"WWW-Authenticate": 'Bearer realm="wsgw"'})
        return found

    def _check_site(self, request: web.Request) -> None:
        """Refuses calls that a page of another site makes in a browser."""
        origin = request.headers.get("Origin")
        if origin is None:
            if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
                raise Denied(
                    403, "pages of other sites may not call; see server.admin.allowed-origins"
                )
            return
        if self._origins and is_origin_allowed(origin, self._origins):
            return
        try:
            own = OriginPattern.parse(f"{self._scheme}://{request.headers.get('Host', '')}")
            same = OriginPattern.parse(origin) == own
        except ValueError:
            same = False
        if not same:
            raise Denied(403, "origin not allowed; see server.admin.allowed-origins")

    def _check_host(self, request: web.Request) -> None:
        """Refuses unknown names in the Host header, against DNS rebinding."""
        host = normal_host(request.headers.get("Host", ""))
        if host in self._own_hosts or _is_address(host.strip("[]")):
            return
        if any(allowed.matches(host) for allowed in self._allowed_hosts):
            return
        raise Denied(403, "Host header not allowed; see server.admin.allowed-hosts")


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
