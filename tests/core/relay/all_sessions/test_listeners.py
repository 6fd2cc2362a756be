"""Listeners follow a session and cannot disturb it."""

from __future__ import annotations

from wsgw_core.api import Close, Session
from wsgw_core.testing.fakes import Unavailable, as_message
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..relay_bench import RecordingListener, RelayBench


class Faulty(RecordingListener):
    """Fails in every method."""

    def session_created(self, session: Session) -> None:
        raise LookupError("created")

    def session_failed_over(self, session: Session, old: str | None, new: str) -> None:
        raise LookupError("failed over")

    def session_terminated(self, session: Session, close: Close) -> None:
        raise LookupError("terminated")


@on_virtual_clock
async def test_listeners_are_called_at_each_event_of_a_session_in_their_order() -> None:
    log: list[str] = []
    bench = await RelayBench(
        listeners=(RecordingListener("first", log), RecordingListener("second", log))
    ).open()
    bench.drop()
    await bench.green.connection()
    bench.leave(4000, "bye")
    await bench.until_ended()
    assert log == [
        "first: created at blue",
        "second: created at blue",
        "first: moved from blue to green",
        "second: moved from blue to green",
        "first: terminated 4000 bye",
        "second: terminated 4000 bye",
    ]


@on_virtual_clock
async def test_a_failed_dial_is_no_event() -> None:
    listener = RecordingListener()
    bench = await RelayBench(listeners=(listener,)).open()
    bench.green.will(Unavailable())
    bench.drop()
    await bench.blue.connection(1)
    assert listener.log == ["listener: created at blue", "listener: moved from blue to blue"]


@on_virtual_clock
async def test_each_failover_names_the_backend_that_was_lost() -> None:
    listener = RecordingListener()
    bench = await RelayBench(listeners=(listener,)).open()
    bench.drop()
    (await bench.green.connection()).drop()
    await bench.blue.connection(1)
    assert listener.log[1:] == [
        "listener: moved from blue to green",
        "listener: moved from green to blue",
    ]


@on_virtual_clock
async def test_faults_of_listeners_are_logged_and_change_nothing() -> None:
    sound = RecordingListener()
    bench = await RelayBench(listeners=(Faulty(), sound)).open()
    bench.say("A")
    bench.drop()
    connection = await bench.green.connection()
    assert connection.texts == ["A"]
    connection.acknowledge()
    bench.leave()
    await bench.until_ended()
    assert len(sound.log) == 3
    assert bench.counters.listener_errors.value == 3
    assert bench.counters.undelivered.value == 0


@on_virtual_clock
async def test_listeners_get_the_same_session_object_each_time() -> None:
    seen: list[Session] = []

    class Keeper(RecordingListener):
        def session_created(self, session: Session) -> None:
            session.state["number"] = 7
            seen.append(session)

        def session_terminated(self, session: Session, close: Close) -> None:
            seen.append(session)

    bench = await RelayBench(listeners=(Keeper(),)).open()
    bench.leave()
    await bench.until_ended()
    assert seen[0] is seen[1]
    assert seen[1].state == {"number": 7}


@on_virtual_clock
async def test_listeners_can_inject_messages() -> None:
    class Greeter(RecordingListener):
        def session_created(self, session: Session) -> None:
            session.send_to_client(hello)
            session.send_to_backend(hello)

        def session_failed_over(self, session: Session, old: str | None, new: str) -> None:
            session.send_to_backend(moved)

        def session_terminated(self, session: Session, close: Close) -> None:
            session.send_to_client(hello)
            session.send_to_backend(hello)

    hello, moved = as_message("hello"), as_message("moved")
    bench = await RelayBench(listeners=(Greeter(),)).open()
    bench.say("A")
    assert bench.client.texts == ["hello"]
    assert bench.blue.connections[0].texts == ["hello", "A"]
    bench.drop()
    connection = await bench.green.connection()
    assert connection.texts == ["hello", "A", "moved"]
    bench.session.close(1000)
    await idle()
    assert bench.client.texts == ["hello"]
    assert bench.client.received_late == []


@on_virtual_clock
async def test_a_listener_can_close_or_move_the_session() -> None:
    class Mover(RecordingListener):
        def session_created(self, session: Session) -> None:
            session.fail_over()

    bench = await RelayBench(listeners=(Mover(),)).open()
    await bench.green.connection()
    assert bench.session.backend_id == "green"

    class Closer(RecordingListener):
        def session_failed_over(self, session: Session, old: str | None, new: str) -> None:
            super().session_failed_over(session, old or "", new)
            session.close(4000, "not there")

    closer = Closer()
    bench = await RelayBench(listeners=(closer,)).open()
    bench.drop()
    assert await bench.client.until_closed() == Close(4000, "not there")
    assert closer.log[-1] == "listener: terminated 4000 not there"
