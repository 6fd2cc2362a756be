"""Backends are killed, ended, frozen and away while clients send: nothing may be lost."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable

import pytest

from ..journeys.eventually import until
from .history import Verdict
from .load import LoadClient
from .scene import Backend, Scene

Stage = Callable[..., Awaitable[Scene]]
Report = Callable[[Verdict], None]

CLIENTS = 20
SMALL, LARGE = 64, 20_000


def unharmed(verdict: Verdict) -> bool:
    """Whether every message was read, in order, and no client noticed."""
    return not verdict.faults and not verdict.unread and not verdict.unanswered


async def send_for(seconds: float) -> None:
    """Let the clients send for a while: the load, not a wait for something."""
    await asyncio.sleep(seconds)


async def kill_one_and_the_next_as_soon_as_it_is_given_a_message(
    victim: Backend, other: Backend
) -> None:
    before = other.readings
    victim.kill()
    await until(lambda: other.readings > before, "the other backend is given a message")
    other.kill()


@pytest.mark.slow
@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["64 B", "20 kB"])
async def test_the_serving_backend_is_killed_again_and_again(
    stage: Stage, report: Report, size: int
) -> None:
    scene = await stage()
    await scene.start_clients(CLIENTS, size)
    for number in range(5):
        victim = scene.backends[number % 2]
        await send_for(0.4)
        victim.kill()
        await scene.all_are_served()
        await victim.start()
    verdict = await scene.finish()
    report(verdict)

    assert verdict.failovers >= 5 * CLIENTS / 2
    assert unharmed(verdict), verdict


@pytest.mark.slow
async def test_the_serving_backend_is_told_to_end_again_and_again(
    stage: Stage, report: Report
) -> None:
    scene = await stage()
    await scene.start_clients(CLIENTS, SMALL)
    for number in range(4):
        victim = scene.backends[number % 2]
        await send_for(0.3)
        victim.signal(signal.SIGTERM)
        assert await victim.ended() == 0
        await scene.all_are_served()
        await victim.start()
    verdict = await scene.finish()
    report(verdict)

    assert verdict.failovers >= 4 * CLIENTS / 2
    assert unharmed(verdict), verdict


@pytest.mark.slow
@pytest.mark.parametrize("then", ["thawed", "killed"])
async def test_the_serving_backend_freezes(stage: Stage, report: Report, then: str) -> None:
    scene = await stage(failover={"ping-timeout": "1s", "dial-timeout": "1s"})
    await scene.start_clients(CLIENTS, SMALL)
    for victim in scene.backends:
        await send_for(0.3)
        victim.freeze()
        await scene.all_are_served()
        if then == "thawed":
            victim.thaw()
        else:
            victim.kill()
            await victim.start()
    verdict = await scene.finish()
    report(verdict)

    assert verdict.failovers >= 2 * CLIENTS / 2
    assert unharmed(verdict), verdict


@pytest.mark.slow
async def test_every_backend_is_away_for_a_while(stage: Stage, report: Report) -> None:
    scene = await stage()
    await scene.start_clients(CLIENTS, SMALL)
    for backend in scene.backends:
        backend.kill()
    await send_for(1.5)
    await asyncio.gather(*(backend.start() for backend in scene.backends))
    await scene.all_are_served()
    verdict = await scene.finish()
    report(verdict)

    assert verdict.failovers == CLIENTS
    assert unharmed(verdict), verdict


@pytest.mark.slow
async def test_both_backends_die_in_turn_and_the_second_before_the_first_is_back(
    stage: Stage, report: Report
) -> None:
    scene = await stage()
    await scene.start_clients(CLIENTS, SMALL)
    first, second = scene.backends
    for _ in range(2):
        first.kill()
        await send_for(0.05)
        second.kill()
        await first.start()
        await scene.all_are_served()
        await second.start()
        await send_for(0.2)
    verdict = await scene.finish()
    report(verdict)

    assert unharmed(verdict), verdict


@pytest.mark.slow
async def test_the_next_backend_dies_in_the_middle_of_the_replay(
    stage: Stage, report: Report
) -> None:
    scene = await stage()
    await scene.start_clients(CLIENTS, LARGE)
    first, second = scene.backends
    for victim, other in [(first, second), (second, first)] * 2:
        await send_for(0.3)
        await kill_one_and_the_next_as_soon_as_it_is_given_a_message(victim, other)
        await asyncio.gather(victim.start(), other.start())
        await scene.all_are_served()
    verdict = await scene.finish()
    report(verdict)

    assert unharmed(verdict), verdict


@pytest.mark.slow
async def test_a_backend_accepts_and_drops(stage: Stage, report: Report) -> None:
    scene = await stage((), ("--drop",), ())
    scene.backends[1].kill()
    await scene.start_clients(CLIENTS, SMALL)
    await scene.backends[1].start()
    for victim in (scene.backends[0], scene.backends[2]):
        victim.kill()
        await scene.all_are_served()
        await victim.start()
        await scene.all_are_served()
    verdict = await scene.finish()
    report(verdict)

    assert unharmed(verdict), verdict


@pytest.mark.slow
@pytest.mark.parametrize(("count", "size"), [(500, SMALL), (100, LARGE)], ids=["64 B", "20 kB"])
async def test_clients_send_and_close_at_once_while_their_backend_dies(
    stage: Stage, report: Report, count: int, size: int
) -> None:
    scene = await stage()
    scene.clients = [LoadClient(f"c{number}", size) for number in range(CLIENTS)]
    sending = [
        asyncio.create_task(client.send_and_close(scene.url, count)) for client in scene.clients
    ]
    await until(lambda: scene.backends[0].readings > 2_000, "the first messages are read")
    scene.backends[0].kill()
    await asyncio.gather(*sending)
    verdict = await scene.settled(
        lambda found: not found.lost and not found.unread and not found.unread_closed
    )
    report(verdict)

    assert verdict.sent == CLIENTS * count
    assert not verdict.faults, verdict
    assert not verdict.unread, verdict
    assert not verdict.unread_closed, verdict


@pytest.mark.slow
async def test_clients_vanish_and_their_backends_live_on(stage: Stage, report: Report) -> None:
    scene = await stage()
    await scene.start_clients(CLIENTS, SMALL)
    vanishing = [LoadClient(f"v{number}", SMALL) for number in range(CLIENTS)]
    await asyncio.gather(*(client.send_and_vanish(scene.url, 50) for client in vanishing))
    await send_for(0.3)
    scene.backends[0].kill()
    await scene.all_are_served()
    verdict = await scene.finish()
    report(verdict)

    assert unharmed(verdict), verdict


@pytest.mark.slow
async def test_a_backend_reads_slower_than_its_clients_send(stage: Stage, report: Report) -> None:
    scene = await stage(("--delay", "0.02"), ("--delay", "0.02"))
    await scene.start_clients(4, SMALL)
    await send_for(1)
    scene.backends[0].kill()
    await scene.all_are_served()
    for client in scene.clients:
        client.stop_sending()
    verdict = await scene.settled(lambda found: not found.lost and not found.unread)
    report(verdict)  # unread are those that the dead backend's own queue held

    assert not verdict.faults, verdict


@pytest.mark.slow
async def test_backends_dribble_their_answers(stage: Stage, report: Report) -> None:
    scene = await stage(("--dribble",), ("--dribble",))
    await scene.start_clients(CLIENTS // 2, SMALL)
    for victim in scene.backends:
        await send_for(0.4)
        victim.kill()
        await scene.all_are_served()
        await victim.start()
    verdict = await scene.finish()
    report(verdict)

    assert verdict.failovers >= CLIENTS / 2
    assert unharmed(verdict), verdict
