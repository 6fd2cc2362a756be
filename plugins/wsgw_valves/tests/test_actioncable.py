"""The valve `actioncable`: alone, and with failing servers."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol
from wsgw_valves import plugin
from wsgw_valves.actioncable.reading import read_answer, read_command

from wsgw_core.api import Close
from wsgw_core.testing.valve_bench import ValveBench

from .breaks import ServerProcess, broken_servers, until

SERVER = Path(__file__).parent / "actioncable_server.py"
WELCOME, PING = '{"type":"welcome"}', '{"type":"ping","message":1}'


def bench_of(**options: Any) -> ValveBench:
    return ValveBench.of(
        plugin, "actioncable", {key.replace("_", "-"): value for key, value in options.items()}
    )


def command(name: str, channel: str, **more: Any) -> str:
    return json.dumps({"command": name, "identifier": json.dumps({"channel": channel}), **more})


def answer(name: str, channel: str) -> str:
    content = {"identifier": json.dumps({"channel": channel}), "type": f"{name}_subscription"}
    return json.dumps(content)


def subscribe(channel: str) -> str:
    return command("subscribe", channel)


async def subscribed(bench: ValveBench, *channels: str) -> None:
    assert await bench.to_client(WELCOME) == [WELCOME]
    await bench.to_backend(*map(subscribe, channels))
    answers = [answer("confirm", channel) for channel in channels]
    assert await bench.to_client(*answers) == answers


def received(bench: ValveBench, since: int) -> list[str]:
    """Returns the client's messages, without the times of pings."""
    texts = [each.text for each in bench.client.received[since:]]
    return ["ping" if json.loads(text).get("type") == "ping" else text for text in texts]


async def test_confirmed_subscriptions_are_hydrated_one_after_the_other() -> None:
    async with bench_of() as bench:
        await subscribed(bench, "A", "B")
        before = len(bench.client.received)
        for _ in range(2):
            assert await bench.fail_over() == []  # the server sends first
            for said, heard in (
                (WELCOME, [subscribe("A")]),
                (PING, [subscribe("A")]),
                (answer("confirm", "B"), [subscribe("A")]),
                (answer("confirm", "A"), [subscribe("A"), subscribe("B")]),
                (answer("confirm", "B"), [subscribe("A"), subscribe("B")]),
            ):
                await bench.to_client(said)
                assert bench.heard == heard
            assert await bench.to_backend("{}") == ["{}"]
        assert received(bench, before) == ["ping", "ping", answer("confirm", "B")] * 2


RESTART = '{"type":"disconnect","reason":"server_restart","reconnect":true}'


@pytest.mark.parametrize("closes", [True, False])
async def test_restarting_server_is_left_and_client_stays(*, closes: bool) -> None:
    async with bench_of() as bench:
        await subscribed(bench, "A")
        assert await bench.to_client(RESTART) == []
        old = bench.backends[0].connections[0]
        if closes and old.ended is None:
            old.hang_up(1000)
        await until(lambda: bench.session.backend_id == "green", "the other one serves")
        await bench.to_client(WELCOME, answer("confirm", "A"))
        assert bench.heard == [subscribe("A")]
        assert await bench.to_backend("{}") == ["{}"]
        assert bench.closed is None


async def test_server_that_restarts_during_hydration_has_refused() -> None:
    async with bench_of() as bench:
        await subscribed(bench, "A")
        before = len(bench.client.received)
        replies = RESTART, Close(1000)
        assert await bench.fail_over(*replies, WELCOME, *replies, WELCOME) == [subscribe("A")]
        await bench.to_client(answer("confirm", "A"))
        assert bench.failed_hydrations == 2
        assert received(bench, before) == ["ping", "ping"]


@pytest.mark.parametrize(
    "said",
    [
        '{"type":"disconnect","reason":"server_restart","reconnect":false}',
        '{"type":"disconnect","reason":"remote","reconnect":true}',
        '{"type":"disconnect","reason":"unauthorized","reconnect":false}',
        '{"type":"message","reason":"server_restart","reconnect":true}',
        '["server_restart"]',
        '"server_restart"}',
    ],
)
async def test_other_disconnects_reach_client(said: str) -> None:
    async with bench_of() as bench:
        await subscribed(bench, "A")
        assert await bench.to_client(said) == [said]
        assert bench.session.backend_id == "blue"
        await bench.fail_over()
        assert await bench.to_client(said) == [said]


async def test_unconfirmed_subscription_is_replayed_and_its_answer_passes() -> None:
    async with bench_of() as bench:
        await bench.to_client(WELCOME)
        await bench.to_backend(subscribe("A"))
        assert await bench.fail_over(WELCOME) == [subscribe("A")]
        assert await bench.to_client(answer("confirm", "A")) == [answer("confirm", "A")]
        confirmed = await bench.fail_over(WELCOME, answer("confirm", "A"))
        assert confirmed == [subscribe("A")]


async def test_client_without_welcome_gets_that_of_next_server() -> None:
    async with bench_of() as bench:
        assert await bench.fail_over(WELCOME) == []
        assert received(bench, 0) == [WELCOME]


async def test_subscription_ends_with_unsubscribe_and_with_a_rejection() -> None:
    leave = [command("unsubscribe", channel) for channel in "AB"]
    async with bench_of() as bench:
        await subscribed(bench, "A")
        await bench.to_backend(subscribe("B"), subscribe("C"))
        assert await bench.to_client(answer("reject", "C")) == [answer("reject", "C")]
        assert await bench.to_backend(*leave) == leave
        assert len(bench.session.ledger) == 0
        assert await bench.fail_over(WELCOME) == []
        assert await bench.to_backend(subscribe("C")) == [subscribe("C")]


async def test_unsubscribe_goes_only_to_server_with_the_subscription() -> None:
    leave = command("unsubscribe", "A")
    async with bench_of() as bench:
        await subscribed(bench, "A")
        bench.backends[0].connections[-1].acknowledge_at_once = False
        assert await bench.to_backend(leave) == [leave]
        assert await bench.fail_over(WELCOME) == []


async def test_repeated_subscribe_goes_to_one_server() -> None:
    async with bench_of() as bench:
        await bench.to_client(WELCOME)
        bench.backends[0].connections[-1].acknowledge_at_once = False
        assert len(await bench.to_backend(*[subscribe("A")] * 3)) == 3
        assert await bench.fail_over(WELCOME) == [subscribe("A")]


async def test_rejection_by_next_server_reaches_client() -> None:
    async with bench_of() as bench:
        await subscribed(bench, "A", "B")
        before = len(bench.client.received)
        answers = answer("reject", "A"), answer("confirm", "B")
        assert await bench.fail_over(WELCOME, *answers) == [subscribe("A"), subscribe("B")]
        assert received(bench, before) == ["ping", answer("reject", "A")]
        assert bench.failed_hydrations == 0
        assert await bench.fail_over(WELCOME, answers[1]) == [subscribe("B")]


MALFORMED: list[str | bytes] = [
    "", "{", '"subscribe"', '["unsubscribe"]', '{"command":"subscribe"}',
    '{"type":"x_subscription"}',
    '{"command":"subscribe","identifier":7}', '{"command":["subscribe"],"identifier":"A"}',
    '{"type":"confirm_subscription"}', '{"type":"reject_subscription","identifier":{}}',
    '{"message":"welcome"}', "[" * 5000 + '"welcome","subscribe"', b'{"type":"welcome"}', PING,
    b'{"command":"subscribe","identifier":"A"}', '{"command":"message","identifier":"A"}',
    command("unsubscribe", "A"), command("message", "A", data='"subscribe"'),
    answer("confirm", "A"), answer("reject", "A"),
]  # fmt: skip


async def test_other_messages_pass() -> None:
    async with bench_of() as bench:
        assert await bench.to_backend(*MALFORMED) == MALFORMED
        assert await bench.to_client(*MALFORMED) == MALFORMED
        assert await bench.fail_over() == []


async def test_message_above_max_size_passes_unparsed() -> None:
    large = command("subscribe", "A" * 1000)
    async with bench_of(max_size=1000) as bench:
        await bench.to_client(WELCOME)
        assert await bench.to_backend(large) == [large]
        assert len(bench.session.ledger) == 0


async def test_exceeded_memory_closes_session() -> None:
    async with bench_of(max_remembered_bytes=1000) as bench:
        await bench.to_client(WELCOME)
        for _ in range(5):
            await bench.to_backend(subscribe("A"))
            await bench.to_client(answer("confirm", "A"))
            await bench.to_backend(command("unsubscribe", "A"), subscribe("B"))
            await bench.to_client(answer("reject", "B"))
        await bench.to_backend(*map(subscribe, "ABCDE"))
        assert bench.closed is not None
        assert bench.closed.code == 1008
        assert bench.closed.reason == "the session needs more than 1000 bytes of memory"


@given(st.binary() | st.sampled_from([b'subscribe"', b'"welcome"', b'_subscription"']))
def test_any_bytes_can_be_parsed(data: bytes) -> None:
    for read in (read_command, read_answer):
        assert all(isinstance(part, str) for part in read(data, 100))


@pytest.mark.slow
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_client_notices_no_failure(tmp_path: Path) -> None:
    start = (sys.executable, str(SERVER), "{port}", str(tmp_path / "lines"))
    servers = [ServerProcess(*start), ServerProcess(*start)]
    seen, number, answers = {"A": 0, "B": 0}, 0, 0
    protocols = [Subprotocol("actioncable-v1-json")]
    async with broken_servers(servers, {"kind": "actioncable"}) as breaks:
        async with connect(breaks.url, subprotocols=protocols) as client:

            async def listen() -> None:
                nonlocal answers
                async for text in client:
                    message = json.loads(text)
                    if "message" in message and "identifier" in message:
                        seen[json.loads(message["identifier"])["channel"]] = message["message"]
                    elif message["type"] != "ping":
                        answers += 1

            async def progress() -> None:
                nonlocal number
                number += 1
                write = json.dumps({"action": "write", "text": str(number)})
                async with asyncio.timeout(30):
                    while min(seen.values()) < number:
                        await client.send(command("message", "A", data=write))
                        await asyncio.sleep(0.3)

            listening = asyncio.create_task(listen())
            for channel in seen:
                await client.send(subscribe(channel))
            await breaks.all(progress)
            assert breaks.serving is not None
            port = breaks.servers[breaks.serving].port
            async with connect(f"ws://127.0.0.1:{port}", subprotocols=protocols) as operator:
                await operator.send('{"command":"restart","identifier":""}')
                await progress()
        await listening
        assert answers == 3  # the welcome and two confirmations
        assert (breaks.failovers, breaks.moves) == (3, 1)
        assert breaks.gateway.count("sessions") == 1
