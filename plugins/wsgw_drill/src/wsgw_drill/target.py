"""The drilled gateway, and the addresses of its backends."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from wsgw_core.api import ConfigurationError, PlayedBackend
from wsgw_core.config.failover_options import FailoverOptions
from wsgw_core.config.gateway_config import GatewayConfig
from wsgw_core.config.route_options import RouteOptions
from wsgw_core.masking import masked_text
from wsgw_core.plugins.plugin_specs import BackendSpec, PluginSpecs

from . import reply_valve
from .admin_api import AdminApi
from .gateway_process import DrilledGateway
from .place import Place
from .processes.server_process import Processes, ProcessFailed
from .settings import Settings
from .ways import WAYS

_FOREIGN_VARIABLES = ("BE_", "FE_", "ADM_", "LOG_LEVEL", "WSGW_")
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - who listens so
_PATH = "/drill"
_TRIES = 3  # another process may take the port for the admin API meanwhile

WEBSOCKET = PlayedBackend("wsgw_drill.recording_backend", "ws://{address}", ways=tuple(WAYS))
"""The default backends of the drill."""


@dataclass(frozen=True)
class Address:
    """The address at which the gateway dials a backend of the drill.

    Attributes:
        name: without spaces.
        host: of this machine.
        port: 0: any free port.
    """

    name: str
    host: str = "127.0.0.1"
    port: int = 0


class Target(Protocol):
    """A gateway to drill."""

    @property
    def settings(self) -> Settings:
        """The settings in effect, as far as they are known."""

    @property
    def addresses(self) -> list[Address]:
        """The addresses of its backends."""

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment variables of all processes of the drill."""

    @property
    def played(self) -> PlayedBackend:
        """How the drill runs its backends."""

    async def start(self, processes: Processes, places: list[Place]) -> DrilledGateway:
        """Starts the gateway, and waits until it listens; raises ProcessFailed."""


@dataclass(frozen=True)
class StockGateway:
    """A gateway with stock settings, and only backends configured.

    Attributes:
        addresses: of its backends.
        variables: additional environment variables of the gateway.
        settings, played: see Target.
    """

    addresses: list[Address]
    variables: Mapping[str, str] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)
    played: PlayedBackend = WEBSOCKET

    @property
    def environment(self) -> Mapping[str, str]:
        """See Target. Leaves out the settings in the user's shell."""
        return {
            name: text
            for name, text in os.environ.items()
            if not name.startswith(_FOREIGN_VARIABLES)
        }

    async def start(self, processes: Processes, places: list[Place]) -> DrilledGateway:
        """See Target."""
        for _ in range(_TRIES):
            with contextlib.suppress(ProcessFailed):
                return await self._start(processes, places)
        return await self._start(processes, places)

    async def _start(self, processes: Processes, places: list[Place]) -> DrilledGateway:
        admin = f"127.0.0.1:{_free_port()}"
        variables = {
            "FE_ADDR": "127.0.0.1:0",
            "ADM_ADDR": admin,
            "LOG_LEVEL": "ERROR",
            **{f"WSGW_{_variable(key)}": text for key, text in self.played.settings.items()},
            **({"WSGW_VALVES__0__KIND": reply_valve.KIND} if self.settings.replies else {}),
            **self.variables,
        }
        for number, place in enumerate(places):
            entry = {"id": place.name, "url": place.url, **self.played.keys}
            for key, value in entry.items():
                variables[f"WSGW_UPSTREAM__BACKENDS__{number}__{_variable(key)}"] = value
        return await _start(processes, (), variables, "ws", AdminApi(f"http://{admin}"))


@dataclass(frozen=True)
class ConfiguredGateway:
    """A gateway with a configuration file.

    Attributes:
        file: as for `wsgw run -c FILE`.
        config, specs: the configuration in effect.
        route: the route to drill; None: the gateway has no routes.

    Raises:
        ConfigurationError: the drill cannot run these backends.
    """

    file: Path
    config: GatewayConfig
    specs: PluginSpecs
    route: RouteOptions | None = None
    played: PlayedBackend = WEBSOCKET
    addresses: list[Address] = field(init=False)
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def __post_init__(self) -> None:
        problems: list[str] = []
        addresses: dict[tuple[str, int], Address] = {}
        for backend in (spec.entry for spec in self._backends):
            name, url = backend.effective_id, urlsplit(backend.url or "")
            if url.scheme != "ws" or not url.hostname:
                what = masked_text(backend.url or backend.kind_or_scheme)
                text = f"backend {name}: the drill only runs backends with ws:// URLs, not {what}"
                problems.append(text)
                continue
            address = Address(name, url.hostname, url.port or 80)
            same = addresses.setdefault((address.host, address.port), address)
            if same is not address:
                problems.append(
                    f"backend {name}: the drill runs one backend at an address, and {same.name}"
                    " has the same address"
                )
        if problems:
            raise ConfigurationError(problems)
        object.__setattr__(self, "addresses", list(addresses.values()))

    @property
    def url(self) -> str:
        """The URL for clients, according to the file; see `request_for`."""
        frontend = self.config.server.frontend
        port = f":{frontend.address.port}" if frontend.address.port else ""
        return f"{self._scheme}://{_shown(frontend.address.host)}{port}{_PATH}"

    @property
    def settings(self) -> Settings:
        """See Target. Uses the longest times of all backends."""
        options = [spec.options for spec in self._backends]
        return Settings(
            ping_timeout=self._failover.ping_timeout,
            ack_interval=max(
                getattr(each, "ack_interval", Settings.ack_interval) for each in options
            ),
            replay_window=max(
                getattr(each, "replay_window", Settings.replay_window) for each in options
            ),
            close_timeout=self.config.limits.close_timeout,
            failover=self._failover.enabled,
            at_most_once=self._failover.delivery == "at-most-once",
            drain=self.config.drain,
            steered=self._admin is not None,
        )

    async def start(self, processes: Processes, places: list[Place]) -> DrilledGateway:
        """See Target."""
        options = ("-c", str(self.file))
        return await _start(processes, options, {}, self._scheme, self._admin)

    @property
    def _backends(self) -> list[BackendSpec]:
        group = self.route.group if self.route is not None else ""
        return [each for each in self.specs.all_backends if each.group == group]

    @property
    def _failover(self) -> FailoverOptions:
        common = self.config.failover
        return common if self.route is None else self.route.failover_over(common)

    @property
    def _scheme(self) -> str:
        return "ws" if self.config.server.frontend.tls is None else "wss"

    @property
    def _admin(self) -> AdminApi | None:
        admin = self.config.server.admin
        if not admin.enabled or admin.tls is not None or not admin.address.port:
            return None
        url = f"http://{_shown(admin.address.host)}:{admin.address.port}"
        tokens = [each.token for each in admin.tokens if "operate" in each.roles]
        return AdminApi(url, tokens[0].get_secret_value() if tokens else "")


@dataclass(frozen=True)
class RunningGateway:
    """A gateway that runs already.

    Attributes:
        url: for clients.
        addresses: the addresses of its configured backends.
        pid: of its process, to watch its memory; None: unknown.
        admin: its admin API; None: the drill may not call it.
    """

    url: str
    addresses: list[Address]
    pid: int | None = None
    admin: AdminApi | None = None
    played: PlayedBackend = WEBSOCKET
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    @property
    def settings(self) -> Settings:
        """See Target. The stock settings, because the gateway's are unknown."""
        return Settings(steered=self.admin is not None)

    async def start(self, processes: Processes, places: list[Place]) -> DrilledGateway:
        """See Target. Starts nothing; raises NotDone if the admin API is not this gateway's."""
        admin = self.admin
        if admin is not None:
            admin = await admin.with_ids({each.name: each.port for each in self.addresses})
        return DrilledGateway(self.url, self.pid, admin=admin)


async def _start(
    processes: Processes,
    options: tuple[str, ...],
    variables: Mapping[str, str],
    scheme: str,
    admin: AdminApi | None,
) -> DrilledGateway:
    process = await processes.start(
        "the gateway", "wsgw_core.cli.main", "run", *options, variables=variables
    )
    url = f"{scheme}://{_shown(process.host)}:{process.port}{_PATH}"
    return DrilledGateway(url, process.pid, process, admin)


def _variable(key: str) -> str:
    return key.upper().replace("-", "_").replace(".", "__")


def _shown(host: str) -> str:
    host = _LOOPBACK.get(host, host)
    return f"[{host}]" if ":" in host else host


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
