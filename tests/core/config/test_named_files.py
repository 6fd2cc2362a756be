"""Keys that name files are found in unchecked data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field, FilePath

from wsgw_core.api import FileName, Options, TlsClientOptions
from wsgw_core.loading.named_files import named_files


class Inner(Options):
    file: FileName | None = None
    several: tuple[FileName, ...] = ()
    by_name: dict[str, FileName] | None = None
    password: str = ""


class Outer(Options):
    url: str = ""
    name: str = ""
    described: Annotated[FileName, Field(description="a file")] = "default"
    path: Path | None = None
    there: FilePath | None = None
    tls: TlsClientOptions | None = None
    inner: Inner | None = None
    list_: tuple[Inner, ...] = ()
    table: dict[str, Inner] | None = None
    either: Inner | str = ""


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ({"name": "/etc/passwd", "tls": {"verify": False}, "path": None}, []),
        ({"described": "x"}, ["described"]),
        ({"path": "x"}, ["path"]),
        ({"there": "x"}, ["there"]),
        ({"tls": {"ca": "x"}}, ["tls.ca"]),
        ({"tls": {"key_password_file": "x", "key": "x"}}, ["tls.key-password-file", "tls.key"]),
        ({"url-file": "x"}, ["url-file"]),
        ({"url_file": "x"}, ["url-file"]),
        ({"inner": {"password-file": "x"}}, ["inner.password-file"]),
        ({"inner": {"file": "x"}}, ["inner.file"]),
        ({"inner": {"several": "a,b"}}, ["inner.several.0"]),
        ({"inner": {"several": ["a", "b"]}}, ["inner.several.0", "inner.several.1"]),
        ({"inner": {"by-name": {"k": "x"}}}, ["inner.by-name.k"]),
        ({"list-": [{}, {"file": "x"}]}, ["list-.1.file"]),
        ({"table": {"k": {"file": "x"}}}, ["table.k.file"]),
        ({"either": {"file": "x"}}, ["either.file"]),
        ({"either": "x"}, []),
        ({"inner": 5, "list-": "x", "tls": [1], "unknown": {"file": "x"}}, []),
    ],
)
def test_keys_of_files_are_found(data: dict[str, Any], found: list[str]) -> None:
    assert [".".join(map(str, path)) for path in named_files(data, Outer)] == found
