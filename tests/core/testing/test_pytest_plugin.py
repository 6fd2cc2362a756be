from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PLUGIN = ("-p", "wsgw_core.testing.pytest_plugin")

TESTS = """
import asyncio

def test_hours_pass(run_virtual):
    async def wait():
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    assert run_virtual(wait()) == 3600

def test_gateway_runs_with_plugins(running_gateway):
    from types import SimpleNamespace
    from wsgw_core.api import Message, Options, hookimpl, per_session
    from wsgw_core.testing.fakes import FakeBackend

    @hookimpl
    def wsgw_register_backends(registry):
        registry.add("fake", Options, lambda _options, _context: FakeBackend())

    plugin = SimpleNamespace(WSGW_API="1.0", wsgw_register_backends=wsgw_register_backends)
    data = {"upstream": {"backends": [{"kind": "fake", "id": "a"}]}}

    async def run():
        async with running_gateway(data, plugins=[plugin]) as gateway:
            assert gateway.url.startswith("ws://127.0.0.1:")
            assert gateway.count("sessions") == 0
            await gateway.reload(data)

    asyncio.run(run())
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": ":".join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_fixtures_need_no_other_plugin(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    result = run(tmp_path, "pytest", "-W", "error", *PLUGIN)
    assert "2 passed" in result.stdout, result.stdout + result.stderr


def test_the_contract_suite_needs_no_other_plugin(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "from wsgw_core.testing.backend_contract import BackendContract\n"
        "class TestIt(BackendContract):\n"
        "    @pytest.fixture\n"
        "    def harness(self):\n"
        "        pytest.skip('only collected')\n"
    )
    result = run(tmp_path, "pytest", "-W", "error", *PLUGIN)
    assert result.returncode == 0, result.stdout + result.stderr
    assert " skipped" in result.stdout


def test_importing_the_plugin_does_not_import_the_gateway(tmp_path: Path) -> None:
    (tmp_path / "look.py").write_text(
        "import sys\n"
        "import pytest\n"
        "before = set(sys.modules)\n"
        "import wsgw_core.testing.pytest_plugin\n"
        "new = set(sys.modules) - before\n"
        "print(sorted(name for name in new if not name.startswith('wsgw_core')))\n"
        "print('wsgw_core.api' in new)\n"
    )
    result = run(tmp_path, "look")
    assert result.stdout.splitlines() == ["[]", "False"], result.stderr


def test_a_conftest_can_import_both_loops_and_the_log_fixtures(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        "from wsgw_core.testing.for_conftest import no_fault_is_logged\n"
        "from wsgw_core.testing.for_conftest import pytest_asyncio_loop_factories\n"
    )
    (tmp_path / "test_it.py").write_text(
        "import asyncio, logging, pytest\n"
        "@pytest.mark.asyncio\n"
        "async def test_it():\n"
        "    print('on', type(asyncio.get_running_loop()).__module__)\n"
        "@pytest.mark.parametrize('name', ['asyncio', 'wsgw.session', 'acme', 'wsgwx'])\n"
        "def test_log(name):\n"
        "    logging.getLogger(name).error('it broke')\n"
    )
    result = run(tmp_path, "pytest", "-rA", "-p", "pytest_asyncio.plugin", *PLUGIN)
    assert "6 passed, 2 errors" in result.stdout, result.stdout + result.stderr
    assert "ERROR test_it.py::test_log[asyncio]" in result.stdout
    assert "ERROR test_it.py::test_log[wsgw.session]" in result.stdout
    assert "on asyncio." in result.stdout
    assert "on uvloop" in result.stdout
