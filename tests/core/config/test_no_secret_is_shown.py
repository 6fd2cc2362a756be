"""No problem shows a secret, whatever its characters and its place."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from wsgw_core.admin.backend_config import backend_config
from wsgw_core.api import ConfigurationError, Options, hookimpl
from wsgw_core.gateway.described import backend_settings
from wsgw_core.loading.added_backend import resolve_backend
from wsgw_core.loading.configuration import load_configuration
from wsgw_core.loading.effective import effective_config
from wsgw_core.loading.references import option_warnings, without_effect
from wsgw_core.plugins.loader import Plugins
from wsgw_core.process.log_output import JsonFormatter, OneLineFormatter

# Without &, which ends the field of a query: what follows is another one.
ODD = st.text(
    st.one_of(
        st.sampled_from(" /?#@:[]{}%*!|>'\"\\,;=+$-.0~`^<\t\n℀\u2028\xa0\x00\x1b"),
        st.characters(codec="utf-8", exclude_characters="&"),
    ),
    max_size=5,
)
# Two ends that are not to be seen, so that a half of a secret is found too.
SHORT = "hushZxq"
HALVES = ("hush", "Zxq")
SECRETS = ODD.map(lambda odd: odd.join(HALVES))

URLS = (
    "ws://joe:{}@host:1",
    "wss://joe:{}@host",
    "ws://:{}@host:1/path",
    "dns+ws://joe:{}@host:1",
    "ws:joe:{}@host:1",
    "joe:{}@host:1",
    "redis://joe:{}@host/0",
    "ws://joe@corp:{}@host:1",
    "ws://jo e:{}@host:1",
    "ws://host:1/?access_token={}",
)


def in_url(place: Callable[[str], Any]) -> list[Callable[[str], Any]]:
    def placed(url: str) -> Callable[[str], Any]:
        return lambda secret: place(url.format(secret))

    return list(map(placed, URLS))


def with_backend(**more: Any) -> dict[str, Any]:
    return {"upstream": {"backends": [{"url": "ws://a:1"}]}, **more}


def with_admin(**admin: Any) -> dict[str, Any]:
    return with_backend(server={"admin": admin})


def with_headers(headers: Any) -> dict[str, Any]:
    return with_backend(routes=[{"id": "r", "headers": headers}])


DATA: list[Callable[[str], Any]] = [
    *in_url(lambda url: {"upstream": {"backends": [{"url": url}]}}),
    *in_url(lambda url: {"upstream": {"backends": [{"url": url, "id": "a", "bad": 1}]}}),
    *in_url(lambda url: {"upstream": {"backends": [{"kind": url, "id": url}]}}),
    *in_url(lambda url: {"upstream": {"backends": [url]}}),
    *in_url(lambda url: {"upstream": {"backends": url}}),
    *in_url(lambda url: {"upstream": url}),
    *in_url(lambda url: {url: 1}),
    *in_url(lambda url: [url]),
    *in_url(lambda url: url),
    *in_url(lambda url: with_backend(valves=[{"kind": url}], gates=[url])),
    *in_url(lambda url: with_backend(server={"frontend": {"address": url}, "logging-level": url})),
    *in_url(lambda url: with_backend(failover={"hold": url, "retry-statuses": [url]})),
    *in_url(lambda url: with_backend(routes=[{"id": url, "paths": [url], "hosts": [url]}])),
    lambda secret: with_admin(tokens=[{"name": "a", "token": secret, "roles": ["read"]}]),
    lambda secret: with_admin(tokens=[{"name": "a", "token": secret * 4, "roles": ["read"]}]),
    lambda secret: with_admin(tokens=[{"nam": "a", "token": secret, "roles": "x"}]),
    lambda secret: with_admin(tokens=[{"name": "a", "token": [secret], "roles": ["read"]}]),
    lambda secret: with_admin(tokens=[{"name": "a", "token": {"a": secret}}]),
    lambda secret: with_admin(tokens=[secret]),
    lambda secret: with_admin(tokens=secret),
    lambda secret: with_admin(tokens={"ops": secret}),
    lambda secret: with_admin(token=secret),
    lambda secret: with_headers({"Authorization": secret, "X-Api-Key": secret}),
    lambda secret: with_headers({"Cookie": [secret], "X-Auth-Token": {"a": secret}}),
    lambda secret: with_headers(f"Authorization: {secret}"),
    lambda secret: with_headers([f"password = {secret}"]),
    lambda secret: {"upstream": {"backends": [{"url": "ws://a:1", "password": secret}]}},
    lambda secret: {"upstream": {"backends": [{"kind": "ws", "id": "a", "api-key": secret}]}},
    lambda secret: f"password: {secret}",
]

# As somebody writes it who does not think of quotes.
TEXTS = [
    *(f"upstream:\n  backends:\n    - url: {url}\n" for url in URLS),
    *(f"upstream:\n  backends:\n    - {url}\n" for url in URLS),
    *(f"upstream:\n  backends:\n    - url: '{url}'\n" for url in URLS),
    *(f'[[upstream.backends]]\nurl = "{url}"\n' for url in URLS),
    *(f"[[upstream.backends]]\nurl = {url}\n" for url in URLS),
    "server:\n  admin:\n    tokens:\n      - name: a\n        token: {}\n        roles: [read]\n",
    "server:\n  admin:\n    tokens:\n      - {}\n",
    "server:\n  admin:\n    tokens: {}\n",
    'server:\n  admin:\n    tokens:\n      - token: "{}"\n',
    "routes:\n  - id: a\n    headers:\n      Authorization: {}\n",
    "password = {}\n",
    "password: {}\n",
]
VARIABLES = [
    *({"BE_URLS": url} for url in URLS),
    *({"BE_URLS": "ws://a:1", "BE_URL_IDS": url} for url in URLS),
    *({"WSGW_UPSTREAM__BACKENDS__0__URL": url} for url in URLS),
    *({"FE_ADDR": url, "LOG_LEVEL": url, "BE_PING_TIME": url, "BE_URLS": url} for url in URLS),
    {"WSGW_SERVER__ADMIN__TOKENS__0__TOKEN": "{}"},
    {"WSGW_SERVER__ADMIN__TOKENS": "{}"},
    {"WSGW_SERVER__ADMIN__TOKENS__0__TOKEN__X": "{}"},
    {"BE_URLS": "ws://a:1", "WSGW_UPSTREAM__BACKENDS__0__PASSWORD": "{}"},
]

Check = Callable[[str], None]


class AnyOptions(Options):
    """Takes an URL, and is not careful with it."""

    url: str = ""
    password: str = ""

    def model_post_init(self, _context: Any) -> None:
        """Refuse some."""
        if len(self.url) % 2:
            raise ValueError(f"not good enough: {self.url}")


class Kinds:
    WSGW_API = "1.0"

    @hookimpl
    def wsgw_register_backends(self, registry: Any) -> None:
        for kind in ("ws", "wss", "redis"):
            registry.add(kind, AnyOptions, lambda *_: None)


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> Plugins:
    plugins = Plugins()
    plugins.register(Kinds(), "these tests")
    monkeypatch.setattr(
        "wsgw_core.loading.configuration.load_usable_plugins", lambda *_: (plugins, [])
    )
    return plugins


@pytest.fixture
def logged() -> Iterator[list[str]]:
    lines: list[str] = []

    class Memory(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.extend(each.format(record) for each in (OneLineFormatter(), JsonFormatter()))

    memory, logger = Memory(), logging.getLogger("wsgw")
    logger.addHandler(memory)
    try:
        yield lines
    finally:
        logger.removeHandler(memory)


@pytest.fixture
def nothing_shown(logged: list[str], plugins: Plugins) -> Callable[..., None]:
    assert plugins.backends.find("ws") is not None

    def check(file: Path | None, environment: dict[str, str]) -> None:
        logged.clear()
        try:
            loaded = load_configuration(file, environment)
        except ConfigurationError as error:
            shown = [str(error)]
        else:
            shown = [effective_config(loaded)]
            for notes in (option_warnings, without_effect):
                shown += notes(loaded.config, loaded.specs, loaded.origins)
            for backend in loaded.specs.all_backends:
                shown += [backend.id, json.dumps(backend_config(backend_settings(backend)))]
        assert_hidden("\n".join([*shown, *logged]))

    return check


def assert_hidden(text: str) -> None:
    assert "hush" not in text.lower(), text
    assert "zxq" not in text.lower(), text


every = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200
)


@every
@given(place=st.sampled_from(DATA), secret=SECRETS)
def test_secret_in_a_file_is_not_shown(
    tmp_path: Path, nothing_shown: Callable[..., None], place: Callable[[str], Any], secret: str
) -> None:
    file = tmp_path / "wsgw.yaml"
    file.write_text(yaml.safe_dump(place(secret)), encoding="utf-8")

    nothing_shown(file, {})


@every
@given(
    text=st.sampled_from(TEXTS),
    secret=SECRETS.filter(lambda secret: len(secret.splitlines()) == 1),
)
@example(text="password: {}\n", secret=f"*{SHORT}")
@example(text="password: {}\n", secret=f"!{SHORT}")
@example(text="password: {}\n", secret=f"!{SHORT}!{SHORT}")
@example(text="password: {}\n", secret=f"&{SHORT} &{SHORT}")
def test_unquoted_secret_in_a_file_is_not_shown(
    tmp_path: Path, nothing_shown: Callable[..., None], text: str, secret: str
) -> None:
    file = tmp_path / ("wsgw.toml" if text.startswith("[[") else "wsgw.yaml")
    file.write_text(text.replace("{}", secret), encoding="utf-8")

    nothing_shown(file, {})


@every
@given(
    variables=st.sampled_from(VARIABLES),
    # What stands behind an @ and before the comma of a list is a host.
    secret=SECRETS.filter(lambda secret: "\0" not in secret and not {"@", ","} <= {*secret}),
)
@example(variables={"BE_URLS": "ws:joe:{}@host:1"}, secret="\x1b,".join(HALVES))
@example(variables={"BE_URLS": "ws:joe:{}@host:1"}, secret=" x,".join(HALVES))
def test_secret_in_a_variable_is_not_shown(
    nothing_shown: Callable[..., None], variables: dict[str, str], secret: str
) -> None:
    nothing_shown(None, {name: text.replace("{}", secret) for name, text in variables.items()})


@every
@given(url=st.sampled_from(URLS), secret=SECRETS, more=st.sampled_from([{}, {"bad": 1}]))
def test_secret_of_an_added_backend_is_not_shown(
    plugins: Plugins, logged: list[str], url: str, secret: str, more: dict[str, Any]
) -> None:
    logged.clear()
    entry = {"url": url.format(secret), "password": secret, **more}
    try:
        spec = asyncio.run(resolve_backend(entry, plugins))
        shown = f"{spec.id} {json.dumps(backend_config(backend_settings(spec)))}"
    except ConfigurationError as error:
        shown = str(error)

    assert_hidden("\n".join([shown, *logged]))
