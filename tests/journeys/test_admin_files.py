"""Adding a backend by the API reads no file of the gateway's machine unless this is allowed."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from .admin_operator import SUCCESS, Operator
from .conftest import StartAdmin, StartGateway
from .scripted_backend import ScriptedBackend
from .tls_ends import TlsFiles

# Nothing in here depends on the event loop.
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])


@pytest.fixture
async def operator(
    start_gateway: StartGateway, start_admin: StartAdmin, backend: ScriptedBackend
) -> Operator:
    return await start_admin(await start_gateway(backend))


@pytest.fixture
async def allowed(
    start_gateway: StartGateway, start_admin: StartAdmin, backend: ScriptedBackend
) -> Operator:
    return await start_admin(await start_gateway(backend), allow_file_paths=True)


@pytest.mark.parametrize("file", ["/dev/ptmx", "/dev/zero", "/etc/passwd", "/no/such.pem", ""])
@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"tls": {"ca": "FILE"}}, "tls.ca"),
        ({"tls": {"certificate": "FILE"}}, "tls.certificate"),
        ({"tls": {"certificate": "x", "key": "FILE"}}, "tls.key"),
        ({"tls": {"certificate": "x", "key_password_file": "FILE"}}, "tls.key-password-file"),
        ({"url-file": "FILE"}, "url-file"),
        ({"url_file": "FILE"}, "url-file"),
    ],
)
async def test_file_option_is_refused_and_the_file_is_not_touched(
    operator: Operator,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    key: str,
    file: str,
) -> None:
    touched: list[Any] = []
    real = os.stat

    def stat(name: Any, *arguments: Any, **more: Any) -> os.stat_result:
        touched.append(name)
        return real(name, *arguments, **more)

    monkeypatch.setattr(os, "stat", stat)
    body = json.dumps({"url": "wss://127.0.0.1:1", **options}).replace("FILE", file)

    answer = await operator.call("POST", "/backend/add", data=body)

    assert answer.status == 403
    assert f"{key}: must not name a file unless" in answer.json["reason"]
    assert file not in touched or not file
    assert len(await operator.get("/backend/list")) == 1


async def test_file_option_is_used_when_files_are_allowed(
    allowed: Operator, tls_files: TlsFiles
) -> None:
    tls = {"ca": str(tls_files.authority)}
    body = json.dumps({"id": "other", "url": "wss://127.0.0.1:1", "tls": tls})
    assert await allowed.post("/backend/add", data=body) == SUCCESS
    config = await allowed.get("/backend/config/other")
    assert config["tls"]["ca"] == tls["ca"]


@pytest.mark.skipif(sys.platform != "linux", reason="has these devices")
@pytest.mark.parametrize("file", ["/dev/ptmx", "/dev/zero", "/dev/tty", "/dev", "PIPE"])
async def test_device_is_refused_when_files_are_allowed(
    allowed: Operator, tmp_path: Path, file: str
) -> None:
    os.mkfifo(tmp_path / "PIPE")
    body = json.dumps({"url": "wss://127.0.0.1:1", "tls": {"ca": file}})
    body = body.replace("PIPE", str(tmp_path / "PIPE"))

    answer = await allowed.post("/backend/add", data=body)

    assert answer["result"] == "failed"
    assert "cannot be read: " in answer["reason"]


async def test_error_does_not_show_the_contents_of_an_allowed_file(
    allowed: Operator, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("root:x:0:0 and more")
    for options in ({"tls": {"ca": "FILE"}}, {"url-file": "FILE"}):
        body = json.dumps({"id": "x", "kind": "wss", **options})
        answer = await allowed.post(
            "/backend/add", data=body.replace("FILE", str(tmp_path / "file"))
        )
        assert answer["result"] == "failed"
        assert "root:x" not in answer["reason"]
