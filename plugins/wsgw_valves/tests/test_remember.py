"""The valve `remember`: alone, and with failing servers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsgw_valves import plugin
from wsgw_valves.remember.condition import Condition
from wsgw_valves.remember.finder import Finder
from wsgw_valves.remember.reading import Reading
from wsgw_valves.remember.settings import RememberSettings

from wsgw_core.api import BINARY, Close, ConfigurationError, Limits, Message
from wsgw_core.testing.context import make_plugin_context
from wsgw_core.testing.fake_session import FakeSession
from wsgw_core.testing.registered_plugin import RegisteredPlugin
from wsgw_core.testing.valve_bench import ValveBench

LOGIN = {
    "remember": {"$.type": "login"},
    "answer": {"$.type": "welcome"},
    "refusal": {"$.type": "denied"},
}
TOPICS = {
    "remember": r"^SUB ",
    "key": r"^SUB (\S+)",
    "forget": r"^UNSUB ",
    "forget-key": r"^UNSUB (\S+)",
    "forget-from-backend": r"^GONE ",
}
CALLS = {
    "remember": {"$.method": "watch"},
    "key": "$.params[0]",
    "forget": {"$.method": "unwatch"},
    "answer": {"$.result": True},
    "refusal": {"$.error": "*"},
    "id": "$.id",
    "answer-id": "$.re",
}


def bench_of(*rules: dict[str, Any], **options: Any) -> ValveBench:
    return ValveBench.of(plugin, "remember", {"rules": list(rules), **options})


def watch(id_: int, what: str) -> str:
    return f'{{"id":{id_},"method":"watch","params":["{what}"]}}'


async def test_new_backend_that_closes_without_answer_has_refused() -> None:
    async with bench_of(LOGIN) as bench:
        await bench.to_backend('{"type":"login"}')
        await bench.to_client('{"type":"welcome"}')
        heard = await bench.fail_over(Close(4401), '{"type":"welcome"}')
        assert heard == ['{"type":"login"}']
        assert bench.failed_hydrations == 1
        assert bench.closed is None


async def test_new_backend_gets_last_login_and_client_sees_no_second_answer() -> None:
    async with bench_of(LOGIN) as bench:
        await bench.to_backend('{"type":"login","token":1}')
        assert await bench.to_client('{"type":"welcome"}') == ['{"type":"welcome"}']
        await bench.to_backend("hello", '{"type":"login","token":2}')
        await bench.to_client('{"type":"welcome"}')
        assert await bench.fail_over('{"type":"welcome"}', "hi") == ['{"type":"login","token":2}']
        assert bench.client.received[-1].text == "hi"
        assert [each.text for each in bench.client.received].count('{"type":"welcome"}') == 2
        assert await bench.to_backend("on") == ["on"]


async def test_unanswered_login_is_sent_again_and_not_yet_remembered() -> None:
    async with bench_of(LOGIN) as bench:
        await bench.to_backend('{"type":"login","token":1}')
        assert await bench.fail_over() == ['{"type":"login","token":1}']
        assert await bench.to_client('{"type":"welcome"}') == ['{"type":"welcome"}']
        await bench.to_backend('{"type":"login","token":2}')
        # The first one is still the granted one.
        first = await bench.fail_over('{"type":"welcome"}')
        assert first == ['{"type":"login","token":1}', '{"type":"login","token":2}']
        assert await bench.to_client('{"type":"welcome"}') == ['{"type":"welcome"}']


async def test_refused_login_is_forgotten_and_refusing_backend_is_left() -> None:
    async with bench_of(LOGIN) as bench:
        await bench.to_backend('{"type":"login","token":1}')
        await bench.to_client('{"type":"denied"}')
        assert await bench.fail_over() == []
        await bench.to_backend('{"type":"login","token":2}')
        await bench.to_client('{"type":"welcome"}')
        await bench.fail_over('{"type":"denied"}')
        assert bench.failed_hydrations == 1
        assert bench.closed is None


async def test_messages_are_remembered_by_key_until_forgotten() -> None:
    async with bench_of(TOPICS) as bench:
        said: list[str | bytes] = [
            "SUB a 1",
            "SUB b 1",
            "SUB c 1",
            b"SUB d 1",
            "SUB a 2",
            "SUB ",
            "UNSUB b",
            "UNSUB",
        ]
        assert await bench.to_backend(*said) == said
        await bench.to_client("GONE c", "SUB c 1", "SUB x")
        assert await bench.fail_over() == ["SUB c 1", b"SUB d 1", "SUB a 2"]
        assert await bench.fail_over() == ["SUB c 1", b"SUB d 1", "SUB a 2"]


async def test_keep_all_remembers_messages_of_key_in_order() -> None:
    async with bench_of({**TOPICS, "keep": "all"}) as bench:
        await bench.to_backend("SUB a 1", "SUB b 1", "SUB a 2")
        assert await bench.fail_over() == ["SUB a 1", "SUB b 1", "SUB a 2"]
        await bench.to_backend("UNSUB a")
        assert await bench.fail_over() == ["SUB b 1"]


async def test_answers_are_matched_by_id() -> None:
    async with bench_of(CALLS) as bench:
        await bench.to_backend(*(watch(number, name) for number, name in enumerate("abcd")))
        await bench.to_client('{"re":2,"result":true}', '{"re":1,"result":false}', '{"re":9}')
        await bench.to_client('{"re":0,"result":true}', '{"re":3,"error":"no"}')
        await bench.to_backend('{"method":"unwatch","params":["c"]}')
        heard = await bench.fail_over('{"re":7,"result":true}', '{"re":0,"result":true}')
        assert heard == [watch(0, "a"), watch(1, "b")]
        assert bench.client.received[-1].text == '{"re":7,"result":true}'
        # The next backend's answer, which the client sees
        answer = '{"re":1,"result":true}'
        assert await bench.to_client(answer) == [answer]


async def test_rules_run_in_order_and_each_step_waits_for_answer() -> None:
    async with bench_of(LOGIN, CALLS, greeting="^HELLO") as bench:
        await bench.to_client("HELLO 1")
        await bench.to_backend(watch(1, "a"), '{"type":"login"}')
        await bench.to_client('{"re":1,"result":true}', '{"type":"welcome"}')
        assert await bench.fail_over() == []
        for answer, sent in (
            ("HELLO 2", ['{"type":"login"}']),
            ('{"type":"welcome"}', [watch(1, "a")]),
            ('{"re":1,"result":true}', []),
        ):
            before = len(bench.backends[1].connections[-1].received)
            assert await bench.to_client(answer) == []
            received = bench.backends[1].connections[-1].received[before:]
            assert [each.text for each in received] == sent
        assert await bench.to_client("HELLO 3") == ["HELLO 3"]


async def test_first_greeting_reaches_client() -> None:
    async with bench_of(greeting="^HELLO") as bench:
        await bench.fail_over()
        assert await bench.to_client("HELLO") == ["HELLO"]


async def test_message_sent_without_backend_goes_to_next_one_once() -> None:
    session = FakeSession()
    registered = RegisteredPlugin(plugin)
    made = registered.valve("remember", {"rules": [TOPICS]}, make_plugin_context("remember"))
    valve: Any = made.for_session(session)
    session.backend_id = None
    valve.before_transmit(Message.from_text("SUB a"))
    assert valve.hydrate() == []
    assert [step.message.text for step in valve.hydrate()] == ["SUB a"]


@pytest.mark.parametrize(
    ("most", "said"),
    [
        (420, ["SUB a", "SUB b", "SUB c"]),
        (3000, ["SUB a", "SUB b", "SUB " + "c" * 3000]),
    ],
)
async def test_exceeded_memory_ends_session(most: int, said: list[str]) -> None:
    async with bench_of(TOPICS, **{"max-remembered-bytes": most}) as bench:
        assert await bench.to_backend(*said[:2], "UNSUB a", "SUB a", "SUB b") != []
        assert not bench.closed
        await bench.to_backend(said[2])
        assert bench.closed
        assert (bench.closed.code, bench.closed.reason) == (
            1008,
            f"the session needs more than {most} bytes of memory",
        )


async def test_message_above_max_size_is_not_parsed() -> None:
    async with bench_of(TOPICS, **{"max-size": 8}) as bench:
        await bench.to_backend("SUB a", "SUB b 345678")
        assert await bench.fail_over() == ["SUB a"]


@pytest.mark.parametrize(
    ("given", "holds", "holds_not"),
    [
        ("^a+$", ["aa"], ["b", ""]),
        ({"$.a": "x"}, ['{"a":"x"}'], ['{"a":["x"]}', '["a"]', "a", "{", '{"b":"x"}']),
        ({"$.a": 1}, ['{"a":1}', ' {"a":1.0}'], ['{"a":true}', '{"a":"1"}']),
        ({"$.a": True}, ['{"a":true}'], ['{"a":1}']),
        ({"$.a": None}, ['{"a":null}'], ['{"a":0}', "{}"]),
        ({"$.a": "*", "$[0]": "*"}, [], ['{"a":1}', "[1]"]),
        ({"$[0]": 2, "$[1].a": "*"}, ['[2,{"a":null}]'], ["[2]", '[2,{"b":1}]']),
    ],
)
def test_condition_holds_only_for_matching_messages(
    given: Any, holds: list[str], holds_not: list[str]
) -> None:
    condition = Condition(given)
    assert all(condition.holds(Reading(Message.from_text(text))) for text in holds)
    assert not any(condition.holds(Reading(Message.from_text(text))) for text in holds_not)


@given(st.binary() | st.text('{}[]":a,1').map(str.encode))
def test_any_bytes_can_be_read(data: bytes) -> None:
    reading = Reading(Message(BINARY, data))
    Condition({"$.a": "*"}).holds(reading)
    Condition("^a").holds(reading)
    Finder("$[0]").found_in(reading)
    Finder("(a)?").found_in(reading)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "needs 'rules' or 'greeting'"),
        ({"rules": [{"remember": "("}]}, "not a regular expression"),
        ({"rules": [{"remember": {}}]}, "neither a regular expression nor a section of paths"),
        ({"rules": [{"remember": {"$..a": 1}}]}, "finds several values"),
        ({"rules": [{"remember": {"a": 1}}]}, "not a path"),
        ({"rules": [{"remember": {"$.a": [1]}}]}, "must be a text, a number"),
        ({"rules": [{"remember": "a", "key": "a"}]}, "expression with one group"),
        ({"rules": [{"remember": "a", "key": "$.a[*]"}]}, "finds several values"),
        ({"rules": [{"remember": "a", "refusal": "b"}]}, "'refusal' needs 'answer'"),
        ({"rules": [{"remember": "a", "forget-key": "(b)"}]}, "'forget-key' needs 'key'"),
        ({"greeting": "a", "max-remembered-bytes": 0}, "max-remembered-bytes"),
    ],
)
def test_invalid_options_are_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        ValveBench.of(plugin, "remember", options)


def test_max_size_below_limit_gives_warning() -> None:
    settings = RememberSettings.model_validate({"greeting": "a", "max-size": 1000})
    assert not list(settings.warnings(Limits(max_message_size=1000)))
    assert [key for key, _ in settings.warnings(Limits(max_message_size=1001))] == ["max-size"]
