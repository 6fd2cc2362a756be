"""A running gateway reloads its configuration on request."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from pathlib import Path

import pytest

from wsgw_core.api import ConfigurationError
from wsgw_core.config.gateway_config import GatewayConfig
from wsgw_core.config.problems import Origins
from wsgw_core.control.outcome import ReloadReport
from wsgw_core.loading.configuration import Configuration
from wsgw_core.plugins.plugin_specs import PluginSpecs
from wsgw_core.process import reloading
from wsgw_core.process.reload_answer import ReloadAnswer
from wsgw_core.process.reloading import Reloading


class RecordedGateway:
    """Notes what it is told to go on with; waits where the test wants it to."""

    def __init__(self) -> None:
        self.reloads = 0
        self.report = ReloadReport()
        self.error: Exception | None = None
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    async def reload(self, _config: GatewayConfig, _specs: PluginSpecs) -> ReloadReport:
        await self.may_go_on.wait()
        if self.error is not None:
            raise self.error
        self.reloads += 1
        return self.report


class Scene:
    """A gateway and what its file says."""

    def __init__(self) -> None:
        self.gateway = RecordedGateway()
        self.loads = 0
        self.problems: list[str] = []
        self.answers: list[ReloadAnswer] = []
        self.reloading = Reloading(
            self.gateway, self._load, logging.getLogger("test"), self.answers.append
        )

    def _load(self) -> Configuration:
        self.loads += 1
        if self.problems:
            raise ConfigurationError(self.problems)
        config = GatewayConfig.model_validate({"upstream": {"backends": [{"url": "ws://a:1"}]}})
        return Configuration(config, PluginSpecs(backends=()), Origins())

    async def reload(self) -> None:
        self.reloading.ask()
        await self.reloading._task  # type: ignore[misc]  # noqa: SLF001 - there is one: it was asked


@pytest.fixture(autouse=True)
def keep_logging(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(reloading, "set_up_logging", lambda *_: None)
    caplog.set_level(logging.INFO)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "test"]


async def test_reload_reports_keys_that_need_a_restart(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    scene.gateway.report = ReloadReport(
        added=["red"], changed=["blue"], unchanged=["a", "b"], waiting=["server.frontend.address"]
    )

    await scene.reload()

    assert scene.gateway.reloads == 1
    lines = (
        "server.frontend.address: the new value takes effect at the next start",
        "done, 4 backends: 1 added (red), 0 removed, 1 changed (blue), 2 unchanged",
    )
    assert told(caplog) == [f"reload: {line}" for line in lines]
    assert scene.answers == [ReloadAnswer(done=True, lines=lines)]


async def test_reload_reports_warnings(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        reloading, "option_warnings", lambda *_: ["wsgw.yaml:3: limits: very tight"]
    )
    await Scene().reload()
    assert told(caplog)[0] == "reload: wsgw.yaml:3: limits: very tight"


async def test_invalid_configuration_changes_nothing_and_is_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = Scene()
    scene.problems = ["wsgw.yaml:3: failover: wrong", "wsgw.yaml:4: limits: wrong"]

    await scene.reload()

    assert scene.gateway.reloads == 0
    assert told(caplog) == [
        "reload: wsgw.yaml:3: failover: wrong",
        "reload: wsgw.yaml:4: limits: wrong",
        "reload: nothing was changed",
    ]
    assert scene.answers == [ReloadAnswer(False, (*scene.problems, "nothing was changed"))]
    scene.problems = []
    await scene.reload()
    assert scene.gateway.reloads == 1


@pytest.mark.parametrize("error", [ConfigurationError("no feed"), LookupError("a fault")])
async def test_failing_gateway_is_reported(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene()
    scene.gateway.error = error

    await scene.reload()

    assert "nothing was changed" in told(caplog)[-1]
    assert [(each.done, each.lines[-1]) for each in scene.answers] == [
        (False, "nothing was changed")
    ]
    assert all(record.levelno == logging.ERROR for record in caplog.records)


async def test_requests_during_a_reload_cause_one_more() -> None:
    scene = Scene()
    scene.gateway.may_go_on.clear()
    scene.reloading.ask()
    while not scene.loads:  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0.001)
    for _ in range(5):
        scene.reloading.ask()
    scene.gateway.may_go_on.set()
    while scene.gateway.reloads < 2:  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0.001)
    await scene.reloading.close()

    assert scene.loads == 2
    assert len(scene.answers) == 1  # of the one that has begun after all had asked


async def test_a_gateway_that_stops_does_not_wait_for_a_reload() -> None:
    scene = Scene()
    scene.gateway.may_go_on.clear()
    scene.reloading.ask()
    while not scene.loads:  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0.001)

    async with asyncio.timeout(30):
        await scene.reloading.close()

    assert scene.gateway.reloads == 0


async def test_caller_gets_the_result_of_the_reload() -> None:
    scene = Scene()
    scene.gateway.report = ReloadReport(waiting=["server.admin"])

    assert await scene.reloading.now() is scene.gateway.report
    scene.problems = ["wsgw.yaml:3: wrong"]
    with pytest.raises(ConfigurationError, match="wrong"):
        await scene.reloading.now()


async def test_two_callers_reload_one_after_the_other() -> None:
    scene = Scene()
    scene.gateway.may_go_on.clear()
    both = [asyncio.create_task(scene.reloading.now()) for _ in range(2)]
    await asyncio.sleep(0.02)
    assert scene.loads <= 1

    scene.gateway.may_go_on.set()
    await asyncio.gather(*both)

    assert (scene.loads, scene.gateway.reloads) == (2, 2)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no such signal")
@pytest.mark.parametrize("before", [signal.SIG_DFL, signal.SIG_IGN])
async def test_sighup_reloads_while_on_demand(
    before: signal.Handlers, request: pytest.FixtureRequest
) -> None:
    scene = Scene()
    at_first = signal.signal(signal.SIGHUP, before)
    request.addfinalizer(lambda: signal.signal(signal.SIGHUP, at_first))
    with scene.reloading.on_demand():
        os.kill(os.getpid(), signal.SIGHUP)
        while not scene.gateway.reloads:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.001)
    await scene.reloading.close()

    assert signal.getsignal(signal.SIGHUP) == before


async def test_changed_watched_file_causes_a_reload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reloading, "_CHECK_INTERVAL", 0.001)
    scene = Scene()
    file = tmp_path / "wsgw.yaml"
    file.write_text("one")
    with scene.reloading.on_demand(file):
        await asyncio.sleep(0.02)
        assert scene.loads == 0
        (tmp_path / "new").write_text("another")
        (tmp_path / "new").rename(file)
        while not scene.gateway.reloads:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.001)
        file.unlink()
        await asyncio.sleep(0.02)
        assert scene.gateway.reloads == 1
        file.write_text("a third")
        while scene.gateway.reloads < 2:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.001)
    await scene.reloading.close()
