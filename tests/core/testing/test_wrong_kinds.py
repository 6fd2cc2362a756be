"""For a backend with one fault, only the suite's tests for that fault fail."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from wsgw_core.testing.backend_contract import BackendContract, BackendHarness, Capabilities
from wsgw_core.testing.virtual_clock import VirtualClockLoop

from . import wrong_backends as wrong
from . import wrong_brokers as broker
from .broker_backend import BrokerBackend, BrokerHarness
from .memory_backend import DirectMemoryConnection, MemoryBackend, MemoryHarness

Faulty = type[DirectMemoryConnection] | type[MemoryBackend] | type[BrokerBackend]


class OwnLinks(BackendContract):
    loop_factory = VirtualClockLoop


class SharedLinks(BackendContract):
    loop_factory = VirtualClockLoop
    capabilities = Capabilities(refuses=True, shared_link=True)


def failures(suite: BackendContract, make_harness: Callable[[], BackendHarness]) -> dict[str, str]:
    """Runs all tests of a suite; returns the texts of those that fail."""
    found = {}
    for name in dir(suite):
        if not name.startswith("test_"):
            continue
        try:
            getattr(suite, name)(make_harness())
        except pytest.skip.Exception:
            continue
        except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - whatever a fault leads to
            found[name.removeprefix("test_")] = str(error)
    return found


def failures_of(fault: Faulty) -> dict[str, str]:
    """Runs all tests of the suite that fits a faulty class."""
    if issubclass(fault, BrokerBackend):
        broker_class = fault
        return failures(SharedLinks(), lambda: BrokerHarness(broker_class))
    if issubclass(fault, MemoryBackend):
        memory_class = fault
        return failures(OwnLinks(), lambda: MemoryHarness(memory_class))
    backend_class = wrong.backend_of(fault)
    return failures(OwnLinks(), lambda: MemoryHarness(backend_class))


LONG = ("every_message_is_reported_delivered", "messages_arrive_as_they_were_in_order")


@pytest.mark.parametrize(
    ("fault", "tests", "complaint"),
    [
        pytest.param(*case, id=case[0].__name__)
        for case in (
            (
                wrong.ClosesNormallyWhenItIsOutOfTime,
                ["closing_ends_even_if_the_backend_takes_nothing"],
                "the timeout of the close was reported as 1000, which says that the backend has",
            ),
            (
                broker.TakesAPongForDelivery,
                ["what_the_counterpart_refuses_is_not_delivered"],
                "a message was reported delivered that the counterpart has refused to store",
            ),
            (
                broker.TakesARefusalForADeath,
                ["what_the_counterpart_refuses_is_not_delivered"],
                "a refusal was reported as 1006 the broker is full, a death",
            ),
            (
                broker.SendsAgainItself,
                ["what_was_not_delivered_is_sent_again_by_the_session_alone"],
                "the connection itself has sent .*message 9.* again",
            ),
            (
                broker.CallsTheSinkAfterTheEnd,
                [
                    "a_reply_that_is_too_long_is_not_passed_on",  # which ends its session
                    "late_replies_find_no_session_that_is_over",
                    "replies_around_the_end_come_before_it_or_not_at_all",
                ],
                r"message\(\) was called after closed\(\)",
            ),
            (wrong.WaitsForAnEvent, LONG, r"the event loop was blocked by: Event.wait\(\) in .*\d"),
            (wrong.WaitsForAQueue, LONG, r"blocked by: Queue.get\(\) in .*wrong_backends.py:\d"),
            (wrong.Computes, LONG, "blocked by: .*, which computed for 0.* s without a pause"),
            (wrong.RunsAProcess, LONG, r"blocked by: waiting for the process .*backends.py:\d"),
            (
                broker.TellsOneSessionOfALoss,
                ["all_sessions_hear_of_a_shared_loss_in_one_turn"],
                r"session \d of 5 to hear that the shared link is lost",
            ),
            (
                broker.TellsOneSessionAfterTheOther,
                ["all_sessions_hear_of_a_shared_loss_in_one_turn"],
                "the sessions heard of it in 5 turns of the loop",
            ),
            (
                broker.RemovesTheRouteOfTheNewer,
                [
                    "a_session_may_come_back_while_its_connection_ends",
                    "the_newest_connection_of_a_session_wins",
                ],
                "for a reply",
            ),
            (
                broker.RefusesTheNewer,
                [
                    "a_session_may_come_back_while_its_connection_ends",
                    "the_newest_connection_of_a_session_wins",
                ],
                "the session has a connection",
            ),
            (
                wrong.IgnoresPause,
                ["a_paused_connection_is_silent_soon"],
                r"messages came after pause\(\)",
            ),
            (
                wrong.LosesRepliesWhilePaused,
                [
                    "nothing_is_lost_while_paused",
                    "pausing_while_a_message_is_passed_on",
                    "what_has_waited_comes_before_the_backends_end",
                ],
                "replies",
            ),
            (
                broker.DropsWhatHasWaited,
                [
                    "what_has_waited_comes_before_the_backends_end",
                    "what_has_waited_comes_before_the_end_of_a_move",
                ],
                "the end came after only 0 of 5 replies that had waited",
            ),
            (
                broker.PassesOnBytesAsText,
                ["text_that_is_not_utf8_is_not_passed_on_as_text"],
                "a TEXT message is not valid UTF-8",
            ),
            (
                broker.PassesOnRepliesOfAnyLength,
                ["a_reply_that_is_too_long_is_not_passed_on"],
                "a message of 4097 bytes was passed on, which is more than limits.max_message_size",
            ),
            (
                broker.TakesALongReplyForALoss,
                ["a_reply_that_is_too_long_is_not_passed_on"],
                "a reply that is too long was reported as 1006 too long, so that the session",
            ),
            (
                wrong.DoesNotWaitForItsConnections,
                ["a_backend_is_closed_when_its_connections_are"],
                r"Backend.close\(\) returned while 3 of 3 connections had not reported their end",
            ),
            (
                wrong.DropsLargeMessages,
                ["the_greatest_message_arrives_or_ends_its_session"],
                "message 1 should be .*size=1048576.*, but is .*behind it",
            ),
            (
                wrong.TakesALongMessageForALoss,
                ["the_greatest_message_arrives_or_ends_its_session"],
                "reported as 1006 too long, so that the session sends it to all other backends",
            ),
            (
                broker.KeepsAnEntryOfEachSession,
                ["nothing_is_kept_of_sessions_that_are_over"],
                r"KeepsAnEntryOfEachSession.paths: 30 items, 20 more than before",
            ),
            (
                broker.IgnoresPathAndHeaders,
                ["the_application_learns_the_headers", "the_application_learns_the_path"],
                "but the application got",
            ),
        )
    ],
)
def test_a_fault_fails_its_own_tests_alone(
    fault: Faulty, tests: list[str] | tuple[str, ...], complaint: str
) -> None:
    found = failures_of(fault)

    assert sorted(found) == list(tests), found
    for text in found.values():
        assert re.search(complaint, text, re.DOTALL), text


@pytest.mark.parametrize("right", [MemoryBackend, BrokerBackend])
def test_a_correct_backend_fails_none(right: type[MemoryBackend | BrokerBackend]) -> None:
    assert failures_of(right) == {}


@pytest.mark.parametrize(
    ("fault", "declared"),
    [
        (wrong.IgnoresPause, Capabilities(silent_while_paused=False)),
        (wrong.LosesRepliesWhilePaused, Capabilities(keeps_while_paused=False)),
    ],
)
def test_undeclared_capabilities_cause_no_failure(
    fault: type[DirectMemoryConnection], declared: Capabilities
) -> None:
    class Suite(BackendContract):
        loop_factory = VirtualClockLoop
        capabilities = declared

    assert failures(Suite(), lambda: MemoryHarness(wrong.backend_of(fault))) == {}
