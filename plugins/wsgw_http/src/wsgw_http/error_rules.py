"""What the status of an answer means for its message."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from wsgw_core.api import CloseCode, Options

from .statuses import Statuses


class Meaning(Enum):
    """What becomes of a message."""

    OK = "delivered; the body is the reply"
    DISCARDED = "delivered: the application does not want the message; the body is dropped"
    UNAVAILABLE = "not delivered: retry, then move to another backend"
    CLOSE = "delivered; the session is closed"
    BAD = "not delivered: retry, then close the session"


def _check_close_code(code: int) -> int:
    if CloseCode.may_be_sent(code):
        return code
    raise ValueError("not a close code that may be sent: 1000 to 1003, 1007 to 1014, 3000 to 4999")


class ErrorRule(Options):
    """What some statuses mean, instead of the default."""

    statuses: Statuses = Field(
        description="statuses that the rule applies to: numbers, and ranges such as `500-599`"
    )
    do: Literal["unavailable", "discard", "answer", "close"] = Field(
        description="what happens to the message: wsgw retries it and then sends it to another"
        " backend; drops it; sends the body as the reply; or closes the session"
    )
    code: Annotated[int, AfterValidator(_check_close_code)] = Field(
        default=CloseCode.INTERNAL_ERROR, description="close code of the session, for `do: close`"
    )

    @model_validator(mode="after")
    def _code_belongs_to_close(self) -> ErrorRule:
        if self.do != "close" and "code" in self.model_fields_set:
            raise ValueError("'code' has an effect only with 'do: close'")
        return self


_ACTIONS = {
    "unavailable": Meaning.UNAVAILABLE,
    "discard": Meaning.DISCARDED,
    "answer": Meaning.OK,
    "close": Meaning.CLOSE,
}


class ErrorRules:
    """Finds the meaning of a status: by the first rule that has it, or else by default.

    Args:
        rules: the configured rules, in order.
        retry_statuses: statuses that mean that the application is unavailable.
    """

    def __init__(self, rules: Iterable[ErrorRule], retry_statuses: frozenset[int]) -> None:
        self._retry_statuses = retry_statuses
        self._by_status: dict[int, tuple[Meaning, int]] = {}
        for rule in rules:
            for status in rule.statuses:
                self._by_status.setdefault(status, (_ACTIONS[rule.do], rule.code))

    def meaning(self, status: int) -> tuple[Meaning, int]:
        """Returns the meaning of a status, and the close code for it."""
        if 200 <= status < 300:
            return Meaning.OK, CloseCode.NORMAL
        return self.rule(status) or self._default(status)

    def rule(self, status: int) -> tuple[Meaning, int] | None:
        """Returns the configured meaning of a status; None: no rule has it.

        A rule for 2xx applies only to answers that wsgw cannot use.
        """
        return self._by_status.get(status)

    def _default(self, status: int) -> tuple[Meaning, int]:
        if status in self._retry_statuses:
            return Meaning.UNAVAILABLE, 0
        if status == 410:
            return Meaning.CLOSE, CloseCode.NORMAL
        if 300 <= status < 500:
            return Meaning.DISCARDED, 0
        return Meaning.BAD, CloseCode.INTERNAL_ERROR
