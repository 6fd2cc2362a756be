"""The exceptions of the contract, by whose fault it is.

GatewayError
  ConfigurationError        the operator's fault: reported at start, exit status 2
    PluginError             a plugin cannot be loaded, or broke the contract at registration
  BackendError              the backend's fault: raised by `Backend.connect`
    BackendUnavailable        wsgw tries another backend; counts unless others are served
      BackendUnreachable        the same; always counts, since no client can provoke it
      UnusableAnswer            the same; never counts, since the request may have provoked it
      OutOfResources            the same; never counts, since the gateway's machine is at fault
    BackendDeclined           the backend's HTTP answer becomes the client's
CloseSession                not an error: a valve ends its session
HydrationRefused            not an error: a new backend refused a valve's hydration
"""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Iterable, Sequence
from typing import Self

_LACKS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_LACKS_PORTS = frozenset({errno.EADDRNOTAVAIL, errno.EADDRINUSE})
_UNKNOWN_NAME = frozenset(
    getattr(socket, each, None) for each in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")
)
_ERRNO = re.compile(r"\[Errno (\d+)\]")

# In a file that is no configuration, such as a log file, each line is wrong.
_MOST_PROBLEMS = 50
_LONGEST_PROBLEM = 1000  # characters


class GatewayError(Exception):
    """The base of all exceptions that the gateway itself raises."""


class ConfigurationError(GatewayError):
    """The configuration cannot be used.

    Args:
        problems: one line for each fault, with the key path and what is allowed there. Characters
            that cannot be printed are escaped. Only the first 50 problems are kept, with the number
            of the others, and only the first 1000 characters of each.
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
    """A plugin cannot be found, imported or registered; the text names plugin and distribution."""


class BackendError(GatewayError):
    """The base of the exceptions that `Backend.connect` may raise."""


class BackendUnavailable(BackendError):
    """This backend cannot serve this session now (a 5xx for example); wsgw tries the next one.

    If this comes `breaker-threshold` times in a row, it trips the backend's breaker. A client may
    have provoked it, so it counts only while no connection of this backend has proved itself. Raise
    a subclass if you know more.

    Args:
        reason: for the log; one line, no secrets.
        retry_after: seconds for which no client dials this backend, at most 60. Then one dial finds
            out whether it is back, as after `BackendContext.down`. Its connections stay. New
            clients that get no other backend get this time as `Retry-After`. 0: dials go on. Use it
            only for a condition that concerns all clients and that no client can provoke.
    """

    def __init__(self, reason: str, *, retry_after: float = 0.0) -> None:
        self.reason = reason
        self.retry_after = retry_after
        super().__init__(reason)


class BackendUnreachable(BackendUnavailable):
    """No connection to this backend could be made: refused, no route, unknown name, TLS.

    It always counts against the backend. So raise it only for what no client can provoke, before
    any part of the client's request was sent. See `unavailable`.
    """


class UnusableAnswer(BackendUnavailable):
    """This backend's answer to this request cannot be used, for example because it is malformed.

    It says nothing about answers to other clients, and so never counts against the backend.
    """


class OutOfResources(BackendUnavailable):
    """The gateway had no descriptor, port or memory for this dial, or could not look up its name.

    It says nothing about the backend, and so does not count against it. If all dials for a new
    client fail in this way, the client gets 503 instead of 502. See `unavailable`.
    """


def unavailable(reason: str, cause: BaseException) -> BackendUnavailable:
    """Returns the exception to raise when no connection could be made.

    It is OutOfResources if the gateway's machine is the cause, else BackendUnreachable.

    Args:
        reason: for the log; one line, no secrets.
        cause: the caught exception; may be a group, or several errors in one as asyncio's
            `create_connection` raises them.
    """
    if isinstance(cause, socket.gaierror):
        if cause.errno in _UNKNOWN_NAME and not _lacks_descriptors():
            return BackendUnreachable(reason)
        return OutOfResources(reason)  # no name server answers, for example
    codes = _error_codes(cause)
    # A name may have an address of a family that this machine lacks (EADDRNOTAVAIL). If the other
    # address refuses, that is the backend's fault.
    if codes & _LACKS or (codes and codes <= _LACKS_PORTS):
        return OutOfResources(reason)
    return BackendUnreachable(reason)


def _lacks_descriptors() -> bool:
    """Returns whether no descriptor is left; a resolver then reports every name as unknown."""
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
    """The backend works but refuses this client (HTTP 3xx or 4xx).

    During the first dial the client gets this answer and wsgw tries no other backend. The exception
    is status 407, which concerns a proxy and counts as an unusable answer. During a failover the
    session ends with 1008, or wsgw tries another backend (`failover.retry-statuses`).

    Args:
        status: 300 to 499.
        headers: the answer's headers; the gateway passes on only those that make sense for a
            client.
        body: the answer's body; the plugin limits its size.
        pass_headers: the names of further headers that the gateway passes on.
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

    @classmethod
    def with_text(cls, status: int, text: str) -> Self:
        """Returns a refusal whose body is a line of plain text.

        Args:
            status: 300 to 499.
            text: what is wrong with the client's request, without a line end.
        """
        return cls(status, (("Content-Type", "text/plain; charset=utf-8"),), f"{text}\n".encode())


class CloseSession(Exception):
    """Raised by a valve to end its session: client and backend get this code and reason.

    Args:
        code: a close code that may be sent (RFC 6455 section 7.4): 1000 to 1003, 1007 to 1014,
            3000 to 4999.
        reason: at most 123 bytes of UTF-8; a longer one is cut.
    """

    def __init__(self, code: int = 1000, reason: str = "") -> None:
        self.code = code
        self.reason = reason
        super().__init__(f"{code} {reason}".rstrip())


class HydrationRefused(Exception):
    """Raised by `Hydration.is_answer`: the backend refuses, so wsgw looks for another one.

    Args:
        reason: for the log; one line, no secrets.
    """
