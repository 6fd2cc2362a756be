"""Runs a module in a process that ends when its parent does, however the parent ends.

usage: python -m wsgw_drill.processes.end_with_parent MODULE [ARGUMENT ...]

The parent holds the other end of stdin and never writes to it: the system closes it with the
parent's death, also by SIGKILL, on every platform. A process that is stopped (SIGSTOP) meanwhile
is in a process group of its own, which is sent SIGHUP when the parent's end orphans it.
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
    """Runs the module named by the process's arguments."""
    if sys.platform != "win32":
        os.setpgid(0, 0)  # a ctrl-C is the parent's: it ends its processes in its own order
    threading.Thread(target=_end_with_stdin, name="end-with-parent", daemon=True).start()
    module = sys.argv[1]
    del sys.argv[0]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
