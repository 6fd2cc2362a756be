"""Secrets in their own files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from wsgw_core.api import ConfigurationError, Options
from wsgw_core.config.problems import Origins
from wsgw_core.config.secrets import secret_keys, with_secrets

from .core_config import load_config


class Inner(Options):
    api_key: str
    key_password_file: str | None = None
    key_password: str | None = None


class Outer(Options):
    url: str = ""
    password: str = ""
    pin: SecretStr | None = None
    name: str = ""
    inner: Inner | None = None
    several: tuple[Inner, ...] = ()


@pytest.fixture
def secret(tmp_path: Path) -> str:
    path = tmp_path / "secret"
    path.write_text("hush\n")
    return str(path)


@pytest.mark.parametrize("key", ["password", "pin", "url"])
@pytest.mark.parametrize("suffix", ["-file", "_file"])
def test_secret_is_read_from_the_named_file(secret: str, key: str, suffix: str) -> None:
    origins = Origins({(f"{key}-file",): "wsgw.yaml:3"}, [(f"{key}-file",)])

    data, problems = with_secrets({f"{key}{suffix}": secret, "name": "x"}, Outer, origins)

    assert (data, problems) == ({key: "hush", "name": "x"}, [])
    assert origins.file((key,)) == secret
    assert origins.sources((key,)) == ["wsgw.yaml:3"]


def test_secrets_in_sections_and_lists_are_read(secret: str) -> None:
    given = {"inner": {"api_key_file": secret}, "several": [{"api-key-file": secret}]}
    before = repr(given)

    data, problems = with_secrets(given, Outer, Origins())

    assert not problems
    assert data == {"inner": {"api-key": "hush"}, "several": [{"api-key": "hush"}]}
    assert repr(given) == before


def test_file_key_of_the_model_is_left_to_the_model() -> None:
    given: dict[str, Any] = {"inner": {"key_password_file": "/x"}, "name-file": "/x", "x-file": 5}

    assert with_secrets(given, Outer, Origins()) == (given, [])
    assert secret_keys(Inner) == ("api-key",)


def test_invalid_data_is_left_to_the_model() -> None:
    samples: tuple[Any, ...] = (5, None, [], {"inner": 5, "several": [5]})
    for data in samples:
        assert with_secrets(data, Outer, Origins()) == (data, [])


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "secret: is empty"),
        (b"\n", "secret: is empty"),
        (b"\xff", "secret: not UTF-8 text"),
        (b"x" * 70_000, "secret: larger than 64KiB"),
        (None, "secret: cannot be read: No such file or directory"),
    ],
)
def test_unusable_secret_file_is_a_problem(
    tmp_path: Path, content: bytes | None, complaint: str
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)

    _, [problem] = with_secrets({"password-file": str(file)}, Outer, Origins())

    assert problem.startswith("password-file: ")
    assert problem.endswith(complaint)


@pytest.mark.parametrize("name", [5, "", None, ["x"]])
def test_invalid_file_name_is_a_problem(name: Any) -> None:
    _, [problem] = with_secrets({"password-file": name}, Outer, Origins())

    assert problem.endswith("allowed: the name of a file")


def test_a_secret_given_twice_is_a_problem(secret: str) -> None:
    _, [problem] = with_secrets({"password": "x", "password_file": secret}, Outer, Origins())

    assert problem == "password-file: is also given as 'password'"


def test_backend_url_can_be_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("ws://joe:hush@a:1\n")
    variables = {"WSGW_UPSTREAM__BACKENDS__0__URL_FILE": str(tmp_path / "url")}

    [backend] = load_config(None, variables).upstream.backends

    assert (backend.url, backend.effective_id) == ("ws://joe:hush@a:1", "a-1")


def test_admin_token_can_be_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("0123456789abcdef\n")
    first = "WSGW_SERVER__ADMIN__TOKENS__0__"

    config = load_config(
        None,
        {
            "BE_URLS": "ws://a:1",
            f"{first}NAME": "ops",
            f"{first}ROLES": "read,operate",
            f"{first}TOKEN_FILE": str(tmp_path / "token"),
        },
    )

    [made] = config.server.admin.tokens
    assert made.token.get_secret_value() == "0123456789abcdef"
    assert made.roles == ("read", "operate")


def test_a_missing_file_names_the_variable() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_config(None, {"WSGW_UPSTREAM__BACKENDS__0__URL_FILE": "/nowhere/url"})

    assert caught.value.problems[0] == (
        "WSGW_UPSTREAM__BACKENDS__0__URL_FILE: upstream.backends[0].url-file:"
        " /nowhere/url: cannot be read: No such file or directory"
    )


def test_invalid_content_of_a_secret_file_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("root:x:0:0 and more")
    (tmp_path / "token").write_text("short")
    file = tmp_path / "wsgw.yaml"
    file.write_text(
        "server: {admin: {tokens: [{name: a, roles: [read], token-file: HERE/token}]}}\n"
        "upstream: {backends: [{id: a, url-file: HERE/url}]}\n".replace("HERE", str(tmp_path))
    )

    with pytest.raises(ConfigurationError) as caught:
        load_config(file, {})

    told = str(caught.value)
    assert f"url: found the content of {tmp_path}/url: a URL has no spaces" in told
    assert "root:x" not in told
    assert "short" not in told
