"""Whose fault a failed dial is, and the problems of a wrong configuration."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import subprocess
import sys
import textwrap

import pytest

from wsgw_core.api import (
    BackendDeclined,
    BackendError,
    BackendUnavailable,
    BackendUnreachable,
    ConfigurationError,
    GatewayError,
    OutOfResources,
    PluginError,
    UnusableAnswer,
    unavailable,
)

LACKS = ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EADDRNOTAVAIL", "EADDRINUSE"]


def os_error(name: str) -> OSError:
    code = getattr(errno, name)
    return OSError(code, os.strerror(code))


def joined(*names: str) -> OSError:
    """Returns what asyncio raises when the addresses of a name fail for different reasons."""
    texts = ", ".join(str(os_error(name)) for name in names)
    return OSError(f"Multiple exceptions: {texts}")


@pytest.mark.parametrize("name", LACKS)
def test_a_lack_of_resources_is_not_the_backends_fault(name: str) -> None:
    error = unavailable("why", os_error(name))
    assert type(error) is OutOfResources
    assert error.reason == "why"


@pytest.mark.parametrize("name", ["EAI_AGAIN", "EAI_FAIL", "EAI_MEMORY", "EAI_SYSTEM"])
def test_a_name_that_could_not_be_looked_up_is_not_the_backends_fault(name: str) -> None:
    error = socket.gaierror(getattr(socket, name), "no name server")
    assert type(unavailable("why", error)) is OutOfResources


@pytest.mark.parametrize(
    "cause",
    [
        os_error("ECONNREFUSED"),
        os_error("ENETUNREACH"),
        os_error("ECONNRESET"),
        TimeoutError(),
        ConnectionError("closed"),
        socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
        ValueError("anything"),
    ],
    ids=repr,
)
def test_other_errors_are_the_backends_fault(cause: Exception) -> None:
    assert type(unavailable("why", cause)) is BackendUnreachable


@pytest.mark.parametrize(
    ("names", "own"),
    [
        (("EMFILE", "ECONNREFUSED"), True),  # the other address was not tried
        (("EADDRNOTAVAIL", "ECONNREFUSED"), False),  # this machine has no such family
        (("EADDRNOTAVAIL", "EADDRNOTAVAIL"), True),
        (("ECONNREFUSED", "ENETUNREACH"), False),
    ],
)
def test_one_refusing_address_of_several_is_the_backends_fault(
    names: tuple[str, ...], *, own: bool
) -> None:
    group = ExceptionGroup("", [os_error(name) for name in names])
    assert isinstance(unavailable("why", joined(*names)), OutOfResources) is own
    assert isinstance(unavailable("why", group), OutOfResources) is own


WITHOUT_DESCRIPTORS = """
    import asyncio, os, resource, sys
    from wsgw_core.api import unavailable

    async def main():
        loop = asyncio.get_running_loop()
        await asyncio.gather(  # starts threads, and imports what looking a name up needs
            *(loop.getaddrinfo("localhost", 9) for _ in range(8))
        )
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        taken = []
        try:
            while True:
                taken.append(os.dup(0))
        except OSError:
            pass
        try:
            await loop.create_connection(asyncio.Protocol, sys.argv[2], 9)
        except OSError as error:
            found = [type(error).__name__, type(unavailable("", error)).__name__]
        for one in taken:
            os.close(one)
        print(*found)

    if sys.argv[1] == "uvloop":
        import uvloop
        uvloop.run(main())
    else:
        asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_an_unknown_name_without_descriptors_is_a_lack_of_resources(loop: str, host: str) -> None:
    """The resolver then says that the name is not known."""
    pytest.importorskip(loop)
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(WITHOUT_DESCRIPTORS), loop, host],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout.split()
    assert found[1] == "OutOfResources", found


async def test_a_refused_connection_is_the_backends_fault() -> None:
    with socket.socket() as bound:  # and does not listen
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match=r"111|refused") as caught:
            await asyncio.open_connection(*bound.getsockname())
    assert type(unavailable("why", caught.value)) is BackendUnreachable


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        ("hold: not a duration", "hold: not a duration"),
        ("WSGW_\n: unknown", "WSGW_\\n: unknown"),
        ("\x1b[2J: unknown key", "\\x1b[2J: unknown key"),
        ("größe: unknown key", "größe: unknown key"),
        ("a\u2028b", "a\\u2028b"),
    ],
)
def test_each_problem_is_one_line_that_can_be_printed(problem: str, told: str) -> None:
    assert ConfigurationError([problem]).problems == (told,)
    assert str(ConfigurationError(problem)) == told


@pytest.mark.parametrize("kind", [BackendUnreachable, OutOfResources, UnusableAnswer])
def test_every_reason_for_another_backend_is_unavailable(kind: type[Exception]) -> None:
    assert issubclass(kind, BackendUnavailable)


@pytest.mark.parametrize("kind", [BackendUnavailable, BackendDeclined])
def test_the_errors_of_connect_are_backend_errors(kind: type[Exception]) -> None:
    assert issubclass(kind, BackendError)


@pytest.mark.parametrize("kind", [BackendError, ConfigurationError, PluginError])
def test_errors_of_a_start_or_a_dial_are_gateway_errors(kind: type[Exception]) -> None:
    assert issubclass(kind, GatewayError)
