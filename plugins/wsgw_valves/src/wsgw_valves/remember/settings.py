"""What can be configured for the valve."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field, model_validator

from wsgw_core.api import Duration, Limits, Options, Size

from .condition import Condition
from .finder import Finder


class RememberRule(Options):
    """Which messages of a client each new backend must hear, and for how long."""

    remember: Condition = Field(description="the client's messages to remember")
    key: Finder | None = Field(
        default=None,
        description="what a message is about: a path, or a regular expression with one group;"
        " messages without it are not remembered; none: all are about the same",
    )
    keep: Literal["last", "all"] = Field(
        default="last", description="which messages with equal keys are remembered"
    )
    forget: Condition | None = Field(
        default=None, description="the client's messages by which a key is forgotten"
    )
    forget_key: Finder | None = Field(
        default=None, description="the key in messages of `forget`; none: found as by `key`"
    )
    forget_from_backend: Condition | None = Field(
        default=None, description="the backend's messages by which a key is forgotten"
    )
    answer: Condition | None = Field(
        default=None,
        description="the backend's answer. Until it comes, the message is sent again after a"
        " failover. Later, a new backend must give it before anything else is sent; the client"
        " does not see it. None: no answer is waited for",
    )
    refusal: Condition | None = Field(
        default=None,
        description="the backend's answer that says no: the message is not remembered. A new"
        " backend that says no is left for another one",
    )
    id: Finder | None = Field(
        default=None,
        description="the id by which an answer belongs to a message, in the message; none: answers"
        " come in the order of the messages",
    )
    answer_id: Finder | None = Field(
        default=None, description="the same in the answer; none: found as by `id`"
    )
    answer_timeout: Duration = Field(
        default=60.0,
        gt=0,
        description="an acknowledged message that has no answer after this time is not sent again",
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
    """Rules, and bounds for what a session may have remembered."""

    rules: tuple[RememberRule, ...] = Field(
        default=(),
        max_length=50,
        description="a message is remembered by the first rule that is for it; a new backend hears"
        " the messages of the first rule first",
    )
    greeting: Condition | None = Field(
        default=None,
        description="what a backend says first by itself; a new backend is waited for until it has"
        " said it, and the client sees only the first greeting",
    )
    max_remembered_bytes: Size = Field(
        default=1024 * 1024,
        gt=0,
        description="what is remembered of a session: messages, keys, ids; more ends it with 1008",
    )
    max_size: Size = Field(
        default=1024 * 1024, gt=0, description="a larger message passes without being looked at"
    )

    @model_validator(mode="after")
    def _check(self) -> RememberSettings:
        if not self.rules and self.greeting is None:
            raise ValueError("needs 'rules' or 'greeting'")
        return self

    def warnings(self, limits: Limits) -> Iterable[tuple[str, str]]:
        """See Options: are there messages that are not looked at?"""
        if self.max_size < limits.max_message_size:
            yield "max-size", "is less than limits.max-message-size: no rule sees larger messages"
