"""What can go wrong, by whose fault it is.

GatewayError
  ConfigurationError        the operator's: told at start, exit status 2
    PluginError             a plugin cannot be loaded or broke the contract at registration
  BackendError              the backend's: raised by `Backend.connect`
    BackendUnavailable        another backend is tried
      OutOfResources            nobody's but our own machine's: the same, and not held against it
    BackendDeclined           the backend's HTTP answer becomes the client's
CloseSession                not an error: how a valve ends its session
"""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Sequence

_LACKS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_LACKS_PORTS = frozenset({errno.EADDRNOTAVAIL, errno.EADDRINUSE})
_UNKNOWN_NAME = frozenset(
    getattr(socket, each, None) for each in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")
)
_ERRNO = re.compile(r"\[Errno (\d+)\]")

# What is no configuration at all, such as a log file, is wrong in each of its lines.
_MOST_PROBLEMS = 50
_LONGEST_PROBLEM = 1000  # characters


class GatewayError(Exception):
    """Root of everything that the gateway itself raises."""


class ConfigurationError(GatewayError):
    """The configuration cannot be used.

    Args:
        problems: one line for each fault, with the key path and what is allowed there. What cannot
            be printed, as may stand in the name of a variable, is escaped. Of more than 50, the
            first are kept and the others counted; of one that is too long, the first 1000
            characters are.
    """

    def __init__(self, problems: Sequence[str] | str) -> None:
        problems = (problems,) if isinstance(problems, str) else problems
        self.problems = tuple(map(_one_line, problems[:_MOST_PROBLEMS]))
        if (others := len(problems) - _MOST_PROBLEMS) > 0:
            self.problems += (f"and {others} more problem{'' if others == 1 else 's'}",)
        super().__init__("\n".join(self.problems))


def _one_line(problem: str) -> str:
    if len(problem) > _LONGEST_PROBLEM:
        problem = f"{problem[:_LONGEST_PROBLEM]} ..."
    if problem.isprintable():
        return problem
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in problem)


class PluginError(ConfigurationError):
    """A plugin cannot be found, imported or registered; the text names it and its distribution."""


class BackendError(GatewayError):
    """Root of what `Backend.connect` may raise."""


class BackendUnavailable(BackendError):
    """This backend cannot serve now (network, timeout, 5xx, broken answer); the next is tried.

    Args:
        reason: for the log; one line, no secrets.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class OutOfResources(BackendUnavailable):
    """The gateway had no descriptor, port or memory for this dial, or could not look its name up.

    Says nothing of the backend, and so does not count against it. When all dials for a new client
    fail so, it gets 503 instead of 502. See `unavailable`.
    """


def unavailable(reason: str, cause: BaseException) -> BackendUnavailable:
    """Return what to raise when a dial has failed: OutOfResources where that is the cause.

    Args:
        reason: for the log; one line, no secrets.
        cause: what was caught; several in one, as `create_connection` raises them, included.
    """
    if isinstance(cause, socket.gaierror):
        if cause.errno in _UNKNOWN_NAME and not _lacks_descriptors():
            return BackendUnavailable(reason)
        return OutOfResources(reason)  # no name server answers, for example
    codes = _error_codes(cause)
    # A name may have an address of a family that this machine has not (EADDRNOTAVAIL): that the
    # other address refuses is the backend's fault.
    if codes & _LACKS or (codes and codes <= _LACKS_PORTS):
        return OutOfResources(reason)
    return BackendUnavailable(reason)


def _lacks_descriptors() -> bool:
    """Tell whether none is left; a resolver that cannot open its files calls every name unknown."""
    try:
        socket.socket().close()
    except OSError as error:
        return error.errno in _LACKS
    return False


def _error_codes(error: BaseException) -> set[int | None]:
    if isinstance(error, BaseExceptionGroup):
        return set().union(*map(_error_codes, error.exceptions))
    if not isinstance(error, OSError):
        return {None}
    if error.errno is not None:
        return {error.errno}
    # asyncio joins the texts of several: "Multiple exceptions: [Errno 99] ..., [Errno 111] ..."
    return {int(code) for code in _ERRNO.findall(str(error))} or {None}


class BackendDeclined(BackendError):
    """The backend works but does not want this client (HTTP 3xx or 4xx).

    During the first dial the client gets this answer and no other backend is tried. During a
    failover the session ends with 1008, or another backend is tried (`failover.retry-statuses`).

    Args:
        status: 300 to 499.
        headers: the answer's headers; the gateway passes on only those that make sense.
        body: the answer's body, bounded by the plugin.
    """

    def __init__(
        self, status: int, headers: Sequence[tuple[str, str]] = (), body: bytes = b""
    ) -> None:
        self.status = status
        self.headers = tuple(headers)
        self.body = body
        super().__init__(f"declined with status {status}")


class CloseSession(Exception):
    """Raised by a valve to end its session: client and backend see this code and reason.

    Args:
        code: a close code that may be sent (RFC 6455 section 7.4): 1000 to 1003, 1007 to 1014,
            3000 to 4999.
        reason: at most 123 bytes of UTF-8; longer is cut.
    """

    def __init__(self, code: int = 1000, reason: str = "") -> None:
        self.code = code
        self.reason = reason
        super().__init__(f"{code} {reason}".rstrip())
