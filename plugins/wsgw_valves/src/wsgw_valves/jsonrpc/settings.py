"""What can be configured for the valve."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field, model_validator

from wsgw_core.api import Duration, Limits, Options, Size

from ..json_path import JsonPath


class JsonRpcSubscription(Options):
    """How clients subscribe to something, and end that."""

    subscribe: str = Field(min_length=1, description="the method by which clients subscribe")
    unsubscribe: str | None = Field(
        default=None, description="the method that ends it; none: it lasts"
    )
    key: JsonPath = Field(
        default=JsonPath("$.params"),
        description="what is subscribed to, in calls of both methods; with `notification`, where"
        " `unsubscribe` has the subscription's id: `$.params[0]`",
    )
    notification: str | None = Field(
        default=None,
        description="for backends whose answer to `subscribe` is an id: the method of the"
        " notifications that carry it. Ids of new backends are translated, so that the client sees"
        " only the first one",
    )
    notification_id: JsonPath = Field(
        default=JsonPath("$.params.subscription"), description="where notifications carry the id"
    )

    @model_validator(mode="after")
    def _check(self) -> JsonRpcSubscription:
        for name in ("key", "notification_id"):
            path: JsonPath = getattr(self, name)
            if not path.is_single:
                raise ValueError(f"{name.replace('_', '-')}: {path} names several values")
        if "notification_id" in self.model_fields_set and self.notification is None:
            raise ValueError("'notification-id' needs 'notification'")
        return self


class JsonRpcSettings(Options):
    """Which calls a new backend must hear, and bounds."""

    answer_timeout: Duration = Field(
        default=60.0,
        gt=0,
        description="an acknowledged call of the client that has no answer after this time is not"
        " sent again",
    )
    logins: tuple[str, ...] = Field(
        default=(),
        max_length=50,
        description="methods that log a client in; a new backend hears the last call of each that"
        " was granted, in this order",
    )
    subscriptions: tuple[JsonRpcSubscription, ...] = Field(
        default=(), max_length=50, description="methods by which clients subscribe"
    )
    max_calls: int = Field(
        default=1000,
        gt=0,
        le=100_000,
        description="calls of one backend that wait for the client's answer; beyond them the oldest"
        " are forgotten, and answers to these dropped. Also open batches of the client",
    )
    max_remembered_bytes: Size = Field(
        default=1024 * 1024,
        gt=0,
        description="what is remembered of a session: logins and subscriptions; more ends it with"
        " 1008",
    )
    max_size: Size = Field(
        default=1024 * 1024, gt=0, description="a larger message passes without being looked at"
    )

    @model_validator(mode="after")
    def _check(self) -> JsonRpcSettings:
        methods = [*self.logins, *(each.subscribe for each in self.subscriptions)]
        if len(set(methods)) < len(methods):
            raise ValueError("a method is in 'logins' or 'subscriptions' twice")
        return self

    def warnings(self, limits: Limits) -> Iterable[tuple[str, str]]:
        """See Options: are there messages that are not looked at?"""
        if self.max_size < limits.max_message_size:
            yield "max-size", "is less than limits.max-message-size: larger calls may be lost"
