"""Chooses a session's subprotocol for a backend that does not interpret subprotocols."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from .backend import DialRequest
from .options import HEADER_NAME, split_text
from .text_option import TextOption

_FIRST, _NONE = "first", "none"
_NAME = re.compile(HEADER_NAME)


class Subprotocols(TextOption):
    """An options type for kinds that do not interpret subprotocols: `first`, `none` or a list.

    `first` chooses the client's first offer, `none` no subprotocol. A list chooses its first name
    that the client offers, or no subprotocol if the client offers none of them. A session that
    comes from another backend always keeps its subprotocol.

    Args:
        setting: `first`, `none`, or names, as a sequence or as one text with commas.

    Raises:
        ValueError: the setting is none of these.
    """

    def __init__(self, setting: str | Sequence[object]) -> None:
        names = split_text(setting) if isinstance(setting, str) else list(setting)
        if not names:
            raise ValueError("is empty; 'none' takes no subprotocol")
        for name in names:
            if not isinstance(name, str) or _NAME.fullmatch(name) is None:
                raise ValueError(f"no name of a subprotocol: {name!r}")
            if name.lower() in (_FIRST, _NONE) and (len(names) > 1 or name != name.lower()):
                raise ValueError("not 'first', 'none' or a list of names")
        self._names = tuple(map(str, names))
        super().__init__(", ".join(self._names))

    def choose(self, request: DialRequest) -> str | None:
        """Returns the subprotocol for the session of a dial, or None. Call it in `connect`."""
        offers = request.subprotocols
        if request.reconnect or self._names == (_FIRST,):
            return offers[0] if offers else None
        return next((name for name in self._names if name in offers), None)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: Any, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        names = core_schema.list_schema(core_schema.str_schema(), min_length=1)
        return core_schema.no_info_plain_validator_function(
            cls._parse,
            json_schema_input_schema=core_schema.union_schema([core_schema.str_schema(), names]),
            serialization=core_schema.plain_serializer_function_ser_schema(cls._written),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), "examples": [_FIRST, _NONE, ["ocpp2.0.1", "ocpp1.6"]]}

    @classmethod
    def _parse(cls, value: object) -> Self:
        if isinstance(value, cls):
            return value
        if not isinstance(value, (str, list, tuple)):
            raise ValueError("not 'first', 'none' or a list of names")
        return cls(value)

    def _written(self) -> str | list[str]:
        return self._names[0] if self._names in ((_FIRST,), (_NONE,)) else list(self._names)
