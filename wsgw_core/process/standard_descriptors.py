"""Opens stdin, stdout and stderr if the process was started without them."""

from __future__ import annotations

import os
import sys

_HIGHEST = 2


def open_standard_descriptors() -> None:
    """Opens the null device for each closed standard descriptor.

    Otherwise the next file or socket would get its number and the output for stderr, and libuv
    would abort the process. Call it before opening anything else.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _HIGHEST:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - for the life of the process
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - as above
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 - as above
