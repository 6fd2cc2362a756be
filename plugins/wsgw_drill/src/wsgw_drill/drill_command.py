"""`wsgw drill`."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wsgw_core.cli.config_option import config_option, load
from wsgw_core.cli.values import DURATION, Number, Parsed, WholeNumber

from . import values

if TYPE_CHECKING:
    from wsgw_core.api import PlayedBackend

    from .request import Request
    from .target import Target
    from .ways import Way

_DEATH_PAUSE = 0.05
_BACK, _BACK_SLOWEST = 0.3, 1.0  # seconds from when a backend listens again
_WEBSOCKET = "ws"


@click.command(short_help="Break backends under load, and count what is lost.")
@config_option("Start the gateway with this file, and backends at the addresses in it.")
@click.option(
    "--url",
    type=Parsed("URL", values.url),
    metavar="URL",
    help="Drill a running gateway; needs --backend.",
)
@click.option(
    "--backend",
    "given",
    type=Parsed("kind or address", values.backend),
    multiple=True,
    metavar="KIND|HOST:PORT",
    help="Kind of the backends that the drill starts, such as http. Default: ws."
    " With --url: address at which that gateway expects a backend; repeat it for each.",
)
@click.option(
    "--admin",
    type=Parsed("URL", values.admin_url),
    metavar="URL",
    help="With --url: the gateway's admin API, such as http://localhost:8081, for the ways that"
    " drain or fail over a backend.",
)
@click.option(
    "--admin-token-file",
    "admin_token",
    type=Parsed("file", values.token_file),
    metavar="FILE",
    help="With --admin: file with a token that has the role `operate`.",
)
@click.option("--pid", type=int, metavar="PID", help="With --url: process id of the gateway.")
@click.option(
    "--route",
    metavar="ID",
    help="With -c: route to drill, if the file has several.",
)
@click.option(
    "--backends",
    type=WholeNumber(min=1),
    metavar="NUMBER",
    help="Number of backends of a gateway without -c. Default: 2, for some kinds 1.",
)
@click.option(
    "--way",
    "names",
    multiple=True,
    metavar="WAY",
    help="What to break; may be repeated; `all`: all ways. Default: the short set.",
)
@click.option("--list", "listing", is_flag=True, help="List the ways and exit.")
@click.option(
    "--clients",
    type=WholeNumber(min=1),
    default=50,
    show_default=True,
    metavar="NUMBER",
    help="Number of clients, which stay connected all the time.",
)
@click.option(
    "--rate",
    type=Number(min=0, min_open=True),
    default=100.0,
    show_default=True,
    help="Messages a second of each client.",
)
@click.option(
    "--size",
    type=Parsed("sizes", values.sizes),
    default="64B..64KiB",
    show_default=True,
    metavar="LOW..HIGH",
    help="Size of a message.",
)
@click.option(
    "--compress",
    is_flag=True,
    help="Clients offer and backends accept compression, if the gateway is configured for it."
    " Otherwise no compression.",
)
@click.option(
    "--replies",
    is_flag=True,
    help="The gateway counts a message as delivered only when it is answered. Then no message may"
    " be acknowledged and unread, however slow backends read. Not with -c or --url.",
)
@click.option(
    "--breaks",
    type=WholeNumber(min=1),
    default=3,
    show_default=True,
    metavar="NUMBER",
    help="Number of breaks in a round of a way.",
)
@click.option(
    "--calm",
    type=DURATION,
    default="1500ms",
    show_default=True,
    metavar="DURATION",
    help="Time of undisturbed load before each break. If it is shorter than failover.stable, the"
    " next break is part of the same failover, and the gateway waits before it dials.",
)
@click.option(
    "--away",
    type=DURATION,
    default="1500ms",
    show_default=True,
    metavar="DURATION",
    help="How long all backends are down.",
)
@click.option(
    "--duration",
    type=DURATION,
    metavar="DURATION",
    help="Repeat the ways for this long, and check whether the gateway grows.",
)
@click.option(
    "--pause",
    "pauses",
    type=Parsed("pause", values.way_and_pause),
    multiple=True,
    metavar="WAY=DURATION",
    help="Limit of the median pause of a way, and of its other times.",
)
@click.option(
    "--header",
    "headers",
    type=Parsed("header", values.header),
    multiple=True,
    metavar="HEADER",
    help="Header of the clients' handshakes, such as 'Authorization: Bearer x'; may be repeated.",
)
@click.option(
    "--path",
    type=Parsed("path", values.path),
    metavar="PATH",
    help="Path that clients request, with or without a query. Default: one that reaches the route;"
    " with --url, the path of the URL.",
)
@click.option(
    "--host",
    type=Parsed("host", values.host),
    metavar="HOST",
    help="Host header of the clients' handshakes. Default: one that reaches the route, or the host"
    " to which they connect.",
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also write the report to this file.",
)
def drill(  # noqa: PLR0913 - one for each option
    *,
    file: Path | None,
    url: str | None,
    given: tuple[tuple[str, int] | str, ...],
    admin: str | None,
    admin_token: str | None,
    pid: int | None,
    route: str | None,
    backends: int | None,
    names: tuple[str, ...],
    listing: bool,
    clients: int,
    rate: float,
    size: tuple[int, int],
    compress: bool,
    replies: bool,
    breaks: int,
    calm: float,
    away: float,
    duration: float | None,
    pauses: tuple[tuple[str, float], ...],
    headers: tuple[tuple[str, str], ...],
    path: str | None,
    host: str | None,
    json_file: Path | None,
) -> None:
    """Break backends and clients under load, and report the fate of every message.

    Starts its own backends and clients. Without -c or --url it also starts a gateway with stock
    settings. Exit status: 0 everything was as expected; 1 it was not, even if only a time was
    longer than its limit; 2 the configuration or the command line is not valid.
    """
    from .ways import DEFAULT, WAYS  # noqa: PLC0415 - slow

    if listing:
        for way in WAYS.values():
            star = "*" if way.name in DEFAULT else " "
            click.echo(f"{star} {way.name:15} {way.summary}")
        click.echo("* marks the short set.")
        return

    from .drill import Drill  # noqa: PLC0415 - slow
    from .load_client import Load  # noqa: PLC0415 - slow
    from .request import Request  # noqa: PLC0415 - slow
    from .row import Bounds  # noqa: PLC0415 - slow
    from .run import run_drill  # noqa: PLC0415 - slow
    from .stage import Plan  # noqa: PLC0415 - slow
    from .target import WEBSOCKET  # noqa: PLC0415 - slow

    kinds = [each for each in given if isinstance(each, str)]
    addresses = [each for each in given if not isinstance(each, str)]
    _check_target(file, url, kinds, addresses)
    for option, value, needed, other in (
        ("--route", route, "--config; with --url, see --path", file),
        ("--admin", admin, "--url", url),
        ("--pid", pid, "--url", url),
        ("--admin-token-file", admin_token, "--admin", admin),
    ):
        if value is not None and other is None:
            raise click.UsageError(f"{option} needs {needed}")
    if replies and (file is not None or url is not None):
        raise click.UsageError("--replies works only without --config and --url")
    request = Request(path or "", host or "", headers)
    if file is not None:
        target, route, request = _configured(file, route, request)
    else:
        kind = kinds[0] if kinds else _WEBSOCKET
        target = (
            _running(url, addresses, pid, admin, admin_token)
            if url is not None
            else _stock(backends, kind, replies=replies)
        )
    load = Load(rate, size[0], size[1], request, compress)
    plan = Plan(clients, load, breaks, calm, away)
    death, silence = _DEATH_PAUSE, target.settings.silence
    if target.played is not WEBSOCKET:  # each kind detects it in its own time
        death = silence = math.inf
    bounds = Bounds(
        death,
        silence,
        dict(pauses),
        back=_BACK,
        back_slowest=_BACK_SLOWEST,
        muted=target.settings.drain.step,
    )
    ready = Drill(target, _ways_for(target, names), plan, bounds, duration, route)
    sys.exit(run_drill(ready, json_file))


def _check_target(
    file: Path | None, url: str | None, kinds: list[str], addresses: list[tuple[str, int]]
) -> None:
    if file is not None and url is not None:
        raise click.UsageError("--config and --url exclude each other: give one")
    if (url is None) != (not addresses):
        raise click.UsageError("--url needs --backend HOST:PORT, and the other way round")
    if kinds and (file is not None or url is not None or len(kinds) > 1):
        raise click.UsageError("give --backend KIND once, and without --config and --url")


def _configured(file: Path, name: str | None, given: Request) -> tuple[Target, str | None, Request]:
    from .request import chosen_route, request_for  # noqa: PLC0415 - slow
    from .target import ConfiguredGateway  # noqa: PLC0415 - slow

    loaded = load(file)
    route = chosen_route(loaded.config, name)
    gateway = ConfiguredGateway(file, loaded.config, loaded.specs, route)
    if route is None:
        return gateway, None, given
    request = request_for(route, loaded.config, gateway.url, given)
    backends = ", ".join(address.name for address in gateway.addresses)
    click.echo(
        f"Route {route.id}, backends {backends}; clients request {request.shown(gateway.url)}."
    )
    return gateway, route.id, request


def _running(
    url: str,
    addresses: list[tuple[str, int]],
    pid: int | None,
    admin: str | None,
    admin_token: str | None,
) -> Target:
    from .admin_api import AdminApi  # noqa: PLC0415 - slow
    from .target import Address, RunningGateway  # noqa: PLC0415 - slow

    there = [
        Address(f"backend-{number}", host, port)
        for number, (host, port) in enumerate(addresses, start=1)
    ]
    api = None if admin is None else AdminApi(admin, admin_token or "")
    return RunningGateway(url, there, pid, api)


def _stock(backends: int | None, kind: str, *, replies: bool) -> Target:
    from .settings import Settings  # noqa: PLC0415 - slow
    from .target import Address, StockGateway  # noqa: PLC0415 - slow

    played = _played(kind)
    count = backends or played.backends
    return StockGateway(
        [Address(f"backend-{n}") for n in range(1, count + 1)],
        settings=Settings(moves_told=played.moves_told, ahead=played.ahead, replies=replies),
        played=played,
    )


def _played(kind: str) -> PlayedBackend:
    """Returns how the drill runs backends of a kind; raises PluginError, click.UsageError."""
    from wsgw_core.plugins.loader import load_plugins  # noqa: PLC0415 - slow

    from .target import WEBSOCKET  # noqa: PLC0415 - slow

    if kind == _WEBSOCKET:
        return WEBSOCKET
    registration = load_plugins([kind]).backends.find(kind)
    if registration is None or registration.played is None:
        raise click.UsageError(f"the plugin of kind {kind!r} has no backends for the drill")
    return registration.played


def _ways_for(target: Target, names: tuple[str, ...]) -> list[Way]:
    """Returns the named ways, or those of the chosen set that suit the gateway."""
    from .ways import DEFAULT, WAYS  # noqa: PLC0415 - slow

    asked = [values.known_way(name) for name in dict.fromkeys(names) if name != "all"]
    ways: list[Way] = []
    left_out: dict[str, list[str]] = {}
    for name in WAYS if "all" in names else asked or DEFAULT:
        obstacle = WAYS[name].obstacle(len(target.addresses), target.settings, target.played)
        if obstacle is None:
            ways.append(WAYS[name])
        elif name in asked:
            raise click.UsageError(f"the way {name!r} {obstacle}")
        else:
            left_out.setdefault(obstacle, []).append(name)
    if not ways:
        reasons = " or ".join(left_out)
        raise click.UsageError(
            f"no way of the short set is possible: each {reasons}; try --way all"
        )
    for obstacle, them in left_out.items():
        click.echo(f"Left out, because each {obstacle}: {', '.join(them)}.")
    return ways
