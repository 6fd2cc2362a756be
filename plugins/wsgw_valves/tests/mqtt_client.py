"""An MQTT client that receives its own messages, with paho."""

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
    """Connects and subscribes once, and then publishes until `stop`.

    Args:
        version: of MQTT.
        quality: the QoS of its messages and its subscription.
        name: its client identifier and topic.
        path: of its websocket.

    Attributes:
        sent: number of published messages.
        heard: how often each message has come back, by number.
        disconnects: number of lost connections.
        retained: number of messages with the retain flag.
        longest_pause: seconds between two messages that have come back.
    """

    def __init__(
        self, version: MQTTProtocolVersion, quality: int, name: str, path: str = "/mqtt"
    ) -> None:
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
        client.ws_set_options(path)
        client.will_set(f"gone/{name}", "gone")
        client.on_connect = self._connected
        client.on_subscribe = lambda *_: self._subscribed.set()
        client.on_message = self._heard
        client.on_disconnect = self._disconnected
        self._publishing: asyncio.Task[None]

    async def start(self, url: str) -> None:
        """Connects, and publishes in the background."""
        await asyncio.to_thread(self._start, urlsplit(url).port)
        self._publishing = asyncio.create_task(self._publish())

    async def stop(self) -> None:
        """Waits for all messages and disconnects; raises errors of the client."""
        self._stopped = True
        await self._until(lambda: len(self.heard) == self.sent)
        await self.leave()

    async def leave(self) -> None:
        """Leaves without waiting for messages to come back."""
        self._stopped = True
        await self._publishing
        await asyncio.to_thread(self._leave)

    async def progress(self) -> None:
        """Waits until new messages have come back."""
        wanted = self.sent + 3
        await self._until(lambda: all(number in self.heard for number in range(wanted)))

    async def resume(self) -> None:
        """Waits until a message published from now on comes back; earlier ones may be lost."""
        wanted = self.sent
        await self._until(lambda: any(number >= wanted for number in self.heard))

    @property
    def doubles(self) -> int:
        """The number of repeated messages."""
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
