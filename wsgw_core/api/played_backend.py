"""How `wsgw drill --backend KIND` plays a backend of a kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PlayedBackend:
    """A process that plays a backend of a kind in `wsgw drill`.

    The drill runs `python -m MODULE PLACE HOST PORT LOG [OPTION ...]` in a process group of its
    own. The process prints `listening on HOST:PORT` once the gateway can use it (port 0: any free
    port), answers messages, and writes LOG through `wsgw_core.testing.recorder.Recorder`. The drill
    kills and freezes the whole group, so the process may start a broker of its own. A broker stores
    its data in the folder `LOG.data`, which the drill removes before each round.

    Attributes:
        module: the module to run.
        url: the URL to configure in the gateway, with `{address}` for `HOST:PORT`.
        ways: the names of the ways to break such a backend; see `wsgw drill --list`.
        keys: further keys of the backend's entry and their values, as in environment variables.
        backends: the default number of backends. 1 for a broker: a broker keeps what it has
            stored, so two brokers have no common order.
        moves_told: whether the process learns that a session comes from another backend, and
            calls `Recorder.opened`. If not, the drill does not count moves.
        settings: further settings of a gateway without a file, by keys such as `failover.hold`, if
            such a backend takes longer to start than the defaults allow.
        ahead: the maximum number of unanswered messages that the drill's flooding and slow clients
            send. None: as many as the gateway reads. Set it for a broker, which stores what no
            worker has read yet and never slows a client down.
    """

    module: str
    url: str
    ways: tuple[str, ...]
    keys: Mapping[str, str] = field(default_factory=dict)
    backends: int = 2
    moves_told: bool = True
    settings: Mapping[str, str] = field(default_factory=dict)
    ahead: int | None = None
