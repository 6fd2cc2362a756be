"""The valve `json-schema`: alone, and in a gateway."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from wsgw_valves import plugin
from wsgw_valves.json_schema.schema import read_schema
from wsgw_valves.json_schema.settings import JsonSchemaSettings

from wsgw_core.api import ConfigurationError, Limits
from wsgw_core.testing.samples import samples
from wsgw_core.testing.valve_bench import ValveBench

from .conftest import StartGateway
from .echo import Echo

CALL = {
    "type": "object",
    "required": ["id"],
    "properties": {"id": {"type": "integer"}, "text": {"type": "string", "pattern": "^(a+)+$"}},
    "additionalProperties": {"$ref": "#/$defs/tree"},
    "$defs": {"tree": {"type": "array", "items": {"$ref": "#/$defs/tree"}}},
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "schema.json"
    file.write_text(json.dumps(CALL))
    return file


def bench_of(file: Path, **options: Any) -> ValveBench:
    options = {key.replace("_", "-"): value for key, value in options.items()}
    return ValveBench.of(plugin, "json-schema", {"to-backend": str(file), **options})


VALID = ['{"id": 1}', ' {"id":1,"text":"aaa"}\n', '{"id": 1e2, "x": [[], []]}']
INVALID = {
    "": ("json", "the message is not JSON"),
    "hello": ("json", "the message is not JSON"),
    '{"id": 1}{': ("json", "the message is not JSON"),
    '{"id": NaN}': ("json", "the message is not JSON"),
    '{"id": ' + "9" * 5000 + "}": ("json", "the message is not JSON"),
    '{"id": 1, "x": ' + "[" * 5000 + "]" * 5000 + "}": ("json", "the message is not JSON"),
    "[1]": ("schema", "does not fit the schema: type at the top"),
    "{}": ("schema", "does not fit the schema: required at the top"),
    '{"id": "secret"}': ("schema", "does not fit the schema: type at /id"),
    '{"id": 1, "x": [[7]]}': ("schema", "does not fit the schema: type at /x/0/0"),
    '{"id": 1, "text": "' + "a" * 5000 + '!"}': (
        "schema",
        "does not fit the schema: pattern at /text",
    ),
    '{"id": 1, "' + "k" * 500 + '": 7}': (
        "schema",
        "does not fit the schema: type at /" + "k" * 59 + "...",
    ),
    '{"id": 1, "text": "' + "a" * 20_000 + '"}': ("size", "the message is too large to check"),
}


@pytest.mark.parametrize("text", VALID)
async def test_valid_message_passes_unchanged(file: Path, text: str) -> None:
    async with bench_of(file) as bench:
        assert await bench.to_backend(text) == [text]


@pytest.mark.parametrize("text", INVALID)
async def test_invalid_message_ends_session(file: Path, text: str) -> None:
    why, reason = INVALID[text]
    async with bench_of(file, max_size=16_000) as bench:
        assert await bench.to_backend(text, '{"id": 1}') == []
        assert bench.closed is not None
        assert (bench.closed.code, bench.closed.reason) == (1008, reason)
        name = f'wsgw_json_schema_invalid_total{{direction="to-backend",why="{why}"}}'
        assert samples(bench.context.metrics) == {name: 1}


async def test_invalid_message_is_discarded_with_discard(file: Path) -> None:
    async with bench_of(file, action="discard", max_size=16_000) as bench:
        assert await bench.to_backend(*INVALID, *VALID) == VALID
        assert bench.closed is None


async def test_each_direction_has_its_own_schema(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"type": "array"}')
    async with bench_of(file, to_client=str(other), action="discard") as bench:
        assert await bench.to_backend("[]", '{"id": 1}') == ['{"id": 1}']
        assert await bench.to_client("[]", '{"id": 1}') == ["[]"]
    async with bench_of(file, action="discard") as bench:
        assert await bench.to_client("anything") == ["anything"]


async def test_binary_messages_are_checked_unless_configured(file: Path) -> None:
    async with bench_of(file, action="discard") as bench:
        assert await bench.to_backend(b'{"id": 1}', b"\xff\x00") == [b'{"id": 1}']
    async with bench_of(file, action="discard", binary="pass") as bench:
        assert await bench.to_backend(b"\xff\x00", "x") == [b"\xff\x00"]


async def test_hostile_message_is_checked_fast(file: Path) -> None:
    schema = {"uniqueItems": True, "items": {"pattern": "^(a|a)*b(.*x)*$"}}
    for content, text in (
        (CALL, json.dumps({"id": 1, "text": "a" * 200_000 + "!"})),
        (schema, json.dumps(["a" * 100_000] + ["b" + "x" * 900] * 100)),
        (schema, json.dumps(list(range(50_000)))),
    ):
        file.write_text(json.dumps(content))  # noqa: ASYNC240 - before the valve is opened
        async with bench_of(file, action="discard", max_size="1MiB") as bench:
            begin = time.thread_time()
            await bench.to_backend(text)
            assert time.thread_time() - begin < 2


@given(st.text() | st.binary())
def test_any_message_is_valid_or_invalid(content: str | bytes) -> None:
    validator = read_schema(json.dumps(CALL))
    try:
        found = from_json(content, allow_inf_nan=False)
    except ValueError:
        return
    assert validator.is_valid(found) in (True, False)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "No such file"),
        ("{", "is not JSON: "),
        ("[" * 100_000, "is not JSON: "),
        ("7", "is not a JSON Schema: it must be an object"),
        ('{"type": "strnig"}', "is not a JSON Schema: type: .*"),
        ('{"pattern": "(?=a)"}', 'is not a JSON Schema: pattern: .*not a "regex"'),
        ('{"pattern": "("}', "is not a JSON Schema: pattern: "),
        ('{"$ref": "https://example.com/a"}', "is not a JSON Schema: .*Retrieval is disabled"),
        ('{"$ref": "file:///etc/passwd"}', "Retrieval is disabled"),
        ('{"$ref": "#/$defs/none"}', "'/\\$defs/none' does not exist"),
        ('{"$schema": "https://example.com/own"}', "Unknown meta-schema"),
        ("x" * 1_100_000, "larger than 1048576 bytes"),
    ],
)
async def test_unusable_schema_file_is_refused(
    file: Path, content: str | None, problem: str
) -> None:
    replace_by(file, content)
    settings = JsonSchemaSettings.model_validate({"to-client": str(file)})
    [(key, found)] = settings.file_problems()
    assert key == "to-client"
    bench = bench_of(file)
    with pytest.raises(
        ConfigurationError, match=f"json-schema': to-backend: {file}: .*{problem}"
    ) as caught:
        await bench.__aenter__()
    assert str(caught.value).endswith(found)


def replace_by(file: Path, content: str | None) -> None:
    if content is None:
        file.unlink()
    else:
        file.write_text(content)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "needs 'to-backend' or 'to-client'"),
        ({"to-backend": ""}, "to-backend: "),
        ({"to-backend": "x", "action": "tell"}, "action: .*'close' or 'discard'"),
        ({"to-backend": "x", "max-size": 0}, "max-size: "),
    ],
)
async def test_invalid_options_are_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        ValveBench.of(plugin, "json-schema", options)


def test_max_size_below_limit_gives_warning() -> None:
    settings = JsonSchemaSettings.model_validate({"to-client": "x", "max-size": 1000})
    assert not list(settings.warnings(Limits(max_message_size=1000)))
    assert [key for key, _ in settings.warnings(Limits(max_message_size=1001))] == ["max-size"]


async def test_invalid_messages_of_client_and_backend_close_session(
    start_gateway: StartGateway, echo: Echo, file: Path
) -> None:
    gateway = await start_gateway(
        valves=[{"kind": "json-schema", "to-backend": str(file), "to-client": str(file)}]
    )
    async with connect(gateway.url) as client:
        await client.send('{"id": 7}')
        assert await client.recv() == '{"id": 7}'
        await client.send('{"id": "7"}')
        with pytest.raises(ConnectionClosed) as caught:
            await client.recv()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1008
    assert caught.value.rcvd.reason == "does not fit the schema: type at /id"
    assert echo.heard == ['{"id": 7}']
