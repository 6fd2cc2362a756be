"""Parts without a server: options, and the limit of waiting events."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from wsgw_nats.envelope import Event
from wsgw_nats.events import EventOutbox
from wsgw_nats.metrics import NatsMetrics
from wsgw_nats.settings import NatsSettings

from wsgw_core.api import Metrics


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"url": "http://a"}, "not a URL such as nats://host:4222"),
        ({"url": "nats://a:b"}, "Port could not be cast"),
        ({"subject": "a..b"}, "the result has an empty token"),
        ({"subject": "a.*"}, "the result has a space or a wildcard"),
        ({"subject": "$JS.API"}, "begins with a reserved name"),
        ({"subject": "a.{pth.1}"}, "unknown field {pth.1}; did you mean"),
        ({"subject": "a.{peer}"}, "no client could be served: peer"),
        ({"inbox": "a.>"}, "String should match pattern"),
        ({"window": 0}, "greater than or equal to 1"),
        ({"ack-timeout": "0s"}, "greater than 0"),
        ({"subprotocols": ["none", "mqtt"]}, "not 'first', 'none' or a list of names"),
    ],
)
def test_invalid_option_is_refused(options: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError) as wrong:
        NatsSettings.model_validate({"url": "nats://a", **options})
    assert reason in str(wrong.value)


def test_refusals_concern_all_sessions_only_with_one_subject() -> None:
    assert NatsSettings(url="nats://a").is_shared
    assert not NatsSettings.model_validate({"url": "nats://a", "subject": "a.{path.1}"}).is_shared


def test_outbox_keeps_newest_events_and_counts_dropped_ones() -> None:
    metrics = NatsMetrics(Metrics())
    outbox = EventOutbox(metrics, None)
    for number in range(10_003):
        outbox.publish(Event("connect", "a", str(number).encode(), {}))
    assert len(outbox) == 10_000
    assert metrics.events_lost.value == 3
    outbox.confirmed(3)  # already dropped
    outbox.confirmed(4)
    assert len(outbox) == 9_999
