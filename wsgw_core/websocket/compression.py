"""Compression of messages: permessage-deflate (RFC 7692), negotiated separately on each leg."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, model_validator
from websockets.extensions import ClientExtensionFactory, Extension, ServerExtensionFactory
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from websockets.frames import Frame, Opcode

from ..api import CloseCode, Options, Size
from .frames import FrameError

_TAIL = b"\x00\x00\xff\xff"  # left out at the end of each message: RFC 7692 section 7.2.1
_MEMORY_LEVEL = 8  # zlib's default
_INFLATER = 7 * 1024  # bytes that zlib needs for a decompressor besides its window
# An octet that begins an empty block makes the end of a stream look like the end of any message.
_OCTETS = (b"", b"\x00")


class CompressionOptions(Options):
    """Compression on one leg; `compression: true` is enough to turn it on."""

    enabled: bool = Field(
        default=False, description="accept compression (frontend) or offer it (backends)"
    )
    window_bits: int = Field(
        default=12,
        ge=9,
        le=15,
        description="size of the windows to ask for, as a power of two: memory against ratio",
    )
    no_context_takeover: bool = Field(
        default=False,
        description="compress each message by itself: no memory between messages, a worse ratio",
    )
    level: int = Field(default=1, ge=1, le=9, description="1 is fast, 9 is small")
    memory_level: int = Field(
        default=5, ge=1, le=9, description="memory of the compressor: 2 to the power of 9 + this"
    )
    min_size: Size = Field(default=64, ge=1, description="do not compress smaller messages")

    @model_validator(mode="before")
    @classmethod
    def _switch(cls, value: Any) -> Any:
        return value if isinstance(value, (Mapping, cls)) else {"enabled": value}

    def accepted_offers(self) -> Sequence[ServerExtensionFactory] | None:
        """Returns the offers that a server's handshake accepts; None: no compression."""
        if not self.enabled:
            return None
        return (ServerPerMessageDeflateFactory(**self._parameters),)

    def offers(self) -> Sequence[ClientExtensionFactory] | None:
        """Returns the offers of a client's handshake; None: no compression.

        The second offer is a fallback (RFC 7692 section 7.1.3) for servers that cannot limit their
        window, or choose one themselves.
        """
        if not self.enabled:
            return None
        wanted = ClientPerMessageDeflateFactory(**self._parameters)
        return wanted, _FallbackOffer(self.window_bits, self.no_context_takeover, self._settings)

    def agreed(self, extensions: Sequence[Extension]) -> Deflate | None:
        """Returns the compression that a handshake has agreed on; None: no compression.

        Args:
            extensions: the extensions of the `websockets` protocol object that made the handshake.
        """
        for extension in extensions:
            if isinstance(extension, PerMessageDeflate):
                keeps_quiet = isinstance(extension, _DecompressOnly)
                return Deflate(extension, sys.maxsize if keeps_quiet else self.min_size)
        return None

    @property
    def _parameters(self) -> dict[str, Any]:
        """The parameters for both directions."""
        return {
            "server_no_context_takeover": self.no_context_takeover,
            "client_no_context_takeover": self.no_context_takeover,
            "server_max_window_bits": self.window_bits,
            "client_max_window_bits": self.window_bits,
            "compress_settings": self._settings,
        }

    @property
    def _settings(self) -> dict[str, Any]:
        return {"level": self.level, "memLevel": self.memory_level}


class _DecompressOnly(PerMessageDeflate):
    """Only decompresses, because the peer's decompressor has too small a window."""


class _FallbackOffer(ClientPerMessageDeflateFactory):
    """Offers compression without conditions, and accepts any parameters from the server.

    The gateway's compressor keeps its configured window and context unless the server limits them:
    a compressor may always have a smaller window than allowed, and forget one message before the
    next (RFC 7692 sections 7.1.1.2 and 7.1.2.2).
    """

    def __init__(
        self, window_bits: int, no_context_takeover: bool, settings: dict[str, Any]
    ) -> None:
        super().__init__(client_max_window_bits=True, compress_settings=settings)
        self._window_bits = window_bits
        self._no_context_takeover = no_context_takeover

    def process_response_params(
        self,
        params: Sequence[tuple[str, str | None]],
        accepted_extensions: Sequence[Extension],
    ) -> PerMessageDeflate:
        """See ClientExtensionFactory."""
        smallest = ("client_max_window_bits", "8")
        can = [
            (name, "9") if (name, value) == smallest else (name, value) for name, value in params
        ]
        agreed = super().process_response_params(can, accepted_extensions)
        kind = _DecompressOnly if smallest in params else PerMessageDeflate  # zlib makes none of 8
        return kind(
            agreed.remote_no_context_takeover,
            agreed.local_no_context_takeover or self._no_context_takeover,
            agreed.remote_max_window_bits,
            min(agreed.local_max_window_bits, self._window_bits),
            self.compress_settings,
        )


class Deflate:
    """Compresses and decompresses the messages of one connection.

    Args:
        extension: as negotiated; compresses.
        min_size: shorter payloads are not worth it.

    Attributes:
        decompress: see Inflater.
        context_bytes: memory that is kept between messages, as zlib's documentation says.
    """

    __slots__ = ("_extension", "context_bytes", "decompress", "min_size")

    def __init__(self, extension: PerMessageDeflate, min_size: int) -> None:
        self._extension = extension
        inflater = Inflater(
            extension.remote_max_window_bits, keep=not extension.remote_no_context_takeover
        )
        vars(extension).pop("decoder", None)  # not used, and not small
        self.min_size = min_size
        self.context_bytes = 0
        if not extension.local_no_context_takeover:
            level = extension.compress_settings.get("memLevel", _MEMORY_LEVEL)
            self.context_bytes += (1 << extension.local_max_window_bits + 2) + (1 << level + 9)
        if not extension.remote_no_context_takeover:
            self.context_bytes += (1 << extension.remote_max_window_bits) + _INFLATER
        self.decompress = inflater.decompress

    def compress(self, data: bytes) -> bytes | bytearray | memoryview:
        """Returns a compressed payload, for a frame with the RSV1 bit."""
        return self._extension.encode(Frame(Opcode.BINARY, data)).data


class Inflater:
    """Decompresses the messages of one connection (RFC 7692 section 7.2.2).

    A peer may end its DEFLATE stream with any message (section 7.2.3.4) and begin another stream
    with the next one. A decompressor ignores all bytes behind the end of its stream, so the next
    message needs a new one.

    Args:
        window_bits: the window of the peer's compressor, as a power of two.
        keep: whether a message may refer to earlier ones (context takeover).
    """

    __slots__ = ("_decompressor", "_keep", "_rest", "_window_bits")

    def __init__(self, window_bits: int, *, keep: bool) -> None:
        self._window_bits = window_bits
        self._keep = keep
        self._decompressor: zlib._Decompress | None = None
        self._rest = b""  # behind the end of a stream, of an incomplete message

    def decompress(self, data: bytes, *, first: bool, final: bool, room: int) -> bytes:
        """Returns the decompressed payload of one frame.

        Args:
            data: the frame's payload.
            first: whether it is the first frame of its message.
            final: whether it is the last frame of its message.
            room: maximum bytes of the result; at most one more is ever produced.

        Raises:
            FrameError: the data is invalid, or exceeds `room`.
        """
        if first and not self._keep:
            self._decompressor = None
        data, self._rest = self._rest + data, b""
        inflate = self._decompressor
        if inflate is None:
            if final and not first and not data:
                return b""  # the stream ended with an earlier frame
            inflate = self._decompressor = zlib.decompressobj(wbits=-self._window_bits)
        try:
            inflated = inflate.decompress(data + _TAIL if final else data, room + 1)
        except zlib.error as error:
            raise FrameError(CloseCode.INVALID_PAYLOAD, "invalid deflate data") from error
        if len(inflated) > room:
            raise FrameError(CloseCode.TOO_BIG, "message too long after decompression")
        if inflate.eof:
            rest = inflate.unused_data.removesuffix(_TAIL) if final else inflate.unused_data
            if rest not in _OCTETS:
                raise FrameError(CloseCode.INVALID_PAYLOAD, "data after the final deflate block")
            self._decompressor = None
            self._rest = b"" if final else rest
        elif final and not self._keep:
            self._decompressor = None  # frees its memory
        return inflated
