"""TOML: the lines of its keys."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsgw_core.api import ConfigurationError
from wsgw_core.config.sources import load_config
from wsgw_core.config.toml_file import read_toml

TEXT = '''\
# a comment
title = "x"

[server]
block_headers = ["A",
  "B"]  # another
[[upstream.backends]]
url = "ws://a:1"
tls.ca = "/x"
[upstream.backends.tls]
key = """
[no-table]
x = 1
"""
[[upstream.backends]]
url = { a = [{ b = 1 }] }
[a."b.c"]
d = 1
'''


def test_each_key_has_its_line() -> None:
    lines = read_toml(TEXT.replace("tls.ca", "other.ca"), "wsgw.toml").lines

    assert lines == {
        ("title",): 2,
        ("server",): 4,
        ("server", "block_headers"): 5,
        ("server", "block_headers", 0): 5,
        ("server", "block_headers", 1): 5,
        ("upstream", "backends", 0): 7,
        ("upstream", "backends", 0, "url"): 8,
        ("upstream", "backends", 0, "other"): 9,
        ("upstream", "backends", 0, "other", "ca"): 9,
        ("upstream", "backends", 0, "tls"): 10,
        ("upstream", "backends", 0, "tls", "key"): 11,
        ("upstream", "backends", 1): 15,
        ("upstream", "backends", 1, "url"): 16,
        ("upstream", "backends", 1, "url", "a"): 16,
        ("upstream", "backends", 1, "url", "a", 0): 16,
        ("upstream", "backends", 1, "url", "a", 0, "b"): 16,
        ("a", "b.c"): 17,
        ("a", "b.c", "d"): 18,
    }


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_problem_is_told_with_its_line(tmp_path: Path, end: str) -> None:
    file = tmp_path / "wsgw.toml"
    text = '[[upstream.backends]]\nurl = "ws://a:1"\n\n[failover]\nhold = "soon"\nstable = "1s"\n'
    file.write_bytes(text.replace("\n", end).encode())

    with pytest.raises(ConfigurationError) as caught:
        load_config(file, {})

    [problem] = caught.value.problems
    assert problem.startswith(f"{file}:5: failover.hold: found 'soon'")


def test_a_value_over_very_many_lines_is_read_all_the_same() -> None:
    text = "a = 1\nb = [\n" + "  1,\n" * 5000 + "]\nc = 1\n"

    content = read_toml(text, "wsgw.toml")

    assert len(content.data["b"]) == 5000
    assert content.lines == {("a",): 1}


@settings(deadline=None)
@given(st.lists(st.sampled_from(TEXT.splitlines(keepends=True)), max_size=12).map("".join))
def test_no_order_of_lines_breaks_it(text: str) -> None:
    content = read_toml(text, "wsgw.toml")

    assert bool(content.problems) != (content.data is not None)
    assert all(1 <= line <= text.count("\n") for line in content.lines.values())
