"""Logs a line for each message."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic_core import to_json

from wsgw_core.api import (
    TEXT,
    ConfigurationError,
    Message,
    MessageValve,
    PluginContext,
    RareWarning,
    Session,
    Valve,
    run_in_thread,
)

from .line_queue import LineQueue
from .log_file import LogFile
from .redaction import Redaction, Unredactable
from .settings import MessageLogSettings

_AT_ONCE = 20  # lines that go to the gateway's log in one turn of the event loop

_Direction = Literal["to-backend", "to-client"]


class MessageLogValve:
    """The valve of one entry in the configuration.

    Args:
        settings: the valve's checked options.
        context: provides metrics, a logger and a clock.
    """

    def __init__(self, settings: MessageLogSettings, context: PluginContext) -> None:
        self._settings = settings
        self._logger = context.logger
        self._redaction = Redaction(settings.redact_paths, settings.redact, settings.max_redacted)
        self._file: LogFile | None = None
        if settings.file is not None:
            self._file = LogFile(settings.file, settings.max_file_size, settings.keep)
        self._queue = LineQueue(
            self._write,
            settings.buffer,
            context.clock,
            RareWarning(context.logger),
            context.metrics.counter("lost", "Messages that were not logged."),
        )
        context.metrics.gauge(
            "waiting_bytes",
            "Bytes of lines that wait to be written.",
            lambda: self._queue.waiting_bytes,
        )

    async def open(self) -> None:
        """Opens the file; raises ConfigurationError."""
        if self._file is None:
            return
        try:
            await run_in_thread(self._file.open)
        except (OSError, ValueError, RuntimeError) as error:
            raise ConfigurationError(f"valve 'message-log': file: {error}") from error

    async def close(self) -> None:
        """Writes the waiting lines, and closes the file."""
        await self._queue.flush()
        if self._file is not None:
            await run_in_thread(self._file.close)

    def for_session(self, session: Session) -> MessageValve:
        """Returns the valve of a session."""
        return LoggedSession(self, session, self._settings.directions)

    def note(self, session: Session, direction: _Direction, message: Message) -> None:
        """Adds the line for a message."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="microseconds"),
            "session": session.id,
            "backend": session.backend_id,
            "direction": direction,
            "kind": message.kind.name.lower(),
            "size": message.size,
        }
        if self._settings.content:
            self._add_text(line, message)
        self._queue.put(to_json(line) + b"\n")

    def _add_text(self, line: dict[str, Any], message: Message) -> None:
        if message.kind is not TEXT:
            line["omitted"] = "binary"
            return
        try:
            text = self._redaction.of(message.data)
        except Unredactable as error:
            line["omitted"] = error.why
            return
        most = self._settings.max_text
        if len(text) > most:
            line["text"] = text[:most].decode(errors="ignore")  # a character may be cut off
            line["cut"] = True
        else:
            line["text"] = text.decode(errors="replace")

    async def _write(self, lines: list[bytes]) -> None:
        file = self._file
        if file is not None:
            await run_in_thread(lambda: file.write(lines))
            return
        for number, line in enumerate(lines, 1):
            self._logger.info("%s", line.decode().rstrip("\n"))
            if number % _AT_ONCE == 0:  # there may be thousands of lines
                await asyncio.sleep(0)


class LoggedSession:
    """The valve of one session, which passes all messages unchanged.

    Args:
        log: writes the lines.
        session: the session.
        directions: direction of the messages to log.
    """

    __slots__ = ("_inward", "_log", "_outward", "_session")

    def __init__(
        self,
        log: MessageLogValve,
        session: Session,
        directions: Literal["both", "to-backend", "to-client"],
    ) -> None:
        self._log = log
        self._session = session
        self._outward = directions != "to-client"
        self._inward = directions != "to-backend"

    def before_transmit(self, message: Message) -> Message:
        """See MessageValve."""
        if self._outward:
            self._log.note(self._session, "to-backend", message)
        return message

    def after_receive(self, message: Message) -> Message:
        """See MessageValve."""
        if self._inward:
            self._log.note(self._session, "to-client", message)
        return message


def _is_valve(valve: MessageLogValve) -> Valve:
    return valve  # checked by the type checker
