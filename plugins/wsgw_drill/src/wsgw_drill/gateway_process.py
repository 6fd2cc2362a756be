"""The gateway that is drilled: a process of the drill's own, or one that runs already."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path

from .admin_api import AdminApi
from .processes.server_process import ServerProcess


@dataclass(frozen=True)
class Footprint:
    """What the gateway uses.

    Attributes:
        resident, peak: bytes of memory now, and at most so far.
        files: open files.
    """

    resident: int
    peak: int
    files: int


@dataclass(frozen=True)
class DrilledGateway:
    """Where it listens.

    Attributes:
        url: for clients.
        pid: its process, where that is known.
        process: the same, if the drill has started it.
        admin: its admin API, where the drill may call that.
    """

    url: str
    pid: int | None = None
    process: ServerProcess | None = None
    admin: AdminApi | None = None

    async def undelivered(self) -> int | None:
        """Returns how many messages of ended sessions it has given up; None: it does not tell."""
        return await self.admin.undelivered() if self.admin is not None else None

    def forget_peak(self) -> None:
        """Lets the peak of its memory begin anew, where the system can do that."""
        if self.pid is not None:
            with contextlib.suppress(OSError):
                Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def footprint(self) -> Footprint | None:
        """Returns what the gateway uses; None where that cannot be seen."""
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
