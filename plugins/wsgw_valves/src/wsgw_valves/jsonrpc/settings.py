"""The options of the valve."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field, model_validator

from wsgw_core.api import Duration, Limits, Options, PlainText, Size

from ..json_path import JsonPath


class JsonRpcSubscription(Options):
    """How clients subscribe and unsubscribe."""

    subscribe: PlainText = Field(description="method that subscribes")
    unsubscribe: PlainText | None = Field(
        default=None, description="method that ends a subscription; none: it never ends"
    )
    key: JsonPath = Field(
        default=JsonPath("$.params"),
        description="path to the topic in calls of both methods; with `notification`, path to the"
        " subscription's id in calls of `unsubscribe`, such as `$.params[0]`",
    )
    notification: PlainText | None = Field(
        default=None,
        description="for backends that answer `subscribe` with an id: the method of notifications"
        " that carry it. wsgw translates the ids of new backends, so that the client sees only the"
        " first one",
    )
    notification_id: JsonPath = Field(
        default=JsonPath("$.params.subscription"), description="path to the id in notifications"
    )

    @model_validator(mode="after")
    def _check(self) -> JsonRpcSubscription:
        for name in ("key", "notification_id"):
            path: JsonPath = getattr(self, name)
            if not path.is_single:
                raise ValueError(f"{name.replace('_', '-')}: {path} finds several values")
        if "notification_id" in self.model_fields_set and self.notification is None:
            raise ValueError("'notification-id' needs 'notification'")
        return self


class JsonRpcSettings(Options):
    """The calls that new backends get, and limits."""

    answer_timeout: Duration = Field(
        default=60.0,
        gt=0,
        description="wsgw does not send an acknowledged call again if it has no answer after this"
        " time",
    )
    logins: tuple[PlainText, ...] = Field(
        default=(),
        max_length=50,
        description="login methods; a new backend gets the last granted call of each method, in"
        " this order",
    )
    subscriptions: tuple[JsonRpcSubscription, ...] = Field(
        default=(), max_length=50, description="methods that subscribe"
    )
    max_calls: int = Field(
        default=1000,
        gt=0,
        le=100_000,
        description="maximum number of a backend's calls without the client's answer; above it wsgw"
        " forgets the oldest and drops their answers. Also the maximum of open batches, which"
        " together have at most 10,000 calls",
    )
    max_remembered_bytes: Size = Field(
        default=1024 * 1024,
        gt=0,
        description="maximum bytes of logins and subscriptions of a session; above it wsgw closes"
        " the session with 1008",
    )
    max_size: Size = Field(
        default=1024 * 1024, gt=0, description="wsgw passes larger messages without parsing them"
    )

    @model_validator(mode="after")
    def _check(self) -> JsonRpcSettings:
        methods = [*self.logins, *(each.subscribe for each in self.subscriptions)]
        if len(set(methods)) < len(methods):
            raise ValueError("a method occurs twice in 'logins' and 'subscriptions'")
        return self

    def warnings(self, limits: Limits) -> Iterable[tuple[str, str]]:
        """See Options. Warns if wsgw does not parse some allowed messages."""
        if self.max_size < limits.max_message_size:
            yield "max-size", "is less than limits.max-message-size: larger calls may be lost"
