"""The first signal requests a stop, whenever it arrives."""

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
def test_stop_function_is_called(signals: StopSignals, number: signal.Signals) -> None:
    told: list[int] = []
    signals.tell(lambda: told.append(1))

    os.kill(os.getpid(), number)

    assert told == [1]


def test_early_signal_interrupts_and_is_remembered(signals: StopSignals) -> None:
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)
    told: list[int] = []

    signals.tell(lambda: told.append(1))

    assert told == [1]


@pytest.mark.usefixtures("signals")
def test_sighup_is_ignored_without_a_gateway() -> None:
    os.kill(os.getpid(), signal.SIGHUP)  # by default that is the end of this process
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
