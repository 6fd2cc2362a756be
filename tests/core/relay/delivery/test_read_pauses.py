"""While memory is the only reason for a pause, what was read already still comes."""

from __future__ import annotations

from wsgw_core.api.metrics import Counter
from wsgw_core.relay.delivery.read_pauses import PauseReason, ReadPauses

LEDGER, MEMORY = PauseReason.LEDGER_FULL, PauseReason.MEMORY_SHORT
VALVES = PauseReason.VALVES_BUSY


class Side:
    """Records how it is read."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def stop_reading(self) -> None:
        self.calls.append("stop")

    def resume_reading(self) -> None:
        self.calls.append("resume")


class Bench:
    """Pauses of one side."""

    def __init__(self) -> None:
        self.side = Side()
        self.counter = Counter("pauses", "")
        self.pauses = ReadPauses(self.counter)
        self.pauses.attach(self.side)

    def calls(self) -> list[str]:
        """Returns the calls since the last time."""
        calls, self.side.calls = self.side.calls, []
        return calls


def test_the_first_reason_pauses_and_the_last_one_resumes() -> None:
    bench = Bench()
    bench.pauses.add(LEDGER)
    bench.pauses.add(VALVES)
    bench.pauses.add(LEDGER)
    assert bench.calls() == ["pause"]
    bench.pauses.remove(LEDGER)
    assert bench.calls() == []
    bench.pauses.remove(VALVES)
    bench.pauses.remove(VALVES)
    assert bench.calls() == ["resume"]
    assert bench.counter.value == 1


def test_memory_alone_only_stops_reading() -> None:
    bench = Bench()
    bench.pauses.add(MEMORY)
    bench.pauses.add(MEMORY)
    bench.pauses.enforce()
    bench.pauses.remove(LEDGER)
    assert bench.calls() == ["stop", "stop"]
    bench.pauses.remove(MEMORY)
    assert bench.calls() == ["resume"]


def test_another_reason_beside_memory_pauses_until_it_is_gone() -> None:
    bench = Bench()
    bench.pauses.add(MEMORY)
    bench.pauses.add(LEDGER)
    assert bench.calls() == ["stop", "pause"]
    bench.pauses.enforce()
    assert bench.calls() == ["pause"]
    bench.pauses.remove(LEDGER)
    assert bench.calls() == ["stop"]


def test_memory_beside_another_reason_changes_nothing_until_that_is_gone() -> None:
    bench = Bench()
    bench.pauses.add(LEDGER)
    bench.pauses.add(MEMORY)
    assert bench.calls() == ["pause"]
    bench.pauses.remove(LEDGER)
    assert bench.calls() == ["stop"]
    bench.pauses.add(VALVES)
    bench.pauses.remove(MEMORY)
    bench.pauses.remove(VALVES)
    assert bench.calls() == ["pause", "resume"]


def test_without_a_side_nothing_is_called() -> None:
    bench = Bench()
    bench.pauses.attach(None)
    bench.pauses.add(MEMORY)
    bench.pauses.add(LEDGER)
    bench.pauses.remove(LEDGER)
    bench.pauses.remove(MEMORY)
    assert bench.calls() == []
    assert not bench.pauses
