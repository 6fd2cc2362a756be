"""Reloads the configuration of a running gateway, and reports the result."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

from ..api import ConfigurationError, run_in_thread
from ..config.gateway_config import GatewayConfig
from ..control.outcome import ReloadReport
from ..loading.configuration import Configuration
from ..loading.references import option_warnings
from ..plugins.plugin_specs import PluginSpecs
from .log_output import set_up_logging
from .reload_answer import ReloadAnswer, send_answer

_CHECK_INTERVAL = 1.0  # seconds between two checks of a watched file
_NOTHING = "nothing was changed"


class Reloadable(Protocol):
    """The part of a gateway that reloads."""

    async def reload(self, config: GatewayConfig, specs: PluginSpecs) -> ReloadReport:
        """Replaces the configuration; see Gateway."""


class Reloading:
    """Runs one reload at a time; requests during a reload cause one more.

    Args:
        gateway: the gateway to reload.
        load: loads the configuration; raises ConfigurationError.
        logger: logs the problems or changes of each reload.
        answer: called with the result of a requested reload.
    """

    def __init__(
        self,
        gateway: Reloadable,
        load: Callable[[], Configuration],
        logger: logging.Logger,
        answer: Callable[[ReloadAnswer], object] = send_answer,
    ) -> None:
        self._gateway = gateway
        self._load = load
        self._logger = logger
        self._answer = answer
        self._task: asyncio.Task[None] | None = None
        self._asked = False
        self._lock = asyncio.Lock()

    @contextmanager
    def on_demand(self, watched: Path | None = None) -> Iterator[None]:
        """Reloads at each SIGHUP (if the system has it), and when a file changes.

        Args:
            watched: the file, checked each second. This also notices a replaced file or link, as in
                Kubernetes. None: no file.
        """
        loop = asyncio.get_running_loop()
        number = getattr(signal, "SIGHUP", None)
        watching = loop.create_task(self._watch(watched)) if watched is not None else None
        before = signal.getsignal(number) if number is not None else None
        if number is not None:
            loop.add_signal_handler(number, self.ask)
        try:
            yield
        finally:
            if number is not None:
                loop.remove_signal_handler(number)
                signal.signal(number, before)
            if watching is not None:
                watching.cancel()

    def ask(self) -> None:
        """Requests a reload; call it on the event loop."""
        self._asked = True
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def now(self) -> ReloadReport:
        """Reloads, after a running reload if there is one; returns the changes.

        Raises:
            ConfigurationError: the configuration is invalid; nothing was changed.
        """
        async with self._lock:
            return await self._reload()

    async def close(self) -> None:
        """Cancels a running reload, which then has changed either nothing or everything."""
        self._asked = False
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self, file: Path) -> None:
        look = partial(_look_at, file)
        seen = await run_in_thread(look)
        while True:
            await asyncio.sleep(_CHECK_INTERVAL)
            now = await run_in_thread(look)  # a network's file system may hang
            if now is not None and now != seen:  # a file that is being replaced may be away
                seen = now
                self.ask()

    async def _run(self) -> None:
        while self._asked:
            self._asked = False
            answer = await self._attempt()
            if not self._asked:  # otherwise the next reload answers
                self._answer(answer)

    async def _attempt(self) -> ReloadAnswer:
        try:
            report = await self.now()
        except ConfigurationError as error:
            problems = (*error.problems, _NOTHING)
            for problem in problems:
                self._logger.error("reload: %s", problem)  # noqa: TRY400 - no fault of ours
            return ReloadAnswer(done=False, lines=problems)
        except Exception as error:
            self._logger.exception("reload: failed, %s", _NOTHING)
            return ReloadAnswer(done=False, lines=(f"failed: {error!r}", _NOTHING))
        return ReloadAnswer(done=True, lines=(*map(_waits, report.waiting), report.summary))

    async def _reload(self) -> ReloadReport:
        loaded = await run_in_thread(self._load)  # clients must not wait for that
        report = await self._gateway.reload(loaded.config, loaded.specs)
        server = loaded.config.server
        set_up_logging(server.logging_level, server.logging_format)
        for warning in option_warnings(loaded.config, loaded.specs, loaded.origins):
            self._logger.warning("reload: %s", warning)
        for line in (*map(_waits, report.waiting), report.summary):
            self._logger.warning("reload: %s", line)
        return report


def _waits(key: str) -> str:
    return f"{key}: the new value takes effect at the next start"


def _look_at(file: Path) -> tuple[int, ...] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size
