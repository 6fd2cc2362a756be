"""A GraphQL server on strawberry and uvicorn that keeps nothing in memory.

usage: graphql_server.py PORT FILE

A mutation appends its text to the file as a line. A subscription counts lines: it has a result for
each line from the first. FILE.denials has the close codes for the next logins, in order.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import strawberry
import uvicorn
from strawberry.asgi import GraphQL
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL

PATH = Path(sys.argv[2])


DENIALS = PATH.with_name(f"{PATH.name}.denials")


class Server(GraphQL[object, object]):
    async def on_ws_connect(self, context: Any) -> Any:
        codes = DENIALS.read_text().split() if DENIALS.exists() else []
        if codes:
            DENIALS.write_text(" ".join(codes[1:]))
            await context["request"].close(int(codes[0]))
            await asyncio.Event().wait()  # otherwise the server answers
        return await super().on_ws_connect(context)


def count() -> int:
    return PATH.read_bytes().count(b"\n") if PATH.exists() else 0


@strawberry.type
class Query:
    @strawberry.field
    def lines(self) -> int:
        return count()


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def write(self, text: str) -> str:
        file = os.open(PATH, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(file, f"{text}\n".encode())
        os.close(file)
        return text


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def written(self) -> AsyncIterator[int]:
        lines = 0
        while True:
            await asyncio.sleep(0.02)
            if (now := count()) != lines:
                lines = now
                yield lines


if __name__ == "__main__":
    schema = strawberry.Schema(query=Query, mutation=Mutation, subscription=Subscription)
    uvicorn.run(
        Server(schema, subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL]),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        ws="websockets-sansio",
        log_level="warning",
    )
