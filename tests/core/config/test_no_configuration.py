"""Files that are not a configuration are reported soon and briefly."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from wsgw_core.api import ConfigurationError
from wsgw_core.config.sources import MAX_FILE
from wsgw_core.config.toml_file import read_toml
from wsgw_core.loading.configuration import load_configuration


def problems_of(file: Path) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(file, {})
    return caught.value.problems


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("".join(f"10:00 INFO, line {n}: all is well\n" for n in range(300)), id="log"),
        pytest.param("".join(f"name-{n}: x\n" for n in range(300)), id="unknown keys"),
        pytest.param("".join(f"{n}: x\n" for n in range(300)), id="numbers as keys"),
        pytest.param("server:\n" * 300, id="the same key"),
        pytest.param("upstream:\n  backends:\n" + "    - x\n" * 300, id="no backends"),
        pytest.param(
            "upstream:\n  backends:\n" + "".join(f"    - url: k{n}://a{n}\n" for n in range(300)),
            id="kinds that nobody provides",
        ),
    ],
)
def test_first_problems_are_reported_and_the_rest_counted(tmp_path: Path, content: str) -> None:
    file = tmp_path / "wsgw.yaml"
    file.write_text(content)

    *problems, last = problems_of(file)

    assert len(problems) == 50
    count = int(last.removeprefix("and ").removesuffix(" more problems"))
    lines = content.count("\n")
    assert lines - 60 < count <= lines


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.yaml", "- some text\n" * 1000),
        ("list.yaml", "- [[a, b], {c: d}, [[[e]]]]\n" * 500),
        ("word.yaml", "x" * 500_000),
        ("key.yaml", '? "' + "x" * 500_000 + '"\n: 1\n'),
        ("key.yaml", "server: {" + "x" * 1000 + ": 1}\n"),
        ("key.toml", "x" * 500_000 + " = 1\n"),
        ("same.toml", f"{'x' * 500_000} = 1\n" * 2),
        ("value.yaml", "server: {logging-level: '" + "x" * 500_000 + "'}\n"),
        ("kind.yaml", "valves: [{kind: " + "x" * 500_000 + "}]\n"),
        ("tag.yaml", "server: !" + "x" * 1000 + " 5\n"),
        ("alias.yaml", "server: *" + "x" * 500_000 + "\n"),
    ],
)
def test_long_values_are_shortened_in_problems(tmp_path: Path, name: str, content: str) -> None:
    file = tmp_path / name
    file.write_text(content)

    problems = problems_of(file)

    assert len(problems) <= 3
    assert max(map(len, problems)) <= 1000 + len(" ...")


def test_huge_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    file = tmp_path / "wsgw.yaml"
    with file.open("wb") as stream:
        stream.truncate(1 << 40)

    tracemalloc.start()
    try:
        [problem] = problems_of(file)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert problem == f"{file}: larger than 1MiB"
    assert most < 8 * MAX_FILE


@pytest.mark.parametrize(
    "text",
    [
        "a." * 100_000 + "b = 1",
        "['a' . \"b.\". " + "c . " * 100_000 + "d]",
        "a = {" + "b." * 100_000 + "c = 1}",
        "a = " + "[" * 50_000 + "]" * 50_000,
        "a = " + "[" * 60 + "]" * 60,
        "\n".join(f"[{'a.' * 40}b]\n{'c.' * 40}d = {n}" for n in range(1)),
    ],
)
def test_deeply_nested_toml_takes_little_memory(text: str) -> None:
    tracemalloc.start()
    try:
        content = read_toml(text, "wsgw.toml")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert content.problems == ["wsgw.toml: nested more than 50 levels deep"]
    assert most < 32 * MAX_FILE


def test_dots_in_values_are_not_nesting() -> None:
    text = 'a = "' + "." * 1000 + '"\nb = "' + "x " * 1000 + '"\nc = 1.5'

    assert not read_toml(text, "wsgw.toml").problems


def test_number_with_too_many_digits_is_a_clear_problem(tmp_path: Path) -> None:
    file = tmp_path / "wsgw.yaml"
    file.write_text(f"failover: {{max-replays: {'9' * 5000}}}\n")

    problem, *_ = problems_of(file)

    assert problem.startswith(f"{file}:1: found '999")
    assert problem.endswith(": a number with more than 100 digits")
