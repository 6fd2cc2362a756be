"""The drilled gateway: a process that the drill has started, or one that runs already."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path

from .admin_api import AdminApi
from .processes.server_process import ServerProcess


@dataclass(frozen=True)
class Footprint:
    """The memory and open files of the gateway.

    Attributes:
        resident, peak: bytes of memory, now and at most so far.
        files: number of open files.
    """

    resident: int
    peak: int
    files: int


@dataclass(frozen=True)
class DrilledGateway:
    """The drilled gateway.

    Attributes:
        url: for clients.
        pid: of its process; None: unknown.
        process: its process, if the drill has started it.
        admin: its admin API, if the drill may call it.
    """

    url: str
    pid: int | None = None
    process: ServerProcess | None = None
    admin: AdminApi | None = None

    async def undelivered(self) -> int | None:
        """Returns the number of undelivered messages; None: the gateway does not report it."""
        return await self.admin.undelivered() if self.admin is not None else None

    def forget_peak(self) -> None:
        """Resets the peak of its memory, if the system can."""
        if self.pid is not None:
            with contextlib.suppress(OSError):
                Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def footprint(self) -> Footprint | None:
        """Returns the memory and open files of the gateway; None: unknown."""
        if self.pid is None:
            return None
        folder = Path(f"/proc/{self.pid}")
        try:
            status = (folder / "status").read_text()
            files = sum(1 for _ in (folder / "fd").iterdir())
        except OSError:
            return None
        kilobytes = {name: int(n) for name, n in re.findall(r"(VmRSS|VmHWM):\s+(\d+) kB", status)}
        return Footprint(kilobytes.get("VmRSS", 0) * 1024, kilobytes.get("VmHWM", 0) * 1024, files)
