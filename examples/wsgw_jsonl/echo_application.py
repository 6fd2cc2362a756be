"""An application for wsgw-jsonl: answers each text with its name, a space and the text.

usage: python echo_application.py PORT NAME
"""

from __future__ import annotations

import asyncio
import json
import sys


async def serve_session(
    name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Serves one session until the gateway closes it."""

    def say(line: dict[str, object]) -> None:
        writer.write(json.dumps(line).encode() + b"\n")

    async for raw in reader:
        line = json.loads(raw)
        if "open" in line:
            say({"accept": True})
        elif "text" in line:
            say({"ack": True})
            say({"text": f"{name} {line['text']}"})
        elif "base64" in line:
            say({"ack": True})
            say(line)
        elif "close" in line:
            break
        await writer.drain()
    writer.close()


async def main() -> None:
    """Listens until the process ends."""
    port, name = int(sys.argv[1]), sys.argv[2]
    server = await asyncio.start_server(
        lambda reader, writer: serve_session(name, reader, writer), "127.0.0.1", port
    )
    print(f"{name} listens on 127.0.0.1:{port}", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
