"""How many sessions there are descriptors for; in processes of their own, whose limits are low."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")


def with_limits(soft: str, hard: str, code: str) -> str:
    """Return what a program prints that runs with these limits of open files."""
    program = f"""
        import resource
        from wsgw_core.file_limit import file_limit, raise_file_limit
        from wsgw_core.file_limit import room_for_clients, session_capacity
        resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
    """
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program) + textwrap.dedent(code)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout.strip()


def test_the_limit_is_the_soft_one() -> None:
    assert with_limits("300", "400", "print(file_limit())") == "300"


def test_it_is_raised_to_the_hard_one() -> None:
    assert with_limits("300", "400", "raise_file_limit(); print(file_limit())") == "400"


def test_one_that_is_as_high_as_it_may_be_stays() -> None:
    assert with_limits("400", "400", "raise_file_limit(); print(file_limit())") == "400"


@pytest.mark.parametrize(
    ("limit", "capacity"),
    [(1024, 430), (1025, 430), (1026, 431), (166, 1), (168, 2), (64, 1)],
)
def test_a_session_has_two_and_some_are_kept(limit: int, capacity: int) -> None:
    assert with_limits(str(limit), str(limit), "print(session_capacity())") == str(capacity)


def test_without_a_limit_there_is_no_capacity(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource  # noqa: PLC0415 - not on Windows

    from wsgw_core import file_limit  # noqa: PLC0415 - so that the module can be skipped

    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda _what: unlimited)
    assert file_limit.file_limit() is None
    assert file_limit.session_capacity() is None
    assert file_limit.room_for_clients(0) > 10**9


@pytest.mark.parametrize(
    ("limit", "open_ones", "room"),
    [
        (400, 100, 125),  # 50 are kept
        (400, 347, 1),
        (400, 349, 0),
        (400, 350, 0),
        (400, 400, 0),
        (80, 40, 10),  # 20 are kept
        (80, 60, 0),
    ],
)
def test_for_a_new_client_there_are_two_and_some_are_kept(
    limit: int, open_ones: int, room: int
) -> None:
    code = f"""
        import os
        while os.dup(1) + 1 < {open_ones}:
            pass
        print(room_for_clients(1))
    """
    assert with_limits(str(limit), str(limit), code) == str(room)
