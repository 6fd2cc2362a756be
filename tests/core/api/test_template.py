"""Names made from handshakes: what operators may write, and what clients can achieve."""

from __future__ import annotations

import re
from typing import Any, ClassVar
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter, ValidationError

from wsgw_core.api import BackendDeclined, DialRequest, Options, Template


class KeyTemplate(Template):
    """A template for a backend whose keys have colons."""

    allowed = r"[A-Za-z0-9._~-]{1,128}"
    max_bytes: ClassVar[int] = 64
    own_fields = ("instance",)


class FreeTemplate(Template):
    """Allows any value."""

    allowed = r".*"


def dial(path: str = "/", **more: Any) -> DialRequest:
    return DialRequest("S-1", path, **more)


def refused(template: Template, request: DialRequest, **own: str) -> str:
    """Returns the answer of a declined client."""
    with pytest.raises(BackendDeclined) as caught:
        template.expand(request, **own)
    assert caught.value.status == 400
    return caught.value.body.decode()


@pytest.mark.parametrize(
    ("text", "path", "name"),
    [
        ("chat", "/", "chat"),
        ("chat.{session}", "/", "chat.S-1"),
        ("{path.1}.{path.2}", "/a/b/c", "a.b"),
        ("{path.1}", "/gr%61y?x=1", "gray"),
        ("{query.room}", "/?room=7", "7"),
        ("{query.room}", "/?a=1&r%6Fom=7&b=2", "7"),
        ("{query.a b}", "/?a+b=7", "7"),
        ("{query.room|lobby}", "/", "lobby"),
        ("{query.room|lobby}", "/?room=", "lobby"),
        ("{path.3|none}", "/a/b", "none"),
        ("{{{path.1}}}", "/a", "{a}"),
        ("{subprotocol|none}", "/", "none"),
    ],
)
def test_a_name_is_made_from_the_handshake(text: str, path: str, name: str) -> None:
    assert Template(text).expand(dial(path)) == name


def test_header_route_and_subprotocol_are_fields() -> None:
    template = FreeTemplate("{header.X-Station} {route} {subprotocol}")
    request = dial(headers=(("x-station", "gr\u00c3\u00bcn"),), route="ocpp")
    assert template.expand(request, "ocpp1.6") == "grün ocpp ocpp1.6"


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("192.0.2.1:5555", "192.0.2.1"),
        ("192.0.2.1", "192.0.2.1"),
        ("[2001:db8::1]:5555", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
def test_the_peer_has_no_port(peer: str, address: str) -> None:
    assert FreeTemplate("{peer}").expand(dial(peer=peer)) == address


def test_own_fields_come_from_the_backend() -> None:
    template = KeyTemplate("replies:{instance}:{path.1}")
    assert template.fields == {"instance", "path.1"}
    assert template.expand(dial("/a"), instance="i7") == "replies:i7:a"


@pytest.mark.parametrize(
    "value",
    [
        "*", ">", "a.*", "#", "+", "a.b", "a/b", "%2F", "..", ".", "a b", "a\r\nSUB x", "\0",
        "\x7f", "\x85", "é", "\u2028", "x" * 129, "{session}", "$SYS", "a,b", "a\tb", "a\n",
    ],
)  # fmt: skip
@pytest.mark.parametrize("where", ["query", "path", "header"])
def test_a_hostile_value_declines_the_client(value: str, where: str) -> None:
    encoded = quote(value, safe="")
    as_header = value.encode().decode("latin-1")
    request = dial(f"/{encoded}?x={encoded}", headers=(("x", as_header),))
    field = {"query": "query.x", "path": "path.1", "header": "header.x"}[where]
    assert field in refused(Template(f"chat.{{{field}}}"), request)


@pytest.mark.parametrize(
    ("text", "path", "told"),
    [
        ("{query.x}", "/", "query.x is missing"),
        ("{query.x}", "/?x", "query.x is missing"),
        ("{query.x}", "/?x=1&x=2", "query.x is given more than once"),
        ("{query.x}", "/?x=%FF", "query.x is not valid UTF-8"),
        ("{path.2}", "/a/", "path.2 is missing"),
        ("{path.99}", "/a/", "path.99 is missing"),
        ("{subprotocol}", "/", "subprotocol is missing"),
        ("{route}", "/", "route is missing"),
        ("{header.x}", "/", "header.x is missing"),
        ("{query.a}{query.b}", f"/?a={'a' * 128}&b={'b' * 128}", "longer than 255 bytes"),
    ],
)
def test_a_declined_client_gets_the_reason(text: str, path: str, told: str) -> None:
    assert told in refused(Template(text), dial(path))


def test_a_repeated_header_declines_the_client() -> None:
    request = dial(headers=(("X-A", "1"), ("x-a", "2")))
    assert refused(Template("{header.x-a}"), request) == "header.x-a is given more than once\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        ("a\nb", "control characters"),
        ("{", "a single {; write {{"),
        ("a}b", "a single }; write }}"),
        ("{}", "unknown field {}"),
        ("{sesion}", "did you mean {session}?"),
        ("{path.0}", "unknown field {path.0}"),
        ("{path.-1}", "unknown field"),
        ("{path.100}", "unknown field"),
        ("{query.}", "unknown field"),
        ("{header.a b}", "unknown field"),
        ("{header.a\n}", "control characters"),
        ("{instance}", "unknown field"),
        ("{session|x}", "needs no default"),
        ("{path}", "no client could be served: path has a character"),
        ("{peer}", "no client could be served: peer has a character"),
        ("{query.x|a.b}", "no client could be served: query.x has a character"),
        ("{query.x|}", "the default of {query.x} is empty"),
        ("x" * 256, "no client could be served: the result is longer than 255 bytes"),
    ],
)
def test_the_syntax_is_checked_when_the_configuration_is_read(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        Template(text)


class Names(Options):
    subject: KeyTemplate = Field(default=KeyTemplate("a"), description="of what is published")
    others: tuple[Template, ...] = ()


def test_options_model_reads_checks_and_writes_templates() -> None:
    names = Names.model_validate({"subject": "k:{path.1}", "others": "a,{session}"})
    assert names.subject == KeyTemplate("k:{path.1}")
    assert names.others == (Template("a"), Template("{session}"))
    assert names.model_dump(mode="json") == {"subject": "k:{path.1}", "others": ["a", "{session}"]}
    assert Names.model_validate(names.model_dump()) == names
    assert Names() != names
    assert Template("a") != KeyTemplate("a")
    for wrong in ("{pth}", 7, None, ["a"]):
        with pytest.raises(ValidationError):
            Names.model_validate({"subject": wrong})


def test_json_schema_says_it_is_a_text() -> None:
    schema = TypeAdapter(Template).json_schema()
    assert schema["type"] == "string"
    assert schema["examples"]


class StructuredTemplate(Template):
    """Also checks the whole name, like a backend for subjects."""

    def check(self, text: str) -> None:
        if ".." in text:
            raise ValueError("has an empty part")


def test_a_subclass_checks_whole_names_in_the_configuration() -> None:
    with pytest.raises(ValueError, match="no client could be served: the result has an empty part"):
        StructuredTemplate("a..{path.1}")


@given(st.text())
def test_any_text_is_a_template_or_refused(text: str) -> None:
    try:
        template = Template(text)
    except ValueError:
        return
    assert str(template) == text


@given(st.text(), st.text(alphabet=st.characters(max_codepoint=255)))
def test_no_value_changes_the_structure_of_a_name(value: str, header: str) -> None:
    template = Template("a.{query.q|x}.{path.1|y}.{header.h|z}.b")
    encoded = quote(value.encode("utf-8", "replace"), safe="")
    try:
        name = template.expand(dial(f"/{encoded}?q={encoded}", headers=(("H", header),)))
    except BackendDeclined as declined:
        assert declined.status == 400  # noqa: PT017 - either is right
        return
    assert re.fullmatch(r"a(\.[A-Za-z0-9_-]{1,128}){3}\.b", name)


@given(st.text(alphabet=st.sampled_from("/%?&=+a2fFeE.;{}|\\*#")))
def test_any_request_target_gives_a_name_or_declines(target: str) -> None:
    template = Template("{query.a|x}{path.1|y}{path.2|z}")
    try:
        template.expand(dial("/" + target))
    except BackendDeclined as declined:
        assert declined.status == 400  # noqa: PT017 - either is right
