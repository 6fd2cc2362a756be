"""TOML as a source of the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsgw_core.api import ConfigurationError
from wsgw_core.config.toml_file import read_toml

from .core_config import load_config

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


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_problem_in_toml_names_file_and_key(tmp_path: Path, end: str) -> None:
    file = tmp_path / "wsgw.toml"
    text = '[[upstream.backends]]\nurl = "ws://a:1"\n\n[failover]\nhold = "soon"\nstable = "1s"\n'
    file.write_bytes(text.replace("\n", end).encode())

    with pytest.raises(ConfigurationError) as caught:
        load_config(file, {})

    [problem] = caught.value.problems
    assert problem.startswith(f"{file}: failover.hold: found 'soon'")


@settings(deadline=None)
@given(st.lists(st.sampled_from(TEXT.splitlines(keepends=True)), max_size=12).map("".join))
def test_any_order_of_lines_is_loaded(text: str) -> None:
    content = read_toml(text, "wsgw.toml")

    assert bool(content.problems) != (content.data is not None)
