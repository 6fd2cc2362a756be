"""The `wsgw` command as users run it: real processes, with plugins made for the test."""

from __future__ import annotations

import gc
import importlib
import io
import os
import subprocess
import sys
import textwrap
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from importlib import metadata
from pathlib import Path
from unittest import mock

import pytest

from wsgw_core.cli.main import main

WSGW = Path(sys.executable).with_name("wsgw")
# Its options say what it does when it is opened and closed.
FAKE_PLUGIN = """
    import asyncio, sys
    from wsgw_core.api import BackendUnavailable, ConfigurationError, Duration, Options
    from wsgw_core.api import hookimpl, per_session

    WSGW_API = "1.0"

    class FakeMarks(Options):
        first_one: str = ""
        second_one: str = ""

    class FakeOptions(Options):
        url: str
        speed: int = 7
        pause: Duration = 1.0
        api_key: str | None = None
        at_open: str = ""
        at_close: str = ""
        at_probe: str = ""
        marks: FakeMarks = FakeMarks()

    class FakeBackend:
        def __init__(self, options, context):
            self.options = options

        async def open(self):
            await self.act("opening", self.options.at_open)

        async def close(self):
            await self.act("closing", self.options.at_close)

        async def connect(self, request, sink):
            raise BackendUnavailable("pigeons carry no sessions")

        async def probe(self):
            if self.options.at_probe == "refuse":
                raise BackendUnavailable("no pigeon at " + self.options.url)
            await self.act("probing", self.options.at_probe)

        async def act(self, what, how):
            print(what, file=sys.stderr, flush=True)
            if how == "hang":
                await asyncio.Event().wait()
            if how == "refuse":
                raise ConfigurationError(["speed: too fast", "speed: too slow"])
            if how == "fail":
                raise LookupError("out of pigeons")

    @hookimpl
    def wsgw_register_backends(registry):
        registry.add("fake", FakeOptions, FakeBackend)

    class FakeValveOptions(Options):
        password: str = ""

    @hookimpl
    def wsgw_register_valves(registry):
        registry.add("fake", FakeValveOptions, per_session(lambda options, session: None))
"""


class Shop:
    """A folder of distributions on the import path, and commands that run with it."""

    def __init__(self, folder: Path, cleanup: ExitStack) -> None:
        self.folder = folder
        self._cleanup = cleanup

    def install(
        self, name: str, entry: str | None, source: str = "", *, group: str = "wsgw"
    ) -> None:
        """Install a distribution with one module.

        Args:
            name: of the distribution.
            entry: what it provides, with spaces between several; None: nothing.
            source: of the module.
            group: of entry points; of commands, each is an object of its name in the module.
        """
        module = f"{name.replace('-', '_')}_module"
        info = self.folder / f"{name.replace('-', '_')}-9.9.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.9\n")
        if entry:
            of = {each: f"{module}:{each}" if "." in group else module for each in entry.split()}
            lines = [f"{each} = {value}\n" for each, value in of.items()]
            (info / "entry_points.txt").write_text(f"[{group}]\n" + "".join(lines))
        (self.folder / f"{module}.py").write_text(textwrap.dedent(source))

    def hide_installed_plugins(self) -> None:
        """Hide installed plugins by distributions of the same names without plugins."""
        for entry_point in metadata.entry_points(group="wsgw"):
            name = entry_point.dist.name if entry_point.dist else ""
            if name and not list(self.folder.glob(f"{name.replace('-', '_')}-*")):
                self.install(name, None)

    def config(self, text: str) -> str:
        path = self.folder / "wsgw.yaml"
        path.write_text(textwrap.dedent(text))
        return str(path)

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [WSGW, *arguments],
            check=False,
            capture_output=True,
            text=True,
            env=self._environment(variables),
            timeout=60,
        )

    def call(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Do as `run` in this process, at a small part of the cost; not for the command `run`."""
        said, told = io.StringIO(), io.StringIO()
        importlib.invalidate_caches()  # the folder may have changed since the last call
        try:
            with (
                mock.patch.dict(os.environ, self._environment(variables), clear=True),
                mock.patch.object(sys, "argv", ["wsgw", *arguments]),
                mock.patch.object(sys, "path", [str(self.folder), *sys.path]),
                redirect_stdout(said),
                redirect_stderr(told),
                pytest.raises(SystemExit) as ended,
            ):
                main()
        finally:
            gc.enable()  # `check` disables it
            for module in self.folder.glob("*.py"):
                sys.modules.pop(module.stem, None)
        status = ended.value.code
        assert isinstance(status, int)
        return subprocess.CompletedProcess(arguments, status, said.getvalue(), told.getvalue())

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        process = self._cleanup.enter_context(
            subprocess.Popen(
                [WSGW, *arguments],
                stderr=subprocess.PIPE,
                text=True,
                env=self._environment(variables),
            )
        )
        self._cleanup.callback(process.kill)
        return process

    def _environment(self, variables: dict[str, str]) -> dict[str, str]:
        own = ("BE_", "FE_", "ADM_", "LOG_LEVEL", "WSGW_")
        inherited = {name: text for name, text in os.environ.items() if not name.startswith(own)}
        return {
            **inherited,
            "PYTHONPATH": str(self.folder),
            "PYTHONWARNINGS": "error",
            "COLUMNS": "200",
            "ADM_ADDR": "127.0.0.1:0",
            **variables,
        }


def only_line(text: str) -> str:
    assert text.endswith("\n")
    assert text.count("\n") == 1, text
    return text.rstrip("\n")
