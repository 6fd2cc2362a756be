"""`wsgw run`: how it starts, and how it ends."""

from __future__ import annotations

import re
import resource
import signal
import socket
import subprocess
import textwrap

import pytest

from .command_shop import FAKE_PLUGIN, Shop


def wait_for(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """Read the output of a process until a line matches; fail if the process ends first."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if match := re.search(pattern, line):
            return match
    raise AssertionError(f"{pattern!r} is not in: {''.join(said)}")


def rest_of(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    said = process.stderr.read()
    process.wait(30)
    return said


def can_connect(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except ConnectionRefusedError:
        return False
    return True


TELLS_WHETHER_GARBAGE_IS_COLLECTED = """
import atexit, gc, sys

atexit.register(lambda: print("collects:", gc.isenabled(), file=sys.stderr))
"""
RUN = {"BE_URLS": "fake://nowhere.invalid:1", "FE_ADDR": "127.0.0.1:0"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_reports_its_address_and_stops_cleanly_on_a_signal(
    fake: Shop, number: signal.Signals
) -> None:
    process = fake.start("run", **RUN)
    port = int(wait_for(process, r"^wsgw: listening on 127\.0\.0\.1:(\d+), 1 backend$")[1])
    assert can_connect(port)

    process.send_signal(number)

    assert rest_of(process) == "closing\n"
    assert process.returncode == 0
    assert not can_connect(port)


def test_garbage_collection_is_enabled_once_run_listens(shop: Shop) -> None:
    source = textwrap.dedent(FAKE_PLUGIN) + TELLS_WHETHER_GARBAGE_IS_COLLECTED
    shop.install("acme", "fake", source)
    process = shop.start("run", **RUN)
    wait_for(process, r"^wsgw: listening on ")

    process.terminate()

    assert "collects: True\n" in rest_of(process)


def test_run_takes_all_settings_from_a_file(fake: Shop) -> None:
    file = fake.config(
        """
        server: {frontend: {address: "127.0.0.1:0"}, logging-level: INFO}
        upstream: {backends: [{url: "fake://a:1"}, {url: "fake://b:1"}]}
        """
    )
    process = fake.start("run", "-c", file)

    wait_for(process, r"^wsgw: listening on 127\.0\.0\.1:\d+, 2 backends$")
    wait_for(process, r" INFO .*admin API on 127\.0\.0\.1:\d+$")
    process.terminate()

    assert "stopped" in rest_of(process)
    assert process.returncode == 0


def test_stop_during_a_slow_start_is_clean(fake: Shop) -> None:
    file = fake.config("upstream: {backends: [{url: 'fake://a:1', at-open: hang}]}")
    process = fake.start("run", "-c", file, FE_ADDR="127.0.0.1:0")
    wait_for(process, "^opening$")

    process.terminate()

    assert rest_of(process) == "closing\n"
    assert process.returncode == 0


def test_stop_during_imports_is_clean(shop: Shop) -> None:
    shop.install(
        "acme",
        "fake",
        "import sys, time\nprint('importing', file=sys.stderr, flush=True)\ntime.sleep(60)",
    )
    process = shop.start("run", **RUN)
    wait_for(process, "^importing$")

    process.terminate()

    assert rest_of(process) == ""
    assert process.returncode == 0


def test_second_signal_ends_the_process_at_once(fake: Shop) -> None:
    file = fake.config("upstream: {backends: [{url: 'fake://a:1', at-close: hang}]}")
    process = fake.start("run", "-c", file, FE_ADDR="127.0.0.1:0")
    wait_for(process, "^wsgw: listening")
    process.terminate()
    wait_for(process, "^closing$")

    process.terminate()

    assert rest_of(process) == ""
    assert process.returncode == -signal.SIGTERM


def test_address_in_use_is_reported_in_one_line(fake: Shop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = fake.run("run", **{**RUN, "FE_ADDR": address})

    assert result.returncode == 1
    [line] = [line for line in result.stderr.splitlines() if line.startswith("wsgw: ")]
    assert line == f"wsgw: cannot listen on {address}: address already in use"
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("at_open", "status", "told"),
    [
        ("refuse", 2, ["wsgw: speed: too fast", "wsgw: speed: too slow"]),
        ("fail", 1, ["wsgw: failed: backend a-1, kind 'fake': LookupError: out of pigeons"]),
    ],
)
def test_backend_that_fails_to_open_is_reported(
    fake: Shop, at_open: str, status: int, told: list[str]
) -> None:
    file = fake.config(f"upstream: {{backends: [{{url: 'fake://a:1', at-open: {at_open}}}]}}")

    result = fake.run("run", "-c", file, FE_ADDR="127.0.0.1:0")

    assert result.returncode == status
    assert result.stderr.splitlines() == ["opening", "closing", *told]


def test_debug_variable_shows_the_traceback(fake: Shop) -> None:
    file = fake.config("upstream: {backends: [{url: 'fake://a:1', at-open: fail}]}")

    result = fake.run("run", "-c", file, FE_ADDR="127.0.0.1:0", WSGW_DEBUG="1")

    assert result.returncode == 1
    assert "Traceback (most recent call last)" in result.stderr
    assert "in act" in result.stderr


def test_run_raises_its_open_files_limit_to_the_maximum(fake: Shop) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))
    try:
        process = fake.start("run", **RUN, LOG_LEVEL="INFO")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    match = wait_for(process, r"room for about (\d+) sessions with (\d+) open files$")

    assert int(match[2]) == hard
    assert 0 < int(match[1]) <= hard // 2
    process.terminate()
    rest_of(process)


def test_run_works_without_uvloop(fake: Shop) -> None:
    (fake.folder / "uvloop.py").write_text("raise ImportError('not for this platform')")
    process = fake.start("run", **RUN)
    wait_for(process, r"^wsgw: listening on 127\.0\.0\.1:\d+")

    process.terminate()

    assert rest_of(process) == "closing\n"
    assert process.returncode == 0
