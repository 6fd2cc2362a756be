"""Plays a web application in `wsgw drill --backend http`; see PlayedBackend.

usage: python -m wsgw_http.played PLACE HOST PORT LOG [OPTION ...]
"""

from __future__ import annotations

import argparse
import asyncio
import os

from aiohttp import web

from wsgw_core.testing.recorder import Recorder

_MAX_BODY = 64 * 1024 * 1024


class Application:
    """Answers each message with the recorder's answer.

    Args:
        arguments: the process's.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._recorder = Recorder(arguments.place, arguments.log)
        self._keys: set[str] = set()  # of messages that were read
        self._stays: dict[str, str] = {}  # by session; a session that comes back has a new stay
        self._poison: str = arguments.poison
        self._delay: float = arguments.delay
        self._drop: bool = arguments.drop
        self._hang: bool = arguments.hang
        self._status: int = arguments.status

    async def answer(self, request: web.Request) -> web.Response:
        """Answers one event."""
        event = request.headers.get("X-Wsgw-Event")
        session = request.headers.get("X-Wsgw-Session", "")
        body = await request.read()
        if event == "message":
            return await self._message(request, session, body)
        if event == "connect":
            if self._hang:
                await asyncio.Event().wait()
            if self._status:
                return web.Response(status=self._status)
            described = await request.json()
            replayed = described["replayed"] if described["reconnect"] else -1
            stay = self._stays[session] = request.headers["Idempotency-Key"].strip('"')
            self._recorder.opened(stay, replayed)
        elif event == "disconnect":
            self._recorder.closed(self._stays.pop(session, session))
        return web.Response(status=204)

    async def _message(self, request: web.Request, session: str, body: bytes) -> web.Response:
        if self._drop:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=204)
        is_text = request.content_type == "text/plain"
        key = request.headers["Idempotency-Key"]
        # an attempt that timed out can still arrive, after the retry
        again = "X-Wsgw-Replayed" in request.headers or key in self._keys
        self._keys.add(key)
        stay = self._stays.get(session, session)
        answer = self._recorder.read(stay, body.decode() if is_text else body, again=again)
        if self._poison and answer is not None and _head(answer) == self._poison:
            os._exit(1)
        if self._delay:
            await asyncio.sleep(self._delay)
        return web.Response(text=answer) if answer is not None else web.Response(status=204)


def _head(answer: str) -> str:
    """Returns `CLIENT:NUMBER` of a message."""
    client, number, *_ = answer.split(" ")
    return f"{client}:{number}"


async def serve(arguments: argparse.Namespace) -> None:
    """Serves until the drill kills the process."""
    application = web.Application(client_max_size=_MAX_BODY)
    application.router.add_route("*", "/{path:.*}", Application(arguments).answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, arguments.host, arguments.port, reuse_port=True, backlog=1024)
    await site.start()
    host, port = runner.addresses[0][:2]
    print(f"listening on {host}:{port}", flush=True)  # noqa: T201 - for the drill
    await asyncio.Event().wait()


def main() -> None:
    """Runs with the process's arguments."""
    parser = argparse.ArgumentParser(prog="played")
    parser.add_argument("place", help="its name, which stands in the answers")
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("log")
    parser.add_argument("--poison", default="", help="CLIENT:NUMBER of the message to die of")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds for each message")
    parser.add_argument("--drop", action="store_true", help="break off at each message")
    parser.add_argument("--hang", action="store_true", help="answer no connect event")
    parser.add_argument("--status", type=int, default=0, help="answer connect events with this")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
