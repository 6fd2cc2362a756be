from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = """
import pytest
from tests import first_collection

def pytest_configure(config):
    first_collection.configure(config)

@pytest.hookimpl(tryfirst=True)
def pytest_collection(session):
    first_collection.wait_for_it(session.config)
"""
MODULE = """
import os, time

def note(what):
    with open("collected", "a") as file:
        print(os.environ["PYTEST_XDIST_WORKER"], what, file=file)

note("begins")
time.sleep(0.1)
note("ends")

def test_something():
    pass
"""
FAILING = """
import os

if os.environ["PYTEST_XDIST_WORKER"] == "gw0":
    os._exit(1)
"""


@pytest.fixture
def tried(tmp_path: Path, pytestconfig: pytest.Config) -> Path:
    tables = pytestconfig.rootpath / ".hypothesis"
    tables.mkdir(exist_ok=True)
    (tmp_path / ".hypothesis").symlink_to(tables)  # making them takes seconds
    (tmp_path / "pytest.ini").write_text(f"[pytest]\npythonpath = {pytestconfig.rootpath}\n")
    (tmp_path / "conftest.py").write_text(CONFTEST)
    for name in "ab":
        (tmp_path / f"test_{name}.py").write_text(MODULE)
    return tmp_path


def run(tried: Path, workers: int) -> str:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "xdist", "-n", str(workers)],
        cwd=tried,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    ).stdout


def test_first_process_collects_before_the_others_begin(tried: Path) -> None:
    printed = run(tried, 3)

    assert "2 passed" in printed
    lines = (tried / "collected").read_text().splitlines()
    assert lines[:4] == ["gw0 begins", "gw0 ends"] * 2
    assert sorted({line.split()[0] for line in lines[4:]}) == ["gw1", "gw2"]


def test_others_begin_when_the_first_process_dies(tried: Path) -> None:
    (tried / "test_a.py").write_text(FAILING + MODULE)

    assert "2 passed" in run(tried, 2)
