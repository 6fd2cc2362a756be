"""Runs a module in a process that ends with its parent, however the parent ends.

usage: python -m wsgw_drill.processes.end_with_parent MODULE [ARGUMENT ...]

The parent has the other end of stdin and never writes to it. When the parent dies, even by SIGKILL,
the system closes stdin, on every platform. The process then kills its process group, and with it
what the module has started, such as a broker. If the group is stopped (SIGSTOP) at that time, it is
orphaned: the system resumes it and sends SIGHUP, which must not end this process before the others.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading


def _end_with_stdin() -> None:
    # Not sys.stdin: its lock would be held when the interpreter shuts down.
    while os.read(0, 1024):
        pass
    if sys.platform != "win32":
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def main() -> None:
    """Runs the module named by the process's arguments."""
    if sys.platform != "win32":
        os.setpgid(0, 0)  # Ctrl-C goes only to the parent, which ends its processes in order
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    threading.Thread(target=_end_with_stdin, name="end-with-parent", daemon=True).start()
    module = sys.argv[1]
    del sys.argv[0]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
