"""The first signal asks for a stop, whenever it comes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from wsgw_core.process.stop_signals import StopSignals


@pytest.fixture
def signals() -> Iterator[StopSignals]:
    taken = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in taken}
    signals = StopSignals()
    signals.install()
    yield signals
    for number, receiver in before.items():
        signal.signal(number, receiver)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_whoever_is_to_be_told_is_told(signals: StopSignals, number: signal.Signals) -> None:
    told: list[int] = []
    signals.tell(lambda: told.append(1))

    os.kill(os.getpid(), number)

    assert told == [1]


def test_a_signal_before_that_interrupts_and_is_not_forgotten(signals: StopSignals) -> None:
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)
    told: list[int] = []

    signals.tell(lambda: told.append(1))

    assert told == [1]


@pytest.mark.usefixtures("signals")
def test_what_asks_for_a_reload_ends_nothing_while_there_is_nothing_to_reload() -> None:
    os.kill(os.getpid(), signal.SIGHUP)  # by default that is the end of this process
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
