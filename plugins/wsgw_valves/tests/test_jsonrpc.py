"""The valve `jsonrpc`, alone; test_language_server.py has a real server."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsgw_valves import plugin
from wsgw_valves.jsonrpc.settings import JsonRpcSettings
from wsgw_valves.jsonrpc.valve import JsonRpcValve

from wsgw_core.api import BINARY, ConfigurationError, Limits, Message, SentOnce
from wsgw_core.testing.fake_session import FakeSession
from wsgw_core.testing.valve_bench import ValveBench

EVENTS = {"subscribe": "on", "unsubscribe": "off"}
FEEDS = {
    "subscribe": "eth_subscribe",
    "unsubscribe": "eth_unsubscribe",
    "key": "$.params[0]",
    "notification": "eth_subscription",
}


def bench_of(**options: Any) -> ValveBench:
    options = {key.replace("_", "-"): value for key, value in options.items()}
    return ValveBench.of(plugin, "jsonrpc", options)


def call(id_: Any, method: str = "work", *params: Any) -> str:
    return compact({"id": id_, "method": method, "params": list(params)})


def notice(method: str, params: Any) -> str:
    return compact({"method": method, "params": params})


def result(id_: Any, value: Any = "ok") -> str:
    return compact({"id": id_, "result": value})


def error(id_: Any) -> str:
    return compact({"id": id_, "error": {"code": -32000, "message": "no"}})


def compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def batch(*parts: str) -> str:
    return f"[{','.join(parts)}]"


async def test_only_open_calls_go_to_next_backend() -> None:
    async with bench_of() as bench:
        calls = [call(number) for number in (1, "1", 2.5, "x")]
        assert await bench.to_backend(*calls) == calls
        answers = [result("1"), error(2.5), notice("said", {}), "no JSON", '{"id":1}']
        assert await bench.to_client(*answers) == answers
        assert await bench.fail_over() == [call(1), call("x")]
        assert await bench.to_client(result(1), result("x")) == [result(1), result("x")]
        assert await bench.fail_over() == []


async def test_batch_is_answered_when_all_calls_are() -> None:
    async with bench_of() as bench:
        whole, single = batch(call(1), notice("n", 1), call(2), "7"), batch(call(3))
        await bench.to_backend(whole, single, batch(notice("n", 2)))
        await bench.to_client(batch(result(1)), result(3))
        assert await bench.fail_over() == [whole]
        await bench.to_client(batch(error(2), result(1)))
        assert await bench.fail_over() == []


async def test_oldest_batches_are_forgotten_above_limit() -> None:
    async with bench_of(max_calls=2) as bench:
        await bench.to_backend(*(batch(call(number), call(-number)) for number in (1, 2, 3)))
        answers = [result(number) for number in (1, -1, 3, -3)]
        assert await bench.to_client(*answers) == answers
        assert await bench.fail_over() == [batch(call(1), call(-1)), batch(call(2), call(-2))]


async def test_answer_reaches_only_the_backend_that_called() -> None:
    async with bench_of(max_calls=2) as bench:
        await bench.to_client(call(1, "ask"), call(2, "ask"), call(3, "ask"))
        answers = [result(2), batch(error(3), result(9)), result(1), result(2), error(9)]
        assert await bench.to_backend(*answers) == answers[:2]
        await bench.to_client(call(4, "ask"))
        await bench.fail_over()
        assert await bench.to_backend(result(4)) == []


def test_answer_is_sent_once_and_dropped_without_backend() -> None:
    session = FakeSession()
    valve = JsonRpcValve(JsonRpcSettings(), session)
    for id_ in (1, 2):
        valve.after_receive(Message.from_text(call(id_, "ask")))
    assert isinstance(valve.before_transmit(Message.from_text(result(1))), SentOnce)
    session.backend_id = None
    assert valve.before_transmit(Message.from_text(result(2))) is None


async def test_only_granted_logins_are_repeated_in_order() -> None:
    async with bench_of(logins=["hello", "login", "enter"]) as bench:
        await bench.to_backend(call(1, "login", "a"), call(2, "hello"), call(3, "enter"))
        await bench.to_backend(call(4, "login", "b"), call(5, "login", "c"))
        await bench.to_client(result(1), result(2), error(3), result(4), error(5))
        heard = await bench.fail_over(result("wsgw-1"), result("wsgw-2"), notice("hi", 1))
        assert heard == [call("wsgw-1", "hello"), call("wsgw-2", "login", "b")]
        assert bench.client.received[-1].text == notice("hi", 1)
        await bench.fail_over(result("wsgw-3"), error("wsgw-4"))
        assert bench.failed_hydrations == 1


async def test_late_answer_to_own_call_is_dropped() -> None:
    async with bench_of(logins=["login"]) as bench:
        await bench.to_backend(call(1, "login"))
        await bench.to_client(result(1))
        await bench.fail_over(result("wsgw-1"))
        assert await bench.to_client(result("wsgw-1"), result("wsgw-9")) == []


async def test_subscriptions_are_repeated_until_they_end() -> None:
    async with bench_of(subscriptions=[EVENTS]) as bench:
        await bench.to_backend(*(call(number, "on", number) for number in range(4)))
        await bench.to_client(result(0), result(1), error(2))
        await bench.to_backend(call(5, "off", 0))
        await bench.to_client(result(5))
        heard = await bench.fail_over(result("wsgw-1"))
        # The last one has no answer, so it is sent again as an open call.
        assert heard == [call("wsgw-1", "on", 1), call(3, "on", 3)]
        await bench.to_client(result(3))
        await bench.to_backend(call(6, "on", 1), notice("off", [3]))
        await bench.to_client(result(6))
        assert await bench.fail_over(result("wsgw-2")) == [call("wsgw-2", "on", 1)]


async def test_client_sees_only_first_id_of_subscription() -> None:
    def event(id_: Any) -> str:
        return notice("eth_subscription", {"subscription": id_, "result": "new"})

    async with bench_of(subscriptions=[FEEDS]) as bench:
        await bench.to_backend(call(1, "eth_subscribe", "heads"), call(2, "eth_subscribe", "logs"))
        assert await bench.to_client(result(1, "0xa"), event("0xa")) != []
        await bench.to_client(result(2, "0xb"))
        await bench.fail_over(result("wsgw-1", "0xb"), result("wsgw-2", "0xc"))
        seen = await bench.to_client(event("0xb"), event("0xc"), event("0xd"), notice("x", {}))
        assert seen == [event("0xa"), event("0xb"), event("0xd"), notice("x", {})]
        # A new subscription whose id is in use at the client
        await bench.to_backend(call(3, "eth_subscribe", "gas"))
        assert await bench.to_client(result(3, "0xa")) == [result(3, "0xa-1")]
        assert await bench.to_client(batch(event("0xa"))) == [batch(event("0xa-1"))]
        ends = await bench.to_backend(
            call(4, "eth_unsubscribe", "0xb"), call(5, "eth_unsubscribe", "0xa-1")
        )
        assert ends == [call(4, "eth_unsubscribe", "0xc"), call(5, "eth_unsubscribe", "0xa")]
        await bench.to_client(result(4), result(5))
        heard = await bench.fail_over(result("wsgw-3", "0xa"))
        assert heard == [call("wsgw-3", "eth_subscribe", "heads")]
        assert await bench.to_client(event("0xa")) == [event("0xa")]


async def test_numeric_ids_are_translated() -> None:
    async with bench_of(subscriptions=[FEEDS]) as bench:
        await bench.to_backend(call(1, "eth_subscribe", "a"), call(2, "eth_subscribe", "b"))
        assert await bench.to_client(result(1, 7), result(2, 7)) == [result(1, 7), result(2, 8)]


async def test_exceeded_memory_ends_session() -> None:
    async with bench_of(
        logins=["login"], subscriptions=[EVENTS], max_remembered_bytes=1100
    ) as bench:
        for number in range(20):  # replaced, refused or ended ones take no room
            await bench.to_backend(call(1, "login"), call(2, "on", 1), call(3, "on", number))
            await bench.to_client(result(1), result(2), error(3))
            await bench.to_backend(call(1, "login"), call(1, "login"), call(4, "off", 1))
            await bench.to_client(result(1))
        assert not bench.closed
        await bench.to_backend(*(call(number, "on", number) for number in range(9)))
        assert bench.closed
        assert (bench.closed.code, bench.closed.reason) == (
            1008,
            "the session needs more than 1100 bytes of memory",
        )


async def test_message_above_max_size_is_not_parsed() -> None:
    async with bench_of(max_size=100) as bench:
        large = call(1, "work", "x" * 100)
        assert await bench.to_backend(large) == [large]
        assert await bench.fail_over() == []
        answer = result(1, "x" * 100)
        assert await bench.to_client(answer) == [answer]


@given(st.binary() | st.text('{}[]":,id1methodparams').map(str.encode))
def test_any_bytes_pass(data: bytes) -> None:
    settings = JsonRpcSettings.model_validate({"logins": ["id"], "subscriptions": [FEEDS]})
    valve, message = JsonRpcValve(settings, FakeSession()), Message(BINARY, data)
    assert valve.before_transmit(message) == message
    assert valve.after_receive(message) == message


_VALUE: st.SearchStrategy[Any] = st.sampled_from(
    [1, "a", None, True, 2.5, [], {}, [1], "eth_subscribe", "eth_unsubscribe"]
)
_PART = st.dictionaries(st.sampled_from(["id", "method", "params", "result", "error"]), _VALUE)


@given(st.lists(_PART | st.lists(_PART | _VALUE)))
def test_any_documents_pass_or_are_dropped(documents: list[Any]) -> None:
    settings = JsonRpcSettings.model_validate({"logins": ["a"], "subscriptions": [FEEDS]})
    valve = JsonRpcValve(settings, FakeSession())
    for document in documents:
        valve.before_transmit(Message.from_text(json.dumps(document)))
        valve.after_receive(Message.from_text(json.dumps(document)))
    valve.hydrate()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"answer-timeout": 0}, "answer-timeout"),
        ({"logins": ["a", "a"]}, "twice"),
        ({"logins": ["a", ""]}, r"logins\[1\]: "),
        ({"subscriptions": [{**EVENTS, "unsubscribe": "a\nb"}]}, "invisible characters"),
        ({"logins": ["on"], "subscriptions": [EVENTS]}, "twice"),
        ({"subscriptions": [{**EVENTS, "key": "$..a"}]}, "finds several values"),
        ({"subscriptions": [{**EVENTS, "notification-id": "$.a"}]}, "needs 'notification'"),
    ],
)
def test_invalid_options_are_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        ValveBench.of(plugin, "jsonrpc", options)


def test_max_size_below_limit_gives_warning() -> None:
    settings = JsonRpcSettings.model_validate({"max-size": 1000})
    assert not list(settings.warnings(Limits(max_message_size=1000)))
    assert [key for key, _ in settings.warnings(Limits(max_message_size=1001))] == ["max-size"]
