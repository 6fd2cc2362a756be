"""The valve `ocpp`: alone, and between chargers and failing central systems."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsgw_valves import plugin
from wsgw_valves.ocpp.frame import begin_of
from wsgw_valves.ocpp.settings import OcppSettings
from wsgw_valves.ocpp.valve import OcppValve

from wsgw_core.api import ConfigurationError, Message, SentOnce
from wsgw_core.testing.fake_session import FakeSession
from wsgw_core.testing.valve_bench import ValveBench

from .breaks import ServerProcess, broken_servers
from .charger import Charger

SYSTEM = Path(__file__).parent / "ocpp_central_system.py"
CALL = '[2,"a","Heartbeat",{}]'


def bench_of(**options: Any) -> ValveBench:
    return ValveBench.of(plugin, "ocpp", options)


@pytest.mark.parametrize(
    ("text", "begin"),
    [
        ('[2,"19223201","Heartbeat",{}]', (b"2", b"19223201")),
        ('\n [ 3 , "a" , {}]', (b"3", b"a")),
        ('[4,"a","InternalError","",{}]', (b"4", b"a")),
        ('[2,"\\u0061\\"","X",{}]', (b"2", b'a"')),
        ('[2,"\u00e4","X",{}]', (b"2", "\u00e4".encode())),
        ('[2,17,"X",{}]', (b"2", b"17")),
        ('[2,"","X",{}]', (b"2", b"")),
        ('[5,"a","InternalError","",{}]', None),
        ('[6,"a","NotifyPeriodicEventStream",{}]', None),
        ('[23,"a","X",{}]', None),
        ('[2,"a"]', None),
        ('[2,"' + "a" * 256 + '","X",{}]', None),
        ('[2,"\\ud800","X",{}]', None),
        ('[2,"\\x","X",{}]', None),
        ('[2,["a"],"X",{}]', None),
        ('{"2":"a"}', None),
        ("", None),
    ],
)
def test_type_and_identifier_are_parsed_from_beginning(
    text: str, begin: tuple[bytes, bytes] | None
) -> None:
    assert begin_of(text.encode()) == begin


@given(st.binary() | st.text('[]234,"\\ua \n').map(str.encode))
def test_any_bytes_can_be_parsed(data: bytes) -> None:
    begin_of(data)


async def test_only_open_calls_go_to_next_backend() -> None:
    async with bench_of() as bench:
        await bench.to_backend(CALL, '[2,"b","Heartbeat",{}]', '[2,"c","Heartbeat",{}]', "[2]")
        await bench.to_client('[3,"b",{}]', '[4,"c","InternalError","",{}]')
        assert await bench.fail_over() == [CALL]
        assert await bench.to_client('[3,"a",{}]') == ['[3,"a",{}]']
        assert await bench.fail_over() == []


async def test_answer_reaches_only_the_backend_that_called() -> None:
    async with bench_of() as bench:
        await bench.to_client('[2,"x","Reset",{}]', '[2,"y","Reset",{}]')
        assert await bench.to_backend('[3,"x",{}]') == ['[3,"x",{}]']
        assert await bench.to_backend('[3,"x",{}]', '[4,"z","","",{}]') == []
        assert await bench.fail_over() == []
        assert await bench.to_backend('[3,"y",{}]') == []
        await bench.to_client('[2,"y","Reset",{}]')
        assert await bench.to_backend('[4,"y","","",{}]') == ['[4,"y","","",{}]']


async def test_answer_without_backend_is_dropped() -> None:
    session = FakeSession()
    valve = OcppValve(OcppSettings(), session)
    for name in "xy":
        valve.after_receive(Message.from_text(f'[2,"{name}","Reset",{{}}]'))
    answers = [Message.from_text(f'[3,"{name}",{{}}]') for name in "xy"]
    sent = valve.before_transmit(answers[0])
    assert isinstance(sent, SentOnce)
    assert sent == answers[0]
    session.backend_id = None
    assert valve.before_transmit(answers[1]) is None


async def test_oldest_calls_of_backend_are_forgotten_above_limit() -> None:
    async with bench_of(**{"max-calls": 2}) as bench:
        calls = [f'[2,"{name}","Reset",{{}}]' for name in "xyz"]
        assert await bench.to_client(*calls) == calls
        answers = [f'[3,"{name}",{{}}]' for name in "xyz"]
        assert await bench.to_backend(*answers) == answers[1:]


async def test_other_messages_pass() -> None:
    others: list[str | bytes] = [
        "hello",
        b'[2,"a","Heartbeat",{}]',
        '[6,"a","X",{}]',
        '[5,"a","","",{}]',
        "[3]",
        "",
    ]
    async with bench_of() as bench:
        assert await bench.to_backend(*others) == others
        assert await bench.to_client(*others) == others


@pytest.mark.parametrize("options", [{"answer-timeout": 0}, {"max-calls": 0}, {"unknown": 1}])
def test_invalid_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        bench_of(**options)


@pytest.mark.slow
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_chargers_do_not_notice_failures_of_slow_central_systems(tmp_path: Path) -> None:
    command = (sys.executable, str(SYSTEM), "{port}", str(tmp_path / "values"), "0.1")
    servers = [ServerProcess(*command), ServerProcess(*command)]
    chargers = [Charger("CP1", "ocpp1.6"), Charger("CP2", "ocpp2.0.1")]
    async with broken_servers(servers, {"kind": "ocpp"}) as breaks:
        for charger in chargers:
            charger.start(breaks.url)

        async def progress() -> None:
            await asyncio.gather(*(charger.progress() for charger in chargers))

        await breaks.all(progress)
        await asyncio.gather(*(charger.stop() for charger in chargers))
        assert breaks.gateway.count("sessions") == len(chargers)
        assert breaks.failovers >= 2
        assert breaks.moves >= 1
    heard = [line.split() for line in (tmp_path / "values").read_text().splitlines()]
    for charger in chargers:
        values = [int(value) for name, value in heard if name == charger.name]
        assert list(dict.fromkeys(values)) == list(range(charger.answered))
