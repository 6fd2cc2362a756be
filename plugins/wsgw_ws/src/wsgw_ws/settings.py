"""The options of a websocket backend."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator
from websockets.exceptions import InvalidURI
from websockets.uri import parse_uri

from wsgw_core.api import (
    CloseCode,
    Duration,
    HeaderName,
    Limits,
    Options,
    Size,
    TlsClientOptions,
)
from wsgw_core.websocket import CompressionOptions

from .pong_record import WithoutPongs


def _check_url(url: str) -> str:
    try:
        parse_uri(url)
    except (InvalidURI, ValueError) as error:
        why = error.msg if isinstance(error, InvalidURI) else error
        raise ValueError(f"not a URL such as ws://host:port/path: {why}") from error
    if urlsplit(url).query or urlsplit(url).fragment:
        raise ValueError("the client's path and query are appended: the URL has none of its own")
    return url


def _check_close_code(code: int) -> int:
    if CloseCode.NORMAL <= code <= CloseCode.BAD_GATEWAY or 3000 <= code <= 4999:
        return code
    raise ValueError("not a close code: 1000 to 1014 or 3000 to 4999")


AbnormalCode = Annotated[int, AfterValidator(_check_close_code)]
_FEW_MESSAGES = 100  # of one client in a second
_FEW_BYTES = 64 * 1024
_BUFFER = Field(
    default=1024,
    description="accepted for wsbalancer's files, without effect: buffers begin small and grow"
    " with the messages; the gateway's `limits` bound them",
    json_schema_extra={"deprecated": True},
)


class WebSocketSettings(Options):
    """One websocket backend."""

    url: Annotated[str, AfterValidator(_check_url)] = Field(
        description="address of the backend; wsgw appends the client's path and query"
    )
    pass_headers: tuple[HeaderName, ...] = Field(
        default=(),
        description="headers of the backend's answer that the client gets, whether the backend"
        " accepts or declines",
    )
    pass_host: bool = Field(
        default=False,
        description="send the client's `Host` to the backend, as checks of the origin need it,"
        " rather than that of `url`",
    )
    abnormal_close_codes: tuple[AbnormalCode, ...] = Field(
        default=(
            CloseCode.GOING_AWAY,
            CloseCode.LOST,
            CloseCode.INTERNAL_ERROR,
            CloseCode.SERVICE_RESTART,
            CloseCode.TRY_AGAIN_LATER,
            CloseCode.BAD_GATEWAY,
        ),
        description="close codes after which the session moves to another backend",
    )
    tls: TlsClientOptions | None = None
    compression: CompressionOptions = CompressionOptions()
    handshake_timeout: Duration = Field(
        default=10.0, gt=0, description="maximum time to connect and for the opening handshake"
    )
    ping_time: Duration = Field(
        default=20.0, gt=0, description="pause between the pings of an idle connection"
    )
    ack_interval: Duration = Field(
        default=0.05,
        gt=0,
        description="minimum pause between two pings that ask for acknowledgement",
    )
    replay_window: Duration = Field(
        default=0.25,
        description="how long a backend must live on after it has acknowledged a message before the"
        " message counts as delivered and is not replayed any more",
    )
    without_pongs: WithoutPongs = Field(
        default="refuse",
        description="what happens with a backend that has never answered a ping: wsgw does not use"
        " it, or takes what it has written to its socket for acknowledged",
    )
    max_answer_head: Size = Field(
        default=64 * 1024, gt=0, description="maximum size of the head of the backend's answer"
    )
    read_buffer_size: Size = _BUFFER
    write_buffer_size: Size = _BUFFER

    @model_validator(mode="after")
    def _tls_needs_wss(self) -> WebSocketSettings:
        if self.tls is not None and urlsplit(self.url).scheme != "wss":
            raise ValueError("'tls' needs a URL that begins with wss://")
        return self

    def warnings(self, limits: Limits) -> Iterable[tuple[str, str]]:
        """See Options; warns if the replay window would be cut short for ordinary clients."""
        seconds = self.replay_window + 2 * self.ack_interval  # until the pongs before and after it
        share = 0.75 / seconds  # of the ledger; see Acknowledgement
        messages, size = limits.ledger_messages * share, limits.ledger_bytes * share
        if self.replay_window and (messages < _FEW_MESSAGES or size < _FEW_BYTES):
            text = (
                f"is cut short for a client that sends more than {messages:.0f} messages or"
                f" {size / 1024:.0f} KiB a second: limits.ledger-messages and limits.ledger-bytes"
                " have no room for more"
            )
            yield "replay-window", text
