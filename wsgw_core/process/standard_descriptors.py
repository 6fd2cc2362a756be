"""The descriptors 0 to 2, which a process may have been started without."""

from __future__ import annotations

import os
import sys

_HIGHEST = 2


def open_standard_descriptors() -> None:
    """Puts the null device where stdin, stdout or stderr is closed.

    Otherwise the next file or socket takes the number, and what is written to stderr goes there;
    libuv aborts the process. To be called before anything is opened that stays open.
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
