"""Features of the libraries that the plugin needs; fails when a release changes one.

All are public, though few are documented.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import Literal

import aiormq
import pamqp.frame
import pytest
from aiormq.connection import TransportFactory
from pamqp import commands, encode
from pamqp.header import ContentHeader
from wsgw_amqp.envelope import Envelope
from wsgw_amqp.frame_splitter import OWN_CHANNEL
from wsgw_amqp.replies import settling_frame
from wsgw_amqp.settings import AmqpSettings

from wsgw_core.api import BINARY, TEXT, Message


def test_aiormq_gets_streams_from_factory() -> None:
    parameters = inspect.signature(aiormq.Connection).parameters
    factory = inspect.signature(TransportFactory.create).parameters

    assert parameters["transport_factory"].kind is inspect.Parameter.KEYWORD_ONLY
    assert parameters["client_properties"].kind is inspect.Parameter.KEYWORD_ONLY
    assert parameters["loop"].kind is inspect.Parameter.KEYWORD_ONLY
    assert list(factory) == ["self", "url", "kwargs"]
    assert inspect.iscoroutinefunction(TransportFactory.create)


def test_aiormq_opens_channel_with_given_number() -> None:
    parameters = list(inspect.signature(aiormq.Connection.channel).parameters)

    assert parameters[:3] == ["self", "channel_number", "publisher_confirms"]
    assert OWN_CHANNEL != 1


async def test_stream_reader_protocol_feeds_its_reader() -> None:
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    protocol.data_received(b"abc")
    protocol.eof_received()

    assert await reader.read() == b"abc"


def test_properties_are_in_wire_order() -> None:
    flags = [
        commands.Basic.Properties.flags[name] for name in commands.Basic.Properties.attributes()
    ]

    assert flags == sorted(flags, reverse=True)


@pytest.mark.parametrize("priority", [None, 0, 9])
@pytest.mark.parametrize("expiration", [None, 60])
@pytest.mark.parametrize("cloudevents", [False, "knative"])
def test_library_reads_own_frames(
    priority: int | None, expiration: int | None, cloudevents: Literal[False, "knative"]
) -> None:
    settings = AmqpSettings(
        url="amqp://a",
        exchange="x",
        priority=priority,
        expiration=expiration,
        cloudevents=cloudevents,
    )
    keys = {TEXT: "text", BINARY: "binary"}
    envelope = Envelope(settings, "replies", "S", keys, {"wsgw-path": "/ü"}, frame_max=4096)
    message = Message(BINARY, b"0123456789" * 1000)
    data = envelope.pack("7", 12, message, 7, replayed=True)
    frames = []
    while data:
        consumed, channel, frame = pamqp.frame.unmarshal(data)
        frames.append(frame)
        data = data[consumed:]
        assert channel == OWN_CHANNEL
        assert consumed <= 4096
    publish, header, *bodies = frames

    assert isinstance(publish, commands.Basic.Publish)
    assert (publish.exchange, publish.routing_key, publish.mandatory) == ("x", "binary", True)
    assert isinstance(header, ContentHeader)
    properties = header.properties
    assert header.body_size == 10_000
    assert properties.message_id == "S-7"
    assert properties.correlation_id == "S"
    assert properties.reply_to == "replies"
    assert properties.priority == priority
    assert properties.expiration == (None if expiration is None else str(expiration * 1000))
    assert properties.message_type == "wsgw.message"
    assert properties.app_id == "wsgw"
    assert properties.headers is not None
    assert properties.headers["wsgw-tag"] == 12
    assert properties.headers["wsgw-number"] == 7
    assert properties.headers["wsgw-replayed"] is True
    assert properties.headers["wsgw-path"] == "/ü"
    assert ("ce-id" in properties.headers) == bool(cloudevents)
    assert b"".join(body.value for body in bodies) == message.data  # type: ignore[union-attr]  # all are bodies


def test_own_acknowledgements_equal_those_of_library() -> None:
    ack = commands.Basic.Ack(delivery_tag=7, multiple=True)
    reject = commands.Basic.Reject(delivery_tag=9, requeue=False)

    assert settling_frame(ack.index, 7, 1) == pamqp.frame.marshal(ack, OWN_CHANNEL)
    assert settling_frame(reject.index, 9, 0) == pamqp.frame.marshal(reject, OWN_CHANNEL)


def test_text_in_table_is_long_string() -> None:
    assert encode.encode_table_value("a") == b"S" + encode.long_string("a")
