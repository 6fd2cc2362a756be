"""The valve `mqtt`: alone, and between paho and Mosquitto."""

from __future__ import annotations

import asyncio
import gc
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paho.mqtt.client import Client, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from wsgw_valves import plugin
from wsgw_valves.mqtt.settings import MqttSettings

from wsgw_core.api import BINARY, Close, Limits, Message
from wsgw_core.testing.fake_session import FakeSession
from wsgw_core.testing.samples import samples
from wsgw_core.testing.valve_bench import ValveBench

from .breaks import broken_servers, until
from .mosquitto import mosquitto
from .mqtt_client import MqttClient


def bench_of(**options: Any) -> ValveBench:
    options = {key.replace("_", "-"): value for key, value in options.items()}
    return ValveBench.of(plugin, "mqtt", options)


def packet(first: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    length = (
        bytes((len(body),)) if len(body) < 128 else bytes((len(body) % 128 + 128, len(body) // 128))
    )
    return bytes((first,)) + length + body


def text(content: bytes) -> bytes:
    return len(content).to_bytes(2, "big") + content


def number(value: int) -> bytes:
    return value.to_bytes(2, "big")


def connect(
    version: int = 4,
    *,
    flags: int = 2,
    keep_alive: int = 5,
    properties: bytes = b"",
    name: bytes = b"ann",
    payload: bytes = b"",
) -> bytes:
    own = bytes((len(properties),)) + properties if version == 5 else b""
    head = text(b"MQTT") + bytes((version, flags)) + number(keep_alive)
    return packet(0x10, head, own, text(name), payload)


def publish(
    topic: bytes,
    identifier: int = 0,
    quality: int = 0,
    *,
    duplicate: bool = False,
    content: bytes = b"x",
) -> bytes:
    own = number(identifier) if quality else b""
    return packet(0x30 | quality << 1 | duplicate << 3, text(topic), own, content)


def publish_5(topic: bytes, properties: bytes, content: bytes = b"x") -> bytes:
    return packet(0x30, text(topic), bytes((len(properties),)), properties, content)


def subscribe(identifier: int, *topics: bytes, properties: bytes | None = None) -> bytes:
    own = b"" if properties is None else bytes((len(properties),)) + properties
    filters = b"".join(text(topic) + b"\1" for topic in topics)
    return packet(0x82, number(identifier), own, filters)


def unsubscribe(identifier: int, *topics: bytes) -> bytes:
    return packet(0xA2, number(identifier), *map(text, topics))


def answer(first: int, identifier: int, rest: bytes = b"") -> bytes:
    return packet(first, number(identifier), rest)


CONNECT = connect()
CONNACK = packet(0x20, b"\0\0")
CONNACK_5 = packet(0x20, b"\0\0\0")
PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK = 0x40, 0x50, 0x62, 0x70, 0x90, 0xB0
DISCONNECT = packet(0xE0)


async def connected(bench: ValveBench, client: bytes = CONNECT, broker: bytes = CONNACK) -> None:
    assert await bench.to_backend(client) == [client]
    assert await bench.to_client(broker) == [broker]


async def subscribed(bench: ValveBench, identifier: int, *topics: bytes) -> None:
    await bench.to_backend(subscribe(identifier, *topics))
    await bench.to_client(answer(SUBACK, identifier, b"\1" * len(topics)))


class TestFrames:
    async def test_packets_in_pieces_are_assembled(self) -> None:
        async with bench_of() as bench:
            assert await bench.to_backend(*(bytes((each,)) for each in CONNECT)) == [CONNECT]
            assert await bench.to_client(CONNACK[:3], CONNACK[3:]) == [CONNACK]

    async def test_several_in_a_message_keep_their_order(self) -> None:
        pieces = [publish(b"a"), publish(b"b", 7, 1), publish(b"c"), publish(b"d"), b"\xc0\0"]
        async with bench_of() as bench:
            await connected(bench)
            heard = await bench.to_backend(b"".join(pieces) + b"\xc0")
            assert heard == [pieces[0], pieces[1], b"".join(pieces[2:])]
            assert await bench.to_backend(b"\0") == [b"\xc0\0"]
            replies = answer(PUBACK, 7) + b"\xd0\0"
            assert await bench.to_client(replies + b"\xd0") == [replies]

    async def test_piece_from_lost_broker_is_dropped(self) -> None:
        async with bench_of() as bench:
            await connected(bench)
            assert await bench.to_client(publish(b"a")[:4]) == []
            await bench.fail_over(CONNACK)
            assert await bench.to_client(publish(b"b")) == [publish(b"b")]

    @pytest.mark.parametrize(
        ("said", "problem"),
        [
            (b"\xc0\0", "a packet before CONNECT"),
            (CONNECT * 2, "a second CONNECT"),
            (CONNECT[:8] + b"\x06" + CONNECT[9:], "a protocol other than MQTT 3.1, 3.1.1 and 5"),
            (connect(flags=3), "a CONNECT with reserved flags"),
            (connect(payload=b"more"), "a CONNECT that is longer than its fields"),
            (CONNECT[:1] + b"\x0e" + CONNECT[2:-1], "a packet that ends too early"),
            (connect(5, properties=b"\x7f"), "unknown property 127"),
            (b"\x10\xff\xff\xff\xff\x01", "a remaining length of more than four bytes"),
            (CONNECT + b"\xf0\xff\x7f", "a packet of more than 1000 bytes"),
            (CONNECT + b"\x00\0", "a packet of type 0 is not allowed here"),
            (CONNECT + CONNACK, "a packet of type 2 is not allowed here"),
            (CONNECT + publish(b"a", 1, 3), "a PUBLISH with an invalid QoS"),
            (CONNECT + publish(b"a", 0, 1), "a PUBLISH without an identifier"),
            (CONNECT + b"\x32\1\0", "a PUBLISH without a topic"),
            (CONNECT + publish(b"a", 1, 1) * 2, "packet identifier 1 is in use"),
            (CONNECT + subscribe(1, b"a") * 2, "packet identifier 1 is in use"),
            (CONNECT + subscribe(1), "a SUBSCRIBE or UNSUBSCRIBE without a topic filter"),
            (CONNECT + DISCONNECT + b"\xc0\0", "a packet after DISCONNECT"),
            (CONNECT + answer(PUBACK, 0), "a packet without an identifier"),
            (CONNECT + b"\xc0\0" * 4097, "more than 4096 packets in a message"),
            (
                connect(5) + publish_5(b"", b"\x23\0\1"),
                "the broker does not allow the topic alias 1",
            ),
        ],
    )
    async def test_invalid_packet_ends_session(self, said: bytes, problem: str) -> None:
        async with bench_of(max_packet_size=1000) as bench:
            await bench.to_backend(said)
            assert bench.closed is not None
            assert (bench.closed.code, bench.closed.reason) == (1008, problem)
            assert samples(bench.context.metrics)['wsgw_mqtt_closed_total{why="malformed"}'] == 1

    async def test_text_message_ends_session(self) -> None:
        async with bench_of() as bench:
            await bench.to_backend("hello")
            assert bench.closed is not None
            assert bench.closed.code == 1003
        async with bench_of() as bench:
            await connected(bench)
            await bench.to_client("hello")
            assert bench.closed is not None
            assert bench.closed.code == 1011

    @pytest.mark.parametrize(
        "said",
        [b"\x10\0", b"\x20\0", b"\x90\0", answer(SUBACK, 1), b"\x40\1\0", b"\x30\xff\xff\xff\xff"],
    )
    async def test_invalid_packet_of_broker_ends_session(self, said: bytes) -> None:
        async with bench_of() as bench:
            await bench.to_backend(CONNECT, subscribe(1, b"a"))
            await bench.to_client(said)
            assert bench.closed is not None
            assert bench.closed.code == 1011
            assert bench.closed.reason.startswith("from the broker: ")

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.binary(max_size=40), max_size=6), st.booleans(), st.sampled_from((4, 5)))
    def test_any_input_raises_no_other_error(
        self, said: Sequence[bytes], by_broker: bool, version: int
    ) -> None:
        async def say() -> None:
            async with bench_of() as bench:
                await connected(bench, connect(version), CONNACK_5 if version == 5 else CONNACK)
                await (bench.to_client if by_broker else bench.to_backend)(*said)
                assert bench.closed is None or bench.closed.reason != "internal error"

        asyncio.run(say())


class TestNewBroker:
    async def test_new_broker_gets_answered_state_that_has_not_ended(self) -> None:
        async with bench_of() as bench:
            await connected(bench)
            await subscribed(bench, 1, b"a/+", b"b")
            await subscribed(bench, 2, b"c")
            await bench.to_backend(unsubscribe(3, b"b", b"none"))
            await bench.to_client(answer(UNSUBACK, 3))
            await bench.to_backend(subscribe(4, b"refused"))
            await bench.to_client(answer(SUBACK, 4, b"\x80"))
            count = len(bench.client.received)
            heard = await bench.fail_over(CONNACK, answer(SUBACK, 0xFFFF, b"\1\1"))
            assert heard == [CONNECT, subscribe(0xFFFF, b"a/+", b"c")]
            assert len(bench.client.received) == count
            assert await bench.to_backend(b"\xc0\0") == [b"\xc0\0"]

    async def test_unanswered_packets_are_only_replayed(self) -> None:
        async with bench_of() as bench:
            await bench.to_backend(CONNECT, subscribe(1, b"a"))
            assert await bench.fail_over() == [CONNECT, subscribe(1, b"a")]
            assert await bench.to_client(CONNACK) == [CONNACK]
            assert await bench.fail_over(CONNACK) == [CONNECT, subscribe(1, b"a")]

    async def test_messages_pass_during_hydration(self) -> None:
        async with bench_of() as bench:
            await connected(bench)
            for identifier in range(1, 11):
                await subscribed(bench, identifier, b"t%d" % identifier)
            count = len(bench.client.received)
            retained = publish(b"t1")
            replies = CONNACK + retained + answer(SUBACK, 0xFFFF, b"\1" * 8) + retained
            heard = await bench.fail_over(replies + answer(SUBACK, 0xFFFE, b"\1\1") + retained)
            assert [len(each) for each in heard] == [len(CONNECT), 44, 15]
            assert [each.data for each in bench.client.received[count:]] == [retained] * 3

    async def test_own_identifiers_differ_from_those_of_client(self) -> None:
        async with bench_of() as bench:
            await connected(bench)
            await subscribed(bench, 1, b"a")
            open_one = publish(b"a", 0xFFFF, 1)
            await bench.to_backend(open_one)
            heard = await bench.fail_over(CONNACK, answer(SUBACK, 0xFFFE, b"\1"))
            assert heard == [CONNECT, subscribe(0xFFFE, b"a"), open_one]

    @pytest.mark.parametrize("reply", [packet(0x20, b"\0\5"), packet(0x20, b"\0")])
    async def test_broker_that_refuses_client_is_left(self, reply: bytes) -> None:
        async with bench_of() as bench:
            await connected(bench)
            await bench.fail_over(reply)
            assert bench.failed_hydrations == 1

    async def test_broker_that_refuses_subscription_is_left(self) -> None:
        async with bench_of() as bench:
            await connected(bench)
            await subscribed(bench, 1, b"a")
            await bench.fail_over(CONNACK, answer(SUBACK, 0xFFFF, b"\x80"))
            assert bench.failed_hydrations == 1

    async def test_one_that_closes_before_its_last_answer_has_refused(self) -> None:
        async with bench_of() as bench:
            await connected(bench)
            await subscribed(bench, 1, b"a")
            heard = await bench.fail_over(Close(1000), CONNACK, Close(1000), CONNACK)
            assert heard == [CONNECT, subscribe(65535, b"a")]
            assert bench.failed_hydrations == 2
            assert bench.closed is None


class TestMessages:
    async def test_qos_1_message_is_replayed_until_puback(self) -> None:
        first, second = publish(b"a", 1, 1), publish(b"a", 2, 1)
        async with bench_of() as bench:
            await connected(bench)
            again = publish(b"a", 2, 1, duplicate=True)
            assert await bench.to_backend(first, second, again) == [first, second, again]
            await bench.to_client(answer(PUBACK, 1))
            assert await bench.fail_over(CONNACK) == [CONNECT, second]
            await bench.to_client(answer(PUBACK, 2))
            assert await bench.to_backend(first) == [first]

    async def test_qos_2_message_is_replayed_until_pubcomp(self) -> None:
        received, released, done = (publish(b"a", each, 2) for each in (1, 2, 3))
        async with bench_of() as bench:
            await connected(bench)
            await bench.to_backend(received, released, done)
            await bench.to_client(*(answer(PUBREC, each) for each in (1, 2, 3)))
            await bench.to_backend(answer(PUBREL, 2), answer(PUBREL, 3))
            await bench.to_client(answer(PUBCOMP, 3))
            count = len(bench.client.received)
            heard = await bench.fail_over(CONNACK, answer(PUBREC, 2), answer(PUBREC, 1))
            again = [publish(b"a", each, 2, duplicate=True) for each in (1, 2)]
            assert heard == [CONNECT, *again, answer(PUBREL, 2)]
            assert len(bench.client.received) == count
            assert await bench.to_backend(answer(PUBREL, 1)) == [answer(PUBREL, 1)]

    async def test_qos_2_message_without_room_is_counted(self) -> None:
        large = publish(b"a", 1, 2, content=b"x" * 1000)
        async with bench_of(max_remembered_bytes=1024) as bench:
            await connected(bench)
            assert await bench.to_backend(large) == [large]
            assert samples(bench.context.metrics)["wsgw_mqtt_unremembered_total"] == 1
            assert await bench.fail_over(CONNACK) == [CONNECT, large]
            await bench.to_client(answer(PUBREC, 1))
            assert await bench.fail_over(CONNACK) == [CONNECT]

    async def test_releases_of_all_identifiers_are_a_few_messages(self) -> None:
        identifiers = range(1, 65_536)
        async with bench_of() as bench:
            await connected(bench)
            for at in range(0, len(identifiers), 4000):
                packets = [publish(b"a", each, 2) for each in identifiers[at : at + 4000]]
                await bench.to_client(b"".join(packets))
            count = len(bench.client.received)
            assert await bench.fail_over(CONNACK) == [CONNECT]
            released = [each.data for each in bench.client.received[count:]]
            assert b"".join(released) == b"".join(answer(PUBREL, each) for each in identifiers)
            assert max(map(len, released)) == 64 * 1024
            assert len(released) == 4

    async def test_acknowledgements_reach_no_other_broker(self) -> None:
        async with bench_of() as bench:
            await connected(bench)
            await bench.to_client(publish(b"a", 1, 1), publish(b"a", 2, 2), publish(b"a", 3, 1))
            count = len(bench.client.received)
            puback = answer(PUBACK, 1)
            assert await bench.to_backend(puback) == [puback]
            assert await bench.fail_over(CONNACK) == [CONNECT]
            # The valve releases it, because the lost broker cannot.
            assert [each.data for each in bench.client.received[count:]] == [answer(PUBREL, 2)]
            late = [answer(PUBREC, 2), answer(PUBCOMP, 2), answer(PUBACK, 3)]
            assert await bench.to_backend(*late) == []
            await bench.to_client(publish(b"b", 3, 2))
            assert await bench.to_backend(answer(PUBACK, 3)) == []
            for own, reply in ((PUBREC, PUBREL), (PUBCOMP, 0)):
                assert await bench.to_backend(answer(own, 3)) == [answer(own, 3)]
                if reply:
                    await bench.to_client(answer(reply, 3))
            assert await bench.to_backend(answer(PUBCOMP, 3)) == []


class TestVersion5:
    async def test_values_assigned_by_first_broker_are_kept(self) -> None:
        properties = b"\x11\0\0\0\x3c"  # session expiry
        given = b"\x12\0\3own" + b"\x13\0\x1e"  # identifier, keep-alive
        async with bench_of() as bench:
            client = connect(5, properties=properties, name=b"", flags=0xC2, payload=b"\0\1u\0\1p")
            await connected(bench, client, packet(0x20, b"\0\0", bytes((len(given),)), given))
            heard = await bench.fail_over(CONNACK_5)
            assert heard == [
                connect(
                    5,
                    properties=properties,
                    name=b"own",
                    flags=0xC0,  # no clean start
                    keep_alive=30,
                    payload=b"\0\1u\0\1p",
                )
            ]

    async def test_subscriptions_keep_their_identifiers(self) -> None:
        async with bench_of() as bench:
            await connected(bench, connect(5), CONNACK_5)
            for identifier, properties in ((1, b"\x0b\1"), (2, b"\x0b\1"), (3, b"\x0b\2")):
                topic = b"t%d" % identifier
                await bench.to_backend(subscribe(identifier, topic, properties=properties))
                await bench.to_client(answer(SUBACK, identifier, b"\0\1"))
            replies = [
                answer(SUBACK, each, b"\0" + b"\1" * n) for each, n in ((0xFFFF, 2), (0xFFFE, 1))
            ]
            assert await bench.fail_over(CONNACK_5, *replies) == [
                connect(5),
                subscribe(0xFFFF, b"t1", b"t2", properties=b"\x0b\1"),
                subscribe(0xFFFE, b"t3", properties=b"\x0b\2"),
            ]

    async def test_messages_with_aliases_get_their_topics(self) -> None:
        async with bench_of() as bench:
            await connected(bench, connect(5), packet(0x20, b"\0\0\3\x22\0\5"))
            other = b"\x03\0\1t"  # content type
            said = [
                publish_5(b"a/b", b"\x23\0\5" + other),
                publish_5(b"", other + b"\x23\0\5"),
                publish_5(b"c", b"\x23\0\5"),
                publish_5(b"", b"\x23\0\5"),
            ]
            assert await bench.to_backend(*said) == [
                publish_5(b"a/b", other),
                publish_5(b"a/b", other),
                publish_5(b"c", b""),
                publish_5(b"c", b""),
            ]
            await bench.to_backend(publish_5(b"", b"\x23\0\4"))
            assert bench.closed is not None
            assert bench.closed.reason == "unknown topic alias 4"

    async def test_bytes_of_aliased_messages_are_bounded(self) -> None:
        async with bench_of() as bench:
            await connected(bench, connect(5), packet(0x20, b"\0\0\3\x22\0\5"))
            long = packet(0x30, text(b"t" * 9000), b"\3\x23\0\1")
            await bench.to_backend(long)
            await bench.to_backend(publish_5(b"", b"\x23\0\1") * 150)
            assert bench.closed is not None
            assert bench.closed.reason == "the packets are too large with their topics"

    async def test_failed_message_is_not_replayed(self) -> None:
        message = packet(0x34, text(b"a"), number(1), b"\0")
        async with bench_of() as bench:
            await connected(bench, connect(5), CONNACK_5)
            await bench.to_backend(message)
            await bench.to_client(answer(PUBREC, 1, b"\x97"))
            assert await bench.fail_over(CONNACK_5) == [connect(5)]

    async def test_client_with_enhanced_authentication_must_reconnect(self) -> None:
        client = connect(5, properties=b"\x15\0\5SCRAM")
        async with bench_of() as bench:
            await connected(bench, client, CONNACK_5)
            first, second = bench.backends
            first.connections[0].drop()
            await bench.client.until_closed()
            assert bench.closed is not None
            assert bench.closed.code == 1012
            assert not second.connections[0].received

    @pytest.mark.parametrize("closes", [True, False])
    async def test_broker_that_shuts_down_is_left(self, *, closes: bool) -> None:
        async with bench_of() as bench:
            await connected(bench, connect(5), CONNACK_5)
            served = bench.session.backend_id
            assert await bench.to_client(packet(0xE0, b"\x8b\0")) == []
            if closes and bench.session.backend_id == served:
                bench.backends[0].connections[0].hang_up(1000)
            while bench.session.backend_id in (served, None):  # noqa: ASYNC110 - no event to await
                await asyncio.sleep(0.01)
            assert bench.closed is None

    async def test_disconnect_of_broker_ends_session(self) -> None:
        taken_over = packet(0xE0, b"\x8e\0")
        async with bench_of() as bench:
            await connected(bench, connect(5), CONNACK_5)
            assert await bench.to_client(taken_over) == [taken_over]
            assert bench.closed is not None
            assert bench.closed.code == 1000


class TestTakeover:
    """A broker that only closes the older connection of two with the same client identifier."""

    @pytest.mark.parametrize("version", [4, 5])
    async def test_older_client_is_closed_when_its_broker_closes(self, version: int) -> None:
        client, connack = connect(version), CONNACK_5 if version == 5 else CONNACK
        async with bench_of() as bench:
            await connected(bench, client, connack)
            newer: Any = bench.valve.for_session(FakeSession("newer"))
            newer.before_transmit(Message(BINARY, client))
            newer.after_receive(Message(BINARY, connack))
            first, second = bench.backends
            first.connections[0].drop()
            await bench.client.until_closed()
            assert bench.closed is not None
            assert bench.closed.code == 1000
            told = [each.data for each in bench.client.received[1:]]
            assert told == ([packet(0xE0, b"\x8e\0")] if version == 5 else [])
            assert not second.connections[0].received
            metrics = samples(bench.context.metrics)
            assert metrics['wsgw_mqtt_closed_total{why="taken-over"}'] == 1

    @pytest.mark.parametrize("other", ["name", "route", "gone", "freed", "unanswered"])
    async def test_unrelated_client_does_not_end_the_session(self, other: str) -> None:
        async with bench_of() as bench:
            await connected(bench)
            session = FakeSession("newer", route="other" if other == "route" else "")
            newer: Any = bench.valve.for_session(session)
            name = b"bob" if other == "name" else b"ann"
            newer.before_transmit(Message(BINARY, connect(name=name)))
            if other != "unanswered":
                newer.after_receive(Message(BINARY, CONNACK))
            if other == "gone":
                session.backend_id = None
            if other == "freed":
                del newer
                gc.collect()
            assert await bench.fail_over(CONNACK) == [CONNECT]
            assert bench.closed is None

    async def test_clients_that_the_broker_names_do_not_end_each_other(self) -> None:
        nameless = connect(5, name=b"")
        async with bench_of() as bench:
            await connected(bench, nameless, packet(0x20, b"\0\0\7\x12" + text(b"one!")))
            newer: Any = bench.valve.for_session(FakeSession("newer"))
            newer.before_transmit(Message(BINARY, nameless))
            newer.after_receive(Message(BINARY, packet(0x20, b"\0\0\7\x12" + text(b"two!"))))
            await bench.fail_over(CONNACK_5)
            assert bench.closed is None


class TestEnd:
    async def test_broker_may_end_after_goodbye(self) -> None:
        async with bench_of() as bench:
            await connected(bench)
            last = publish(b"a")
            assert await bench.to_backend(last + DISCONNECT) == [last, DISCONNECT]
            bench.backends[0].connections[0].drop()
            await bench.client.until_closed()
            assert bench.closed is not None
            assert bench.closed.code == 1000
            assert not bench.backends[1].connections

    async def test_goodbye_waits_for_pending_answer(self) -> None:
        last = publish(b"a", 1, 1)
        async with bench_of() as bench:
            await connected(bench)
            await bench.to_backend(last, DISCONNECT)
            assert await bench.fail_over(CONNACK) == [CONNECT, last]

    @pytest.mark.slow
    async def test_client_that_uses_all_identifiers_is_closed_and_connects_again(self) -> None:
        async with bench_of() as bench:
            await connected(bench)
            await subscribed(bench, 1, b"a")
            for first in range(1, 0x10000, 2000):
                ids = range(first, min(first + 2000, 0x10000))
                await bench.to_backend(
                    b"".join(packet(0x34, text(b"a"), number(id_)) for id_ in ids)
                )
                await bench.to_client(b"".join(answer(0x50, id_) for id_ in ids))
            bench.backends[0].connections[0].drop()
            await bench.client.until_closed()
            assert bench.closed is not None
            assert bench.closed.code == 1012
            assert bench.closed.reason == "no packet identifier is left"
            assert not bench.backends[1].connections[0].received

    @pytest.mark.parametrize("version", [4, 5])
    async def test_goodbye_removes_will_at_every_broker(self, version: int) -> None:
        last = packet(0x32, text(b"a"), number(1), b"\0" if version == 5 else b"", b"x")
        will = b"\0" * (version == 5) + text(b"will/topic") + text(b"gone")
        willing = connect(version, flags=0xF6, payload=will + text(b"user") + text(b"password"))
        without = connect(version, flags=0xC2, payload=text(b"user") + text(b"password"))
        connack = CONNACK_5 if version == 5 else CONNACK
        async with bench_of() as bench:
            await connected(bench, willing, connack)
            await bench.to_backend(last)
            assert await bench.fail_over(connack) == [willing, last]
            await bench.to_backend(DISCONNECT)
            assert await bench.fail_over(connack) == [without, last]

    async def test_goodbye_that_asks_for_will_keeps_it(self) -> None:
        last = packet(0x32, text(b"a"), number(1), b"\0x")
        willing = connect(5, flags=0x06, payload=b"\0" + text(b"will/topic") + text(b"gone"))
        async with bench_of() as bench:
            await connected(bench, willing, CONNACK_5)
            await bench.to_backend(last, packet(0xE0, b"\4\0"))
            assert await bench.fail_over(CONNACK_5) == [willing, last]

    async def test_refused_client_is_closed(self) -> None:
        refused = packet(0x20, b"\0\5")
        async with bench_of() as bench:
            await bench.to_backend(CONNECT)
            assert await bench.to_client(refused) == [refused]
            assert bench.closed is not None
            assert bench.closed.code == 1000

    @pytest.mark.parametrize(
        ("options", "said", "problem"),
        [
            ({"max_subscriptions": 2}, subscribe(1, b"a", b"b", b"c"), "more than 2 subscriptions"),
            (
                {"max_subscriptions": 2},
                unsubscribe(1, b"a") + unsubscribe(2, b"a", b"b"),
                "more than 2 subscriptions",
            ),
            (
                {"max_remembered_bytes": 1024},
                b"".join(subscribe(each, b"a") for each in range(1, 9)),
                "the session needs more than 1024 bytes of memory",
            ),
        ],
    )
    async def test_exceeded_memory_closes_session(
        self, options: dict[str, Any], said: bytes, problem: str
    ) -> None:
        async with bench_of(**options) as bench:
            await connected(bench)
            await bench.to_backend(said)
            assert bench.closed is not None
            assert (bench.closed.code, bench.closed.reason) == (1008, problem)
            assert samples(bench.context.metrics)['wsgw_mqtt_closed_total{why="too-much"}'] == 1

    async def test_memory_is_freed(self) -> None:
        async with bench_of(max_remembered_bytes=2048, max_subscriptions=2) as bench:
            await connected(bench)
            for _ in range(20):
                await subscribed(bench, 1, b"a", b"b")
                await bench.to_backend(unsubscribe(1, b"a", b"b"))
                await bench.to_client(answer(UNSUBACK, 1))
                message = publish(b"a", 1, 2, content=b"x" * 200)
                await bench.to_backend(message)
                await bench.to_client(answer(PUBREC, 1))
                await bench.to_backend(answer(PUBREL, 1))
                await bench.to_client(answer(PUBCOMP, 1))
            assert bench.closed is None
            assert samples(bench.context.metrics)["wsgw_mqtt_unremembered_total"] == 0


def test_max_packet_size_above_message_size_gives_warning() -> None:
    options = MqttSettings.model_validate({"max-packet-size": 1001})
    assert not list(options.warnings(Limits(max_message_size=1001)))
    assert [key for key, _ in options.warnings(Limits(max_message_size=1000))] == [
        "max-packet-size"
    ]


@pytest.mark.slow
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_clients_notice_no_failure_of_their_broker(tmp_path: Path) -> None:
    brokers = [mosquitto(tmp_path / name) for name in ("blue", "green")]
    clients = [MqttClient(MQTTv311, 1, "old"), MqttClient(MQTTv5, 2, "new")]
    async with broken_servers(brokers, {"kind": "mqtt"}) as breaks:
        for client in clients:
            await client.start(breaks.url)

        async def progress() -> None:
            await asyncio.gather(*(client.progress() for client in clients))

        await breaks.all(progress)
        await asyncio.gather(*(client.stop() for client in clients))
        assert breaks.failovers >= 2
        assert breaks.moves >= 1
    assert [client.disconnects for client in clients] == [0, 0]


@pytest.mark.slow
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_subscriptions_go_on_with_at_most_once_delivery(tmp_path: Path) -> None:
    brokers = [mosquitto(tmp_path / name) for name in ("blue", "green")]
    failover = {"ping-timeout": "1s", "delivery": "at-most-once"}
    client = MqttClient(MQTTv311, 0, "ann")
    async with broken_servers(brokers, {"kind": "mqtt"}, failover=failover) as breaks:
        await client.start(breaks.url)
        for _ in range(3):
            async with breaks.kill():
                await client.resume()
        await client.leave()
        assert breaks.failovers == 3
    assert client.doubles == 0
    assert client.disconnects == 0


def paho(name: str, version: MQTTProtocolVersion = MQTTv5) -> Client:
    return Client(CallbackAPIVersion.VERSION2, name, protocol=version, transport="websockets")


@pytest.mark.slow
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_client_leaves_when_another_takes_over_its_identifier(tmp_path: Path) -> None:
    brokers = [mosquitto(tmp_path / name) for name in ("blue", "green")]
    first, second = paho("ann"), paho("ann")
    reasons: list[str] = []
    first.on_disconnect = lambda *said: reasons.append(str(said[3]))
    async with broken_servers(brokers, {"kind": "mqtt"}) as breaks:
        await breaks.servers["green"].kill()
        port = urlsplit(breaks.url).port
        assert port is not None
        for client in (first, second):
            await asyncio.to_thread(client.connect, "127.0.0.1", port)
        first.reconnect_delay_set(3600, 3600)  # else it would take over in turn
        first.loop_start()
        await until(first.is_connected, "the first one is connected")
        second.loop_start()
        await until(lambda: bool(reasons), "it has left")
        await until(lambda: len(breaks.gateway.gateway.sessions) == 1, "one session is left")
        assert second.is_connected()
        assert breaks.failovers == 1  # its broker has only closed, and it was not taken elsewhere
        for client in (first, second):
            await asyncio.to_thread(client.disconnect)
            await asyncio.to_thread(client.loop_stop)
        await breaks.servers["green"].start()
    assert reasons == ["Session taken over"]


@pytest.mark.slow
@pytest.mark.asyncio(loop_factories=["uvloop"])
@pytest.mark.parametrize("version", [MQTTv311, MQTTv5])
async def test_next_broker_shares_out_shared_subscriptions(
    tmp_path: Path, version: MQTTProtocolVersion
) -> None:
    brokers = [mosquitto(tmp_path / name) for name in ("blue", "green")]
    heard: list[list[int]] = [[], [], []]
    clients = [paho(f"worker-{number}", version) for number in range(3)]
    granted = []
    async with broken_servers(brokers, {"kind": "mqtt"}) as breaks:
        await breaks.servers["green"].kill()
        port = urlsplit(breaks.url).port
        assert port is not None
        for client, messages in zip(clients, heard, strict=True):
            client.on_message = lambda *said, to=messages: to.append(int(said[2].payload))
            client.on_subscribe = lambda *_: granted.append(1)
            await asyncio.to_thread(client.connect, "127.0.0.1", port)
            client.subscribe("$share/workers/jobs", 1)
            client.loop_start()
        await until(lambda: len(granted) == 3, "all have subscribed")
        await breaks.servers["green"].start()
        for number in range(30):
            clients[0].publish("jobs", str(number), 1)
        await until(lambda: sum(map(len, heard)) == 30, "all messages have come")
        await breaks.servers["blue"].kill()
        await until(
            lambda: all(
                session.backend_id == "green" and not session.is_hydrating
                for session in breaks.gateway.gateway.sessions
            ),
            "all are at the other broker",
        )
        for number in range(30, 60):
            clients[0].publish("jobs", str(number), 1)
        await until(lambda: sum(map(len, heard)) == 60, "all messages have come")
        for client in clients:
            await asyncio.to_thread(client.disconnect)
            await asyncio.to_thread(client.loop_stop)
        await breaks.servers["blue"].start()
    assert sorted(itertools.chain(*heard)) == list(range(60))
    assert all(any(number >= 30 for number in each) for each in heard)
