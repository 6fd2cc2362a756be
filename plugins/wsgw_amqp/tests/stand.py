"""A backend on a real broker, with workers behind its queue."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from wsgw_amqp.backend import AmqpBackend
from wsgw_amqp.settings import AmqpSettings

from wsgw_core.api import Close, CloseCause, DialRequest, Limits
from wsgw_core.testing.context import make_context
from wsgw_core.testing.fakes import FakeControl
from wsgw_core.testing.recording_sink import RecordingSink, WatchedConnection
from wsgw_core.testing.samples import samples

from .workers import Names, Workers


class Stand:
    """The parts of one test.

    Attributes:
        names: of the exchange and the queues.
        control: records what the backend reports about itself.
        backend: the open backend.
        workers: read the queue.
    """

    backend: AmqpBackend
    workers: Workers

    def __init__(self, names: Names, limits: Limits | None) -> None:
        self.names = names
        self.control = FakeControl()
        self.context = make_context(control=self.control, limits=limits)

    async def session(
        self, path: str = "/", *, session_id: str = "", **request: Any
    ) -> tuple[str, RecordingSink, WatchedConnection]:
        """Dials and starts a session; returns its id and its two sides."""
        session_id = session_id or uuid.uuid4().hex
        sink = RecordingSink(timeout=60.0)
        dial = DialRequest(session_id, path, **request)
        connection = sink.watch(await self.backend.connect(dial, sink))
        connection.start()
        return session_id, sink, connection

    async def end(
        self,
        session: tuple[str, RecordingSink, WatchedConnection],
        close: Close,
        cause: CloseCause = CloseCause.CLIENT_LEFT,
    ) -> None:
        """Ends a session like the core."""
        session_id, sink, connection = session
        connection.close(close.code, close.reason, cause)
        self.backend.session_ended(session_id, close, cause)
        await sink.until_closed()

    def metric(self, name: str) -> float:
        """Returns a metric's value; `name` includes the labels."""
        return samples(self.context.metrics)[f"wsgw_{name}"]

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Waits for a condition without an event."""
        try:
            async with asyncio.timeout(60):
                while not condition():  # noqa: ASYNC110 - see above
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"waited 60 s for {what}") from None


@asynccontextmanager
async def standing(
    url: str,
    *,
    broker: str = "",
    names: Names | None = None,
    limits: Limits | None = None,
    works: bool = True,
    **options: Any,
) -> AsyncIterator[Stand]:
    """Opens a backend, with workers behind its queue if `works`; removes all at the end.

    Args:
        url: where the backend connects.
        broker: where the workers connect; default: `url`.
        names: of the exchange and the queues; default: unique names.
        limits: of the gateway.
        works: whether the workers start at once.
        **options: of the backend, with underscores.
    """
    names = names or Names()
    stand = Stand(names, limits)
    given = {"url": url, **names.options}
    given |= {name.replace("_", "-"): value for name, value in options.items()}
    stand.backend = AmqpBackend(AmqpSettings.model_validate(given), stand.context)
    stand.workers = Workers(broker or url, names)
    await stand.backend.open()
    try:
        if works:
            stand.workers.start()
        yield stand
    finally:
        await stand.backend.close()
        await stand.workers.stop()
