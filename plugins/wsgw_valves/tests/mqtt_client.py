"""An MQTT client that hears what it says itself, on paho."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion


class MqttClient:
    """Connects and subscribes once, and then publishes until it is stopped.

    Args:
        version: of MQTT.
        quality: of service, of what it publishes and of its subscription.
        name: its client identifier and its topic.

    Attributes:
        sent: how many messages it has published.
        heard: how often each of them has come back, by number.
        disconnects: how often it was not connected any more.
        retained: how often a message came as a retained one.
        longest_pause: seconds between two messages that have come back.
    """

    def __init__(self, version: MQTTProtocolVersion, quality: int, name: str) -> None:
        self.sent = 0
        self.heard: Counter[int] = Counter()
        self.disconnects = 0
        self.retained = 0
        self.longest_pause = 0.0
        self._last = 0.0
        self._quality = quality
        self._topic = f"echo/{name}"
        self._subscribed = threading.Event()
        self._stopped = False
        self._client = client = Client(
            CallbackAPIVersion.VERSION2, name, protocol=version, transport="websockets"
        )
        client.will_set(f"gone/{name}", "gone")
        client.on_connect = self._connected
        client.on_subscribe = lambda *_: self._subscribed.set()
        client.on_message = self._heard
        client.on_disconnect = self._disconnected
        self._publishing: asyncio.Task[None]

    async def start(self, url: str) -> None:
        """Connect, and go on by itself."""
        await asyncio.to_thread(self._start, urlsplit(url).port)
        self._publishing = asyncio.create_task(self._publish())

    async def stop(self) -> None:
        """Have everything come back, and leave; raises what went wrong."""
        self._stopped = True
        await self._until(lambda: len(self.heard) == self.sent)
        await self.leave()

    async def leave(self) -> None:
        """Leave, whatever has come back."""
        self._stopped = True
        await self._publishing
        await asyncio.to_thread(self._leave)

    async def progress(self) -> None:
        """Return when messages have come back that are published from now on."""
        wanted = self.sent + 3
        await self._until(lambda: all(number in self.heard for number in range(wanted)))

    async def resume(self) -> None:
        """Return when a message has come back that is published from now on, whatever is lost."""
        wanted = self.sent
        await self._until(lambda: any(number >= wanted for number in self.heard))

    @property
    def doubles(self) -> int:
        """How many messages came again."""
        return sum(self.heard.values()) - len(self.heard)

    async def _until(self, condition: Any) -> None:
        try:
            async with asyncio.timeout(30):
                while not condition():  # noqa: ASYNC110 - a thread sets it
                    await asyncio.sleep(0.01)
        except TimeoutError:
            missing = [number for number in range(self.sent) if number not in self.heard]
            raise AssertionError(
                f"{len(missing)} of {self.sent} never came back: {missing[:20]}"
            ) from None

    def _start(self, port: int | None) -> None:
        assert port is not None
        self._client.connect("127.0.0.1", port, keepalive=5)
        self._client.loop_start()
        assert self._subscribed.wait(30)

    def _leave(self) -> None:
        self._client.on_disconnect = None
        self._client.disconnect()
        self._client.loop_stop()

    async def _publish(self) -> None:
        while not self._stopped:
            self._client.publish(self._topic, str(self.sent), self._quality)
            self.sent += 1
            await asyncio.sleep(0.02)

    def _connected(self, *_: Any) -> None:
        self._client.subscribe(self._topic, self._quality)

    def _heard(self, _client: Any, _data: Any, message: Any) -> None:
        now = time.monotonic()
        self.longest_pause = max(self.longest_pause, now - (self._last or now))
        self._last = now
        self.heard[int(message.payload)] += 1
        self.retained += message.retain

    def _disconnected(self, *_: Any) -> None:
        self.disconnects += 1


__all__ = ["MQTTv5", "MqttClient"]
