"""Finds options with which no client can be served, because a value of its handshake is missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..api import Options, Subprotocols
from ..api.headers import is_forwarding_header
from ..config.gateway_config import GatewayConfig
from ..config.problems import KeyPath, Origins
from ..plugins.plugin_specs import PluginSpecs

_ALWAYS_MADE = frozenset({"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"})


def missing_values(config: GatewayConfig, specs: PluginSpecs, origins: Origins) -> list[str]:
    """Returns a line for each option with which no client of a route, or of all, can be served.

    Args:
        config: the checked configuration.
        specs: its resolved entries.
        origins: the origins of the values.
    """
    found = dict.fromkeys(_found(config, specs))
    return [origins.problem(path, f"no client could be served: {why}") for path, why in found]


def _found(config: GatewayConfig, specs: PluginSpecs) -> Iterator[tuple[KeyPath, str]]:
    places: list[tuple[KeyPath, PluginSpecs, KeyPath, PluginSpecs]]
    places = [((), specs, ("upstream",), specs)]
    if config.routes:
        places = [
            (
                *(((), specs) if options.gates is None else (("routes", number), own)),
                *((("upstream",), specs) if not options.group else (("routes", number), own)),
            )
            for number, (options, own) in enumerate(zip(config.routes, specs.routes, strict=True))
        ]
    for gates_path, with_gates, backends_path, with_backends in places:
        absent = _AbsentValues(config)
        for number, gate in enumerate(with_gates.gates):
            yield from _in((*gates_path, "gates", number), gate.options, absent)
            changed = gate.options.changed_values()
            if changed is None:
                break
            absent.change(*changed, by=f"gates[{number}]")
        else:
            for number, backend in enumerate(with_backends.backends):
                path = (*backends_path, "backends", number)
                absent.choose_subprotocol(never=_takes_no_subprotocol(backend.options))
                yield from _in(path, backend.options, absent)


def _in(path: KeyPath, options: Options, absent: _AbsentValues) -> Iterator[tuple[KeyPath, str]]:
    for key, names in options.missing_values(absent):
        yield (*path, key), "; ".join(f"{name} is missing: {absent.why(name)}" for name in names)


def _takes_no_subprotocol(options: Options) -> bool:
    values = (getattr(options, name) for name in type(options).model_fields)
    return any(isinstance(value, Subprotocols) and str(value) == "none" for value in values)


class _AbsentValues:
    """The values of the handshake that no client has, at one place of its way to a backend."""

    def __init__(self, config: GatewayConfig) -> None:
        server, tls = config.server, config.server.frontend.tls
        self._blocked = {name.lower() for name in server.block_headers}
        self._reconnect_header = server.reconnect_header.lower()
        self._forwarding = None if server.trusted_proxies else _ALWAYS_MADE
        if self._forwarding is not None and server.forwarded:
            self._forwarding |= {"forwarded"}
        subject = tls.subject_header if tls is not None else None
        self._made = {_lower(f"header.{subject}")} if subject else set()
        self._removed = {} if config.routes else {"route": "there are no `routes`"}

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.why(name) is not None

    def change(self, made: Iterable[str], removed: Iterable[str], *, by: str) -> None:
        """Adds and removes values, as a gate does."""
        self._removed |= {_lower(name): f"`{by}` removes it" for name in removed}
        self._made -= self._removed.keys()
        for name in map(_lower, made):
            self._made.add(name)
            self._removed.pop(name, None)

    def choose_subprotocol(self, *, never: bool) -> None:
        """Sets whether the next backend chooses no subprotocol for any client."""
        self._removed.pop("subprotocol", None)
        if never:
            self._removed["subprotocol"] = "`subprotocols` is none"

    def why(self, name: str) -> str | None:
        """Returns why no client has a value; None: some may have it."""
        name = _lower(name)
        source, _, key = name.partition(".")
        if name in self._made:
            return None
        if source == "header" and name not in self._removed:
            return self._why_header(key)
        if source == "cookie" and name not in self._removed:
            return self.why("header.cookie")
        return self._removed.get(name)

    def _why_header(self, name: str) -> str | None:
        meant = name.replace("_", "-")
        if self._blocked & {name, meant}:
            return "`server.block-headers` removes it"
        if meant == self._reconnect_header or (
            meant.startswith("x-wsgw-") and meant != "x-wsgw-session"
        ):
            return "wsgw sends it only at a failover"
        if (
            self._forwarding is not None
            and is_forwarding_header(meant)
            and meant not in self._forwarding
        ):
            return "wsgw passes it on only from `server.trusted-proxies`"
        return None


def _lower(name: str) -> str:
    """Returns the name of a value with a header's name in lower case."""
    return name.lower() if name.startswith("header.") else name
