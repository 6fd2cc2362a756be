"""Installs the built wheels into a fresh environment, as a user does, and tests them.

The tests are copied to a folder without the sources, so that no import can reach the sources. The
script takes four steps, in one environment that grows:

1. the core alone, without development tools: every module imports, and the command answers;
2. the core and the test tools: wsgw starts without plugins, `wsgw_core.testing` works for plugin
   authors, and so do the examples, built as their authors would build them;
3. `pip install wsgw`, with all extras: the journeys pass that start the command or show what a user
   relies on first, and so do the plugins' contract suites and examples;
4. `wsgw new`: its output can be installed, and passes its tests, ruff and mypy.

usage: test_wheels.py      after `make wheels`
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
WORK = ROOT / "build" / "test-wheels"
BIN = WORK / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
TESTS = WORK / "tests-only"
PYTEST = (BIN / "pytest", "-n", "auto", "--dist", "worksteal")

# Of the other tests, none shows how the wheels are built.
PLUGINS = ("contract", "examples")
CORE = ("testing", "plugins")
JOURNEYS = (
    "admin_process",
    "command_line",
    "demo",
    "failover",
    "gateway_process",
    "messages",
    "new",
    "plugins",
    "wsbalancer_files",
)
# What these tests import or start; the extra `dev` has a hundred packages more.
TOOLS = (
    "aio-pika",
    "hatchling",
    "hypothesis",
    "nats-py",
    "ocpp",
    "pytest-asyncio",
    "pytest-xdist",
    "trustme",
)

IMPORT_ALL = f"""\
import importlib, pathlib, pkgutil, sys
import wsgw_core
folder = pathlib.Path(wsgw_core.__file__)
assert folder.is_relative_to({str(WORK)!r}), f"imported from {{folder}}"
for module in pkgutil.walk_packages(wsgw_core.__path__, "wsgw_core."):
    if module.name.split(".")[1] != "testing" and not module.name.endswith("__main__"):
        importlib.import_module(module.name)
assert "pytest" not in sys.modules
"""


def run(*command: str | Path, folder: Path = TESTS) -> None:
    """Runs a command, by default in the folder of the copied tests; a failure ends the script."""
    print("+", *command, flush=True)
    status = subprocess.run([str(part) for part in command], cwd=folder, check=False).returncode
    if status:
        sys.exit(f"the built wheels fail: exit status {status}")


def pip_install(*requirements: str) -> None:
    """Installs with our own distributions from dist/ and the others at the tested versions."""
    pip = (BIN / "python", "-m", "pip", "--disable-pip-version-check")
    constraints = ("-c", ROOT / "constraints.txt", "-c", WORK / "own.txt")
    run(*pip, "install", "--quiet", "--no-compile", *constraints, *requirements)


def own_wheels() -> dict[str, str]:
    """Returns our distributions with the addresses of their wheels in dist/."""
    wheels = sorted(DIST.glob("*.whl"))
    if not wheels:
        sys.exit("dist/ holds no wheel: run `make wheels` first")
    return {wheel.name.split("-")[0].replace("_", "-"): wheel.as_uri() for wheel in wheels}


def copy_tests() -> list[str]:
    """Copies the tests that need no sources; returns the plugins' tests that run."""
    shutil.copy(ROOT / "pyproject.toml", TESTS)
    shutil.copytree(
        ROOT / "tests",
        TESTS / "tests",
        ignore=shutil.ignore_patterns("packaging", "deploy", "__pycache__"),
    )
    plugins = [folder.relative_to(ROOT) for folder in sorted(ROOT.glob("plugins/*/tests"))]
    for folder in plugins:
        shutil.copytree(ROOT / folder, TESTS / folder)
        if (examples := folder.parent / "examples").is_dir():  # started by the tests
            shutil.copytree(ROOT / examples, TESTS / examples)
    files = [folder / f"test_{name}.py" for folder in plugins for name in PLUGINS]
    return [str(file) for file in files if (TESTS / file).exists()]


def test_examples() -> None:
    """Installs the examples, built by the environment's hatchling, and runs their tests."""
    examples = sorted(path.parent for path in ROOT.glob("examples/*/pyproject.toml"))
    pip_install("--no-build-isolation", *map(str, examples))
    for example in examples:
        shutil.copytree(example / "tests", TESTS / "examples" / example.name / "tests")
    run(*PYTEST, "examples")


def main() -> None:
    """Runs the four steps."""
    wheels = own_wheels()
    shutil.rmtree(WORK, ignore_errors=True)
    TESTS.mkdir(parents=True)
    (WORK / "own.txt").write_text("".join(f"{name} @ {uri}\n" for name, uri in wheels.items()))
    plugin_tests = copy_tests()
    venv.create(WORK / "venv", with_pip=True)

    pip_install("wsgw-core")
    (WORK / "import_all.py").write_text(IMPORT_ALL)
    run(BIN / "python", WORK / "import_all.py")
    run(BIN / "wsgw", "--help")

    pip_install(*TOOLS)
    run(*PYTEST, *(f"tests/core/{name}" for name in CORE))
    test_examples()

    # pip 23.2 does not match an extra with a constraint that is an address, unless both have it.
    pip_install(f"wsgw[amqp,http,redis,valves] @ {wheels['wsgw']}")
    run(BIN / "wsgw", "plugins")
    journeys = [f"tests/journeys/test_{name}.py" for name in JOURNEYS]
    run(*PYTEST, *journeys, *plugin_tests)

    run(BIN / "wsgw", "new", "valve", "rate-limit", "--into", WORK)
    new = WORK / "wsgw-rate-limit"
    pip_install("--editable", f"{new}[dev]")
    run(BIN / "wsgw", "plugins")
    run(BIN / "pytest", folder=new)
    run(BIN / "ruff", "check", folder=new)
    run(BIN / "ruff", "format", "--check", folder=new)
    run(BIN / "mypy", folder=new)


if __name__ == "__main__":
    main()
