"""The benchmark of valves gives figures."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path


def test_each_sort_of_valve_has_a_figure(root: Path) -> None:
    result = subprocess.run(
        [sys.executable, root / "benchmarks" / "valves.py", "200"],
        check=True,
        capture_output=True,
        text=True,
        timeout=100,
    )

    figures = re.findall(r"^(.*\S) +([+-]?\d+\.\d+) us$", result.stdout, re.MULTILINE)
    assert [name for name, _ in figures] == [
        "without a valve",
        "an empty valve, plain",
        "an empty valve, asynchronous",
        "an empty valve, that waits",
        "rate-limit, messages and bytes",
        "actioncable, both directions",
        "graphql, mutations and results",
        "json-schema",
        "message-log, as it is",
        "message-log, two redact-paths",
        "message-log, two redact",
        "mqtt, QoS 0",
        "mqtt, QoS 1 and PUBACK",
        "jsonrpc, calls and answers",
        "ocpp, calls and answers",
        "remember, two rules",
        "socketio, events and acks",
        "stomp, SEND",
        "stomp, SEND and RECEIPT",
        "yjs, awareness",
    ]
    assert float(figures[0][1]) > 0
