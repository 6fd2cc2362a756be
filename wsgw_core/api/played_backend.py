"""How `wsgw drill --backend KIND` plays a backend of a kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PlayedBackend:
    """A process that stands for a backend of a kind in `wsgw drill`.

    The drill runs `python -m MODULE PLACE HOST PORT LOG [OPTION ...]` in a process group of its
    own. The process prints `listening on HOST:PORT` once the gateway can use it (port 0 means any
    that is free), answers messages, and writes LOG through `wsgw_core.testing.recorder.Recorder`.
    The drill kills and freezes the whole group, so the process may start a broker of its own. What
    a broker stores stands in the folder `LOG.data`, which the drill removes before each round.

    Attributes:
        module: the module to run.
        url: what to configure in the gateway, with `{address}` for `HOST:PORT`.
        ways: the names of the ways in which such a backend can be broken; see `wsgw drill --list`.
        keys: further keys of the backend's entry and their values, as in environment variables.
        backends: how many a gateway gets by default. 1 for a broker: what one broker has stored
            stays there, so two of them keep no common order.
        moves_told: whether the process learns that a session comes from another backend, and
            calls `Recorder.opened`. If not, the drill does not count moves.
        settings: further settings of a gateway without a file, by their keys such as
            `failover.hold`, where such a backend takes longer to start than stock settings allow.
        ahead: how many messages without an answer the drill's flooding and slow clients send, at
            most. None: as many as the gateway reads. A broker needs it, since it stores what a
            worker has not read yet, and slows no client down.
    """

    module: str
    url: str
    ways: tuple[str, ...]
    keys: Mapping[str, str] = field(default_factory=dict)
    backends: int = 2
    moves_told: bool = True
    settings: Mapping[str, str] = field(default_factory=dict)
    ahead: int | None = None
