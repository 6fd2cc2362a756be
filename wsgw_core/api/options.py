"""The base of every options model, and the notations for durations, sizes and lists."""

from __future__ import annotations

import re
import types
from collections.abc import Iterable, Mapping
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from .backend import Limits

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_NUMBER = re.compile(r"\d+(?:\.\d+)?\Z")
_DURATION = re.compile(rf"(?:{_DURATION_PART.pattern})+\Z")
_SIZE = re.compile(
    r"(\d{1,1000})\s*b?\Z|(\d{1,1000}(?:\.\d{1,1000})?)\s*([kmg])(i?)b?\Z", re.IGNORECASE
)
_POWERS = {"k": 1, "m": 2, "g": 3}
_NO_DURATION = "not a duration such as 10s, 1m30s or 250ms"
_SHORTEST = 0.001  # timers are not finer: with less, what is done regularly would never pause
_LONGEST = 1e9  # 31 years; a larger number was meant as nanoseconds


def parse_duration(value: Any) -> Any:
    """Returns the seconds of `10s`, `1m30s`, `250ms`, or of a number.

    Raises:
        ValueError: the value is anything else, less than a millisecond but not 0, or more than 31
            years.
    """
    if isinstance(value, str):
        text = value.strip()
        if _NUMBER.match(text):
            value = float(text)
        elif _DURATION.match(text):
            parts = _DURATION_PART.findall(text)
            value = sum(float(number) * _UNITS[unit] for number, unit in parts)
        else:
            raise ValueError(_NO_DURATION)
    if isinstance(value, bool):
        raise ValueError(_NO_DURATION)
    if isinstance(value, (int, float)) and 0 < value < _SHORTEST:
        raise ValueError("too short; the shortest duration is 1ms")
    if isinstance(value, (int, float)) and value > _LONGEST:
        raise ValueError("too long; a number without a unit counts seconds, write 10s or 250ms")
    return value


def parse_size(value: Any) -> Any:
    """Returns the bytes of `64KiB`, `1MB`, `512`, or of a whole number.

    `KiB` means 1024 bytes and `kB` 1000 (IEC 80000-13).

    Raises:
        ValueError: the value is anything else.
    """
    if isinstance(value, str):
        match = _SIZE.match(value.strip())
        if not match:
            raise ValueError("not a size such as 64KiB, 1MB or 512")
        whole, number, prefix, binary = match.groups()
        if whole:
            return int(whole)
        # a Fraction is exact and unbounded, a float is neither
        return int(Fraction(number) * (1024 if binary else 1000) ** _POWERS[prefix.lower()])
    if isinstance(value, bool):
        raise ValueError("not a size such as 64KiB, 1MB or 512")
    return value


def duration_text(seconds: float) -> str | float:
    """Returns seconds in the notation of `parse_duration`; as a number if that is not exact."""
    whole, text = int(seconds), ""
    for unit, length in (("h", 3600), ("m", 60), ("s", 1)):
        count, whole = divmod(whole, length)
        text += f"{count}{unit}" if count else ""
    rest = seconds - int(seconds)
    if rest and text:
        text = f"{seconds!r}s"
    elif rest:
        text = f"{round(rest * 1000)}ms"
    try:
        text = text or "0s"
        return text if parse_duration(text) == seconds else seconds
    except ValueError:
        return seconds


def size_text(size: int) -> str | int:
    """Returns bytes in the notation of `parse_size`, with the largest unit that is exact."""
    for unit, factor in (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if size >= factor and size % factor == 0:
            return f"{size // factor}{unit}"
    return size


HEADER_NAME = r"^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$"
HeaderName = Annotated[str, Field(pattern=HEADER_NAME)]
HEADER_VALUE = r"^[!-~]([ -~\t]*[!-~])?$"
HeaderValue = Annotated[str, Field(pattern=HEADER_VALUE)]


def _check_plain(text: str) -> str:
    if not text.isprintable():
        raise ValueError("has control characters or other invisible characters")
    return text


PlainText = Annotated[str, Field(min_length=1), AfterValidator(_check_plain)]
"""A name or another text of at least one character, all of which are visible or spaces."""
FILE_NAME = "the value is the name of a file"
FileName = Annotated[str, Field(min_length=1), FILE_NAME]
"""The name of a file. Only the configuration can set it: the admin API refuses such options."""

Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(duration_text, when_used="json"),
    WithJsonSchema({"type": ["string", "number"], "examples": ["10s", "1m30s", "250ms"]}),
    Field(ge=0),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    PlainSerializer(size_text, when_used="json"),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["64KiB", "1MB", 512]}),
    Field(ge=0),
]


class Options(BaseModel):
    """A frozen pydantic model whose keys have dashes; unknown keys are errors.

    A list of plain values may be one text with commas, as in an environment variable.

    For a key that has no effect, which wsgw accepts from files for another program, declare a field
    with `json_schema_extra={"deprecated": True}`; its description says why. `wsgw check` reports
    such keys.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        alias_generator=lambda name: name.replace("_", "-"),
        allow_inf_nan=False,
    )

    @model_validator(mode="before")
    @classmethod
    def _split_texts(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        lists = _keys_of_lists(cls)
        return {
            key: split_text(value) if isinstance(value, str) and key in lists else value
            for key, value in data.items()
        }

    def file_problems(self) -> Iterable[tuple[str, str]]:
        """Returns the files that cannot be used: the option's key, and what is wrong.

        The commands `check` and `run` call this once if the options themselves are valid, also for
        each options model in a field. It may read files, but must not use the network. A model
        without files need not define it.
        """
        return ()

    def warnings(self, limits: Limits) -> Iterable[tuple[str, str]]:
        """Returns the valid values that are probably a mistake: the option's key, and why.

        The commands `check` and `run` print them; `run` goes on.

        Args:
            limits: the limits of the gateway.
        """
        return ()


def is_duration(field: FieldInfo) -> bool:
    """Returns whether a field's type is Duration or a union with it, such as `Duration | None`."""
    return _is_duration(field.annotation, field.metadata)


def _is_duration(annotation: Any, marks: Iterable[Any]) -> bool:
    if any(isinstance(mark, BeforeValidator) and mark.func is parse_duration for mark in marks):
        return True
    if get_origin(annotation) is Annotated:
        inner, *marks = get_args(annotation)
        return _is_duration(inner, marks)
    union = get_origin(annotation) in (Union, types.UnionType)
    return union and any(_is_duration(inner, ()) for inner in get_args(annotation))


def split_text(text: str) -> list[str]:
    """Returns the items of a text with commas; no items if the text is empty."""
    return [item.strip() for item in text.split(",")] if text.strip() else []


@cache
def _keys_of_lists(model: type[BaseModel]) -> frozenset[str]:
    """Returns the keys, in both spellings, whose values are lists of plain values."""
    return frozenset(
        key
        for name, field in model.model_fields.items()
        if _is_plain_list(field.annotation)
        for key in (name, field.alias or name)
    )


def _is_plain_list(annotation: Any) -> bool:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _is_plain_list(inner[0])
    if origin in (tuple, list, set, frozenset):
        return not any(isinstance(item, type) and issubclass(item, BaseModel) for item in inner)
    # `tuple[int, ...] | None` is a list, `str | tuple[str, ...]` may be meant as a text
    return any(map(_is_plain_list, inner)) and str not in inner
