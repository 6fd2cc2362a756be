"""Runs one gateway as a process until a signal stops it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..api import ConfigurationError
from ..config.address import Address
from ..config.server_options import AdminOptions
from ..file_limit import file_limit, raise_file_limit, session_capacity
from ..gateway.gateway import Gateway
from ..gateway.local_control import LocalControl
from ..loading.configuration import Configuration
from ..loading.references import option_warnings
from ..masking import masked_text
from ..plugins.plugin_specs import PluginSpecs
from .log_output import debugging, log_of_a_loop, tell, writes_json
from .reloading import Reloading
from .stop_signals import StopSignals

try:
    import uvloop
except ImportError:  # not available for every platform
    uvloop = None  # type: ignore[assignment]  # checked where it is used

if TYPE_CHECKING:
    from ..admin.server import AdminServer

EXIT_STOPPED = 0
EXIT_FAILED = 1
EXIT_CONFIGURATION = 2

_log = logging.getLogger("wsgw")
_lifecycle = logging.getLogger("wsgw.lifecycle")

_CANNOT_LISTEN = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES, errno.EAFNOSUPPORT)


def run_gateway(
    loaded: Configuration,
    signals: StopSignals,
    load: Callable[[], Configuration],
    watched: Path | None = None,
) -> int:
    """Runs a gateway until a signal stops it; SIGHUP makes it reload its configuration.

    Prints on stderr the addresses it listens on, or one line with the error.

    Args:
        loaded: the configuration.
        signals: the installed signal handlers; a stop during a slow start is clean too.
        load: loads the configuration again; raises ConfigurationError.
        watched: a file; a change of it also triggers a reload.

    Returns:
        The exit status: 0 stopped by a signal, 1 failed, 2 the configuration is invalid.
    """
    _raise_file_limit()
    # The acceptor needs add_reader, which the default loop of Windows lacks.
    new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.SelectorEventLoop
    if uvloop is not None:
        new_loop = uvloop.new_event_loop
    try:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(_run(loaded, signals, load, watched))
    except ConfigurationError as error:
        _tell(*error.problems)
        return EXIT_CONFIGURATION
    except _AdminCannotListen as failure:
        _tell(str(failure))
    except OSError as error:
        _tell(_why_not(error, loaded.config.server.frontend.address))
    except Exception as error:  # any error of a plugin at the start
        if debugging():
            raise
        whose = "".join(f"{note}: " for note in getattr(error, "__notes__", ()))
        said = masked_text(" ".join(str(error).split()))
        _tell(f"failed: {whose}{type(error).__name__}: {said}")
    return EXIT_FAILED


async def _run(
    loaded: Configuration,
    signals: StopSignals,
    load: Callable[[], Configuration],
    watched: Path | None,
) -> int:
    loop = asyncio.get_running_loop()
    asked_to_stop = asyncio.Event()
    signals.tell(lambda: loop.call_soon_threadsafe(asked_to_stop.set))
    gateway = Gateway(loaded.config, loaded.specs)
    reloading = Reloading(gateway, load, _log)
    try:
        with log_of_a_loop(loop, gateway.counters.log_lines_dropped):
            await _start_and_stop(gateway, loaded, asked_to_stop, reloading, watched)
    finally:
        signals.tell(None)
    return EXIT_STOPPED


async def _start_and_stop(
    gateway: Gateway,
    loaded: Configuration,
    asked_to_stop: asyncio.Event,
    reloading: Reloading,
    watched: Path | None,
) -> None:
    options = loaded.config.server.admin
    admin = _admin_server(gateway, options, reloading) if options.enabled else None
    stop = asyncio.create_task(asked_to_stop.wait())
    start = asyncio.create_task(_start(gateway, admin, options))
    for warning in option_warnings(loaded.config, loaded.specs, loaded.origins):
        _log.warning("%s", warning)
    try:
        await asyncio.wait((start, stop), return_when=asyncio.FIRST_COMPLETED)
        if start.done():
            start.result()
            _settle_garbage_collector()
            _tell_start(gateway, admin, loaded.specs)
            with reloading.on_demand(watched):
                await stop
            await reloading.close()
        else:
            start.cancel()
            await asyncio.gather(start, return_exceptions=True)
        _log.info("stopping")
    except BaseException:
        stop.cancel()
        # The start has failed and closed what it had opened; only its error is reported.
        with contextlib.suppress(Exception):
            await gateway.stop()
        if admin is not None:
            with contextlib.suppress(Exception):
                await admin.stop()
        raise
    await gateway.stop()
    if admin is not None:
        await admin.stop()
    _log.info("stopped")


class _AdminCannotListen(Exception):
    """The text says why."""


def _admin_server(gateway: Gateway, options: AdminOptions, reloading: Reloading) -> AdminServer:
    from ..admin.server import AdminServer  # noqa: PLC0415 - a fifth of a start, for aiohttp

    control = LocalControl(gateway, reloading.now)
    return AdminServer(control, options, gateway.metrics, gateway.counters)


async def _start(gateway: Gateway, admin: AdminServer | None, options: AdminOptions) -> None:
    async def start_admin() -> None:
        if admin is not None:
            try:
                await admin.start()
            except OSError as error:
                why = _why_not(error, options.address)
                raise _AdminCannotListen(f"{why} (server.admin.address)") from error

    await gateway.start(before_clients=start_admin)


def _tell_start(gateway: Gateway, admin: AdminServer | None, specs: PluginSpecs) -> None:
    count = len(specs.all_backends)
    where = ", ".join(map(str, gateway.addresses))
    _tell(f"listening on {where}, {count} backend{'' if count == 1 else 's'}")
    for backend in specs.all_backends:
        whose = f" of route {backend.group}" if backend.group else ""
        _log.info("backend %s%s of kind %s", backend.id, whose, backend.registration.kind)
    on = f"on {', '.join(map(str, admin.addresses))}" if admin is not None else "disabled"
    _log.info("admin API %s", on)


def _tell(*lines: str) -> None:
    """Prints lines whatever the log level; as log records if the log is JSON."""
    for line in lines:
        if writes_json():
            _lifecycle.info("%s", line)
        else:
            tell(f"wsgw: {line}")


def _why_not(error: OSError, address: Address) -> str:
    reason = error.strerror or str(error)
    if isinstance(error, socket.gaierror):
        return f"cannot listen on {address}: {reason}"
    if error.errno in _CANNOT_LISTEN:
        # The event loop's text would repeat the address.
        return f"cannot listen on {address}: {os.strerror(error.errno).lower()}"
    return f"failed: {reason}"


def _raise_file_limit() -> None:
    """Raises the limit of open files, because each session needs two."""
    try:
        raise_file_limit()
    except (OSError, ValueError) as error:
        _log.warning("cannot raise the limit of %s open files: %s", file_limit(), error)
    capacity = session_capacity()
    if capacity is None:
        _log.info("the number of open files is not limited")
    else:
        _log.info("room for about %d sessions with %d open files", capacity, file_limit())


def _settle_garbage_collector() -> None:
    """Enables the garbage collector, tuned for long-lived objects.

    Modules, classes and configuration live as long as the process; the collector skips them once
    they are frozen. Sessions are many long-lived objects with few cycles, and reference counting
    frees most of them. With Python's thresholds (700, 10, 10), every burst of messages would start
    collections that find nothing. A threshold ten times as high still bounds the garbage. While it
    collects, all sessions wait; so the second generation is collected four times as often, and the
    third one as often as with (7_000, 20, 20). The work is the same, in smaller pieces.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(7_000, 5, 80)
    gc.enable()
