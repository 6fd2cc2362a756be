"""The API conforms to its OpenAPI description, for calls generated from it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import StartAdmin, StartGateway

BLUE = {"id": "blue", "url": "ws://127.0.0.1:1"}
GREEN = {"id": "green", "url": "ws://127.0.0.1:2"}
ROUTES = [{"id": "0", "paths": ["/0"], "backends": [GREEN]}, {"id": "rest"}]
TABLES = str(Path(__file__).parents[2] / ".hypothesis")  # of characters: making them takes seconds
# No description names a 500, so it fails the first check.
CHECKS = "status_code_conformance,content_type_conformance,response_schema_conformance"


# A command, because each process that collects tests would take two seconds to load the library.
@pytest.mark.slow
@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_answers_conform_to_the_openapi_description(
    start_gateway: StartGateway, start_admin: StartAdmin, tmp_path: Path
) -> None:
    operator = await start_admin(await start_gateway(BLUE, routes=ROUTES))
    called = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{operator.url}/openapi.json"),
        *("--phases", "examples,coverage,fuzzing", "--checks", CHECKS, "--max-examples", "8"),
        *("--generation-deterministic", "--suppress-health-check", "all", "--no-color"),
        stdout=subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "HYPOTHESIS_STORAGE_DIRECTORY": TABLES},
    )
    shown, _ = await called.communicate()
    assert called.returncode == 0, shown.decode()
