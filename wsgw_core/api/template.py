"""Names made from a client's handshake."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import ClassVar, NamedTuple

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from .backend import DialRequest
from .errors import BackendDeclined
from .handshake_values import HandshakeValues, UnusableValue, is_field, unknown_field
from .text_option import TextOption

_PART = re.compile(r"\{\{|\}\}|\{([^{}|]*)(?:\|([^{}]*))?\}|[{}]")
_ALWAYS_THERE = ("session", "path", "peer")
_PLAIN = (*_ALWAYS_THERE, "subprotocol", "route")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

# If a template allows none of these, it can serve no client at all.
_SAMPLES = {"session": "x" * 24, "path": "/x", "peer": "192.0.2.1"}
_ANY_SAMPLE = "1"


class TemplateField(NamedTuple):
    """A field of a template.

    Attributes:
        name: the field's name, such as `query.room`.
        default: replaces a value that is missing or empty.
    """

    name: str
    default: str | None


class Template(TextOption):
    """A name made from a client's handshake, such as `chat.{path.1}.{query.room|lobby}`.

    An options type: give a field of an options model this type, or a subclass. The syntax is
    checked when the configuration is read. `expand` makes the name for one client at the dial.

    Fields: `{session}`, `{path}` (without the query), `{path.N}` (segment N, the first is 1),
    `{query.NAME}`, `{header.NAME}`, `{cookie.NAME}`, `{peer}` (the address without the port),
    `{subprotocol}`, `{route}`. Values are decoded, as UTF-8. `{query.room|lobby}` has a default.
    `{{` and `}}` stand for braces.

    A value may have only letters, digits, `_` and `-`, at most 128 of them. It has no dots, slashes
    or wildcards, so a client cannot reach a name of another structure. A subclass for other names
    changes the class attributes, `escape` or `check`; UrlTemplate is one.

    Args:
        text: the text that the operator writes.

    Raises:
        ValueError: a brace or a field is wrong, or no client could get a valid name.

    Attributes:
        allowed: a regular expression that each whole value must match.
        max_bytes: maximum bytes of the finished name, in UTF-8.
        own_fields: further fields; the caller of `expand` gives their values.
        fields: the names of the fields in the text.
    """

    allowed: ClassVar[str] = r"[A-Za-z0-9_-]{1,128}"
    max_bytes: ClassVar[int] = 255
    own_fields: ClassVar[tuple[str, ...]] = ()

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._parts = tuple(self._read(text))
        fields = [part for part in self._parts if isinstance(part, TemplateField)]
        self.fields = frozenset(field.name for field in fields)
        samples = {name: _SAMPLES.get(name, _ANY_SAMPLE) for name in self.fields}
        defaults = {field.name: field.default for field in fields if field.default is not None}
        for values in (samples, samples | defaults):
            try:
                self._join(values)
            except UnusableValue as error:
                raise ValueError(f"no client could be served: {error}") from error

    def expand(self, request: DialRequest, subprotocol: str | None = None, **own: str) -> str:
        """Returns the name for one client.

        Args:
            request: the dial's request.
            subprotocol: the session's subprotocol; see Subprotocols.
            **own: the values of `own_fields`.

        Raises:
            BackendDeclined: a value is missing or not allowed; the status is 400.
        """
        try:
            values = HandshakeValues(request, subprotocol)
            return self._join({name: values.get(name) for name in self.fields - own.keys()} | own)
        except UnusableValue as error:
            raise BackendDeclined.with_text(400, str(error)) from error

    # What a subclass may change

    def escape(self, name: str, value: str, before: str) -> str:
        """Returns a value in the form for the finished text.

        Args:
            name: the field's name.
            value: the value; not empty, without control characters.
            before: the finished text up to the field.

        Raises:
            ValueError: the value is not allowed here; the text continues "NAME ...".
        """
        if re.fullmatch(self.allowed, value) is None:
            raise ValueError("has a character or a length that is not allowed")
        return value

    def check(self, text: str) -> None:
        """Checks the finished text.

        Raises:
            ValueError: the text is not allowed; the error's text continues "the result ...".
        """

    # For options models

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), "examples": ["{path.1}", "{query.room|lobby}", "{session}"]}

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
        plain = (*_PLAIN, *cls.own_fields)
        if not is_field(name, plain):
            raise ValueError(unknown_field(name, plain, "{{{}}}"))
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
                raise UnusableValue(f"{part.name} is missing")
            try:
                if _CONTROL.search(value):
                    raise ValueError("has control characters")  # noqa: TRY301 - as from `escape`
                text += self.escape(part.name, value, text)
            except ValueError as error:
                raise UnusableValue(f"{part.name} {error}") from error
        try:
            self.check(text)
        except ValueError as error:
            raise UnusableValue(f"the result {error}") from error
        if len(text.encode()) > self.max_bytes:
            raise UnusableValue(f"the result is longer than {self.max_bytes} bytes")
        return text
