"""Rules for routes and their backends that involve more than one key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .problems import KeyPath, key_path_text

if TYPE_CHECKING:
    from .failover_options import FailoverOptions
    from .gateway_config import GatewayConfig

# The keys of `failover` that apply to a group's backends, whichever session they serve.
OF_A_GROUP = ("ping-timeout", "busy-timeout", "max-concurrent-dials", "dial-spacing")
_TOP: KeyPath = ("upstream", "backends")


def broken_rules(config: GatewayConfig) -> Iterator[tuple[KeyPath, str]]:
    """Yields the broken rules, each with its key path."""
    yield from _equal_ids(config)
    yield from _unreachable(config)
    yield from _without_effect(config)
    yield from _contradicting_timeouts(config)
    yield from _without_backends(config)


def _equal_ids(config: GatewayConfig) -> Iterator[tuple[KeyPath, str]]:
    backends: dict[str, KeyPath] = {}
    for path, backend in config.backend_entries():
        first = backends.setdefault(backend.effective_id, path)
        if first is not path:
            text = f"duplicate id {backend.effective_id!r}, also the id of {key_path_text(first)}"
            yield (*path, "id" if backend.id else "url"), text
    routes: dict[str, int] = {}
    for number, route in enumerate(config.routes):
        if (before := routes.setdefault(route.id, number)) != number:
            yield (
                ("routes", number, "id"),
                f"duplicate id {route.id!r}, also the id of routes[{before}]",
            )


def _unreachable(config: GatewayConfig) -> Iterator[tuple[KeyPath, str]]:
    catch_all: int | None = None
    seen: dict[object, int] = {}
    for number, route in enumerate(config.routes):
        conditions = (
            frozenset(map(str, route.paths)),
            frozenset(map(str, route.hosts)),
            frozenset((name.lower(), value) for name, value in route.headers.items()),
        )
        before = seen.setdefault(conditions, number)
        if catch_all is not None:
            yield (
                ("routes", number),
                f"is never reached: routes[{catch_all}] matches every request",
            )
        elif before != number:
            yield ("routes", number), f"is never reached: routes[{before}] has the same conditions"
        elif route.matches_all:
            catch_all = number


def _without_effect(config: GatewayConfig) -> Iterator[tuple[KeyPath, str]]:
    for number, route in enumerate(config.routes):
        if route.backends is not None:
            continue
        given: list[KeyPath] = [("policy",)] if route.policy is not None else []
        own = route.failover.model_fields_set if route.failover is not None else ()
        given += [("failover", key) for key in OF_A_GROUP if key.replace("-", "_") in own]
        for path in given:
            text = "applies to the backends of a route, but this route has no 'backends' of its own"
            yield ("routes", number, *path), text


def _contradicting_timeouts(config: GatewayConfig) -> Iterator[tuple[KeyPath, str]]:
    for path, own, failover in _failovers(config):
        if "busy_timeout" not in failover.model_fields_set:
            continue
        if 0 < failover.busy_timeout < failover.ping_timeout:
            key = "busy-timeout" if "busy_timeout" in own else "ping-timeout"
            text = (
                f"busy-timeout ({failover.busy_timeout:g} s) is shorter than ping-timeout"
                f" ({failover.ping_timeout:g} s); write 0 for the same time"
            )
            yield (*path, "failover", key), text


def _failovers(config: GatewayConfig) -> Iterator[tuple[KeyPath, set[str], FailoverOptions]]:
    """Yields the effective options of the gateway and of routes, with the keys given there."""
    yield (), config.failover.model_fields_set, config.failover
    for number, route in enumerate(config.routes):
        own = route.failover.model_fields_set if route.failover is not None else set()
        if route.group and own & {"ping_timeout", "busy_timeout"}:
            yield ("routes", number), own, route.failover_over(config.failover)


def _without_backends(config: GatewayConfig) -> Iterator[tuple[KeyPath, str]]:
    lacking = [
        key_path_text(("routes", number))
        for number, route in enumerate(config.routes)
        if route.backends is None
    ]
    if config.upstream.backends:
        unused = bool(config.routes) and not lacking
        for number, backend in enumerate(config.upstream.backends if unused else ()):
            path: KeyPath = (*_TOP, number, "url" if backend.url else "id")
            yield path, "no route uses this backend: every route has its own 'backends'"
    elif lacking:
        yield _TOP, f"needs at least 1, found 0: {', '.join(lacking)} use them"
    elif not config.routes:
        yield _TOP, "needs at least 1, found 0"
