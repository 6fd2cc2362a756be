"""What can go wrong, by whose fault it is.

GatewayError
  ConfigurationError        the operator's: told at start, exit status 2
    PluginError             a plugin cannot be loaded or broke the contract at registration
  BackendError              the backend's: raised by `Backend.connect`
    BackendUnavailable        another backend is tried; counts unless others are served
      BackendUnreachable        the same; counts always, since no client can provoke it
      UnusableAnswer            the same; never counts, since the request may have provoked it
      OutOfResources            the same; never counts, since our own machine is at fault
    BackendDeclined           the backend's HTTP answer becomes the client's
CloseSession                not an error: how a valve ends its session
HydrationRefused            not one either: how a valve says that a new backend did
"""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Iterable, Sequence

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
    """This backend cannot serve this session now, with a 5xx for example; the next is tried.

    It trips the backend's breaker when it comes `breaker-threshold` times in a row, but counts only
    while no session of this backend is proved: a client may have provoked it. Raise a subclass
    where you know more.

    Args:
        reason: for the log; one line, no secrets.
        retry_after: seconds for which no client dials this backend, 60 at most; then one dial finds
            out whether it is back, as after `BackendContext.down`. Its connections stay. New
            clients that get no other backend are told so. 0: dials go on. Only for what concerns
            all clients, and none can provoke.
    """

    def __init__(self, reason: str, *, retry_after: float = 0.0) -> None:
        self.reason = reason
        self.retry_after = retry_after
        super().__init__(reason)


class BackendUnreachable(BackendUnavailable):
    """No connection to this backend could be made: refused, no route, unknown name, TLS.

    It counts against the backend, whomever it serves. So raise it only for what no client can
    provoke: before anything of the client's request was sent. See `unavailable`.
    """


class UnusableAnswer(BackendUnavailable):
    """This backend answered this request, but not in a way that could be used.

    A head that is too large or malformed, for example. It says nothing of what other clients would
    be answered, and so never counts against the backend.
    """


class OutOfResources(BackendUnavailable):
    """The gateway had no descriptor, port or memory for this dial, or could not look its name up.

    Says nothing of the backend, and so does not count against it. When all dials for a new client
    fail so, it gets 503 instead of 502. See `unavailable`.
    """


def unavailable(reason: str, cause: BaseException) -> BackendUnavailable:
    """Return what to raise when no connection could be made.

    That is OutOfResources where that is the cause, and BackendUnreachable otherwise.

    Args:
        reason: for the log; one line, no secrets.
        cause: what was caught; several in one, as `create_connection` raises them, included.
    """
    if isinstance(cause, socket.gaierror):
        if cause.errno in _UNKNOWN_NAME and not _lacks_descriptors():
            return BackendUnreachable(reason)
        return OutOfResources(reason)  # no name server answers, for example
    codes = _error_codes(cause)
    # A name may have an address of a family that this machine has not (EADDRNOTAVAIL): that the
    # other address refuses is the backend's fault.
    if codes & _LACKS or (codes and codes <= _LACKS_PORTS):
        return OutOfResources(reason)
    return BackendUnreachable(reason)


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

    During the first dial the client gets this answer and no other backend is tried; not so one with
    status 407, which is about a proxy and counts as unusable. During a
    failover the session ends with 1008, or another backend is tried (`failover.retry-statuses`).

    Args:
        status: 300 to 499.
        headers: the answer's headers; the gateway passes on only those that make sense.
        body: the answer's body, bounded by the plugin.
        pass_headers: names of those that it passes on besides.
    """

    def __init__(
        self,
        status: int,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        pass_headers: Iterable[str] = (),
    ) -> None:
        self.status = status
        self.headers = tuple(headers)
        self.body = body
        self.pass_headers = frozenset(name.lower() for name in pass_headers)
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


class HydrationRefused(Exception):
    """Raised by `Hydration.is_answer`: the backend says no, so another one is looked for.

    Args:
        reason: for the log; one line, no secrets.
    """
