"""The backend on a server that is killed, frozen, or refuses messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from wsgw_nats.backend import NatsBackend
from wsgw_nats.settings import NatsSettings

from wsgw_core.api import (
    BackendContext,
    BackendDeclined,
    BackendUnavailable,
    Close,
    CloseCause,
    DialRequest,
    Limits,
    Message,
    UnusableAnswer,
)
from wsgw_core.testing.context import make_context
from wsgw_core.testing.descriptors import open_descriptors
from wsgw_core.testing.fake_control import FakeControl
from wsgw_core.testing.recording_sink import RecordingSink, WatchedConnection
from wsgw_core.testing.samples import samples

from .nats_server import NatsServer
from .workers import Workers

LEFT = Close(1001, "bye")


class Scene:
    """A backend with a recording context."""

    def __init__(self, server: NatsServer, limits: Limits | None = None, **options: object) -> None:
        self.control = FakeControl()
        self.context: BackendContext = make_context(control=self.control, limits=limits)
        settings = {"url": server.url, "ack_timeout": 60, **options}
        self.backend = NatsBackend(NatsSettings.model_validate(settings), self.context)

    async def session(
        self, session_id: str = "s1", path: str = "/", *, after: int = 0
    ) -> tuple[WatchedConnection, RecordingSink]:
        """Dials and starts a session; `after` is the number of its last message."""
        sink = RecordingSink()
        request = DialRequest(session_id, path, reconnect=after > 0, seen_up_to=after)
        connection = sink.watch(await self.backend.connect(request, sink))
        connection.number = after
        connection.start()
        return connection, sink

    def sample(self, name: str, **labels: str) -> float:
        """Returns a metric's value; 0 if there is none."""
        inside = ",".join(f'{label}="{value}"' for label, value in labels.items())
        return samples(self.context.metrics).get(
            f"wsgw_{name}{{{inside}}}" if inside else f"wsgw_{name}", 0
        )

    async def until(self, condition: Callable[[], object]) -> None:
        """Waits until a condition holds."""
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110 - no event to await
                await asyncio.sleep(0.01)

    async def until_reply(self, outcome: str) -> None:
        """Waits for a reply with this outcome."""
        await self.until(lambda: self.sample("replies_total", outcome=outcome))


@asynccontextmanager
async def scene(
    server: NatsServer, limits: Limits | None = None, **options: object
) -> AsyncIterator[Scene]:
    """Opens a backend and closes it at the end."""
    scene = Scene(server, limits, **options)
    await scene.backend.open()
    try:
        yield scene
    finally:
        async with asyncio.timeout(60):
            await scene.backend.close()


def send(connection: WatchedConnection, *texts: str) -> None:
    for text in texts:
        connection.send(Message.from_text(text))


async def test_messages_have_ids_types_and_a_subject_for_replies(
    server: NatsServer, workers: Workers
) -> None:
    async with scene(server) as played:
        connection, sink = await played.session("s1")
        send(connection, "one", "two")
        await sink.until_delivered(2)

        assert await workers.until_numbers("s1", 2) == [1, 2]
        (_, first), _ = workers.messages["s1"]
        assert (first.subject, first.data) == ("wsgw.messages", b"one")
        assert first.headers is not None
        assert first.headers["Nats-Msg-Id"] == "s1-1"
        assert first.headers["Wsgw-Type"] == "text"
        assert first.headers["Wsgw-Reply-To"].startswith("_INBOX.")
        assert played.sample("published_total", type="text") == 2
        assert played.sample("acknowledgements_total", outcome="stored") == 3  # including an event
        assert played.sample("publish_seconds_count") == 3
        assert played.sample("unacknowledged") == 0
        await workers.reply("s1", b"\0", type="binary")
        assert [message.data for message in await sink.until_messages(1)] == [b"\0"]


async def test_replay_adds_nothing_to_the_stream(server: NatsServer, workers: Workers) -> None:
    async with scene(server) as played:
        _, first = moved = await played.session("s1")
        send(moved[0], "one", "two")
        await first.until_delivered(2)
        again, sink = await played.session("s1", after=1)  # as if `two` had no acknowledgement
        send(again, "two", "three")
        await sink.until_delivered(2)

        assert await workers.until_numbers("s1", 3) == [1, 2, 3]
        assert played.sample("acknowledgements_total", outcome="duplicate") == 1


async def test_workers_get_each_session_event_once(server: NatsServer, workers: Workers) -> None:
    async with scene(server, headers="User-Agent") as played:
        sink = RecordingSink()
        headers = (("user-agent", "tester"), ("Cookie", "secret"))
        request = DialRequest("s1", "/a?b=1", headers, ("mqtt",), "192.0.2.1:99", route="r")
        connection = sink.watch(await played.backend.connect(request, sink))
        assert connection.subprotocol == "mqtt"
        connection.start()
        send(connection, "one")
        connection.close(1001, "bye", CloseCause.CLIENT_LEFT)
        played.backend.session_ended("s1", LEFT, CloseCause.CLIENT_LEFT)
        played.backend.session_ended("unknown", LEFT, CloseCause.CLIENT_LEFT)
        await sink.until_closed()

        told = await workers.until_told("s1", "connect")
        assert told == {
            "type": "connect",
            "session": "s1",
            "path": "/a?b=1",
            "peer": "192.0.2.1:99",
            "route": "r",
            "subprotocol": "mqtt",
            "headers": [["user-agent", "tester"]],
            "reconnect": False,
            "seen_up_to": 0,
        }
        told = await workers.until_told("s1", "disconnect")
        assert told == {
            "type": "disconnect",
            "session": "s1",
            "code": 1001,
            "reason": "bye",
            "cause": "client left",
        }
        assert workers.messages["s1"][0][1].seq == 2, "the events are around the messages"
        assert "unknown" not in workers.events


@pytest.mark.usefixtures("workers")
async def test_loss_ends_all_sessions_in_one_turn_and_blames_no_message(
    server: NatsServer,
) -> None:
    async with scene(server) as played:
        sessions = [await played.session(f"s{number}") for number in range(20)]
        loop, turns = asyncio.get_running_loop(), 0
        ends: list[int] = []

        def count() -> None:
            nonlocal turns
            turns += 1
            loop.call_soon(count)

        for _, sink in sessions:
            sink.on_closed = lambda: ends.append(turns)
        count()
        await server.kill()
        for _, sink in sessions:
            close = await sink.until_closed()
            assert (close.code, close.abnormal) == (1013, True)
        assert len(set(ends)) == 1
        assert len(played.control.losses) == 1
        with pytest.raises(BackendUnavailable):
            await played.session("s20")
        await server.start()


async def test_events_survive_server_restart_and_link_reconnects(
    server: NatsServer, workers: Workers
) -> None:
    async with scene(server) as played:
        connection, sink = await played.session("s1")
        send(connection, "one")
        await sink.until_delivered(1)
        await server.kill()
        await sink.until_closed()
        played.backend.session_ended("s1", LEFT, CloseCause.CLIENT_LEFT)
        assert played.sample("waiting_events") == 1
        assert played.control.is_down
        await server.start()

        told = await workers.until_told("s1", "disconnect")
        assert told["cause"] == "client left"
        await workers.reply("s1", b"late")  # the inbox is the same
        await played.until_reply("taken")
        assert played.control.replies == [("s1", Message.from_text("late"))]
        assert not played.control.is_down


async def serve_and_leave(played: Scene, *, after: int = 0) -> None:
    """Serves the session `s1`, which then moves."""
    connection, sink = await played.session("s1", after=after)
    connection.close(1001, "", CloseCause.SESSION_MOVES)
    await sink.until_closed()


async def test_only_backend_that_served_session_last_publishes_its_end(
    server: NatsServer, workers: Workers
) -> None:
    async with scene(server) as removed, scene(server, window=8) as other:
        await serve_and_leave(removed)
        connection, sink = await other.session("s1")
        async with asyncio.timeout(60):
            await removed.backend.linger()
        send(connection, "last")
        connection.close(1001, "bye", CloseCause.CLIENT_LEFT)
        for each in (removed, other):
            each.backend.session_ended("s1", LEFT, CloseCause.CLIENT_LEFT)
        await sink.until_closed()
        await workers.until_told("s1", "disconnect")
        assert workers.messages["s1"], "the event comes last"
        assert removed.sample("published_total", type="disconnect") == 0


async def test_removed_backend_stays_for_end_of_session_that_lives_elsewhere(
    server: NatsServer, workers: Workers
) -> None:
    async with scene(server) as removed:
        await serve_and_leave(removed)
        lingering = asyncio.create_task(removed.backend.linger())
        await asyncio.wait([lingering], timeout=0.1)
        assert not lingering.done()
        removed.backend.session_ended("s1", LEFT, CloseCause.CLIENT_LEFT)
        await lingering
    await workers.until_told("s1", "disconnect")


async def test_reply_to_moving_session_goes_to_its_new_backend(
    server: NatsServer, workers: Workers
) -> None:
    async with scene(server) as played:
        _, sink = await played.session("s1")
        sink.client_is_there = False  # like the core for a connection that the session has left
        await workers.reply("s1", b"late")
        await played.until_reply("taken")
        assert played.control.replies == [("s1", Message.from_text("late"))]


async def test_full_stream_ends_all_sessions_until_it_has_room(
    server: NatsServer, workers: Workers
) -> None:
    async with scene(server) as played:
        connection, sink = await played.session("s1")
        _, other = await played.session("s2")
        send(connection, "one")
        await sink.until_delivered(1)
        await workers.refuse()
        send(connection, "two")
        for each in (sink, other):
            close = await each.until_closed()
            assert (close.code, close.abnormal) == (1013, True)
        assert "maximum messages exceeded" in played.control.losses[0]
        assert sink.delivered_count == 1
        with pytest.raises(BackendUnavailable, match="is full"):
            await played.session("s1", after=2)

        await workers.accept()
        again, sink = await played.session("s1", after=1)
        send(again, "two")
        await sink.until_delivered(1)
        assert await workers.until_numbers("s1", 2) == [1, 2]


async def test_refusal_for_one_subject_ends_only_its_session(
    server: NatsServer, workers: Workers
) -> None:
    async with scene(server, subject="wsgw.{path.1}") as played:
        connection, sink = await played.session("s1", "/one")
        neighbour, other = await played.session("s2", "/two")
        await workers.until_told("s2", "connect")
        await workers.change_stream(subjects=["wsgw.two"])
        send(connection, "nobody takes it")
        close = await sink.until_closed()
        assert (close.code, close.abnormal) == (1013, True)
        send(neighbour, "hello")
        await other.until_delivered(1)
        assert not played.control.losses
        with pytest.raises(UnusableAnswer, match=r"no stream takes the subject wsgw\.one"):
            await played.session("s1", "/one", after=1)
        played.backend.session_ended("s1", LEFT, CloseCause.CLIENT_LEFT)
        await played.until(lambda: played.sample("events_lost_total"))
        assert await workers.until_numbers("s2", 1) == [1]


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"no_ack": True}, "acknowledges nothing"), ({"subjects": ["other"]}, "no stream takes")],
)
async def test_unusable_stream_refuses_sessions(
    server: NatsServer, workers: Workers, options: dict[str, object], reason: str
) -> None:
    await workers.change_stream(**options)
    async with scene(server) as played:
        with pytest.raises(UnusableAnswer, match=reason):
            await played.session()
        with pytest.raises(UnusableAnswer, match=reason):
            await played.backend.probe()


@pytest.mark.usefixtures("workers")
async def test_message_too_large_for_server_ends_only_its_session(
    server: NatsServer,
) -> None:
    async with scene(server) as played:
        connection, sink = await played.session("s1")
        neighbour, other = await played.session("s2")
        send(connection, "fits", "x" * 1024 * 1024, "behind it")
        send(neighbour, "hello")
        close = await sink.until_closed()
        assert (close.code, close.abnormal) == (1009, False)
        assert sink.delivered_count == 1
        await other.until_delivered(1)
        assert not played.control.losses


async def test_message_too_large_for_stream_ends_only_its_session(
    server: NatsServer, workers: Workers
) -> None:
    await workers.change_stream(max_msg_size=1000)
    async with scene(server) as played:
        connection, sink = await played.session("s1")
        _, other = await played.session("s2")
        send(connection, "x" * 2000)
        close = await sink.until_closed()
        assert (close.code, close.abnormal) == (1009, False)
        assert other.end is None
        assert played.sample("acknowledgements_total", outcome="refused") == 1


async def test_server_without_acknowledgements_is_lost(
    server: NatsServer, workers: Workers
) -> None:
    async with scene(server, ack_timeout=0.5) as played:
        connection, sink = await played.session("s1")
        await workers.until_told("s1", "connect")
        server.freeze()
        send(connection, "one")
        close = await sink.until_closed()
        assert close == Close(1013, "JetStream has acknowledged nothing for 0.5 s", abnormal=True)
        server.thaw()


async def test_frozen_server_with_full_buffers_leaves_nothing_after_its_death(
    server: NatsServer, workers: Workers
) -> None:
    limits = Limits(close_timeout=1)
    async with scene(server, limits) as played:  # creates everything that stays for the process
        await played.session("s0")
        await workers.until_told("s0", "connect")
    tasks, descriptors = asyncio.all_tasks(), open_descriptors() or frozenset()
    async with scene(server, limits, ack_timeout=0.5) as played:
        sessions = [await played.session(f"s{number}") for number in range(20)]
        server.freeze()
        for connection, _ in sessions:
            send(connection, *["x" * 64 * 1024] * 16)
        for _, sink in sessions:
            assert (await sink.until_closed()).code == 1013
    await server.kill()
    await played.until(lambda: not asyncio.all_tasks() - tasks)
    await played.until(lambda: not (open_descriptors() or frozenset()) - descriptors)


@pytest.mark.usefixtures("workers")
async def test_client_without_value_for_subject_is_declined(
    server: NatsServer,
) -> None:
    async with scene(server, subject="wsgw.{query.room}") as played:
        for path in ("/", "/?room=a.b", "/?room=*", "/?room=%3E"):
            with pytest.raises(BackendDeclined) as declined:
                await played.session(path=path)
            assert declined.value.status == 400


@pytest.mark.parametrize(
    ("data", "headers"),
    [
        (b"\xff", {}),
        (b"", {"type": "unheard-of"}),
        (b"", {"type": "close", "code": "1005"}),
        (b"", {"type": "close", "code": "many"}),
        (b"x" * 124, {"type": "close"}),
    ],
)
async def test_malformed_reply_is_counted_and_harms_no_session(
    server: NatsServer, workers: Workers, data: bytes, headers: dict[str, str]
) -> None:
    async with scene(server) as played:
        connection, sink = await played.session()
        await workers.reply("s1", data, **headers)
        await played.until_reply("malformed")
        send(connection, "one")
        await sink.until_delivered(1)
        assert not sink.messages


async def test_unknown_acknowledgement_is_counted_and_harms_no_session(
    server: NatsServer, workers: Workers
) -> None:
    async with scene(server) as played:
        connection, sink = await played.session()
        send(connection, "one")
        await sink.until_delivered(1)
        inbox = (
            workers.reply_to.get("s1")
            or (
                await workers.until_told("s1", "connect"),
                workers.reply_to["s1"],
            )[1]
        )
        acknowledgements = inbox.rpartition(".r.")[0] + ".a."
        server.freeze()
        send(connection, "two")
        server.thaw()
        workers.reply_to["others"] = f"{acknowledgements}2"
        await workers.reply("others", b"thanks")
        await sink.until_delivered(2)
        assert await workers.until_numbers("s1", 2) == [1, 2]
