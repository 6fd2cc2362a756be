"""read_bytes: regular files, up to a maximum size."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from wsgw_core.api.bounded_file import read_bytes


def test_a_pipe_is_read_to_its_end() -> None:
    reading, writing = os.pipe()
    try:
        os.write(writing, b"one")
        os.close(writing)
        assert read_bytes(f"/dev/fd/{reading}", 10, pipes=True) == b"one"
    finally:
        os.close(reading)


def test_a_pipe_without_a_writer_times_out(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    with pytest.raises(TimeoutError, match="nothing was written"):
        read_bytes(pipe, 10, pipes=True, timeout=0.01)


def test_a_larger_file_is_read_up_to_one_byte_more(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 100)

    assert read_bytes(file, 10) == b"x" * 11
    assert read_bytes(str(file), 100) == b"x" * 100


@pytest.mark.skipif(sys.platform != "linux", reason="has these devices")
@pytest.mark.parametrize("pipes", [True, False])
@pytest.mark.parametrize("device", ["/dev/ptmx", "/dev/zero", "/dev/null", "/dev/tty"])
def test_a_device_or_folder_is_refused_without_opening_it(
    monkeypatch: pytest.MonkeyPatch, device: str, *, pipes: bool
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(os, "open", lambda file, _flags: opened.append(file))

    with pytest.raises(ValueError, match="not a regular file"):
        read_bytes(device, 10, pipes=pipes)

    assert opened == []


def test_a_pipe_is_refused_for_a_file_that_is_read_repeatedly(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(ValueError, match="a pipe, and it is read more than once"):
        read_bytes(tmp_path / "pipe", 10)


def test_a_socket_is_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        with pytest.raises(ValueError, match="not a regular file"):
            read_bytes(tmp_path / "socket", 10, pipes=True)


@pytest.mark.skipif(sys.platform != "linux", reason="has these devices")
def test_a_file_that_becomes_a_device_before_it_is_opened_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    flags = []
    real = os.open

    def exchanged(_file: Path, given: int) -> int:
        flags.append(given)
        return real("/dev/zero", given)

    monkeypatch.setattr(os, "open", exchanged)

    with pytest.raises(ValueError, match="not a regular file"):
        read_bytes(file, 10)

    assert flags == [flags[0] | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY]
