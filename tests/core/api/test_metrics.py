"""Counters, gauges and histograms: names, labels, and values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from wsgw_core.api import Counter, Labelled, Metrics
from wsgw_core.metrics.series import collect
from wsgw_core.testing.samples import samples


class _Collected(Collector):
    """A collector for prometheus_client's registry."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return collect(self._metrics, lambda _family, error: pytest.fail(repr(error)))


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
    assert [(family.name, family.total) for family in metrics] == [("b", 0), ("a", 0), ("c", 0)]


def test_two_gateways_do_not_share_their_counters() -> None:
    one, other = Metrics(), Metrics()
    one.counter("a", "").value += 1
    assert other.counter("a", "").value == 0


@pytest.mark.parametrize(
    "name",
    [
        "",
        "A",
        "1a",
        "_a",
        "a-b",
        "a b",
        "ä",
        "a\n",
        "a_total",
        "a_bucket",
        "a_count",
        "a_sum",
        "a_info",
    ],
)
def test_an_invalid_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a metric name"):
        Metrics().counter(name, "")


class TestLabels:
    def test_each_combination_of_values_has_a_counter(self) -> None:
        dead = Metrics().counter("dead", "Replies nobody took.", "why", "kind")
        dead.labels("invalid", "text").value += 2
        dead.labels("unknown", "text").value += 1
        dead.labels("invalid", "text").value += 1
        assert dead.labels("invalid", "text").value == 3

    def test_a_metric_without_labels_is_a_counter_itself(self) -> None:
        metrics = Metrics()
        assert isinstance(metrics.counter("dead", ""), Counter)
        assert isinstance(metrics.counter("lost", "", "why"), Labelled)
        assert isinstance(metrics.histogram("took", "", "why"), Labelled)

    def test_a_metric_is_shared_by_all_callers(self) -> None:
        metrics = Metrics()
        metrics.counter("dead", "", "why").labels("a").value += 1
        metrics.counter("dead", "", "why").labels("a").value += 1
        assert samples(metrics) == {'wsgw_dead_total{why="a"}': 2}

    def test_values_beyond_a_hundred_count_as_other(self) -> None:
        metrics = Metrics()
        counter = metrics.counter("seen", "", "room")
        for number in range(1000):
            counter.labels(f"room {number}").value += 1
        shown = samples(metrics)
        assert len(shown) == 101
        assert shown['wsgw_seen_total{room="room 99"}'] == 1
        assert shown['wsgw_seen_total{room="other"}'] == 900

    def test_a_hostile_value_is_cut_and_escaped(self) -> None:
        metrics = Metrics()
        counter = metrics.counter("seen", "", "room")
        for value in ("x" * 100_000, 'a"b\\c\nd', "\ud800", "\x00" * 100):
            counter.labels(value).value += 1
        text = generate_latest(_Collected(metrics)).decode()
        assert len(text) < 1000
        parsed = [
            sample.labels["room"]
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        ]
        assert parsed == ["x" * 64, 'a"b\\c\\nd', "\\ud800", "\\x00" * 16]

    def test_a_wrong_number_of_values_is_refused(self) -> None:
        counter = Metrics().counter("seen", "", "room")
        with pytest.raises(ValueError, match="1 labels"):
            counter.labels("a", "b")

    @pytest.mark.parametrize("label", ["", "A", "a-b", "le", "quantile", "__x"])
    def test_an_invalid_label_name_is_refused(self, label: str) -> None:
        with pytest.raises(ValueError, match="not a label name"):
            Metrics().counter("seen", "", label)

    def test_a_label_named_twice_is_refused(self) -> None:
        with pytest.raises(ValueError, match="twice"):
            Metrics().of("amqp", backend="a").counter("seen", "", "backend")


class TestHistograms:
    def test_numbers_are_sorted_into_buckets(self) -> None:
        metrics = Metrics()
        histogram = metrics.histogram("wait_seconds", "", bounds=(0.1, 1))
        for number in (0.05, 0.1, 0.5, 7):
            histogram.observe(number)
        assert samples(metrics) == {
            'wsgw_wait_seconds_bucket{le="0.1"}': 2,
            'wsgw_wait_seconds_bucket{le="1"}': 3,
            'wsgw_wait_seconds_bucket{le="+Inf"}': 4,
            "wsgw_wait_seconds_count": 4,
            "wsgw_wait_seconds_sum": 7.65,
        }

    def test_each_value_of_a_label_has_its_own_histogram(self) -> None:
        metrics = Metrics()
        metrics.histogram("wait_seconds", "", "queue", bounds=(1.0,)).labels("a").observe(3)
        assert samples(metrics)['wsgw_wait_seconds_sum{queue="a"}'] == 3

    @pytest.mark.parametrize("bounds", [(), (1.0, 1.0), (2.0, 1.0), tuple(map(float, range(51)))])
    def test_bounds_that_do_not_ascend_or_are_too_many_are_refused(
        self, bounds: tuple[float, ...]
    ) -> None:
        with pytest.raises(ValueError, match="must ascend"):
            Metrics().histogram("wait_seconds", "", bounds=bounds)


class TestGauges:
    def test_a_gauge_is_read_at_each_scrape(self) -> None:
        metrics, waiting = Metrics(), [1, 2]
        metrics.gauge("waiting", "", lambda: len(waiting))
        waiting.append(3)
        assert samples(metrics) == {"wsgw_waiting": 3}

    def test_a_gauge_with_labels_has_a_number_for_each_value(self) -> None:
        metrics = Metrics()
        metrics.gauge("depth", "", lambda: {"a": 1, "b": 2}, "queue")
        metrics.gauge("load", "", lambda: {("a", "x"): 1}, "queue", "zone")
        assert samples(metrics) == {
            'wsgw_depth{queue="a"}': 1,
            'wsgw_depth{queue="b"}': 2,
            'wsgw_load{queue="a",zone="x"}': 1,
        }

    def test_values_beyond_a_hundred_are_summed_as_other(self) -> None:
        metrics = Metrics()
        metrics.gauge("depth", "", lambda: {str(number): 1 for number in range(1000)}, "queue")
        shown = samples(metrics)
        assert len(shown) == 101
        assert shown['wsgw_depth{queue="other"}'] == 900

    def test_several_objects_of_one_kind_are_summed(self) -> None:
        metrics = Metrics()
        metrics.of("mask").gauge("rooms", "", lambda: 1)
        metrics.of("mask").gauge("rooms", "", lambda: 2)
        assert samples(metrics) == {"wsgw_mask_rooms": 3}

    @pytest.mark.parametrize("wrong", [None, "x", {"a": "x"}, {("a", "b"): 1}, ["a"]])
    def test_a_gauge_that_fails_is_reported_and_hides_nothing_else(self, wrong: Any) -> None:
        metrics = Metrics()
        metrics.gauge("broken", "", lambda: wrong, "queue")
        metrics.gauge("good", "", lambda: 1)
        faults: list[str] = []
        collected = list(collect(metrics, lambda family, _error: faults.append(family.name)))
        assert [len(metric.samples) for metric in collected] == [0, 1]
        assert faults == ["broken"]


class TestOfPlugins:
    def test_names_begin_with_the_kind_and_backends_have_a_label(self) -> None:
        metrics = Metrics()
        metrics.of("amqp", backend="parked").counter("returned", "").value += 1
        metrics.of("rate-limit").counter("hits", "").value += 2
        assert samples(metrics) == {
            'wsgw_amqp_returned_total{backend="parked"}': 1,
            "wsgw_rate_limit_hits_total": 2,
        }

    def test_series_of_a_closed_backend_are_removed(self) -> None:
        metrics = Metrics()
        for name in ("a", "b"):
            own = metrics.of("amqp", backend=name)
            own.counter("returned", "", "why").labels("x").value += 1
            own.gauge("up", "", lambda: 1)
            if name == "a":
                own.close()
        assert samples(metrics) == {
            'wsgw_amqp_returned_total{backend="b",why="x"}': 1,
            'wsgw_amqp_up{backend="b"}': 1,
        }

    def test_a_counter_continues_when_a_reload_replaces_its_backend(self) -> None:
        metrics = Metrics()
        old, new = (metrics.of("amqp", backend="a") for _ in range(2))
        old.counter("returned", "").value += 1
        new.counter("returned", "").value += 1
        old.gauge("up", "", lambda: 1)
        new.gauge("up", "", lambda: 1)
        old.close()
        assert samples(metrics) == {
            'wsgw_amqp_returned_total{backend="a"}': 2,
            'wsgw_amqp_up{backend="a"}': 1,
        }
        new.close()
        assert samples(metrics) == {}

    def test_the_counter_of_a_removed_valve_stays(self) -> None:
        metrics = Metrics()
        own = metrics.of("mask")
        own.counter("masked", "").value += 1
        own.close()
        assert samples(metrics) == {"wsgw_mask_masked_total": 1}

    def test_the_name_of_another_metric_is_refused(self) -> None:
        metrics = Metrics(["backend_failures"])
        metrics.of("a").counter("x", "")
        with pytest.raises(ValueError, match="another metric wsgw_backend_failures"):
            metrics.of("backend").counter("failures", "")
        with pytest.raises(ValueError, match="another metric wsgw_a_x"):
            metrics.of("a").histogram("x", "")
        with pytest.raises(ValueError, match="another metric wsgw_a_x"):
            metrics.of("a").counter("x", "", "why")
