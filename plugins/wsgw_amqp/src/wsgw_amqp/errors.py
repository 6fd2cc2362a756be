"""Turns errors of the broker into those of dials."""

from __future__ import annotations

import re

from aiormq.exceptions import (
    AMQPError,
    AuthenticationError,
    ChannelAccessRefused,
    ConnectionClosed,
    ConnectionNotAllowed,
    ProbableAuthenticationError,
)

from wsgw_core.api import (
    BackendUnavailable,
    BackendUnreachable,
    tls_error_text,
    unavailable,
)

from .own_channel import ChannelClosedError

_REFUSALS = (
    AuthenticationError,
    ChannelAccessRefused,
    ConnectionNotAllowed,
    ProbableAuthenticationError,
)
_REFUSED, _NOT_ALLOWED = 403, 530


class BrokerRefusesError(BackendUnreachable):
    """The broker refuses this gateway: its user name, password or permissions."""


def as_unavailable(error: Exception) -> BackendUnavailable:
    """Returns the error of a failed dial."""
    if isinstance(error, BackendUnavailable):
        return error
    if isinstance(error, ChannelClosedError):
        if error.code in (_REFUSED, _NOT_ALLOWED):
            return BrokerRefusesError(f"the broker refuses: {error.reason}")
        return BackendUnreachable(error.reason)
    if isinstance(error, _REFUSALS):
        return BrokerRefusesError(f"the broker refuses: {_text(error)}")
    if isinstance(error, AMQPError):
        return BackendUnreachable(_text(error))
    return unavailable(tls_error_text(error), error)


def _text(error: AMQPError) -> str:
    if isinstance(error, ConnectionClosed) and len(error.args) > 1:
        return " ".join(str(each) for each in error.args)
    if isinstance(error, AuthenticationError) and len(error.args) > 1:
        return f"it only knows the mechanisms {error.args[0]}; set 'mechanism'"
    said = " ".join(str(each) for each in error.args)
    return re.sub(r"\s+", " ", said) or type(error).__name__
