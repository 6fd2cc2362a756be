"""A name is looked up once for all dials, and a lookup that hangs delays no other name."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from wsgw_core.api import (
    AddressInfo,
    BackendUnavailable,
    BackendUnreachable,
    Metrics,
    OutOfResources,
)
from wsgw_core.metrics.counters import GatewayCounters
from wsgw_core.pool.membership.system_resolver import SystemResolver

Answer = list[str] | Exception | threading.Event


class System:
    """Replaces `socket.getaddrinfo`."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.threads: set[threading.Thread] = set()
        self.events: list[threading.Event] = []

    def hang(self, host: str) -> threading.Event:
        """Makes the lookup of a name hang until the event is set; then it answers 127.0.0.1."""
        event = threading.Event()
        self.events.append(event)
        self.answers[host] = event
        return event

    def __call__(self, host: str, _port: int | None, **_options: int) -> list[Any]:
        self.asked.append(host)
        self.threads.add(threading.current_thread())
        answer = self.answers[host]
        if isinstance(answer, threading.Event):
            assert answer.wait(60)
            answer = ["127.0.0.1"]
        if isinstance(answer, Exception):
            raise answer
        return [
            (
                socket.AF_INET6 if ":" in address else socket.AF_INET,
                socket.SOCK_STREAM,
                socket.IPPROTO_TCP,
                "",
                (address, 0, 0, 0) if ":" in address else (address, 0),
            )
            for address in answer
        ]


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    stand_in = System()
    monkeypatch.setattr(socket, "getaddrinfo", stand_in)
    yield stand_in
    for event in stand_in.events:
        event.set()


@pytest.fixture
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes each dial begin a lookup."""
    monkeypatch.setattr("wsgw_core.pool.membership.system_resolver._REST", 0.0)


class Resolver(SystemResolver):
    """Keeps its counters for the test, and bounds each wait."""

    def __init__(self, timeout: float = 60.0, hold: float = 60.0) -> None:
        self.metrics = Metrics()
        counters = GatewayCounters(self.metrics)
        super().__init__(counters, logging.getLogger("test"), timeout=timeout, hold=hold)

    async def resolve(self, host: str, port: int) -> tuple[AddressInfo, ...]:
        async with asyncio.timeout(30):
            return await super().resolve(host, port)

    def count(self, name: str) -> int:
        return next(each.total for each in self.metrics if each.name == name)


def not_known() -> socket.gaierror:
    return socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def no_server() -> socket.gaierror:
    return socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


async def addresses(of: Resolver, host: str, port: int = 7) -> list[tuple[str, int]]:
    found: tuple[AddressInfo, ...] = await of.resolve(host, port)
    return [each[4][:2] for each in found]


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - threads have no event of the loop
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "10.1.2.3"])
async def test_a_numeric_address_is_not_looked_up(system: System, host: str) -> None:
    of = Resolver()
    assert await addresses(of, host) == [(host, 7)]
    assert list(await of.look_up(host)) == [host]
    assert system.asked == []


async def test_all_dials_of_a_name_share_one_lookup(system: System) -> None:
    of = Resolver()
    event = system.hang("name")
    dials = [asyncio.create_task(addresses(of, "name", port)) for port in range(1, 101)]
    await eventually(lambda: system.asked == ["name"])
    event.set()
    assert await asyncio.gather(*dials) == [[("127.0.0.1", port)] for port in range(1, 101)]
    assert system.asked == ["name"]


async def test_a_lookup_that_hangs_delays_no_other_name(system: System) -> None:
    of = Resolver(timeout=0.05)
    hanging = [f"hanging-{number}" for number in range(40)]
    for host in hanging:
        system.hang(host)
    system.answers["good"] = ["127.0.0.1", "::1"]

    async def fails(host: str) -> None:
        with pytest.raises(OutOfResources, match=f"{host}: name lookup takes too long"):
            await of.resolve(host, 7)

    await asyncio.gather(*map(fails, hanging))
    assert await addresses(of, "good") == [("127.0.0.1", 7), ("::1", 7)]
    began = len(system.asked)
    await asyncio.gather(*map(fails, hanging * 10))
    assert len(system.asked) == began  # one lookup at a time


async def test_more_names_hang_than_there_may_be_lookups(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsgw_core.pool.membership.system_resolver._MOST_LOOKUPS", 3)
    of = Resolver(timeout=0.05)
    events = [system.hang(f"hanging-{number}") for number in range(3)]
    system.answers["good"] = ["127.0.0.1"]
    for number in range(3):
        with pytest.raises(OutOfResources):
            await of.resolve(f"hanging-{number}", 7)
    with pytest.raises(OutOfResources):
        await of.resolve("good", 7)
    assert len(system.asked) == 3
    of.timeout = 60.0
    events[0].set()
    assert await addresses(of, "good") == [("127.0.0.1", 7)]


async def test_threads_end_with_their_lookups(system: System) -> None:
    of = Resolver()
    system.answers = {f"name-{number}": ["127.0.0.1"] for number in range(20)}
    await asyncio.gather(*(of.resolve(host, 7) for host in system.answers))
    await eventually(lambda: not any(thread.is_alive() for thread in system.threads))
    assert all(thread.daemon for thread in system.threads)


@pytest.mark.usefixtures("no_rest")
async def test_known_addresses_are_used_while_a_new_lookup_hangs(system: System) -> None:
    of = Resolver()
    system.answers["name"] = ["10.0.0.1"]
    assert await addresses(of, "name") == [("10.0.0.1", 7)]
    event = system.hang("name")
    async with asyncio.timeout(30):
        for _ in range(20):
            assert await addresses(of, "name") == [("10.0.0.1", 7)]
    assert of.count("stale_addresses_used") == 20
    event.set()
    await eventually(lambda: of.count("name_lookups") == 2)
    assert await addresses(of, "name") == [("127.0.0.1", 7)]


@pytest.mark.usefixtures("no_rest")
async def test_a_new_answer_is_used_at_once(system: System) -> None:
    of = Resolver()
    for address in ("10.0.0.1", "10.0.0.2"):
        system.answers["name"] = [address]
        assert await addresses(of, "name") == [(address, 7)]


async def test_an_answer_is_not_asked_for_again_within_a_second(system: System) -> None:
    of = Resolver()
    system.answers["name"] = ["10.0.0.1"]
    for _ in range(50):
        await of.resolve("name", 7)
    assert len(system.asked) < 50  # a slow machine may take seconds
    assert of.count("stale_addresses_used") == 0


@pytest.mark.usefixtures("no_rest")
@pytest.mark.parametrize("failure", [no_server(), OSError(24, "Too many open files")])
async def test_last_known_addresses_are_used_when_no_name_server_answers(
    system: System, failure: Exception
) -> None:
    of = Resolver(hold=0)
    system.answers["name"] = ["10.0.0.1"]
    await of.resolve("name", 7)
    system.answers["name"] = failure
    for _ in range(3):
        assert await addresses(of, "name") == [("10.0.0.1", 7)]
    assert of.count("name_lookups_failed") == 3


@pytest.mark.usefixtures("no_rest")
async def test_a_name_that_is_not_known_any_more_keeps_its_addresses_for_the_hold(
    system: System,
) -> None:
    of = Resolver(hold=60)
    system.answers["name"] = ["10.0.0.1"]
    await of.resolve("name", 7)
    system.answers["name"] = not_known()
    assert await addresses(of, "name") == [("10.0.0.1", 7)]

    of.hold = 0
    with pytest.raises(BackendUnavailable, match="name: Name or service not known") as caught:
        await of.resolve("name", 7)
    assert type(caught.value) is BackendUnreachable
    system.hang("name")
    of.timeout = 0.05
    with pytest.raises(OutOfResources):  # it was known not to be there: nothing to go back to
        await of.resolve("name", 7)


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (not_known(), BackendUnreachable),
        (socket.gaierror(socket.EAI_FAIL, "Non-recoverable failure"), OutOfResources),
        (no_server(), OutOfResources),
        (OSError(24, "Too many open files"), OutOfResources),
        (MemoryError("none left"), OutOfResources),
        (UnicodeError("label too long"), BackendUnreachable),
    ],
    ids=repr,
)
async def test_a_failed_lookup_blames_the_backend_only_for_unknown_names(
    system: System, failure: Exception, kind: type[BackendUnavailable]
) -> None:
    of = Resolver()
    system.answers["name"] = failure
    for ask in (lambda: of.resolve("name", 7), lambda: of.look_up("name")):
        with pytest.raises(BackendUnavailable) as caught:
            await ask()
        assert type(caught.value) is kind
        assert caught.value.reason.startswith("name: ")


@pytest.mark.usefixtures("system")
async def test_a_lookup_without_a_thread_is_a_lack_of_resources(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(OutOfResources, match="can't start new thread"):
        await Resolver().resolve("name", 7)


async def test_a_cancelled_dial_leaves_the_lookup_to_others(system: System) -> None:
    of = Resolver()
    event = system.hang("name")
    given_up, other = (asyncio.create_task(addresses(of, "name")) for _ in range(2))
    await eventually(lambda: system.asked == ["name"])
    given_up.cancel()
    await asyncio.wait((given_up,))
    event.set()
    assert await other == [("127.0.0.1", 7)]


async def test_the_number_of_known_names_is_limited(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsgw_core.pool.membership.system_resolver._MOST_NAMES", 10)
    monkeypatch.setattr("wsgw_core.pool.membership.system_resolver._REST", 3600)
    of = Resolver(timeout=0.05)
    system.answers = {f"name-{number}": ["127.0.0.1"] for number in range(100)}
    for host in [*system.answers, "name-99", "name-0"]:
        await of.resolve(host, 7)
    assert system.asked == [*system.answers, "name-0"]
    for number in range(10):
        system.hang(f"hanging-{number}")
        with pytest.raises(OutOfResources):
            await of.resolve(f"hanging-{number}", 7)
    with pytest.raises(OutOfResources, match="too many name lookups: 10"):
        await of.resolve("name-1", 7)


async def test_close_does_not_wait_for_a_lookup_that_hangs(system: System) -> None:
    of = Resolver()
    event = system.hang("name")
    dial = asyncio.create_task(of.resolve("name", 7))
    await eventually(lambda: system.asked == ["name"])
    await of.close()
    assert not event.is_set()
    with pytest.raises(OutOfResources):
        await dial


@pytest.fixture
async def listening() -> AsyncIterator[int]:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes connections to 10.0.0.1 hang."""
    connect = asyncio.SelectorEventLoop.sock_connect

    async def sock_connect(
        self: asyncio.SelectorEventLoop, sock: socket.socket, address: Any
    ) -> None:
        if address[0] == "10.0.0.1":
            await asyncio.Event().wait()
        await connect(self, sock, address)

    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", sock_connect)


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("first", [[], ["10.0.0.1"], ["::1"]], ids=["one", "silent", "refuses"])
async def test_a_first_address_that_is_dead_does_not_cost_the_dial(
    system: System, listening: int, first: list[str]
) -> None:
    of = Resolver()
    system.answers["name"] = [*first, "127.0.0.1"]
    async with asyncio.timeout(30):
        with await of.connect("name", listening) as connected:
            assert connected.getpeername() == ("127.0.0.1", listening)
        transport, _ = await of.create_connection(asyncio.Protocol, "name", listening)
    assert transport.get_extra_info("peername") == ("127.0.0.1", listening)
    transport.abort()


async def test_if_all_addresses_refuse_the_error_says_so(system: System, listening: int) -> None:
    system.answers["name"] = ["127.0.0.2", "127.0.0.3"]
    for connect in (
        Resolver().connect("name", listening),
        Resolver().create_connection(asyncio.Protocol, "name", listening),
    ):
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await connect


async def test_localhost_resolves() -> None:
    assert "127.0.0.1" in await Resolver().look_up("localhost")
