from __future__ import annotations

import pytest

from wsgw_core.api import Metrics


def test_a_counter_is_made_once_and_shared() -> None:
    metrics = Metrics()
    counter = metrics.counter("amqp_returned", "Messages that found no queue.")
    counter.value += 2
    again = metrics.counter("amqp_returned", "Another sentence.")
    assert again is counter
    assert (again.value, again.help) == (2, "Messages that found no queue.")


def test_counters_are_listed_in_the_order_of_their_making() -> None:
    metrics = Metrics()
    for name in ("b", "a", "c", "a"):
        metrics.counter(name, "")
    assert [counter.name for counter in metrics] == ["b", "a", "c"]
    assert all(counter.value == 0 for counter in metrics)


def test_two_gateways_do_not_share_their_counters() -> None:
    one, other = Metrics(), Metrics()
    one.counter("a", "").value += 1
    assert other.counter("a", "").value == 0


@pytest.mark.parametrize("name", ["", "A", "1a", "_a", "a-b", "a b", "ä", "a\n"])
def test_a_name_that_prometheus_or_we_would_not_have_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a metric name"):
        Metrics().counter(name, "")
