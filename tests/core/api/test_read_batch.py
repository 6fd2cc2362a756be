from __future__ import annotations

from wsgw_core.api import ReadBatch


class Writer:
    """Gathers while the batch is open, as a connection does."""

    def __init__(self, batch: ReadBatch) -> None:
        self.batch = batch
        self.gathered: list[bytes] = []
        self.written: list[bytes] = []

    def send(self, data: bytes) -> None:
        if not self.batch.is_open:
            self.written.append(data)
            return
        if not self.gathered:
            self.batch.add(self)
        self.gathered.append(data)

    def flush(self) -> None:
        gathered, self.gathered = self.gathered, []
        self.written.append(b"".join(gathered))


def test_what_is_gathered_leaves_in_one_write_for_each_connection() -> None:
    batch = ReadBatch()
    one, other = Writer(batch), Writer(batch)
    batch.is_open = True
    one.send(b"a")
    other.send(b"x")
    one.send(b"b")
    assert one.written == other.written == []
    batch.close()
    assert one.written == [b"ab"]
    assert other.written == [b"x"]
    assert not batch.is_open


def test_connections_are_flushed_in_the_order_in_which_they_were_added() -> None:
    batch, order = ReadBatch(), list[str]()

    class Named:
        def __init__(self, name: str) -> None:
            self.name = name

        def flush(self) -> None:
            order.append(self.name)

    batch.is_open = True
    for name in "cab":
        batch.add(Named(name))
    batch.close()
    assert order == ["c", "a", "b"]


def test_it_can_be_used_again_and_flushes_nobody_twice() -> None:
    batch = ReadBatch()
    writer = Writer(batch)
    for data in (b"1", b"2"):
        batch.is_open = True
        writer.send(data)
        batch.close()
    batch.is_open = True
    batch.close()
    assert writer.written == [b"1", b"2"]


def test_a_connection_that_sends_while_another_is_flushed_writes_at_once() -> None:
    batch = ReadBatch()
    late = Writer(batch)

    class Passing:
        def flush(self) -> None:
            late.send(b"passed on")

    batch.is_open = True
    batch.add(Passing())
    batch.close()
    assert late.written == [b"passed on"]
