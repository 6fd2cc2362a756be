"""Runs what the image runs, without the image: as user nobody, in a read-only folder."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


class Image:
    """The image's folder and command, with copies of the packages that the tests run with.

    Copies, since those may be in a folder that others must not enter, as home directories are.
    """

    def __init__(self, folder: Path, instructions: dict[str, list[str]], packages: Path) -> None:
        self.folder = folder
        self._instructions = instructions
        self._user = int(instructions["USER"][0].partition(":")[0])
        self._interpreter = _readable_interpreter()
        self._packages = str(packages)
        folder.chmod(0o555)

    def command(self, text: str) -> list[str]:
        """Returns a command of the Dockerfile with the programs of the tests."""
        program, *arguments = json.loads(text)
        name = Path(program).name
        start = f"import sys; sys.path.insert(0, {self._packages!r}); "
        if name == "wsgw":
            start += "from wsgw_core.cli.main import main; main()"
            return [self._interpreter, "-P", "-c", start, *arguments]
        assert name == "python"
        assert arguments[0] == "-c"
        return [self._interpreter, "-P", "-c", start + arguments[1]]

    def start(self, command: list[str], **variables: str) -> subprocess.Popen[str]:
        """Starts a command as the image does: as user nobody, in a read-only folder."""
        environment: dict[str, str] = {}
        for line in self._instructions["ENV"]:
            environment |= dict(word.split("=", 1) for word in shlex.split(line))
        as_root = os.geteuid() == 0
        return subprocess.Popen(
            command,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env={**environment, "HOME": "/nonexistent", **variables},
            user=self._user if as_root else None,
            group=self._user if as_root else None,
            extra_groups=[] if as_root else None,
        )


def _readable_interpreter() -> str:
    """Returns an interpreter of this version that every user can start."""
    for candidate in (Path(sys.executable).resolve(), *_installed_interpreters()):
        if os.geteuid() or all(folder.stat().st_mode & 1 for folder in candidate.parents):
            return str(candidate)
    pytest.skip("only root can read the interpreter that the tests run with")


def _installed_interpreters() -> list[Path]:
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return [
        path for path in (Path("/usr/bin") / name, Path("/usr/local/bin") / name) if path.exists()
    ]


def _needed_by(name: str, found: dict[str, metadata.Distribution]) -> None:
    """Adds a distribution and all its requirements."""
    if (key := canonicalize_name(name)) in found:
        return
    found[key] = metadata.distribution(name)
    for text in found[key].requires or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            _needed_by(requirement.name, found)


def _copy(distribution: metadata.Distribution, target: Path) -> None:
    for file in distribution.files or ():
        source = Path(str(distribution.locate_file(file)))
        if ".." in file.parts or file.suffix in (".pth", ".pyc") or not source.is_file():
            continue
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target / file)
    # Packages for development are installed elsewhere.
    module = importlib.util.find_spec(distribution.name.replace("-", "_"))
    if module is not None and module.submodule_search_locations and module.origin:
        folder = Path(module.origin).parent
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(folder, target / folder.name, ignore=ignored, dirs_exist_ok=True)


@pytest.fixture(scope="module")
def packages() -> Iterator[Path]:
    """Returns a folder with wsgw and its requirements, which every user can read."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found: dict[str, metadata.Distribution] = {}
        _needed_by("wsgw", found)
        for distribution in found.values():
            _copy(distribution, folder)
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        yield folder


@pytest.fixture
def image(instructions: dict[str, list[str]], packages: Path) -> Iterator[Image]:
    with tempfile.TemporaryDirectory() as folder:  # a folder that others can enter, unlike tmp_path
        yield Image(Path(folder), instructions, packages)


def said_until(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """Reads a process's output until a line matches."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if match := re.search(pattern, line):
            return match
    raise AssertionError("".join(said))


def test_image_command_is_healthy_as_nobody_and_stops_at_its_signal(
    image: Image, instructions: dict[str, list[str]]
) -> None:
    entry = json.loads(instructions["ENTRYPOINT"][0])
    command = image.command(json.dumps([*entry, *json.loads(instructions["CMD"][0])]))
    number = getattr(signal, instructions["STOPSIGNAL"][0])
    check = instructions["HEALTHCHECK"][0].partition("CMD ")[2]

    with image.start(
        command,
        BE_URLS="ws://127.0.0.1:1",
        FE_ADDR="127.0.0.1:0",
        ADM_ADDR="127.0.0.1:0",
        LOG_LEVEL="INFO",
    ) as process:
        try:
            said_until(process, r"^wsgw: listening on 127\.0\.0\.1:")
            admin = said_until(process, r"admin API on 127\.0\.0\.1:(\d+)")[1]
            assert ":8081/" in check  # the default
            asked = image.command(check.replace(":8081/", f":{admin}/"))
            with image.start(asked) as health:
                _, complaint = health.communicate(timeout=60)
            assert health.returncode == 0, complaint
            process.send_signal(number)
            assert process.stderr is not None
            rest = process.stderr.read()
            assert process.wait(30) == 0, rest
        finally:
            process.kill()

    with image.start(asked) as health:
        health.communicate(timeout=60)
    assert health.returncode != 0


def test_entry_command_reports_what_is_missing(
    image: Image, instructions: dict[str, list[str]]
) -> None:
    entry = json.loads(instructions["ENTRYPOINT"][0])
    command = image.command(json.dumps([*entry, *json.loads(instructions["CMD"][0])]))

    with image.start(command) as process:
        _, said = process.communicate(timeout=60)

    assert process.returncode == 2
    assert said.startswith("wsgw: upstream.backends: no backend: set upstream.backends")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has this switch")
def test_unit_command_needs_no_memory_both_writable_and_executable(image: Image) -> None:
    """Applies systemd's MemoryDenyWriteExecute, with the kernel's own switch."""
    program = (
        "import ctypes, os, sys;"
        "refused = ctypes.CDLL(None).prctl(65, 1, 0, 0, 0);"  # PR_SET_MDWE
        "sys.exit('no switch') if refused else os.execv(sys.argv[1], sys.argv[1:])"
    )
    command = image.command('["/opt/wsgw/bin/wsgw", "run"]')
    started = [command[0], "-c", program, *command]
    variables = {"BE_URLS": "ws://127.0.0.1:1", "FE_ADDR": "127.0.0.1:0", "ADM_ADDR": "127.0.0.1:0"}
    with image.start(started, **variables) as process:
        try:
            said = said_until(process, "listening on|no switch")
            if said[0] == "no switch":
                pytest.skip("the kernel is too old")
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
