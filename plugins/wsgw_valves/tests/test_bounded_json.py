"""JSON of more lists and objects than a valve parses, and JSON that is nested too deep."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from wsgw_valves import plugin
from wsgw_valves.bounded_json import TooManyContainers, read_json

from wsgw_core.api import Close, Handshake
from wsgw_core.testing.valve_bench import ValveBench

MOST = 65_536
TOO_MANY = "[" + ",".join(["[]"] * MOST) + "]"
TOO_DEEP = "[" * 1000 + "]" * 1000
JSON_RPC = '{"id":1,"method":"login","params":%s}'
RULES = {"rules": [{"remember": {"$.method": "login"}}]}
ROOMS = {"rooms": [{"join": "join", "leave": "leave"}]}


def test_as_many_lists_and_objects_as_allowed_are_parsed() -> None:
    document = b"[" + b",".join([b"[]", b"{}"] * (MOST // 2 - 1)) + b",[]]"
    assert len(read_json(document)) == MOST - 1
    for another in (b"[]", b"{}", b'"["', b'"{"'):
        with pytest.raises(TooManyContainers):
            read_json(document[:-1] + b"," + another + b"]")


def test_what_is_no_json_or_too_deep_is_a_value_error() -> None:
    for document in (b"", b"[", b"[NaN]", TOO_DEEP.encode(), b"[" * MOST):
        with pytest.raises(ValueError, match=r"EOF|NaN|recursion|expected"):
            read_json(document, allow_inf_nan=False)


def test_nested_lists_take_less_time_than_short_lists_that_are_parsed() -> None:
    nested = b"[" + b",".join([b"[" * 20 + b"]" * 20] * 25_000) + b"]"
    parsed = b"[" + b",".join([b"[]"] * (MOST - 1)) + b"]"

    def seconds(document: bytes) -> float:
        begin = time.thread_time()
        with suppress(TooManyContainers):
            read_json(document)
        return time.thread_time() - begin

    assert min(seconds(nested) for _ in range(5)) < min(seconds(parsed) for _ in range(5))


@pytest.mark.parametrize("body", [TOO_MANY, TOO_DEEP])
@pytest.mark.parametrize(
    ("kind", "options", "message", "before"),
    [
        ("jsonrpc", {"logins": ["login"]}, JSON_RPC, ()),
        ("graphql", {}, '{"payload":%s,"id":"1","type":"subscribe"}', ()),
        ("remember", RULES, JSON_RPC, ()),
        ("actioncable", {"max-size": "1MiB"}, '{"command":"subscribe","identifier":%s}', ()),
        ("socketio", ROOMS, '42["join",%s]', ("2", '0{"sid":"a"}', "40", "40{}")),
        ("message-log", {"redact-paths": ["$..token"]}, "%s", ()),
    ],
)
async def test_a_valve_passes_on_what_it_does_not_parse(
    kind: str, options: Mapping[str, Any], message: str, before: tuple[str, ...], body: str
) -> None:
    handshake = Handshake("/?EIO=4", (), (), "192.0.2.1:5555")
    async with ValveBench.of(plugin, kind, options, handshake=handshake) as bench:
        for number, content in enumerate(before):
            await (bench.to_client if number % 2 else bench.to_backend)(content)
        assert await bench.to_backend(message % body) == [message % body]
        assert bench.closed is None


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (TOO_MANY, "the message is too large to check"),
        (TOO_DEEP, "the message is not JSON"),
    ],
)
async def test_json_schema_refuses_what_it_does_not_parse(
    body: str, reason: str, tmp_path: Path
) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text("{}")
    async with ValveBench.of(plugin, "json-schema", {"to-backend": str(schema)}) as bench:
        assert await bench.to_backend(body) == []
        assert bench.closed == Close(1008, reason)
