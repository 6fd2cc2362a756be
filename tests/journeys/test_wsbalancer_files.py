"""wsbalancer's files and variables start the gateway unchanged."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

WSGW = Path(sys.executable).with_name("wsgw")

# From its README.
SMALLEST = """\
upstream:
  backends:
    - url: ws:localhost:9090
    - url: ws:localhost:9091
"""
# From its checkout, for development.
ADDRESSES = """\
server:
  frontend:
    address: localhost:8080
  admin:
    address: localhost:8081

upstream:
  backends:
    - url: ws://localhost:9090
    - url: ws://localhost:9091
"""
# From its tests, without keys that only the tests read.
OF_ITS_TESTS = """\
server:
  logging-level: panic
  block-headers: 
    - "Client-Blocked-Header"
  frontend:
    address: localhost:14000
  admin:
    address: localhost:15000

upstream:
  backends:
    - url: ws://localhost:16000
      breaker-threshold: 100000
      pass-headers:
        - X-Server-Sent-Header
    - url: ws://localhost:17000
      breaker-threshold: 100000
      pass-headers:
        - X-Server-Sent-Header
"""  # noqa: W291 - as it stands there


def started(arguments: list[str], **variables: str) -> str:
    """Start a gateway, stop it as soon as it listens, and return what it said."""
    names = ("BE_", "FE_", "ADM_", "LOG_LEVEL", "WSGW_")
    inherited = {name: text for name, text in os.environ.items() if not name.startswith(names)}
    with ExitStack() as cleanup:
        process = cleanup.enter_context(
            subprocess.Popen(
                [WSGW, "run", *arguments],
                stderr=subprocess.PIPE,
                text=True,
                env={**inherited, "FE_ADDR": "127.0.0.1:0", "ADM_ADDR": "127.0.0.1:0", **variables},
            )
        )
        cleanup.callback(process.kill)
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if "listening on" in line:
                process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, said
    return said


@pytest.mark.parametrize("text", [SMALLEST, ADDRESSES, OF_ITS_TESTS])
def test_wsbalancer_files_start_the_gateway(tmp_path: Path, text: str) -> None:
    file = tmp_path / "wsbalancer.yml"
    file.write_text(text)

    said = started(["-config", str(file)])

    assert "wsgw: listening on 127.0.0.1:" in said
    assert ", 2 backends" in said
    assert said.count(".url: read 'ws:localhost") == text.count("ws:localhost")


def test_wsbalancer_variables_start_the_gateway_without_a_file() -> None:
    said = started(
        [],
        BE_URLS="ws://localhost:9090,ws:localhost:9091",
        BE_URL_IDS="blue,green",
        BE_PING_TIME="10m",
        BE_BREAKER_THRESHOLD="10",
        BE_RB_SIZE="1024",
        BE_WB_SIZE="1024",
        BE_HANDSHAKE_TIMEOUT="10s",
        BE_PASS_HEADERS="X-A,X-B",  # noqa: S106 - no password
        BE_ABNORMAL_CLOSE_CODES="1001,1006",
        FE_RB_SIZE="1024",
        FE_WB_SIZE="1024",
        FE_TRUST_XFF="true",
        BLOCK_HEADERS="X-C",
        RECONNECT_HDR="X-Balancer-Reconnect",
        LOG_LEVEL="INFO",
        FE_READ_TIMEOUT="10s",
        FE_WRITE_TIMEOUT="10s",
        FE_MAX_HDR_BYTES="524288",
        ADM_READ_TIMEOUT="10s",
        ADM_WRITE_TIMEOUT="10s",
        ADM_MAX_HDR_BYTES="524288",
    )

    assert ", 2 backends" in said
