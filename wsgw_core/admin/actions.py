"""Answers the POST calls: converts each to a command, and its outcome to an answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict

from aiohttp import web

from ..control import commands
from ..control.control import Control
from ..control.outcome import Outcome
from .answers import failed, success
from .calls import NO_ACTION, Call

_BINARY = "application/octet-stream"

_BY_ID: dict[str, Callable[[str], commands.Command]] = {
    "backends.disable": commands.DisableBackend,
    "backends.enable": commands.EnableBackend,
    "backends.fail_over": commands.FailOverBackend,
    "backends.drain": commands.DrainBackend,
    "backends.reset": commands.ResetBackend,
    "backends.delete": commands.RemoveBackend,
    "sessions.abort": commands.CloseSession,
    "sessions.fail_over": commands.FailOverSession,
    "frontends.pause": commands.PauseFrontend,
    "frontends.resume": commands.ResumeFrontend,
    "configuration.reload": lambda _: commands.Reload(),
}


class _InvalidBody(Exception):
    """The body of a request is invalid; the text says why."""


class Actions:
    """Carries out actions.

    Args:
        control: the control of the gateway.
        may_name_files: whether added backends may name files.
    """

    def __init__(self, control: Control, *, may_name_files: bool) -> None:
        self._control = control
        self._may_name_files = may_name_files

    async def respond(self, call: Call, request: web.Request) -> web.Response:
        """Carries out one action and returns the answer."""
        try:
            command = await self._command(call, request)
        except _InvalidBody as error:
            return failed(str(error))
        return _answered(call, await self._control.do(command))

    async def _command(self, call: Call, request: web.Request) -> commands.Command:
        if call.name == "backends.add":
            return self._addition(await _body(request))
        if call.name == "sessions.send":
            return await _message(request)
        return _BY_ID[call.name](request.match_info.get("id", ""))

    def _addition(self, body: bytes) -> commands.AddBackend:
        try:
            entry = json.loads(body)
        except (ValueError, RecursionError):  # not UTF-8, not JSON, or nested without end
            raise _InvalidBody("body is not JSON") from None
        route = entry.pop("route", "") if isinstance(entry, dict) else ""
        if not isinstance(route, str):
            raise _InvalidBody("route: must be the id of a route")
        return commands.AddBackend(entry, route, self._may_name_files)


async def _body(request: web.Request) -> bytes:
    try:
        return await request.read()
    except RuntimeError:
        if request.transport is not None:
            raise
        # aiohttp's, if the connection was lost just before the call began
        raise ConnectionResetError("connection closed before the body") from None


async def _message(request: web.Request) -> commands.SendToClient:
    session_id, body = request.match_info["id"], await _body(request)
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type == _BINARY:
        return commands.SendToClient(session_id, binary=body)
    try:
        return commands.SendToClient(session_id, body.decode())
    except UnicodeDecodeError:
        why = f"body is not UTF-8; for a binary message send Content-Type: {_BINARY}"
        raise _InvalidBody(why) from None


def _answered(call: Call, outcome: Outcome) -> web.Response:
    if outcome.result == "done":
        report = outcome.report
        return success() if report is None else success(summary=report.summary, **asdict(report))
    if outcome.result == "unsupported":
        return failed("NotImplemented", 501)
    if outcome.result in ("refused", "forbidden"):
        status = 403 if outcome.result == "forbidden" else 200
        return failed("; ".join(outcome.problems), status)
    if outcome.result == "unchanged" or call.unknown == NO_ACTION:
        return success(reason=NO_ACTION)
    return failed()
