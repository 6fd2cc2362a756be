"""Matches messages."""

from __future__ import annotations

from typing import Any, Self

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from ..json_path import MISSING, JsonPath
from ..safe_pattern import compiled
from .reading import Reading

_ANY = "*"
_Scalar = str | int | float | bool | None


class Condition:
    """A regular expression for messages, or values of their JSON.

    Args:
        given: from the configuration: a text, or a section with paths and values.

    Raises:
        ValueError: it is neither.
    """

    def __init__(self, given: object) -> None:
        self._given = given
        self._pattern: Any = None
        self._values: list[tuple[JsonPath, _Scalar]] = []
        if isinstance(given, str):
            self._pattern = compiled([given])
        elif isinstance(given, dict) and given:
            self._values = [_value(path, value) for path, value in given.items()]
        else:
            raise ValueError("neither a regular expression nor a section of paths and values")

    def holds(self, reading: Reading) -> bool:
        """Returns whether the condition holds for a message."""
        if self._pattern is not None:
            return self._pattern.search(reading.data) is not None
        document = reading.document
        for path, wanted in self._values:
            found = path.value_in(document)
            if found is MISSING or (wanted != _ANY and not _is_same(found, wanted)):
                return False
        return True

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: Any, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        scalar = core_schema.union_schema(
            [core_schema.str_schema(), core_schema.float_schema(), core_schema.bool_schema()]
        )
        paths = core_schema.dict_schema(core_schema.str_schema(), scalar)
        return core_schema.no_info_plain_validator_function(
            cls._parse,
            json_schema_input_schema=core_schema.union_schema([core_schema.str_schema(), paths]),
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda condition: condition.given
            ),
        )

    @classmethod
    def _parse(cls, value: object) -> Self:
        return value if isinstance(value, cls) else cls(value)

    @property
    def given(self) -> object:
        """The condition as in the configuration."""
        return self._given

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Condition) and other.given == self._given

    def __hash__(self) -> int:
        return hash(repr(self._given))

    def __repr__(self) -> str:
        return f"Condition({self._given!r})"


def single_path(text: str) -> JsonPath:
    """Returns a path that finds at most one value; raises ValueError."""
    path = JsonPath(text)
    if not path.is_single:
        raise ValueError(f"{text}: finds several values; it must find one")
    return path


def _value(path: object, value: object) -> tuple[JsonPath, _Scalar]:
    if not isinstance(path, str):
        raise ValueError("not a path such as $.type")
    if value is not None and not isinstance(value, (str, int, float)):
        raise ValueError(f"{path}: the value must be a text, a number, true, false or null")
    return single_path(path), value


def _is_same(found: Any, wanted: _Scalar) -> bool:
    """Returns whether two JSON values are equal; true is not 1."""
    return found == wanted and isinstance(found, bool) is isinstance(wanted, bool)
