"""Feeds a target with inputs that atheris derives from the coverage of earlier ones.

usage: make fuzz ARGS='TARGET [libFuzzer options]', such as 'frames -max_total_time=3600'

What covers something new is kept in build/fuzz/TARGET for the next run. An input that fails a check
is written to a file, and `make fuzz ARGS='TARGET FILE'` runs it again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["wsgw_core", "wsgw_ws"]):
    from . import answer, frame_stream, frontend, head

KEPT = Path(__file__).parents[2] / "build" / "fuzz"


def frames(data: bytes) -> None:
    """Reads any bytes as frames, against another implementation."""
    frame_stream.check(frame_stream.Stream.from_bytes(data))


TARGETS: dict[str, tuple[Callable[[bytes], object], Iterable[bytes]]] = {
    "frames": (frames, frame_stream.SEEDS),
    "head": (head.check, head.SEEDS),
    "answer": (answer.check, answer.SEEDS),
    "frontend": (frontend.check, frontend.SEEDS),
}


def corpus(target: str, seeds: Iterable[bytes]) -> str:
    """Returns the folder of a target's inputs, including the seeds."""
    folder = KEPT / target
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds):
        (folder / f"seed-{number}").write_bytes(seed)
    return str(folder)


def main(arguments: list[str]) -> None:
    """Runs one target until libFuzzer ends it."""
    if len(arguments) < 2 or arguments[1] not in TARGETS:
        sys.exit(f"{__doc__}\ntargets: {', '.join(TARGETS)}")
    program, target, *options = arguments
    check, seeds = TARGETS[target]
    if all(option.startswith("-") for option in options):
        options.append(corpus(target, seeds))
    atheris.Setup([program, *options], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
