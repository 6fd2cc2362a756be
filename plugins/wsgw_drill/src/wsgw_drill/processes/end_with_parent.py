"""Runs a module in a process that ends with its parent, however the parent ends.

usage: python -m wsgw_drill.processes.end_with_parent MODULE [ARGUMENT ...]

The parent has the other end of stdin and never writes to it. When the parent dies, even by SIGKILL,
the system closes stdin, on every platform. A process that is stopped (SIGSTOP) at that time has its
own process group, which is then orphaned and gets SIGHUP.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading


def _end_with_stdin() -> None:
    # Not sys.stdin: its lock would be held when the interpreter shuts down.
    while os.read(0, 1024):
        pass
    os._exit(1)


def main() -> None:
    """Runs the module named by the process's arguments."""
    if sys.platform != "win32":
        os.setpgid(0, 0)  # Ctrl-C goes only to the parent, which ends its processes in order
    threading.Thread(target=_end_with_stdin, name="end-with-parent", daemon=True).start()
    module = sys.argv[1]
    del sys.argv[0]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
