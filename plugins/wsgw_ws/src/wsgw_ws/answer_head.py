"""Reads the head of a backend's answer (RFC 9112 section 4)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from websockets.datastructures import Headers

# some servers omit the space before an empty phrase
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?")
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")


@dataclass(frozen=True, slots=True)
class AnswerHead:
    """A head, as far as it can be read.

    Attributes:
        status: 100 to 599.
        is_http_1_1: whether the version is HTTP/1.1, not 1.0.
        headers: the well-formed header lines; their values are decoded as ISO-8859-1.
        fault: what is wrong with the other lines; empty: nothing.
    """

    status: int
    is_http_1_1: bool
    headers: Headers
    fault: str

    @classmethod
    def read(cls, data: bytes) -> AnswerHead | None:
        """Returns a head, or the part of it that has come; None if it has no valid status line.

        Args:
            data: the bytes from the status line on. An incomplete last line does not count.
        """
        first, *lines = data.split(b"\n")
        match = _STATUS_LINE.fullmatch(first.removesuffix(b"\r"))
        if match is None or not lines:
            return None
        headers = Headers()
        fault = "" if first.endswith(b"\r") else "status line ends with a bare LF"
        for line in lines[:-1]:
            if line in (b"\r", b""):
                break
            name, colon, value = line.removesuffix(b"\r").partition(b":")
            value = value.strip(b" \t")
            if colon and line.endswith(b"\r") and _NAME.fullmatch(name) and _VALUE.fullmatch(value):
                headers[name.decode("ascii")] = value.decode("iso-8859-1")
            else:
                fault = fault or "malformed header line"
        else:
            fault = fault or "incomplete head"
        return cls(int(match[2]), match[1] == b"1", headers, fault)
