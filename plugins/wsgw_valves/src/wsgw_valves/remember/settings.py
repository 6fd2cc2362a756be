"""The options of the valve."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field, model_validator

from wsgw_core.api import Duration, Limits, Options, Size

from .condition import Condition
from .finder import Finder


class RememberRule(Options):
    """The messages that each new backend gets, and when to forget them."""

    remember: Condition = Field(description="the client's messages to remember")
    key: Finder | None = Field(
        default=None,
        description="what identifies a message: a path, or a regular expression with one group;"
        " wsgw does not remember messages without it; none: all have the same key",
    )
    keep: Literal["last", "all"] = Field(
        default="last", description="messages with equal keys to remember"
    )
    forget: Condition | None = Field(
        default=None, description="client's messages that make wsgw forget a key"
    )
    forget_key: Finder | None = Field(
        default=None, description="the key in messages of `forget`; none: as `key`"
    )
    forget_from_backend: Condition | None = Field(
        default=None, description="backend's messages that make wsgw forget a key"
    )
    answer: Condition | None = Field(
        default=None,
        description="the backend's answer. Until it comes, wsgw sends the message again after a"
        " failover. Later, a new backend must give it before wsgw sends anything else, and the"
        " client does not see it. None: wsgw waits for no answer",
    )
    refusal: Condition | None = Field(
        default=None,
        description="the backend's refusal: wsgw does not remember the message. If a new backend"
        " refuses, the session moves to another one",
    )
    id: Finder | None = Field(
        default=None,
        description="the id in a message that its answer has too; none: answers come in the order"
        " of the messages",
    )
    answer_id: Finder | None = Field(default=None, description="the id in an answer; none: as `id`")
    answer_timeout: Duration = Field(
        default=60.0,
        gt=0,
        description="wsgw does not send an acknowledged message again if it has no answer after"
        " this time",
    )

    @model_validator(mode="after")
    def _check(self) -> RememberRule:
        needs = {
            "refusal": "answer",
            "id": "answer",
            "answer_timeout": "answer",
            "answer_id": "id",
            "forget_key": "key",
        }
        for name, other in needs.items():
            if name in self.model_fields_set and getattr(self, other) is None:
                raise ValueError(f"'{name.replace('_', '-')}' needs '{other}'")
        return self


class RememberSettings(Options):
    """The rules, and the limit of memory."""

    rules: tuple[RememberRule, ...] = Field(
        default=(),
        max_length=50,
        description="the first rule that matches remembers a message; a new backend gets the"
        " messages of the first rule first",
    )
    greeting: Condition | None = Field(
        default=None,
        description="a backend's first message; wsgw waits for it from a new backend, and the"
        " client sees only the first greeting",
    )
    max_remembered_bytes: Size = Field(
        default=1024 * 1024,
        gt=0,
        description="maximum bytes of remembered messages, keys and ids of a session; above it"
        " wsgw closes the session with 1008",
    )
    max_size: Size = Field(
        default=1024 * 1024, gt=0, description="wsgw passes larger messages without parsing them"
    )

    @model_validator(mode="after")
    def _check(self) -> RememberSettings:
        if not self.rules and self.greeting is None:
            raise ValueError("needs 'rules' or 'greeting'")
        return self

    def warnings(self, limits: Limits) -> Iterable[tuple[str, str]]:
        """See Options. Warns if wsgw does not parse some allowed messages."""
        if self.max_size < limits.max_message_size:
            yield "max-size", "is less than limits.max-message-size: no rule sees larger messages"
