"""Feeds a target with inputs that atheris derives from the coverage of earlier ones.

usage: make fuzz ARGS='TARGET [libFuzzer options]', such as 'frames -max_total_time=3600'

An input that fails a check is written to a file, and `make fuzz ARGS='TARGET FILE'` runs it again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import atheris

with atheris.instrument_imports(include=["wsgw_core"]):
    from . import frame_stream


def frames(data: bytes) -> None:
    """Read any bytes as frames, beside another implementation."""
    frame_stream.check(frame_stream.Stream.from_bytes(data))


TARGETS: dict[str, Callable[[bytes], None]] = {"frames": frames}


def main(arguments: list[str]) -> None:
    """Run one target until libFuzzer ends it."""
    if len(arguments) < 2 or arguments[1] not in TARGETS:
        sys.exit(f"{__doc__}\ntargets: {', '.join(TARGETS)}")
    atheris.Setup([arguments[0], *arguments[2:]], TARGETS[arguments[1]])
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
