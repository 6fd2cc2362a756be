from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgw_core.api import BINARY, TEXT, Message, MessageKind, ReplyExpected


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_text_survives_a_round_trip(text: str) -> None:
    message = Message.from_text(text)
    assert message.kind is TEXT
    assert message.data == text.encode()
    assert message.text == text


def test_lone_surrogates_are_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        Message.from_text("\ud800")


def test_binary_data_that_is_not_utf8_has_no_text() -> None:
    with pytest.raises(UnicodeDecodeError):
        _ = Message(BINARY, b"\xff").text


def test_the_kinds_are_the_opcodes_of_rfc_6455() -> None:
    assert (TEXT, BINARY) == (1, 2)
    assert list(MessageKind) == [TEXT, BINARY]


@given(
    st.tuples(st.sampled_from(MessageKind), st.binary(max_size=2)),
    st.tuples(st.sampled_from(MessageKind), st.binary(max_size=2)),
)
def test_messages_are_equal_when_kind_and_data_are(
    one: tuple[MessageKind, bytes], other: tuple[MessageKind, bytes]
) -> None:
    assert (Message(*one) == Message(*other)) == (one == other)
    if one == other:
        assert hash(Message(*one)) == hash(Message(*other))


def test_a_message_does_not_equal_other_objects() -> None:
    assert Message(TEXT, b"a") != b"a"
    with pytest.raises(AttributeError):
        Message(TEXT, b"a").note = "x"  # type: ignore[attr-defined]  # what is tested


def test_the_repr_of_a_message_is_short() -> None:
    assert repr(Message(TEXT, b"abc")) == "Message(TEXT, b'abc', size=3)"
    shown = repr(Message(BINARY, bytes(100_000)))
    assert "BINARY" in shown
    assert "size=100000" in shown
    assert len(shown) < 250


def test_a_message_that_expects_a_reply_compares_like_the_clients() -> None:
    expecting = ReplyExpected(TEXT, b"a", handle=("id", 7), expires=2.5)
    assert expecting == Message(TEXT, b"a")
    assert hash(expecting) == hash(Message(TEXT, b"a"))
    assert (expecting.handle, expecting.expires) == (("id", 7), 2.5)
    assert repr(expecting).startswith("ReplyExpected(TEXT")
