"""Names that are made from a client's handshake."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, ClassVar, NamedTuple, Self
from urllib.parse import unquote_to_bytes

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from .backend import DialRequest
from .errors import BackendDeclined
from .options import HEADER_NAME

_PART = re.compile(r"\{\{|\}\}|\{([^{}|]*)(?:\|([^{}]*))?\}|[{}]")
_SEGMENT = re.compile(r"path\.([1-9][0-9]?)\Z")
_HEADER_NAME = re.compile(HEADER_NAME)
_ALWAYS_THERE = ("session", "path", "peer")
_PLAIN = (*_ALWAYS_THERE, "subprotocol", "route")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_PORT = re.compile(r":\d+\Z")

# A template in which these cannot stand would serve no client at all.
_SAMPLES = {"session": "x" * 24, "path": "/x", "peer": "192.0.2.1"}
_ANY_SAMPLE = "1"


class TemplateField(NamedTuple):
    """A place in a template that each client fills.

    Attributes:
        name: as written, such as `query.room`.
        default: stands in for a value that is missing or empty.
    """

    name: str
    default: str | None


class Template:
    """A name made from a client's handshake, such as `chat.{path.1}.{query.room|lobby}`.

    An options type: give a field of an options model this type, or that of a subclass. The syntax
    is checked when the configuration is read; `expand` makes the name for one client at the dial.

    Fields: `{session}`, `{path}` (without the query), `{path.N}` (segment N, the first is 1),
    `{query.NAME}`, `{header.NAME}`, `{peer}` (the address without the port), `{subprotocol}`,
    `{route}`. Values are decoded, as UTF-8. `{query.room|lobby}` has a default. `{{` and `}}` stand
    for braces.

    A value may have only letters, digits, `_` and `-`, at most 128 of them, so that a client cannot
    reach a name of another structure: it has no dots, slashes and wildcards. A subclass for other
    names changes the class attributes, `escape` or `check`; UrlTemplate is one.

    Args:
        text: as the operator writes it.

    Raises:
        ValueError: a brace or a field is wrong, or the name would be allowed for no client.

    Attributes:
        allowed: regular expression that the whole of each value must match.
        max_bytes: of the finished name, in UTF-8.
        own_fields: further fields, whose values the caller of `expand` gives.
        fields: the names of the fields in the text.
    """

    allowed: ClassVar[str] = r"[A-Za-z0-9_-]{1,128}"
    max_bytes: ClassVar[int] = 255
    own_fields: ClassVar[tuple[str, ...]] = ()

    def __init__(self, text: str) -> None:
        self._text = text
        self._parts = tuple(self._read(text))
        fields = [part for part in self._parts if isinstance(part, TemplateField)]
        self.fields = frozenset(field.name for field in fields)
        samples = {name: _SAMPLES.get(name, _ANY_SAMPLE) for name in self.fields}
        defaults = {field.name: field.default for field in fields if field.default is not None}
        for values in (samples, samples | defaults):
            try:
                self._join(values)
            except _Unusable as error:
                raise ValueError(f"no client could be served: {error}") from error

    def expand(self, request: DialRequest, subprotocol: str | None = None, **own: str) -> str:
        """Return the name for one client.

        Args:
            request: the dial.
            subprotocol: the session's; see Subprotocols.
            **own: the values of `own_fields`.

        Raises:
            BackendDeclined: with 400; a value is missing or not allowed.
        """
        try:
            values = _Values(request, subprotocol)
            return self._join({name: values.get(name) for name in self.fields - own.keys()} | own)
        except _Unusable as error:
            headers = (("Content-Type", "text/plain; charset=utf-8"),)
            raise BackendDeclined(400, headers, f"{error}\n".encode()) from error

    # What a subclass may change

    def escape(self, name: str, value: str, before: str) -> str:
        """Return a value as it stands in the finished text.

        Args:
            name: of the field.
            value: neither empty nor with control characters.
            before: the finished text up to the field.

        Raises:
            ValueError: the value is not allowed there.
        """
        if re.fullmatch(self.allowed, value) is None:
            raise ValueError("has a character or a length that is not allowed")
        return value

    def check(self, text: str) -> None:
        """Check a finished text.

        Raises:
            ValueError: it is not allowed.
        """

    # For options models

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: Any, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._parse,
            json_schema_input_schema=core_schema.str_schema(),
            serialization=core_schema.to_string_ser_schema(),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), "examples": ["{path.1}", "{query.room|lobby}", "{session}"]}

    @classmethod
    def _parse(cls, value: object) -> Self:
        if isinstance(value, cls):
            return value
        if not isinstance(value, str):
            raise ValueError("not a text")
        return cls(value)

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._text!r})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and str(other) == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    # Reading and joining

    @classmethod
    def _read(cls, text: str) -> Iterator[str | TemplateField]:
        if _CONTROL.search(text) or not text:
            raise ValueError("is empty or has control characters")
        end = 0
        for match in _PART.finditer(text):
            yield text[end : match.start()]
            end = match.end()
            if match[0] in ("{{", "}}"):
                yield match[0][0]
            elif match[1] is None:
                raise ValueError(f"a single {match[0]}; write {match[0] * 2} for the character")
            else:
                yield cls._field(match[1], match[2])
        yield text[end:]

    @classmethod
    def _field(cls, name: str, default: str | None) -> TemplateField:
        source, _, key = name.partition(".")
        plain = (*_PLAIN, *cls.own_fields)
        known = (
            name in plain
            or (source == "path" and _SEGMENT.match(name))
            or (source == "query" and key)
            or (source == "header" and _HEADER_NAME.fullmatch(key))
        )
        if not known:
            every = (*plain, "path.N", "query.NAME", "header.NAME")
            near = get_close_matches(name, every, n=1)
            hint = f"; did you mean {{{near[0]}}}?" if near else ""
            fields = " ".join(f"{{{each}}}" for each in every)
            raise ValueError(f"unknown field {{{name}}}{hint} There are {fields}")
        if default is not None and name in (*_ALWAYS_THERE, *cls.own_fields):
            raise ValueError(f"{{{name}}} always has a value and needs no default")
        if default == "":
            raise ValueError(f"the default of {{{name}}} is empty")
        return TemplateField(name, default)

    def _join(self, values: Mapping[str, str | None]) -> str:
        text = ""
        for part in self._parts:
            if isinstance(part, str):
                text += part
                continue
            value = values[part.name] or part.default
            if not value:
                raise _Unusable(f"{part.name} is missing")
            try:
                if _CONTROL.search(value):
                    raise ValueError("has control characters")  # noqa: TRY301 - as from `escape`
                text += self.escape(part.name, value, text)
            except ValueError as error:
                raise _Unusable(f"{part.name} {error}") from error
        try:
            self.check(text)
        except ValueError as error:
            raise _Unusable(f"the result {error}") from error
        if len(text.encode()) > self.max_bytes:
            raise _Unusable(f"the result is longer than {self.max_bytes} bytes")
        return text


class _Unusable(Exception):
    """Why there is no name, in words for the client."""


class _Values:
    """The values that one client gives to fields."""

    def __init__(self, request: DialRequest, subprotocol: str | None) -> None:
        self._request = request
        self._subprotocol = subprotocol
        self._path, _, self._query = request.path.partition("?")

    def get(self, name: str) -> str | None:
        """Return a value; empty or None: there is none."""
        source, _, key = name.partition(".")
        if not key:
            return self._plain(name)
        if source == "query":
            return self._parameter(name, key)
        if source == "header":
            key = key.lower()
            found = [value for field, value in self._request.headers if field.lower() == key]
            return _utf8(name, _only(name, found).encode("latin-1"))
        segment = self._path.split("/")[int(key) : int(key) + 1]
        return _decoded(name, segment[0]) if segment else None

    def _plain(self, name: str) -> str | None:
        return {
            "session": self._request.session_id,
            "path": self._path,
            "peer": self._peer(),
            "subprotocol": self._subprotocol,
            "route": self._request.route,
        }[name]

    def _peer(self) -> str:
        peer = self._request.peer
        if peer.startswith("["):
            return peer[1:].partition("]")[0]
        return _PORT.sub("", peer) if peer.count(":") == 1 else peer

    def _parameter(self, name: str, key: str) -> str:
        wanted, found = key.encode(), []
        for pair in self._query.split("&"):
            given, _, value = pair.replace("+", " ").partition("=")
            if unquote_to_bytes(given) == wanted:
                found.append(value)
        return _decoded(name, _only(name, found))


def _only(name: str, found: list[str]) -> str:
    """Return the one value; several would be read differently elsewhere."""
    if len(found) > 1:
        raise _Unusable(f"{name} is given more than once")
    return found[0] if found else ""


def _decoded(name: str, value: str) -> str:
    return _utf8(name, unquote_to_bytes(value))


def _utf8(name: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise _Unusable(f"{name} is not valid UTF-8") from error
