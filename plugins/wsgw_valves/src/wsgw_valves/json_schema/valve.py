"""Passes messages that fit a schema."""

from __future__ import annotations

from collections.abc import Callable

from jsonschema_rs import ValidationError, Validator

from wsgw_core.api import (
    BINARY,
    CloseCode,
    CloseSession,
    ConfigurationError,
    Counter,
    Labelled,
    Message,
    PluginContext,
    Session,
    Valve,
    WatchedFile,
    run_in_thread,
)

from ..bounded_json import TooManyContainers, read_json
from .schema import MOST_BYTES, read_schema
from .settings import JsonSchemaSettings

_LONGEST_PATH = 60  # characters; the reason of a close has at most 123 bytes


class JsonSchemaValve:
    """The valve of one entry in the configuration, shared by all sessions.

    Args:
        settings: the valve's checked options.
        context: provides metrics, a logger and a clock.
    """

    def __init__(self, settings: JsonSchemaSettings, context: PluginContext) -> None:
        self._settings = settings
        self._context = context
        self._invalid = context.metrics.counter("invalid", "Invalid messages.", "direction", "why")
        self._outward: _Check | None = None
        self._inward: _Check | None = None

    async def open(self) -> None:
        """Reads the schemas; raises ConfigurationError."""
        self._outward = await self._check("to-backend", self._settings.to_backend)
        self._inward = await self._check("to-client", self._settings.to_client)

    def for_session(self, _session: Session) -> JsonSchemaValve:
        """Returns the valve itself: a session needs no state."""
        return self

    def before_transmit(self, message: Message) -> Message | None:
        """See MessageValve."""
        return message if self._outward is None else self._outward.passed(message)

    def after_receive(self, message: Message) -> Message | None:
        """See MessageValve."""
        return message if self._inward is None else self._inward.passed(message)

    async def _check(self, direction: str, file: str | None) -> _Check | None:
        if file is None:
            return None
        try:
            schema = await run_in_thread(
                lambda: WatchedFile(file, read_schema, self._context, most=MOST_BYTES)
            )
        except (ValueError, RuntimeError) as error:
            raise ConfigurationError(f"valve 'json-schema': {direction}: {error}") from error
        return _Check(schema, self._settings, _counters(self._invalid, direction))


class _Check:
    """Checks the messages of one direction against a schema."""

    def __init__(
        self,
        schema: WatchedFile[Validator],
        settings: JsonSchemaSettings,
        invalid: Callable[[str], Counter],
    ) -> None:
        self._schema = schema
        self._most = settings.max_size
        self._closes = settings.action == "close"
        self._passes_binary = settings.binary == "pass"
        self._invalid = invalid

    def passed(self, message: Message) -> Message | None:
        """Returns the message if it is valid, or else None."""
        if self._passes_binary and message.kind is BINARY:
            return message
        why, text = self._fault(message)
        if not why:
            return message
        self._invalid(why).value += 1
        if self._closes:
            raise CloseSession(CloseCode.POLICY_VIOLATION, text)
        return None

    def _fault(self, message: Message) -> tuple[str, str]:
        """Returns the fault: a word for metrics, empty if there is none, and a close reason."""
        if message.size > self._most:
            return "size", "the message is too large to check"
        try:
            found = read_json(message.data, allow_inf_nan=False)
        except TooManyContainers:
            return "size", "the message is too large to check"
        except ValueError:
            return "json", "the message is not JSON"
        schema = self._schema.value
        if schema.is_valid(found):
            return "", ""
        return "schema", _place(schema, found) if self._closes else ""


def _counters(invalid: Labelled[Counter], direction: str) -> Callable[[str], Counter]:
    return lambda why: invalid.labels(direction, why)


def _place(schema: Validator, found: object) -> str:
    """Returns the place and the keyword of a fault, without values of the message."""
    try:
        schema.validate(found)
    except ValidationError as error:
        path = "".join(f"/{step}" for step in error.instance_path)
        shown = path if len(path) <= _LONGEST_PATH else f"{path[:_LONGEST_PATH]}..."
        return f"does not fit the schema: {error.kind.name} at {shown or 'the top'}"
    return "does not fit the schema"


def _is_valve(valve: JsonSchemaValve) -> Valve:
    return valve  # checked by the type checker
