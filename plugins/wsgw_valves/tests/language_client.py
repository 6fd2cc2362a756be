"""An editor of one document, with a language server behind a websocket."""

from __future__ import annotations

import json
from typing import Any

from websockets.asyncio.client import ClientConnection

URI = "file:///nowhere/edited.py"


class Editor:
    """Adds functions to a document without a file.

    Args:
        connection: to the server.

    Attributes:
        functions: number of functions.
        answered: number of answered requests.
        doubles: number of answers that no request waited for.
    """

    def __init__(self, connection: ClientConnection) -> None:
        self.functions = 0
        self.answered = 0
        self.doubles = 0
        self._connection = connection

    async def begin(self) -> None:
        """Opens the document."""
        await self._request("initialize", {"processId": None, "rootUri": None, "capabilities": {}})
        await self._notify("initialized", {})
        document = {"uri": URI, "languageId": "python", "version": 0, "text": ""}
        await self._notify("textDocument/didOpen", {"textDocument": document})

    async def progress(self) -> None:
        """Adds a function at the start; the server must know all functions in order."""
        self.functions += 1
        start = {"line": 0, "character": 0}
        change = {
            "range": {"start": start, "end": start},
            "text": f"def f{self.functions}(): pass\n",
        }
        version = {"uri": URI, "version": self.functions}
        await self._notify(
            "textDocument/didChange", {"textDocument": version, "contentChanges": [change]}
        )
        symbols = await self._request("textDocument/documentSymbol", {"textDocument": {"uri": URI}})
        found = [each["name"] for each in sorted(symbols, key=_line)]
        assert found == [f"f{number}" for number in range(self.functions, 0, -1)]

    async def _notify(self, method: str, params: Any) -> None:
        await self._send({"method": method, "params": params})

    async def _request(self, method: str, params: Any) -> Any:
        self.answered += 1
        await self._send({"id": self.answered, "method": method, "params": params})
        while True:
            answer = json.loads(await self._connection.recv())
            if answer.get("id") == self.answered:
                return answer["result"]
            self.doubles += "id" in answer

    async def _send(self, message: dict[str, Any]) -> None:
        await self._connection.send(json.dumps({"jsonrpc": "2.0", **message}))


def _line(symbol: dict[str, Any]) -> int:
    return int(symbol["location"]["range"]["start"]["line"])
