"""Processor time that the gates of wsgw-valves add to a handshake.

usage: gates.py [HANDSHAKES]

Each figure is the best of several rounds, with a new handshake each time.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, Key, OctKey, RSAKey
from wsgw_valves import plugin

from wsgw_core.api import Handshake
from wsgw_core.testing.context import make_plugin_context
from wsgw_core.testing.registered_plugin import RegisteredPlugin

ROUNDS = 9
CLAIMS = {"sub": "ann", "aud": "chat", "exp": 99_999_999_999, "org": {"id": "acme"}}
HEADERS = (("User-Agent", "benchmark"), ("Cookie", "a=1; b=2"), ("Origin", "https://example.com"))


def with_jwt(folder: Path, key: Key, algorithm: str) -> tuple[str, dict[str, Any], str]:
    """Returns an entry of `gates`, and a token that it accepts."""
    file = folder / algorithm
    file.write_text(json.dumps(key.as_dict(private=isinstance(key, OctKey))))
    options = {"keys-file": str(file), "algorithms": algorithm, "claims": {"X-User": "sub"}}
    token = jwt.encode({"alg": algorithm}, CLAIMS, key)
    return "jwt", options, token


def entries(folder: Path) -> dict[str, tuple[str, dict[str, Any], str]]:
    """Returns entries of `gates`, each with a token, by their names in the table."""
    networks = [f"10.{high}.{low}.0/24" for high in range(40) for low in range(25)]
    rules = [
        {"action": "deny", "addresses": networks},
        {"action": "allow", "paths": ["/chat/**"], "headers": {"Origin": "*"}},
    ]
    return {
        "access, 1000 networks": ("access", {"rules": rules}, ""),
        "headers, two set": ("headers", {"set": {"X-A": "{peer}", "X-B": "{path.1}"}}, ""),
        "jwt, HS256": with_jwt(folder, OctKey.generate_key(256), "HS256"),
        "jwt, RS256": with_jwt(folder, RSAKey.generate_key(2048), "RS256"),
        "jwt, ES256": with_jwt(folder, ECKey.generate_key("P-256"), "ES256"),
    }


async def measure(gate: Any, token: str, count: int) -> float:
    """Returns microseconds of processor time for each handshake."""
    headers = (*HEADERS, ("Authorization", f"Bearer {token}"))
    begin = time.thread_time()
    for _ in range(count):
        verdict = gate.admit(Handshake("/chat/lobby?a=b", headers, (), "192.0.2.1:5555"))
        if inspect.isawaitable(verdict):
            verdict = await verdict
        if verdict is not None:
            raise SystemExit(f"a gate refuses: {verdict}")
    return (time.thread_time() - begin) / count * 1e6


async def main(count: int, folder: Path) -> None:
    """Prints a row for each gate."""
    for name, (kind, options, token) in entries(folder).items():
        gate: Any = RegisteredPlugin(plugin).gate(kind, options, make_plugin_context(kind))
        if hasattr(gate, "open"):
            await gate.open()
        best = min([await measure(gate, token, count) for _ in range(ROUNDS)])
        print(f"{name:24}{best:8.1f} us")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as found:
        asyncio.run(main(int(sys.argv[1]) if sys.argv[1:] else 1_000, Path(found)))
