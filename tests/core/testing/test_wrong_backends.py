"""The contract suite finds every fault in wrong_backends."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from wsgw_core.api import BackendUnavailable
from wsgw_core.testing.backend_contract import BackendContract
from wsgw_core.testing.virtual_clock import VirtualClockLoop

from . import wrong_backends as wrong
from .memory_backend import DirectMemoryConnection, MemoryBackend, MemoryHarness


class Suite(BackendContract):
    loop_factory = VirtualClockLoop


@pytest.fixture(autouse=True)
def leaks() -> Iterator[None]:
    """Closes what some of the wrong backends leave behind."""
    yield
    while wrong.LeaksADescriptor.leaked:
        os.close(wrong.LeaksADescriptor.leaked.pop())
    wrong.LeaksATask.leaked.clear()
    wrong.LeaksACancelledDial.leaked.clear()


@pytest.mark.parametrize(
    ("connection_class", "test", "complaint"),
    [
        (
            wrong.LosesAMessage,
            "messages_arrive_as_they_were_in_order",
            "message 85 should be .*'message 77'",
        ),
        (
            wrong.TakesACrossingEndForAnAnswer,
            "an_end_that_crosses_a_close_is_orderly_only_if_all_has_arrived",
            "message 1 of 20 to arrive",
        ),
        (wrong.SwapsMessages, "messages_arrive_as_they_were_in_order", "should be .*message 4"),
        (wrong.SwapsReplies, "replies_arrive_as_they_were_in_order", "should be .*message 4"),
        (wrong.MakesBinaryText, "messages_arrive_as_they_were_in_order", "should be .*BINARY"),
        (
            wrong.ClosesTwice,
            "closing_passes_on_what_was_sent_and_ends_once",
            "closed.. was called after closed",
        ),
        (
            wrong.ClosesTwiceLater,
            "closing_passes_on_what_was_sent_and_ends_once",
            "closed.. was called after closed",
        ),
        (
            wrong.NeverSaysThatItIsClosed,
            "closing_passes_on_what_was_sent_and_ends_once",
            "the end of the connection",
        ),
        (
            wrong.ReportsDeliveryEarly,
            "nothing_is_delivered_before_the_backend_has_it",
            "before the backend had it",
        ),
        (
            wrong.ReportsDeliveryEarly,
            "what_is_sent_to_a_lost_backend_is_not_delivered",
            "after closed",
        ),
        (
            wrong.ReportsDeliveryTwice,
            "every_message_is_reported_delivered",
            "reported delivered, but .* were sent",
        ),
        (wrong.ForgetsTheLastDelivery, "every_message_is_reported_delivered", "207 deliveries"),
        (wrong.ForgetsTheLastDelivery, "a_single_message_is_reported_delivered", "1 deliveries"),
        (wrong.CallsBeforeStart, "nothing_is_heard_before_the_start", "before start"),
        (wrong.TellsALossBeforeStart, "a_loss_before_the_start_is_told_afterwards", "before start"),
        (wrong.CallsAfterItsEnd, "messages_after_the_end_are_ignored", "after closed"),
        (wrong.CallsFromInsideSend, "every_message_is_reported_delivered", "from inside send"),
        (
            wrong.CallsFromInsideClose,
            "closing_passes_on_what_was_sent_and_ends_once",
            "from inside close",
        ),
        (
            wrong.SwallowsALoss,
            "a_lost_backend_is_abnormal_and_ends_once",
            "the end of the connection",
        ),
        (
            wrong.TakesALossForAClose,
            "a_lost_backend_is_abnormal_and_ends_once",
            "which ends the session",
        ),
        (
            wrong.HidesTheCloseCode,
            "the_backends_close_arrives_with_code_and_reason",
            "4001 .enough. was reported",
        ),
        (
            wrong.ThrowsAwayWhatIsUnsentAtItsClose,
            "closing_passes_on_what_was_sent_and_ends_once",
            "of 20 to arrive",
        ),
        (
            wrong.WaitsForEverWithItsClose,
            "closing_ends_even_if_the_backend_takes_nothing",
            "the end of the connection",
        ),
        (wrong.IgnoresPause, "a_paused_connection_is_silent_soon", "after pause"),
        (
            wrong.LosesRepliesWhilePaused,
            "pausing_while_a_message_is_passed_on",
            "100 replies; so far .* 1 messages",
        ),
        (wrong.IsAlwaysWritable, "a_slow_backend_makes_the_connection_unwritable", "64 MiB"),
        (
            wrong.ReportsDeliveryEarly,
            "what_was_not_delivered_is_sent_again_by_the_session_alone",
            r"10 were reported delivered, and \d arrived",
        ),
        (
            wrong.EndsTwiceWhenBothSidesClose,
            "both_sides_may_close_at_once",
            "closed.. was called after closed",
        ),
        (
            wrong.TakesAnEndFromBothSidesForALoss,
            "both_sides_may_close_at_once",
            "an end from both sides was reported as",
        ),
        (
            wrong.SleepsInSend,
            "a_single_message_is_reported_delivered",
            r"the event loop was blocked by: time.sleep\(0.0001\) in .*wrong_backends.py:\d+; ",
        ),
        (wrong.LeaksATask, "nothing_is_left_of_a_closed_backend", "left behind"),
        (wrong.LeaksATask, "a_hundred_sessions_do_not_mix", "left behind"),
    ],
)
def test_a_fault_in_the_connection_is_found(
    connection_class: type[DirectMemoryConnection], test: str, complaint: str
) -> None:
    harness = MemoryHarness(wrong.backend_of(connection_class))
    with pytest.raises(AssertionError, match=complaint):
        getattr(Suite(), f"test_{test}")(harness)


@pytest.mark.parametrize(
    ("backend_class", "test", "complaint"),
    [
        (wrong.MixesSessions, "a_hundred_sessions_do_not_mix", "should be"),
        (
            wrong.SendsNothingTwice,
            "what_was_not_delivered_is_sent_again_by_the_session_alone",
            "should have arrived last",
        ),
        (
            wrong.ResolvesANameInTheLoop,
            "a_single_message_is_reported_delivered",
            "blocked by: socket.getaddrinfo in .*wrong_backends.py",
        ),
        (
            wrong.ConnectsInTheLoop,
            "a_single_message_is_reported_delivered",
            "blocked by: socket.connect with a socket that blocks in .*wrong_backends.py",
        ),
        (wrong.LeaksADescriptor, "nothing_is_left_of_a_closed_backend", "left behind"),
        (wrong.LeaksADescriptor, "a_cancelled_dial_leaves_nothing", "left behind"),
        (wrong.LeaksACancelledDial, "a_cancelled_dial_leaves_nothing", "left behind"),
    ],
)
def test_a_fault_in_the_backend_is_found(
    backend_class: type[MemoryBackend], test: str, complaint: str
) -> None:
    with pytest.raises(AssertionError, match=complaint):
        getattr(Suite(), f"test_{test}")(MemoryHarness(backend_class))


def test_an_exception_after_the_end_is_found() -> None:
    harness = MemoryHarness(wrong.backend_of(wrong.RaisesAfterItsEnd))
    with pytest.raises(ConnectionResetError):
        Suite().test_messages_after_the_end_are_ignored(harness)


@pytest.mark.parametrize(
    "test",
    ["a_connection_can_be_closed_without_a_start", "closing_passes_on_what_was_sent_and_ends_once"],
)
def test_an_exception_of_a_second_close_is_found(test: str) -> None:
    harness = MemoryHarness(wrong.backend_of(wrong.RaisesWhenItIsClosedAgain))
    with pytest.raises(RuntimeError, match="closed already"):
        getattr(Suite(), f"test_{test}")(harness)


def test_an_exception_that_connect_may_not_raise_is_found() -> None:
    harness = MemoryHarness(wrong.LetsANetworkErrorOut)
    with pytest.raises(ConnectionRefusedError):
        Suite().test_an_unreachable_backend_is_unavailable(harness)


def test_a_session_that_may_not_come_back_is_found() -> None:
    with pytest.raises(BackendUnavailable, match="has a connection"):
        Suite().test_what_was_not_delivered_is_sent_again_by_the_session_alone(
            MemoryHarness(wrong.RefusesASessionThatItKnows)
        )


def test_an_exception_of_an_unopened_backend_is_found() -> None:
    with pytest.raises(AttributeError):
        Suite().test_a_backend_that_was_never_opened_can_be_closed(
            MemoryHarness(wrong.CannotCloseUnopened)
        )


def test_a_probe_that_never_fails_is_found() -> None:
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        Suite().test_an_unreachable_backend_is_unavailable(MemoryHarness(wrong.IsAlwaysHealthy))
