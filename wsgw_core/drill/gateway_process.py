"""The gateway that is drilled: a process of the drill's own, or one that runs already."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path

from aiohttp import ClientError, ClientSession, ClientTimeout

from ..processes.server_process import ServerProcess

_UNDELIVERED = re.compile(r"^wsgw_undelivered_messages_total (\S+)$", re.MULTILINE)
_PATIENCE = ClientTimeout(total=60)


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
        metrics_url: where it tells its metrics, if it does.
    """

    url: str
    pid: int | None = None
    process: ServerProcess | None = None
    metrics_url: str | None = None

    async def undelivered(self) -> int | None:
        """Return how many messages of ended sessions it has given up; None: it does not tell."""
        if self.metrics_url is None:
            return None
        try:
            async with (
                ClientSession(timeout=_PATIENCE) as session,
                session.get(self.metrics_url) as answer,
            ):
                found = _UNDELIVERED.search(await answer.text())
        except (ClientError, TimeoutError):
            return None
        return int(float(found[1])) if found is not None else None

    def forget_peak(self) -> None:
        """Let the peak of its memory begin anew, where the system can do that."""
        if self.pid is not None:
            with contextlib.suppress(OSError):
                Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def footprint(self) -> Footprint | None:
        """Return what the gateway uses; None where that cannot be seen."""
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
