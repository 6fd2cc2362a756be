"""Runs a module in a process that ends when its parent does, however the parent ends.

usage: python -m wsgw_core.demo.end_with_parent MODULE [ARGUMENT ...]

The parent holds the other end of stdin and never writes to it: the system closes it with the
parent's death, also by SIGKILL, on every platform.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading


def _end_with_stdin() -> None:
    # Not through sys.stdin, whose lock would be held when the interpreter shuts down.
    while os.read(0, 1024):
        pass
    os._exit(1)


def main() -> None:
    """Run the module named by the process's arguments."""
    threading.Thread(target=_end_with_stdin, name="end-with-parent", daemon=True).start()
    module = sys.argv[1]
    del sys.argv[0]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
