"""Reads the configuration of a running gateway anew, and tells what came of it."""

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

_LOOK_EVERY = 1.0  # seconds between two looks at a watched file
_NOTHING = "nothing was changed"
_Look = tuple[int, ...] | None


class Reloadable(Protocol):
    """A gateway, as far as this goes."""

    async def reload(self, config: GatewayConfig, specs: PluginSpecs) -> ReloadReport:
        """Goes on with another configuration; see Gateway."""
        ...


class Reloading:
    """Reloads once at a time; when it was asked to meanwhile, once more.

    Args:
        gateway: goes on with what was loaded.
        load: reads everything; raises ConfigurationError.
        logger: told of each reload: what was wrong, or what it has changed.
        answer: called with what came of one that was asked for.
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
        """Reloads at each SIGHUP, where there is such a signal, and when a file has changed.

        Args:
            watched: the file; looked at each second, so that it also works where it is replaced or
                a link to it is, as Kubernetes does. None: none.
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
        """Reloads soon; called on the event loop."""
        self._asked = True
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def now(self) -> ReloadReport:
        """Reloads, after one that is under way; return what it has changed.

        Raises:
            ConfigurationError: it cannot be used; nothing was changed.
        """
        async with self._lock:
            return await self._reload()

    async def close(self) -> None:
        """Breaks a reload off that is under way; then nothing has changed, or all of it."""
        self._asked = False
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self, file: Path) -> None:
        look = partial(_look_at, file)
        seen = await run_in_thread(look)
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            now = await run_in_thread(look)  # a network's file system may hang
            if now is not None and now != seen:  # a file that is being replaced may be away
                seen = now
                self.ask()

    async def _run(self) -> None:
        while self._asked:
            self._asked = False
            answer = await self._attempt()
            if not self._asked:  # meanwhile: who has asked then waits for the next
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


def _look_at(file: Path) -> _Look:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size
