"""A plugin of pytest: records which tests run each line of a folder, and how long they take.

`--code` is the folder, `--record` the JSON file to write. In the file `seconds` has the duration of
each test by its id. `lines` has each file of the folder, by its path relative to the working
directory, and for each of its lines the tests that run it, as indices into `seconds`. A test's
fixtures belong to it. The imports before the first test, and other processes, are not recorded.
"""

from __future__ import annotations

import ast
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from coverage import Coverage


class Record:
    """Tells which tests to run for a change of a line.

    Args:
        file: what the plugin has written.
    """

    def __init__(self, file: Path) -> None:
        recorded = json.loads(file.read_text("utf-8"))
        self._seconds: dict[str, float] = recorded["seconds"]
        tests = list(self._seconds)
        self._lines = {
            Path(name): {int(line): {tests[index] for index in ran} for line, ran in lines.items()}
            for name, lines in recorded["lines"].items()
        }

    def tests(self, root: Path, file: Path, line: int) -> tuple[list[str], float]:
        """Returns the tests to run, in their order, and the seconds that they all took.

        They are those that run a line of the statement, the fastest first. What a file runs at its
        import belongs to no test: then they are those that run code in its folder, and those that
        run code of the file itself come first.
        """
        lines, at_import = statement((root / file).read_text("utf-8"), line)
        of_file = self._lines.get(file, {})
        if at_import:
            folder = [ran for name, ran in self._lines.items() if name.parent == file.parent]
            found = set().union(*(tests for ran in folder for tests in ran.values()))
        else:
            found = set().union(*(of_file.get(number, ()) for number in lines))
        near = set().union(*of_file.values())
        order = sorted(found, key=lambda test: (test not in near, self._seconds[test]))
        return order, sum(self._seconds[test] for test in order)


def statement(text: str, line: int) -> tuple[range, bool]:
    """Returns the lines of the statement at a line, and whether the import of the file runs it.

    Of a compound statement, only the lines before its body count.
    """

    def statements(node: ast.AST, *, at_import: bool) -> Iterator[tuple[range, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.stmt | ast.excepthandler):
                body = getattr(child, "body", None)
                end = _first_line(body[0]) if body else (child.end_lineno or child.lineno) + 1
                yield range(_first_line(child), max(end, child.lineno + 1)), at_import
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from statements(child, at_import=at_import and not inside)

    found = (range(line, line + 1), False)  # such as the guard of a case
    for lines, at_import in statements(ast.parse(text), at_import=True):
        if line in lines:
            found = (lines, at_import)
    return found


def _first_line(node: ast.stmt | ast.excepthandler) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min(each.lineno for each in (node, *decorators))


class _Recorder:
    def __init__(self, code: str, record: Path) -> None:
        self._record = record
        self._seconds: dict[str, float] = {}
        self._coverage = Coverage(data_file=None, config_file=False, include=[f"{code}/*"])
        # The newer core reports each line once, and not once for each test.
        self._coverage.set_option("run:core", "ctrace")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Iterator[None]:
        self._coverage.start()
        try:
            return (yield)
        finally:
            self._coverage.stop()
            self._record.write_text(json.dumps({"seconds": self._seconds, "lines": self._lines()}))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._coverage.switch_context(item.nodeid)
        began = time.monotonic()
        try:
            return (yield)
        finally:
            self._seconds[item.nodeid] = time.monotonic() - began

    def _lines(self) -> dict[str, dict[int, list[int]]]:
        data = self._coverage.get_data()
        indices = {test: index for index, test in enumerate(self._seconds)}
        return {
            str(Path(file).relative_to(Path.cwd())): {
                line: sorted(indices[test] for test in tests if test)
                for line, tests in data.contexts_by_lineno(file).items()
            }
            for file in data.measured_files()
        }


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options of this plugin."""
    parser.addoption("--code", required=True)
    parser.addoption("--record", required=True, type=Path)


def pytest_configure(config: pytest.Config) -> None:
    """Starts to record."""
    config.pluginmanager.register(_Recorder(config.getoption("code"), config.getoption("record")))
