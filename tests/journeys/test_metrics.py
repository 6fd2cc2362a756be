"""What /metrics shows for a gateway that relays, and that promtool accepts it."""

from __future__ import annotations

import asyncio
import shutil
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from wsgw_core.metrics.families import FAMILIES
from wsgw_core.testing.running_gateway import RunningGateway

from .admin_operator import Operator
from .conftest import StartAdmin, StartGateway
from .eventually import until
from .scripted_backend import ScriptedBackend

# Nothing in here depends on the event loop.
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
PROMTOOL = shutil.which("promtool")


async def scrape(operator: Operator) -> Samples:
    answer = await operator.call("GET", "/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    # The library supports only counters whose names end with `_total`.
    text = answer.text.replace("wsbalancer_new_session counter", "wsbalancer_new_session untyped")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))


async def test_messages_are_counted_by_direction_and_size(
    start_gateway: StartGateway, start_admin: StartAdmin, backend: ScriptedBackend
) -> None:
    gateway = await start_gateway({"id": "blue", "url": backend.url})
    operator = await start_admin(gateway)
    sizes = [0, 1, 128, 129, 5120, 5121, 65_536, 65_537, 131_072, 200_000]
    async with connect(gateway.url, max_size=None) as client:
        served = await backend.connection()
        for size in sizes:
            await client.send(b"x" * size)
            await served.recv()
        for _ in range(3):
            await served.send("four")
            await client.recv()
        during = await scrape(operator)
        assert value(during, "wsgw_open_sessions", state="relaying") == 1
    await until(lambda: not len(gateway.gateway.sessions))
    for samples in (during, await scrape(operator)):
        out = {"direction": "to_backend"}
        assert value(samples, "wsgw_messages_total", **out) == len(sizes)
        assert value(samples, "wsgw_message_bytes_total", **out) == sum(sizes)
        name = "wsgw_message_size_bytes"
        buckets = {128: 3, 512: 4, 2048: 4, 8192: 6, 32_768: 6, 131_072: 9, 524_288: 10}
        for bound, count in buckets.items():
            assert value(samples, f"{name}_bucket", le=str(bound), **out) == count, bound
        assert value(samples, f"{name}_bucket", le="+Inf", **out) == len(sizes)
        assert value(samples, f"{name}_count", **out) == len(sizes)
        assert value(samples, f"{name}_sum", **out) == sum(sizes)
        back = {"direction": "to_client"}
        assert value(samples, "wsgw_messages_total", **back) == 3
        assert value(samples, "wsgw_message_bytes_total", **back) == 12


async def test_sessions_ledgers_failovers_and_closes_are_counted(
    start_gateway: StartGateway,
    start_admin: StartAdmin,
    backend: ScriptedBackend,
) -> None:
    gateway = await start_gateway({"id": "blue", "url": backend.url})
    operator = await start_admin(gateway)
    async with connect(gateway.url) as client:
        served = await backend.connection()
        await client.send("kept")
        await served.recv()
        await backend.down()
        await until(lambda: gateway.count("failovers") == 1)
        samples = await scrape(operator)
        assert value(samples, "wsgw_open_sessions", state="holding") == 1
        assert value(samples, "wsgw_ledger_messages") == 1
        assert value(samples, "wsgw_ledger_bytes") == 4
        await backend.up()
        again = await backend.connection()
        assert await again.recv() == "kept"
        await client.close(4001)
    await until(lambda: not len(gateway.gateway.sessions))
    await operator.post("/backend/disable/blue")
    with pytest.raises(InvalidStatus):
        await connect(gateway.url)
    _, leaving = await asyncio.open_connection("127.0.0.1", gateway.port)
    leaving.close()
    await until(lambda: gateway.count("handshakes_abandoned") == 1)
    samples = await scrape(operator)
    assert value(samples, "wsgw_closes_total", side="client", code="4xxx") == 1
    assert value(samples, "wsgw_closes_total", side="backend", code="1006") == 1
    assert value(samples, "wsgw_handshakes_total", status="101") == 1
    assert value(samples, "wsgw_handshakes_total", status="502") == 1
    assert value(samples, "wsgw_failover_duration_seconds_count") == 1
    assert value(samples, "wsgw_dial_duration_seconds_count") == 2
    assert value(samples, "wsgw_backend_enabled", backend="blue") == 0
    assert value(samples, "wsgw_backend_connections_opened_total", backend="blue") == 2
    assert value(samples, "wsgw_replayed_messages_total") == 1
    await until(lambda: sum(gateway.gateway.counters.loop_delays.counts) > 0)


@pytest.mark.parametrize("shown", [True, False])
async def test_wsbalancers_metrics_are_shown_only_when_enabled(
    start_gateway: StartGateway, start_admin: StartAdmin, backend: ScriptedBackend, *, shown: bool
) -> None:
    server = {
        "frontend": {"address": "127.0.0.1:0", "id": "door"},
        "enable-instrumentation": shown,
    }
    gateway = await start_gateway({"id": "blue", "url": backend.url}, server=server)
    operator = await start_admin(gateway)
    async with connect(gateway.url) as client:
        served = await backend.connection()
        await client.send("x" * 300)
        await served.recv()
        answer = await operator.call("GET", "/metrics")
        samples = await scrape(operator)
    assert ("wsbalancer" in answer.text) == shown
    if not shown:
        return
    assert "# TYPE wsbalancer_new_session counter\n" in answer.text
    assert "# TYPE wsbalancer_active_sessions gauge\n" in answer.text
    assert "# TYPE wsbalancer_message_size histogram\n" in answer.text
    labels = {"frontend": "door", "backend": "blue"}
    assert value(samples, "wsbalancer_new_session", **labels) == 1
    assert value(samples, "wsbalancer_active_sessions", **labels) == 1
    for bound, count in {128: 0, 256: 0, 512: 1, 1024: 1, 2048: 1, 5120: 1}.items():
        size = value(
            samples, "wsbalancer_message_size_bucket", le=str(bound), direction="f2b", **labels
        )
        assert size == count
    assert value(samples, "wsbalancer_message_size_sum", direction="f2b", **labels) == 300
    assert value(samples, "wsbalancer_message_size_count", direction="b2f", **labels) == 0


async def test_close_code_labels_stay_bounded(
    start_gateway: StartGateway, start_admin: StartAdmin, backend: ScriptedBackend
) -> None:
    gateway = await start_gateway({"id": "blue", "url": backend.url})
    operator = await start_admin(gateway)
    for code in range(3000, 3040):
        async with connect(gateway.url) as client:
            await client.close(code)
    await until(lambda: not len(gateway.gateway.sessions))
    samples = await scrape(operator)
    codes = {dict(labels)["code"] for name, labels in samples if name == "wsgw_closes_total"}
    assert codes == {"3xxx"}


async def test_counters_do_not_decrease_when_a_backend_is_deleted(
    start_gateway: StartGateway, start_admin: StartAdmin, backend: ScriptedBackend
) -> None:
    gateway = await start_gateway({"id": "blue", "url": backend.url})
    operator = await start_admin(gateway)
    async with connect(gateway.url) as client:
        served = await backend.connection()
        await client.send("one")
        await served.recv()
    await operator.post("/backend/delete/blue")
    samples = await scrape(operator)
    assert value(samples, "wsgw_messages_total", direction="to_backend") == 1
    assert value(samples, "wsgw_message_bytes_total", direction="to_backend") == 3
    while any(
        ("backend", "blue") in labels for _, labels in samples
    ):  # until the backend is closed
        samples = await scrape(operator)


@pytest.mark.skipif(PROMTOOL is None, reason="promtool, of Debian's package prometheus, is missing")
async def test_promtool_reports_no_problem(
    start_gateway: StartGateway, start_admin: StartAdmin, backend: ScriptedBackend
) -> None:
    gateway: RunningGateway = await start_gateway({"id": "blue", "url": backend.url})
    operator = await start_admin(gateway)
    async with connect(gateway.url) as client:
        await client.close(1000)
    with pytest.raises(InvalidStatus):
        await connect(gateway.url, subprotocols=None, additional_headers={"Upgrade": "h2c"})
    text = (await operator.call("GET", "/metrics")).body
    for family in FAMILIES:
        assert f"# TYPE {family.name}" in text.decode(), family.name
    checked = await asyncio.to_thread(
        subprocess.run,
        [str(PROMTOOL), "check", "metrics"],
        input=text,
        capture_output=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")
